/*
 * The redo log of a store, and the headers that say which log is the valid one.
 *
 *   sectors 0, 1     two headers; the one with the greater epoch that is whole is valid
 *   from 2 on        the log: records of committed transactions, one after the other
 *   behind the log   the data area: the store's pages
 *
 * A record is a transaction's changes: the new contents of each 64 bytes of a page that differ. It
 * belongs to an epoch, has a sequence number in it, and a checksum over all of it; the first record
 * that is not whole, not of the header's epoch, or not next in sequence ends the log. When the log
 * is to be emptied, the pages that changed go to the data area, then a header with the next epoch
 * is written: until that is on the disk, the old log says again what the data area may hold in
 * part; afterwards no record of it counts any more.
 */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "guest/common/block.h"

enum {
    CHUNK = 64,      /* bytes; a page has 64 of them */
    LOG_HEADERS = 2, /* sectors */
};

/* Made on purpose, to see that they are found. */
enum log_mistake {
    LOG_FAULTLESS,
    LOG_COMMIT_UNFLUSHED, /* a commit does not wait for the disk */
    LOG_DATA_UNFLUSHED,   /* the log is emptied before the data area is on the disk */
};

struct log {
    struct block_device *device;
    uint64_t pages;      /* of the store */
    uint64_t sectors;    /* of the log */
    uint64_t data_first; /* sector of the data area */
    uint64_t epoch;
    uint64_t sequence; /* of the next record */
    uint64_t at;       /* where the next record goes, in sectors from the log's begin */
    uint8_t *buffer;   /* the record that is being made */
    size_t used, room; /* bytes */
    uint64_t bytes;    /* written in all */
    enum log_mistake mistake;
};

/* Sectors that a disk needs for a store of so many pages. */
uint64_t log_disk_sectors(uint64_t pages);

/*
 * Begin to use a disk. Where no header is whole an empty store is made if make is true. Returns 0,
 * -EINVAL (the disk is too small, or holds a store of another size, or none), -ENOMEM, or what the
 * disk said.
 */
int log_open(struct log *log, struct block_device *device, uint64_t pages, bool make);
void log_close(struct log *log);

/*
 * Call change() for each page of each committed record, in order: mask has a bit for each chunk
 * that changed, and their contents follow one another. Returns 0 or what the disk or change() said.
 */
typedef int log_change(void *context, uint64_t page, uint64_t mask, const uint8_t *chunks);
int log_replay(struct log *log, log_change *change, void *context);

/* Make a record: begin, add what differs between a page's old and new contents, commit. */
void log_begin(struct log *log);
void log_add(struct log *log, uint64_t page, const void *old, const void *new);

/* Returns 0 when the transaction is on the disk for good; else what the disk said. */
int log_commit(struct log *log);

/* Whether any record that can come fits behind the last one. */
bool log_has_room(const struct log *log);

/* All changes are in the data area and on the disk: begin an empty log. */
int log_restart(struct log *log);

/* A page of the data area. Returns what the disk said. */
int log_read_page(struct log *log, uint64_t page, void *contents);
int log_write_page(struct log *log, uint64_t page, const void *contents);

#endif
