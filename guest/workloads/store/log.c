#include "guest/workloads/store/log.h"

#include <trapline/portable.h>

#include "guest/common/checksum.h"

enum {
    PAGE_SECTORS = TRAPLINE_PAGE_SIZE / DISK_SECTOR,
    CHUNKS = TRAPLINE_PAGE_SIZE / CHUNK,
    RECORDS_MIN = 2, /* of the largest kind, for which the log has room */
};

#define HEADER_MAGIC 0x31726f7453504c54ull /* "TLPStor1" */
#define RECORD_MAGIC 0x31636552504c5401ull

struct header {
    uint64_t magic;
    uint64_t epoch;
    uint64_t pages;
    uint64_t log_sectors;
    uint64_t checksum; /* of what is before it */
};

struct record {
    uint64_t magic;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t pages;
    uint64_t bytes; /* of the record, this structure included */
    uint64_t checksum;
};

struct page_change {
    uint64_t page;
    uint64_t mask;
};

static uint64_t header_sum(const struct header *header)
{
    return checksum(CHECKSUM_START, header, offsetof(struct header, checksum));
}

static uint64_t record_sum(const struct record *record)
{
    return checksum(checksum(CHECKSUM_START, record, offsetof(struct record, checksum)), record + 1,
                    record->bytes - sizeof(*record));
}

static size_t record_max(uint64_t pages)
{
    return sectors_of(sizeof(struct record) +
                      pages * (sizeof(struct page_change) + TRAPLINE_PAGE_SIZE)) *
           DISK_SECTOR;
}

static uint64_t log_sectors(uint64_t pages)
{
    return RECORDS_MIN * record_max(pages) / DISK_SECTOR;
}

uint64_t log_disk_sectors(uint64_t pages)
{
    return LOG_HEADERS + log_sectors(pages) + pages * PAGE_SECTORS;
}

static int write_header(struct log *log)
{
    union {
        struct header header;
        uint8_t sector[DISK_SECTOR];
    } block = {.sector = {0}};
    int error;

    block.header = (struct header){HEADER_MAGIC, log->epoch, log->pages, log->sectors, 0};
    block.header.checksum = header_sum(&block.header);
    error = log->device->write(log->device, log->epoch % LOG_HEADERS, 1, &block);
    return error ? error : log->device->flush(log->device);
}

/* The valid header's epoch in log->epoch, 0 if there is none. */
static int read_headers(struct log *log)
{
    union {
        struct header header;
        uint8_t sector[DISK_SECTOR];
    } block;

    for (unsigned i = 0; i < LOG_HEADERS; i++) {
        const int error = log->device->read(log->device, i, 1, &block);

        if (error)
            return error;
        if (block.header.magic != HEADER_MAGIC ||
            block.header.checksum != header_sum(&block.header) || block.header.epoch <= log->epoch)
            continue;
        if (block.header.pages != log->pages || block.header.log_sectors != log->sectors)
            return -TRAPLINE_EINVAL;
        log->epoch = block.header.epoch;
    }
    return 0;
}

int log_open(struct log *log, struct block_device *device, uint64_t pages, bool make)
{
    int error;

    *log = (struct log){
        .device = device,
        .pages = pages,
        .sectors = log_sectors(pages),
        .data_first = LOG_HEADERS + log_sectors(pages),
        .sequence = 1,
        .room = record_max(pages),
    };
    if (device->sectors < log_disk_sectors(pages))
        return -TRAPLINE_EINVAL;
    error = read_headers(log);
    if (error)
        return error;
    if (!log->epoch && !make)
        return -TRAPLINE_EINVAL;
    log->buffer = malloc(log->room);
    if (!log->buffer)
        return -TRAPLINE_ENOMEM;
    if (log->epoch)
        return 0;
    /* An empty store has no records and a data area of zeros, before a header says that it is one.
     */
    memset(log->buffer, 0, TRAPLINE_PAGE_SIZE);
    error = device->write(device, LOG_HEADERS, 1, log->buffer);
    for (uint64_t page = 0; page < pages && !error; page++)
        error = log_write_page(log, page, log->buffer);
    if (!error)
        error = device->flush(device);
    log->epoch = 1;
    if (!error)
        error = write_header(log);
    if (error)
        log_close(log);
    return error;
}

void log_close(struct log *log)
{
    free(log->buffer);
    log->buffer = NULL;
}

