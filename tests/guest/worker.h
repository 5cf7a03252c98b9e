/*
 * A guest that computes something with all the primitives that one guest among many uses, and knows
 * what must come out: whatever its neighbours do, the checksum is the same.
 */
#ifndef TRAPLINE_TESTS_WORKER_H
#define TRAPLINE_TESTS_WORKER_H

#include "check.h"

enum {
    WORKER_PAGE = TRAPLINE_PAGE_SIZE,
    WORKER_PAGES = 64,
    WORKER_STEPS = 3000,
    WORKER_UNUSED_FROM_END = 3 << 20,
    WORKER_UNUSED_BYTES = 64 << 10,
    WORKER_PROTECT = 25, /* steps from one protection of all pages to the next */
};

static unsigned char *worker_pages;
static volatile unsigned worker_traps;

static void worker_trap(struct trapline_fault *fault)
{
    worker_traps++;
    unprot(trap_page(fault));
}

static uint64_t worker_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/*
 * Random writes to pages that are protected again and again: each first write traps. Returns a
 * checksum over what was written and how often it trapped.
 */
static inline uint64_t worker_run(uint64_t seed)
{
    uint64_t state = seed, sum = 0;

    worker_traps = 0;
    memset(worker_pages, 0, WORKER_PAGES * WORKER_PAGE);
    for (unsigned step = 0; step < WORKER_STEPS; step++) {
        uint64_t value = worker_random(&state);
        volatile uint64_t *word =
            (volatile uint64_t *)(worker_pages + value % WORKER_PAGES * WORKER_PAGE);

        if (step % WORKER_PROTECT == 0)
            protn_range(worker_pages, WORKER_PAGES, TRAPLINE_READ);
        *word += value;
    }
    unprot_range(worker_pages, WORKER_PAGES);
    for (unsigned i = 0; i < WORKER_PAGES; i++)
        sum = sum * 31 + *(uint64_t *)(worker_pages + i * WORKER_PAGE);
    return sum + worker_traps;
}

/* The same without a hypervisor's help: what worker_run() has to give. */
static inline uint64_t worker_expected(uint64_t seed)
{
    uint64_t words[WORKER_PAGES] = {0}, state = seed, sum = 0, traps = 0, raised = 0;

    for (unsigned step = 0; step < WORKER_STEPS; step++) {
        uint64_t value = worker_random(&state);
        unsigned page = value % WORKER_PAGES;

        if (step % WORKER_PROTECT == 0)
            raised = 0;
        traps += !(raised >> page & 1);
        raised |= 1ull << page;
        words[page] += value;
    }
    for (unsigned i = 0; i < WORKER_PAGES; i++)
        sum = sum * 31 + words[i];
    return sum + traps;
}

/*
 * Whether a part of RAM that nobody has used by now is as a guest must find it, zero; it is not
 * afterwards. What is allocated from there is cleared by the runtime.
 */
static inline bool worker_takes_fresh_memory(void)
{
    unsigned char *memory = (unsigned char *)(ram_size() - WORKER_UNUSED_FROM_END);
    bool fresh = true;

    for (size_t at = 0; at < WORKER_UNUSED_BYTES; at += sizeof(uint64_t))
        fresh &= *(volatile uint64_t *)(memory + at) == 0;
    memset(memory, 0xa5, WORKER_UNUSED_BYTES);
    return fresh;
}

/* One page filled with the guest's name, to be looked at again when others have had their chance.
 */
static inline void worker_sign(char *page)
{
    for (unsigned at = 0; at < WORKER_PAGE; at += TRAPLINE_NAME_LEN)
        memcpy(page + at, guest_info()->name, TRAPLINE_NAME_LEN);
}

static inline bool worker_is_signed(const char *page)
{
    for (unsigned at = 0; at < WORKER_PAGE; at += TRAPLINE_NAME_LEN) {
        if (memcmp(page + at, guest_info()->name, TRAPLINE_NAME_LEN) != 0)
            return false;
    }
    return true;
}

static inline void worker_start(void)
{
    worker_pages = pages_alloc(WORKER_PAGES, 1);
    trap(worker_trap, 0);
}

#endif
