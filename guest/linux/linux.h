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

/* What ThreadSanitizer cannot see: all that came before a release is seen after an acquire. */
#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define sanitizer_acquire(address) __tsan_acquire(address)
#define sanitizer_release(address) __tsan_release(address)
#else
#define sanitizer_acquire(address) ((void)(address))
#define sanitizer_release(address) ((void)(address))
#endif

#endif
