/* MAP2: pages of a memfd, mapped once more. */
#include "guest/linux/bench/memfd.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <trapline/vm.h>

#include "guest/linux/bench/area.h"
#include "guest/workloads/bench/harness.h"

enum {
    WINDOW_PAGES = 1024,
};

/* Far from where the kernel puts mappings by itself: nothing else comes there. */
static char *const window = (char *)0x200000000000;

static bool is_on;
static int file = -1;
static char *base; /* where the file was mapped first */

void memfd_begin(void)
{
    is_on = true;
}

void memfd_end(void)
{
    is_on = false;
}

static void *file_open(size_t pages)
{
    const size_t bytes = pages * PAGE;

    file = memfd_create("bench", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0)
        return NULL;
    base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    return base == MAP_FAILED ? NULL : base;
}

/* Any alignment that is asked for is at most that of an area. */
void *pages_alloc(size_t count, size_t align)
{
    assert(align <= PAGES_2M);
    return is_on ? file_open(count) : area_open_untouched(count);
}

void pages_free(void *first, size_t count)
{
    area_close(first, count);
    if (is_on)
        close(file);
}

void *alias_window(void)
{
    return window;
}

size_t alias_window_pages(void)
{
    return WINDOW_PAGES;
}

/*
 * An alias can be used as soon as the call returns, as Trapline's: the kernel maps many pages at
 * once, or the first touch of a single one is a part of the call.
 */
int map2_range(void *page, size_t pages, void *alias, unsigned access)
{
    const int rights = PROT_READ | (access & TRAPLINE_WRITE ? PROT_WRITE : 0);
    const int flags = MAP_SHARED | MAP_FIXED_NOREPLACE | (pages > 1 ? MAP_POPULATE : 0);

    if (mmap(alias, pages * PAGE, rights, flags, file, (char *)page - base) == MAP_FAILED)
        return errno == EEXIST ? -TRAPLINE_EEXIST : -TRAPLINE_ENOMEM;
    if (pages == 1 && rights & PROT_WRITE)
        *(volatile char *)alias = 0;
    else if (pages == 1)
        *(volatile char *)alias;
    return 0;
}

int unmap2_range(void *alias, size_t pages)
{
    unsigned char present;

    /* munmap() of nothing is no error. */
    if (mincore(alias, PAGE, &present) != 0 || munmap(alias, pages * PAGE) != 0)
        return -TRAPLINE_ENOENT;
    return 0;
}