/* Read the record at log->at into the buffer. 1: there is one; 0: the log ends; or an error. */
static int read_record(struct log *log)
{
    struct record *const record = (struct record *)log->buffer;
    const uint64_t first = LOG_HEADERS + log->at;
    int error;

    if (log->at == log->sectors)
        return 0;
    error = log->device->read(log->device, first, 1, record);
    if (error)
        return error;
    if (record->magic != RECORD_MAGIC || record->epoch != log->epoch ||
        record->sequence != log->sequence || record->bytes < sizeof(*record) ||
        record->bytes > log->room || record->bytes % sizeof(uint64_t) ||
        sectors_of(record->bytes) > log->sectors - log->at)
        return 0;
    error = log->device->read(log->device, first, sectors_of(record->bytes), record);
    if (error)
        return error;
    return record_sum(record) == record->checksum;
}

/* How many bits are set: not every CPU has an instruction for it. */
static size_t chunks_of(uint64_t mask)
{
    size_t count = 0;

    for (; mask; mask &= mask - 1)
        count++;
    return count;
}

static int replay_record(const struct record *record, log_change *change, void *context)
{
    const uint8_t *at = (const uint8_t *)(record + 1);
    const uint8_t *const end = (const uint8_t *)record + record->bytes;

    for (uint64_t i = 0; i < record->pages; i++) {
        const struct page_change *const what = (const struct page_change *)at;
        size_t bytes;
        int error;

        if ((size_t)(end - at) < sizeof(*what))
            return -TRAPLINE_EINVAL;
        bytes = sizeof(*what) + chunks_of(what->mask) * CHUNK;
        if ((size_t)(end - at) < bytes)
            return -TRAPLINE_EINVAL;
        error = change(context, what->page, what->mask, at + sizeof(*what));
        if (error)
            return error;
        at += bytes;
    }
    return 0;
}

int log_replay(struct log *log, log_change *change, void *context)
{
    for (;;) {
        const struct record *const record = (struct record *)log->buffer;
        int error = read_record(log);

        if (error <= 0)
            return error;
        error = replay_record(record, change, context);
        if (error)
            return error;
        log->at += sectors_of(record->bytes);
        log->sequence++;
    }
}

void log_begin(struct log *log)
{
    *(struct record *)log->buffer =
        (struct record){RECORD_MAGIC, log->epoch, log->sequence, 0, 0, 0};
    log->used = sizeof(struct record);
}

static bool chunk_differs(const uint64_t *old, const uint64_t *new)
{
    uint64_t difference = 0;

    for (unsigned i = 0; i < CHUNK / sizeof(uint64_t); i++)
        difference |= old[i] ^ new[i];
    return difference != 0;
}

void log_add(struct log *log, uint64_t page, const void *old, const void *new)
{
    struct page_change *const what = (struct page_change *)(log->buffer + log->used);
    size_t used = log->used + sizeof(*what);
    uint64_t mask = 0;

    for (unsigned i = 0; i < CHUNKS; i++) {
        const uint8_t *const chunk = (const uint8_t *)new + i *CHUNK;

        if (!chunk_differs((const uint64_t *)((const uint8_t *)old + i * CHUNK),
                           (const uint64_t *)chunk))
            continue;
        mask |= 1ull << i;
        memcpy(log->buffer + used, chunk, CHUNK);
        used += CHUNK;
    }
    if (!mask)
        return;
    *what = (struct page_change){page, mask};
    log->used = used;
    ((struct record *)log->buffer)->pages++;
}

int log_commit(struct log *log)
{
    struct record *const record = (struct record *)log->buffer;
    const uint64_t sectors = sectors_of(log->used);
    int error;

    record->bytes = log->used;
    record->checksum = record_sum(record);
    memset(log->buffer + log->used, 0, sectors * DISK_SECTOR - log->used);
    error = log->device->write(log->device, LOG_HEADERS + log->at, sectors, log->buffer);
    if (!error && log->mistake != LOG_COMMIT_UNFLUSHED)
        error = log->device->flush(log->device);
    if (error)
        return error;
    log->at += sectors;
    log->sequence++;
    log->bytes += sectors * DISK_SECTOR;
    return 0;
}

bool log_has_room(const struct log *log)
{
    return (log->sectors - log->at) * DISK_SECTOR >= log->room;
}

int log_restart(struct log *log)
{
    int error = 0;

    if (log->mistake != LOG_DATA_UNFLUSHED)
        error = log->device->flush(log->device);
    if (error)
        return error;
    log->epoch++;
    error = write_header(log);
    if (error)
        return error;
    log->at = 0;
    log->sequence = 1;
    return 0;
}

int log_read_page(struct log *log, uint64_t page, void *contents)
{
    return log->device->read(log->device, log->data_first + page * PAGE_SECTORS, PAGE_SECTORS,
                             contents);
}

int log_write_page(struct log *log, uint64_t page, const void *contents)
{
    return log->device->write(log->device, log->data_first + page * PAGE_SECTORS, PAGE_SECTORS,
                              contents);
}
