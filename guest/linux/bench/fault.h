/* Forbidden accesses: SIGSEGV by mprotect() and protection keys, SIGBUS by userfaultfd. */
#ifndef LINUX_BENCH_FAULT_H
#define LINUX_BENCH_FAULT_H

#include <signal.h>

#include "guest/workloads/bench/harness.h"

/*
 * What the kernel calls for a signal, with nothing in between; SA_NODEFER, so that nothing needs to
 * be restored when a handler ends, and its own faults are delivered.
 */
typedef void fault_handler(int number, siginfo_t *info, void *context);

/* Have a handler for both signals; NULL: the program ends of them. */
void fault_handle(fault_handler *handler);

/* A handler that steps over the write of bench_touch(). */
void fault_step_over(int number, siginfo_t *info, void *context);

/* The page that was accessed. */
static inline char *fault_page(const siginfo_t *info)
{
    return (char *)((uint64_t)info->si_addr & ~(uint64_t)(PAGE - 1));
}

#endif
