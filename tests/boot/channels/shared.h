/* What the two guests of the channel tests have in the first page that they share. */
#ifndef TRAPLINE_TESTS_CHANNELS_SHARED_H
#define TRAPLINE_TESTS_CHANNELS_SHARED_H

#include <stdatomic.h>

#include "probe.h"

#include "check.h"

enum {
    ROUNDS = 500,
    PAGES = 3, /* of the first channel: this structure, left's to write, right's to write */
    SECRET = 0x5e,
};

struct shared {
    atomic_uint turn;     /* odd: right's */
    atomic_uint watching; /* right reads the second page over and over */
};

/* Sleep until somebody rings or unparks. */
static inline void park(void)
{
    hypercall2(TRAPLINE_HC_PARK, 0, 0);
}

/* The byte that stands at an offset of a page that one side fills. */
static inline unsigned char pattern(unsigned seed, size_t at)
{
    return (unsigned char)(seed * 31 + at * 7 + (at >> 8));
}

static inline bool has_pattern(const unsigned char *page, unsigned seed)
{
    for (size_t i = 0; i < PAGE; i++) {
        if (page[i] != pattern(seed, i))
            return false;
    }
    return true;
}

static inline void fill(unsigned char *page, unsigned seed)
{
    for (size_t i = 0; i < PAGE; i++)
        page[i] = pattern(seed, i);
}

/* The oldest offer of a guest, awaited; channel_listen_offers() was called. */
static inline int accept_next(const char *name, void *address, size_t pages, size_t *got,
                              unsigned *access)
{
    int channel = channel_accept(name, address, pages, got, access);

    while (channel == -TRAPLINE_EAGAIN) {
        park();
        channel = channel_accept(name, address, pages, got, access);
    }
    return channel;
}

#endif
