/* Waiting for a word in memory to change; see sync.c. */
#ifndef GUEST_RUNTIME_SYNC_H
#define GUEST_RUNTIME_SYNC_H

#include <stdatomic.h>

/* Wait until *word is not value. Who changes it calls sync_wake_all() for the same set then. */
void sync_wait_while(atomic_uint *word, unsigned value, atomic_uint *waiters);

/* Wake all in the set of waiters. */
void sync_wake_all(atomic_uint *waiters);

#endif
