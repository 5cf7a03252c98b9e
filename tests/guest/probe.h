/*
 * Accesses of which one wants to know whether they are delivered as TRAP: probe() makes one and
 * tells; allowed() finds out what a page allows.
 */
#ifndef TRAPLINE_TESTS_PROBE_H
#define TRAPLINE_TESTS_PROBE_H

#include "suite.h"

/* Accesses whose end is known, so that the handler can step over them. */
__asm__(".text\n"
        "probe_read:\n\t"
        "movb (%rdi), %al\n"
        "probe_read_end:\n\t"
        "ret\n"
        "probe_write:\n\t"
        "movb %sil, (%rdi)\n"
        "probe_write_end:\n\t"
        "ret\n"
        "probe_fetch:\n\t"
        "call *%rdi\n\t"
        "ret\n");
unsigned char probe_read(const void *address);
void probe_write(void *address, unsigned char value);
void probe_fetch(void *address);
extern const char probe_read_end[], probe_write_end[];

enum {
    PROBE_RET = 0xc3, /* a page that is probed for EXEC begins with RET */
};

/* What the last probe met. */
struct probe_result {
    unsigned faults;
    struct trapline_fault fault; /* the first one */
};
static volatile struct probe_result probe_seen;

static inline void probe_handler(struct trapline_fault *fault)
{
    if (probe_seen.faults++ == 0)
        *(struct trapline_fault *)&probe_seen.fault = *fault;
    if (fault->rip == (uint64_t)probe_read)
        fault->rip = (uint64_t)probe_read_end;
    else if (fault->rip == (uint64_t)probe_write)
        fault->rip = (uint64_t)probe_write_end;
    else { /* a fetch: return from the call that was made */
        fault->rip = *(uint64_t *)fault->rsp;
        fault->rsp += sizeof(uint64_t);
    }
}

/*
 * Make one access, enum trapline_access, to a byte. Returns 0 when it was not delivered, 1 when it
 * was delivered once and as what it was, -1 when it was delivered as something else.
 */
static inline int probe(void *address, unsigned access)
{
    uint64_t rip;

    probe_seen.faults = 0;
    trap(probe_handler, 0);
    if (access == TRAPLINE_READ) {
        probe_read(address);
        rip = (uint64_t)probe_read;
    } else if (access == TRAPLINE_WRITE) {
        probe_write(address, PROBE_RET);
        rip = (uint64_t)probe_write;
    } else {
        probe_fetch(address);
        rip = (uint64_t)address;
    }
    trap(NULL, 0);
    if (probe_seen.faults == 0)
        return 0;
    return probe_seen.faults == 1 && probe_seen.fault.kind == access &&
                   probe_seen.fault.address == (uint64_t)address &&
                   probe_seen.fault.physical == (uint64_t)address && probe_seen.fault.rip == rip &&
                   probe_seen.fault.depth == 0
               ? 1
               : -1;
}

enum {
    PROBE_WRONG = 1u << 8, /* in allowed(): something was delivered as what it was not */
};

/* What the page allows by trying all three; it begins with RET and still does afterwards. */
static inline unsigned allowed(void *page)
{
    unsigned access = 0;

    for (unsigned kind = TRAPLINE_READ; kind <= TRAPLINE_EXEC; kind <<= 1) {
        const int result = probe(page, kind);

        if (result == 0)
            access |= kind;
        else if (result < 0)
            access |= PROBE_WRONG;
    }
    return access;
}

/* Prepare pages for allowed(). */
static inline void plant_ret(char *pages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pages[i * PAGE] = (char)PROBE_RET;
}

static inline bool has_feature(unsigned feature)
{
    return guest_info()->features & feature;
}

enum {
    ACCESS_RW = TRAPLINE_READ | TRAPLINE_WRITE,
    ACCESS_RX = TRAPLINE_READ | TRAPLINE_EXEC,
    ACCESS_ALL = TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC,
};

#endif
