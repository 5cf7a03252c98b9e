/*
 * User mode: code that runs in ring 3 inside the guest. Its system calls and its faults are handled
 * by the guest's own ring 0, with no VM exit.
 *
 * User mode reaches what it was given, and nothing else: functions marked USER_CODE and variables
 * marked USER_DATA, pages of user_allow(), and regions with protection keys. It is not trusted:
 * whatever it does ends, at worst, user_run(), which tells why.
 *
 * A function marked USER_CODE may call others marked so, and inline functions; constants that the
 * compiler places elsewhere, string literals for example, are out of its reach.
 */
#ifndef TRAPLINE_USER_H
#define TRAPLINE_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>

#define USER_CODE __attribute__((section(".user.text"), noinline))
#define USER_DATA __attribute__((section(".user.data")))

typedef int64_t user_function(uint64_t argument);

enum user_how {
    USER_RETURNED, /* from the function: value is what it returned */
    USER_ENDED,    /* user_end() was called: value is its argument */
    USER_FAULTED,  /* an exception that no handler takes */
};

/* How user mode ended. */
struct user_result {
    enum user_how how;
    int64_t value;
    /* Of an exception: its vector and error code, the instruction, and for a page fault CR2. */
    unsigned vector;
    uint64_t error, rip, address;
};

/*
 * Run function(argument) in user mode, on a stack that ends at stack (a multiple of 16, in
 * memory that user mode may write), until it returns, user_end() is called or an exception ends it.
 * The interrupt flag stays as it is. May be called again by a system call's handler, and on several
 * vCPUs at once, each with a stack of its own. Returns 0; -EINVAL for a stack that is no
 * multiple of 16, or addresses that are not of the lower half; -EFAULT for a stack that user mode
 * may not write; -ENOMEM.
 */
int user_run(user_function *function, uint64_t argument, void *stack, struct user_result *result);

/*
 * Called for each SYSCALL of user mode, in ring 0 with interrupts off, on the stack of user_run().
 * What it returns is the result. It keeps to the general registers: mark it USER_HANDLER, and put
 * #pragma GCC target("general-regs-only") before the first #include to have calls inlined.
 */
typedef int64_t user_syscall_handler(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                     uint64_t number);
#define USER_HANDLER __attribute__((target("general-regs-only")))

/* Register the handler, the whole guest's; NULL: every call returns -ENOSYS. */
void user_syscalls(user_syscall_handler *handler);

/* From a handler of a system call or of a forbidden access of user mode: end user_run(). */
_Noreturn void user_end(int64_t value);

/*
 * Give pages of pages_alloc() or of a region to user mode, or take them back. What may be done
 * there is as for ring 0. When they were taken back user mode of no vCPU can use them any more.
 * Returns 0, -EINVAL for a misaligned or empty range, -ENOENT for one outside RAM, -ENOMEM.
 */
int user_allow(void *page, size_t pages, bool allow);

/*
 * Whether user mode may read, and write where access has TRAPLINE_WRITE, these bytes: what a
 * handler asks of an address that user mode gave it, before it uses it.
 */
bool user_may(const void *address, size_t bytes, unsigned access);

/*
 * Ring 0 touches memory of user mode between these two: where the CPU has SMAP, it is out of reach
 * otherwise once user_run() was called on this vCPU.
 */
void user_access_begin(void);
void user_access_end(void);

/* In user mode: a system call with up to five arguments. */
static inline __attribute__((always_inline)) int64_t
user_syscall(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    int64_t result = (int64_t)number;
    register uint64_t r10 __asm__("r10") = d;
    register uint64_t r8 __asm__("r8") = e;

    __asm__ volatile("syscall"
                     : "+a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                     :
                     : "rcx", "r9", "r11", "memory", "cc");
    return result;
}

#endif
