/* Of a vCPU, what the translations of spaces need: see test_guest_spaces.c. */
#ifndef TESTS_FAKE_GUEST_VCPU_H
#define TESTS_FAKE_GUEST_VCPU_H

#include <stdint.h>

struct vcpu_local {
    uint64_t space_stale;
};

struct vcpu_local *vcpu_self(void);

#endif
