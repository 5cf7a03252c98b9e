/* The runtime's view of the CPU with a TLB that the test keeps: see test_guest_spaces.c. */
#ifndef TESTS_FAKE_GUEST_CPU_H
#define TESTS_FAKE_GUEST_CPU_H

#include <stdint.h>

enum invpcid_type {
    INVPCID_ADDRESS,
    INVPCID_PCID,
    INVPCID_ALL = 3,
};

uint64_t read_cr3(void);
void write_cr3(uint64_t value);
void invlpg(uint64_t address);
void invpcid(enum invpcid_type type, uint64_t pcid, uint64_t address);

#endif
