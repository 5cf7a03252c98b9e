/*
 * TRAP: the handler of forbidden accesses, and what it is told. What protects pages is in vm.h and
 * in region.h, whose calls return what trapline_error_name() names.
 */
#ifndef TRAPLINE_TRAP_H
#define TRAPLINE_TRAP_H

#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/home.h>

enum {
    TRAP_MAX_DEPTH = 8,    /* faults that may be in their handlers at once */
    TRAP_EXIT_FAULT = 120, /* exit code: a forbidden access with no handler registered */
    TRAP_EXIT_DEPTH =
        121, /* exit code: a forbidden access in handlers nested TRAP_MAX_DEPTH deep */
};

enum trap_flags {
    /*
     * The handler, with everything that it calls, uses no x87, SSE or AVX register: they need not
     * be saved around it. To have the compiler see to it, put before the first #include of the file
     *     #pragma GCC target("general-regs-only")
     * or mark single functions TRAP_GENERAL (what they call inline is then called out of line).
     */
    TRAP_GENERAL_REGS = 1u << 0,
    /*
     * The handler leaves every register as it finds it, and wants none of the access's: rax to r15
     * of struct trapline_fault hold nothing of use, and storing there does nothing. This is the
     * shortest way; the other flag is implied. The handler itself is declared TRAP_LEAN_HANDLER,
     * which has the compiler save what it uses; without it the interrupted code is corrupted.
     */
    TRAP_LEAN = 1u << 1,
};

/*
 * A forbidden access, as its handler sees it. The registers are those of the access (rax to r15 not
 * with TRAP_LEAN) and take effect when the handler returns: by default the instruction is tried
 * again, unless rip was changed.
 */
struct trapline_fault {
    uint64_t depth; /* 0 = the access was not made by a handler, 1 = by a handler, ... */
    uint64_t kind;  /* TRAPLINE_READ, TRAPLINE_WRITE, TRAPLINE_EXEC; several for one that does both;
                     * and TRAPLINE_Q_GONE where a channel was: see channel.h */
    uint64_t physical; /* guest-physical address: for an access through an alias, the alias */
    uint64_t address;  /* guest-linear address, the same as physical */
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t rip, cs, rflags, rsp, ss;
};

typedef void trap_handler(struct trapline_fault *fault);

/* The first byte of the page that was accessed. */
static inline void *trap_page(const struct trapline_fault *fault)
{
    return (void *)(fault->address & ~(uint64_t)(TRAPLINE_PAGE_SIZE - 1));
}

/*
 * TRAP: call handler for every forbidden access from now on. handler NULL brings back the runtime's
 * own, which reports the access and ends the guest with TRAP_EXIT_FAULT. flags: enum trap_flags.
 *
 * The handler runs on the stack of the access, with interrupts off, and returns to try the access
 * again. A forbidden access in the handler calls it again, TRAP_MAX_DEPTH levels deep in all. It is
 * the handler of all vCPUs and may run on several of them at once; an access made on another vCPU
 * while trap() runs calls this handler or the one before it.
 * Returns 0, or -EINVAL for an unknown flag.
 */
int trap(trap_handler *handler, unsigned flags);

/* The name of a negative errno value that one of these calls returned, "EINVAL" for example. */
const char *trapline_error_name(long error);

#endif
