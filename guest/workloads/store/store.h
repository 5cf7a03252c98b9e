/*
 * Recoverable virtual memory: pages whose contents are on a disk, changed by ordinary stores in
 * transactions. What a committed transaction wrote is there after any failure; what one wrote that
 * was not committed, or was aborted, never.
 *
 *   absent   access NONE: a touch traps, and the page is read from the disk through its alias
 *   clean    access READ: a write in a transaction traps, and the page's contents are kept
 *   changed  all access, until the transaction's end
 *
 * One thread at a time may use a store, and a program has one store at a time.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include <trapline/portable.h>

#include "guest/workloads/store/log.h"

struct store;

struct store_counts {
    uint64_t loads;      /* pages read from the disk */
    uint64_t traps;      /* forbidden accesses */
    uint64_t trap_ticks; /* in their handler, the disk's part included */
    uint64_t changed;    /* pages changed by transactions, added up */
    uint64_t commits, aborts;
    uint64_t restarts; /* of the log */
    uint64_t replayed; /* pages that were changed by records found at the start */
};

struct store_options {
    enum region_mechanism mechanism;
    bool explicit; /* no page traps: the program calls store_will_write() before it does */
    enum log_mistake mistake;
};

/*
 * Open the store of pages pages on a disk, made if there is none; committed transactions that are
 * still in the log are done again first. Returns 0 or a negative errno value.
 */
int store_open(struct store **store, struct block_device *device, uint64_t pages,
               const struct store_options *options);

/* Forget the memory; the disk stays as it is. In the middle of a transaction, too. */
void store_close(struct store *store);

/* The first byte of the store's memory, the same as in no other run: keep offsets, not pointers. */
void *store_base(const struct store *store);

/* Returns 0, or what the disk said when the log had to be emptied; then there is no transaction. */
int store_begin(struct store *store);

/*
 * Returns 0 when the transaction's changes are on the disk; else a negative errno value, and the
 * transaction is still there, to be aborted or committed again.
 */
int store_commit(struct store *store);
void store_abort(struct store *store);

/* In a store with explicit set, before a write to the page that address is in. */
void store_will_write(struct store *store, const void *address);

const struct store_counts *store_counts(const struct store *store);

/* Bytes that went to the log. */
uint64_t store_log_bytes(const struct store *store);

#endif
