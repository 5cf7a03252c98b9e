/* I/O ports. A guest has only those of its disk: every other one is #GP. */
#ifndef GUEST_RUNTIME_PORT_H
#define GUEST_RUNTIME_PORT_H

#include <stddef.h>
#include <stdint.h>

static inline void port_write(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

/* Words of 16 bits to and from memory, all by the same port. */
static inline void port_write_words(uint16_t port, const void *words, size_t count)
{
    __asm__ volatile("rep outsw" : "+S"(words), "+c"(count) : "d"(port) : "memory");
}

static inline void port_read_words(uint16_t port, void *words, size_t count)
{
    __asm__ volatile("rep insw" : "+D"(words), "+c"(count) : "d"(port) : "memory");
}

#endif
