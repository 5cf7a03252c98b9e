/*
 * A checksum of data in memory or on a disk, 64 bits, by FNV-1a's steps over words: what is torn is
 * not to look whole; nobody forges any.
 */
#ifndef GUEST_COMMON_CHECKSUM_H
#define GUEST_COMMON_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define CHECKSUM_START 0xcbf29ce484222325ull

/* Go on with sum, CHECKSUM_START at first, over bytes bytes, a multiple of 8 and aligned to 8. */
static inline uint64_t checksum(uint64_t sum, const void *data, size_t bytes)
{
    const uint64_t *const words = data;

    for (size_t i = 0; i < bytes / sizeof(*words); i++) {
        sum = (sum ^ words[i]) * 0x100000001b3ull;
        sum ^= sum >> 29;
    }
    return sum;
}

#endif
