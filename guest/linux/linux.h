/* What the parts of the Linux home have to do with one another, but for regions. */
#ifndef GUEST_LINUX_LINUX_H
#define GUEST_LINUX_LINUX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before main(), in this order; what is wrong with the environment ends the program. */
void vcpu_init(void);
void fault_init(void);

/* Note the time, so that tsc_hz() has something to measure from. */
void time_init(void);

/* Take pages off what the program may have, or give them back. */
bool memory_take(size_t pages);
void memory_give(size_t pages);

/*
 * Reserve addresses for pages pages, the first aligned to align pages: nothing can be done there.
 * Returns 0 when there are none.
 */
uint64_t memory_reserve(size_t pages, size_t align);

/*
 * What ThreadSanitizer cannot see: what a thread did before it changed a protection comes before
 * what another does after a fault.
 */
void protection_changed(void);
void fault_is_over(void);

#endif
