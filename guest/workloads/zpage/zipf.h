/*
 * Pages by Zipf's law: the one of rank r is chosen with a probability proportional to 1/r. Of some
 * hundred pages a fifth then has about three quarters of the accesses. Which page has which rank is
 * random, and the same always.
 */
#ifndef ZPAGE_ZIPF_H
#define ZPAGE_ZIPF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Returns false when there is no memory. pages is not 0. */
bool zipf_init(size_t pages);

/* A page by a random number. */
size_t zipf_page(uint64_t random);

#endif
