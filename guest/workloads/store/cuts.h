/*
 * Power cuts: a scripted run is recorded, and for each write of it the disk is made as it may be
 * when the power fails right behind that write. Then the store is opened on it and must hold what
 * the transactions committed by then left, or that and the one that was being committed; nothing
 * else.
 */
#ifndef STORE_CUTS_H
#define STORE_CUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/workloads/store/store.h"

/*
 * transactions: of the script; keys: of the table; seed: which of the writes that were not flushed
 * survive. Says what went wrong, and prints figures when nothing did. Returns whether all is well.
 */
bool cuts_run(const struct store_options *options, uint64_t transactions, uint64_t keys,
              uint64_t seed);

#endif
