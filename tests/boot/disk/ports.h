/* The ports of the two legacy ATA channels, and whether a guest gets through to a port. */
#ifndef TESTS_BOOT_DISK_PORTS_H
#define TESTS_BOOT_DISK_PORTS_H

#include "except.h"

enum port {
    ATA0_PORTS = 0x1f0, /* eight of them */
    ATA0_CONTROL = 0x3f6,
    ATA1_PORTS = 0x170,
    ATA1_CONTROL = 0x376,
    CHANNEL_PORTS = 8,
    PCI_ADDRESS = 0xcf8,
    PCI_DATA = 0xcfc,
};

/* The vector of IN and of OUT of this many bytes (1, 2 or 4), or VECTOR_NONE. */
static inline int port_in(uint16_t port, unsigned bytes)
{
    int vector;

    if (bytes == 1)
        TRY(vector, "inb %%dx, %%al", , "d"(port), "rax");
    else if (bytes == 2)
        TRY(vector, "inw %%dx, %%ax", , "d"(port), "rax");
    else
        TRY(vector, "inl %%dx, %%eax", , "d"(port), "rax");
    return vector;
}

static inline int port_out(uint16_t port, unsigned bytes)
{
    int vector;

    if (bytes == 1)
        TRY(vector, "outb %%al, %%dx", , ARGS("d"(port), "a"(0)));
    else if (bytes == 2)
        TRY(vector, "outw %%ax, %%dx", , ARGS("d"(port), "a"(0)));
    else
        TRY(vector, "outl %%eax, %%dx", , ARGS("d"(port), "a"(0)));
    return vector;
}

/* Expect #GP from both, in every size. */
static inline void expect_denied(uint16_t port)
{
    for (unsigned bytes = 1; bytes <= 4; bytes *= 2) {
        check_at("port 0x%x, %u bytes", port, bytes);
        EXPECT_EQ(port_in(port, bytes), VECTOR_GP);
        EXPECT_EQ(port_out(port, bytes), VECTOR_GP);
    }
}

static inline void expect_channel_denied(uint16_t ports, uint16_t control)
{
    for (uint16_t i = 0; i < CHANNEL_PORTS; i++)
        expect_denied(ports + i);
    expect_denied(control);
}

#endif
