#include "guest/linux/bench/area.h"

#include <sys/mman.h>
#include <unistd.h>

#include "guest/workloads/bench/harness.h"

enum {
    SPARE_PAGES = 4096, /* of the machine's memory, that are left to the rest of it */
    HUGE_BYTES = PAGES_2M * PAGE,
    LINE_BYTES = 256,
};

static bool is_free(size_t pages)
{
    const long available = sysconf(_SC_AVPHYS_PAGES);

    return available > SPARE_PAGES && pages <= (size_t)available - SPARE_PAGES;
}

/* Aligned addresses with an unmapped hole on both sides. */
static char *map_alone(size_t bytes)
{
    const size_t room = bytes + 2 * HUGE_BYTES;
    char *const got = mmap(NULL, room, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *area;

    if (got == MAP_FAILED)
        return NULL;
    area = (char *)(((uint64_t)got + HUGE_BYTES) & ~(uint64_t)(HUGE_BYTES - 1));
    munmap(got, (size_t)(area - got));
    munmap(area + bytes, (size_t)(got + room - (area + bytes)));
    return area;
}

static char *map_with(size_t pages, int advice)
{
    char *const area = is_free(pages) ? map_alone(pages * PAGE) : NULL;

    /* A kernel without huge pages refuses any advice on them. */
    if (area)
        madvise(area, pages * PAGE, advice);
    return area;
}

char *area_open_untouched(size_t pages)
{
    return map_with(pages, MADV_NOHUGEPAGE);
}

char *area_open(size_t pages)
{
    char *const area = area_open_untouched(pages);

    if (area)
        memset(area, 0, pages * PAGE);
    return area;
}

/* How much of the mapping that begins here is in huge pages, by /proc/self/smaps. */
static size_t huge_bytes_of(const char *area)
{
    FILE *const file = fopen("/proc/self/smaps", "re");
    char line[LINE_BYTES];
    unsigned long start, kib;
    bool is_here = false;
    size_t found = 0;

    if (!file)
        return 0;
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "%lx-", &start) == 1 && strchr(line, '-'))
            is_here = start == (uint64_t)area;
        else if (is_here && sscanf(line, "AnonHugePages: %lu kB", &kib) == 1)
            found = kib << 10;
    }
    fclose(file);
    return found;
}

char *area_open_huge(size_t pages)
{
    char *const area = map_with(pages, MADV_HUGEPAGE);

    if (!area)
        return NULL;
    memset(area, 0, pages * PAGE);
    if (huge_bytes_of(area) == pages * PAGE)
        return area;
    area_close(area, pages);
    return NULL;
}

void area_close(char *area, size_t pages)
{
    munmap(area, pages * PAGE);
}
