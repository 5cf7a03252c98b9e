#include "guest/workloads/checkpoint/image.h"

#include <trapline/portable.h>

#include "guest/common/checksum.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    PAGE_SECTORS = PAGE / DISK_SECTOR,
    FIRST_CHECKPOINT = 1, /* sector */
};

#define LOG_MAGIC        0x31676f4c54504b43ull
#define CHECKPOINT_MAGIC 0x3174706b43504b43ull
#define END_MAGIC        0x31646e4554504b43ull

struct first_sector {
    uint64_t magic;
    uint64_t id;
    uint64_t pages;
    uint64_t checksum; /* of what is before it */
};

struct header {
    uint64_t magic;
    uint64_t id;
    uint64_t sequence;
    uint64_t count;    /* of pages */
    uint64_t checksum; /* of what is before it, and of the list */
    uint32_t list[];
};

struct end {
    uint64_t magic;
    uint64_t header;   /* the header's checksum */
    uint64_t checksum; /* of what is before it, and of the sums */
    uint64_t sums[];   /* of the pages */
};

/* The list has whole words. */
static uint64_t header_sectors(size_t count)
{
    return sectors_of(sizeof(struct header) + (count + 1) / 2 * 2 * sizeof(uint32_t));
}

static uint64_t end_sectors(size_t count)
{
    return sectors_of(sizeof(struct end) + count * sizeof(uint64_t));
}

static uint64_t checkpoint_sectors(size_t count)
{
    return header_sectors(count) + (uint64_t)count * PAGE_SECTORS + end_sectors(count);
}

uint64_t image_sectors(size_t pages, uint64_t checkpoints)
{
    return FIRST_CHECKPOINT + checkpoints * checkpoint_sectors(pages);
}

uint64_t image_checkpoint_bytes(const struct image *image)
{
    return checkpoint_sectors(image->count) * DISK_SECTOR;
}

static uint64_t header_sum(const struct header *header)
{
    return checksum(checksum(CHECKSUM_START, header, offsetof(struct header, checksum)),
                    header->list, (header->count + 1) / 2 * 2 * sizeof(uint32_t));
}

static uint64_t end_sum(const struct end *end, size_t count)
{
    return checksum(checksum(CHECKSUM_START, end, offsetof(struct end, checksum)), end->sums,
                    count * sizeof(uint64_t));
}

static int write_at(struct image *image, uint64_t first, size_t count, const void *data)
{
    int error;

    mutex_lock(&image->lock);
    error = image->target->write(image->target, first, count, data);
    mutex_unlock(&image->lock);
    return error;
}

static int read_at(struct image *image, uint64_t first, size_t count, void *data)
{
    return image->target->read(image->target, first, count, data);
}

static int init(struct image *image, struct block_device *target, size_t pages)
{
    *image = (struct image){.target = target, .pages = pages, .at = FIRST_CHECKPOINT};
    image->header = calloc(header_sectors(pages), DISK_SECTOR);
    image->end = calloc(end_sectors(pages), DISK_SECTOR);
    return image->header && image->end ? 0 : -TRAPLINE_ENOMEM;
}

void image_close(struct image *image)
{
    free(image->header);
    free(image->end);
}

int image_create(struct image *image, struct block_device *target, size_t pages, uint64_t id)
{
    union {
        struct first_sector first;
        char bytes[DISK_SECTOR];
    } sector = {.first = {.magic = LOG_MAGIC, .id = id, .pages = pages}};
    int error = init(image, target, pages);

    sector.first.checksum =
        checksum(CHECKSUM_START, &sector.first, offsetof(struct first_sector, checksum));
    image->id = id;
    if (!error)
        error = write_at(image, 0, 1, &sector);
    return error ? error : target->flush(target);
}

int image_open(struct image *image, struct block_device *target, size_t pages)
{
    union {
        struct first_sector first;
        char bytes[DISK_SECTOR];
    } sector;
    int error = init(image, target, pages);

    if (!error)
        error = read_at(image, 0, 1, &sector);
    if (error)
        return error;
    if (sector.first.magic != LOG_MAGIC ||
        sector.first.checksum !=
            checksum(CHECKSUM_START, &sector.first, offsetof(struct first_sector, checksum)))
        return -TRAPLINE_ENOENT;
    image->id = sector.first.id;
    return sector.first.pages == pages ? 0 : -TRAPLINE_EINVAL;
}

void image_begin(struct image *image, const uint32_t *list, size_t count)
{
    struct header *const header = (struct header *)image->header;

    if (image->sequence != 0)
        image->at += checkpoint_sectors(image->count);
    image->sequence++;
    image->count = count;
    memset(header, 0, header_sectors(image->pages) * DISK_SECTOR);
    header->magic = CHECKPOINT_MAGIC;
    header->id = image->id;
    header->sequence = image->sequence;
    header->count = count;
    memcpy(header->list, list, count * sizeof(*list));
}

