/* The instruction behind every call to the hypervisor. */
#ifndef TRAPLINE_HYPERCALL_H
#define TRAPLINE_HYPERCALL_H

#include <stdint.h>

#include <trapline/abi.h>

/* Both results of a hypercall: RAX, negative for an error, and RDX. */
struct hypercall_result {
    int64_t rax;
    uint64_t rdx;
};

/*
 * Make hypercall number with up to four arguments (RDI, RSI, RDX, R10); unused ones are 0.
 * Works from any context at CPL 0. Memory may have changed when it returns.
 */
static inline struct hypercall_result hypercall(uint64_t number, uint64_t a, uint64_t b, uint64_t c,
                                                uint64_t d)
{
    struct hypercall_result result = {(int64_t)number, c};
    register uint64_t r10 __asm__("r10") = d;

    __asm__ volatile("vmcall"
                     : "+a"(result.rax), "+d"(result.rdx)
                     : "D"(a), "S"(b), "r"(r10)
                     : "memory");
    return result;
}

/* The same for calls with at most two arguments, of which only RAX is of interest. */
static inline int64_t hypercall2(uint64_t number, uint64_t a, uint64_t b)
{
    int64_t result;

    __asm__ volatile("vmcall" : "=a"(result) : "a"(number), "D"(a), "S"(b) : "memory");
    return result;
}

/* Hypercall 0: does nothing and returns 0. */
static inline int hypercall_null(void)
{
    int64_t result;

    __asm__ volatile("vmcall" : "=a"(result) : "a"((uint64_t)TRAPLINE_HC_NOP) : "memory");
    return (int)result;
}

#endif
