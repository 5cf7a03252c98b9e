/*
 * Threads: one for each of the guest's vCPUs. main() runs on vCPU 0; thread_start() gives another
 * vCPU a function to run. Memory is shared by all; <stdatomic.h> works as in any C program.
 *
 * A TRAP handler, an interrupt handler and exit() are the whole guest's, whichever vCPU meets them.
 * malloc() and its kin, pages_alloc(), printf() and the calls of vm.h may be made by all vCPUs at
 * once.
 *
 * What waits spins for a short while and then parks its vCPU, so that several vCPUs that share a
 * CPU get on with one another.
 */
#ifndef TRAPLINE_THREAD_H
#define TRAPLINE_THREAD_H

#include <stdint.h>

/* The calling vCPU's index, from 0, and how many the guest has. */
unsigned vcpu_index(void);
unsigned vcpu_count(void);

#endif