/* Where a page of the checkpoint at image->at is. */
static uint64_t page_sector(const struct image *image, size_t index)
{
    return image->at + header_sectors(image->count) + (uint64_t)index * PAGE_SECTORS;
}

int image_write_page(struct image *image, size_t index, const void *contents)
{
    ((struct end *)image->end)->sums[index] = checksum(CHECKSUM_START, contents, PAGE);
    return write_at(image, page_sector(image, index), PAGE_SECTORS, contents);
}

int image_commit(struct image *image, bool flush)
{
    struct header *const header = (struct header *)image->header;
    struct end *const end = (struct end *)image->end;
    int error;

    header->checksum = header_sum(header);
    end->magic = END_MAGIC;
    end->header = header->checksum;
    end->checksum = end_sum(end, image->count);
    error = write_at(image, image->at, header_sectors(image->count), header);
    if (!error)
        error = write_at(image, page_sector(image, image->count), end_sectors(image->count), end);
    return error || !flush ? error : image->target->flush(image->target);
}

/* The header and list of the checkpoint at image->at: whether one of that number is there. */
static int read_header(struct image *image, uint64_t sequence, bool *good)
{
    struct header *const header = (struct header *)image->header;
    int error;

    *good = false;
    if (image->at >= image->target->sectors)
        return 0;
    error = read_at(image, image->at, 1, header);
    if (error || header->magic != CHECKPOINT_MAGIC || header->id != image->id ||
        header->sequence != sequence || header->count > image->pages ||
        image->at + checkpoint_sectors(header->count) > image->target->sectors)
        return error;
    image->count = header->count;
    error = read_at(image, image->at, header_sectors(header->count), header);
    if (error || header->count != image->count || header->checksum != header_sum(header))
        return error;
    for (size_t i = 0; i < image->count; i++)
        if (header->list[i] >= image->pages)
            return 0;
    *good = true;
    return 0;
}

/* The end of the checkpoint whose header was read. */
static int read_end(struct image *image, bool *good)
{
    const struct header *const header = (struct header *)image->header;
    struct end *const end = (struct end *)image->end;
    const int error =
        read_at(image, page_sector(image, image->count), end_sectors(image->count), end);

    *good = !error && end->magic == END_MAGIC && end->header == header->checksum &&
            end->checksum == end_sum(end, image->count);
    return error;
}

/* Read the pages of the checkpoint whose header and end were read; into memory, unless NULL. */
static int read_pages(struct image *image, char *memory, char *buffer, bool *good)
{
    const struct header *const header = (struct header *)image->header;
    const struct end *const end = (struct end *)image->end;

    *good = true;
    for (size_t i = 0; i < image->count && *good; i++) {
        char *const to = memory ? memory + (size_t)header->list[i] * PAGE : buffer;
        const int error = read_at(image, page_sector(image, i), PAGE_SECTORS, to);

        if (error)
            return error;
        *good = checksum(CHECKSUM_START, to, PAGE) == end->sums[i];
    }
    return 0;
}

/* Whether the checkpoint at image->at is number sequence and complete; then it may be read. */
static int read_checkpoint(struct image *image, uint64_t sequence, bool *good)
{
    int error = read_header(image, sequence, good);

    if (!error && *good)
        error = read_end(image, good);
    return error;
}

/* The last complete checkpoint up to number most, and *full, the last one of all pages till it. */
static int scan(struct image *image, uint64_t most, char *buffer, uint64_t *last, uint64_t *full,
                uint64_t *full_at)
{
    *last = *full = 0;
    image->at = FIRST_CHECKPOINT;
    while (*last < most) {
        bool good;
        int error = read_checkpoint(image, *last + 1, &good);

        if (!error && good)
            error = read_pages(image, NULL, buffer, &good);
        if (error || !good)
            return error;
        ++*last;
        if (image->count == image->pages) {
            *full = *last;
            *full_at = image->at;
        }
        image->at += checkpoint_sectors(image->count);
    }
    return 0;
}

int image_restore(struct image *image, void *memory, uint64_t most, uint64_t *sequence)
{
    char *const buffer = malloc(PAGE);
    uint64_t last, full, full_at = 0;
    int error = buffer ? scan(image, most, buffer, &last, &full, &full_at) : -TRAPLINE_ENOMEM;
    bool good = true;

    *sequence = 0;
    free(buffer);
    if (error || full == 0)
        return error;
    image->at = full_at;
    for (uint64_t number = full; number <= last; number++) {
        error = read_checkpoint(image, number, &good);
        if (!error && good)
            error = read_pages(image, memory, NULL, &good);
        /* It was whole a moment ago. */
        if (!error && !good)
            error = -TRAPLINE_EFAULT;
        if (error)
            return error;
        image->at += checkpoint_sectors(image->count);
    }
    *sequence = last;
    return 0;
}
