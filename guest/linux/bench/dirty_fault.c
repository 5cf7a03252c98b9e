/* DIRTY by faults: all pages are read-only, and a page's first write is a signal that notes it. */
#include <sys/mman.h>

#include "guest/linux/bench/dirty.h"
#include "guest/linux/bench/fault.h"
#include "guest/linux/bench/protection.h"

enum {
    FEW =
        16, /* protecting a page by a call of its own costs about as much as this many of a range */
};

static void **noted; /* the pages written since the last call, in the order of their first writes */
static size_t noted_count;

static bool nothing_to_begin(void)
{
    return true;
}

static void nothing_to_end(void)
{
}

static bool protect_by_mprotect(char *page, size_t pages)
{
    return mprotect(page, pages * PAGE, PROT_READ) == 0;
}

static void note(char *page, const struct protection *by)
{
    noted[noted_count++] = page;
    /* Or the fault would come again and again. */
    bench_expect(by->allow(page, 1), "dirty", "a page can be allowed again");
}

static void note_by_mprotect(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    note(fault_page(info), &by_mprotect);
}

static void note_by_uffd(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    note(fault_page(info), &by_uffd);
}

static bool track_with(size_t pages, fault_handler *handler)
{
    noted = malloc(pages * sizeof(*noted));
    noted_count = 0;
    fault_handle(handler);
    return noted;
}

static void untrack_with(char *area, size_t pages, const struct protection *by)
{
    by->allow(area, pages);
    fault_handle(NULL);
    free(noted);
}

static long take_noted(void **list)
{
    const size_t found = noted_count;

    memcpy(list, noted, found * sizeof(*list));
    noted_count = 0;
    return (long)found;
}

static bool track_by_mprotect(char *area, size_t pages)
{
    return track_with(pages, note_by_mprotect) && protect_by_mprotect(area, pages);
}

static void untrack_by_mprotect(char *area, size_t pages)
{
    untrack_with(area, pages, &by_mprotect);
}

/* One call for all: the kernel passes over the mappings that are read-only still. */
static long fetch_by_mprotect(char *area, size_t pages, void **list)
{
    const long found = take_noted(list);

    return found == 0 || protect_by_mprotect(area, pages) ? found : -1;
}

/* Whether there is one is known since protections_begin(). */
static bool begin_uffd(void)
{
    for (size_t i = 0; protections[i]; i++)
        if (protections[i] == &by_uffd)
            return true;
    return false;
}

static bool track_by_uffd(char *area, size_t pages)
{
    return track_with(pages, note_by_uffd) && by_uffd.begin(area, pages) &&
           by_uffd.forbid(area, pages);
}

static void untrack_by_uffd(char *area, size_t pages)
{
    untrack_with(area, pages, &by_uffd);
}

/* A call for each page when they are few: the kernel visits each page of a range. */
static long fetch_by_uffd(char *area, size_t pages, void **list)
{
    const long found = take_noted(list);
    bool good = true;

    if ((size_t)found * FEW >= pages)
        good = by_uffd.forbid(area, pages);
    else
        for (long i = 0; i < found; i++)
            good &= by_uffd.forbid(list[i], 1);
    return good ? found : -1;
}

const struct dirty_way dirty_mprotect = {.mode = "mprotect",
                                         .is_slow = true,
                                         .begin = nothing_to_begin,
                                         .track = track_by_mprotect,
                                         .fetch = fetch_by_mprotect,
                                         .untrack = untrack_by_mprotect,
                                         .end = nothing_to_end};
const struct dirty_way dirty_uffd = {.mode = "uffd",
                                     .is_slow = true,
                                     .needed = "userfaultfd that write-protects and signals",
                                     .begin = begin_uffd,
                                     .track = track_by_uffd,
                                     .fetch = fetch_by_uffd,
                                     .untrack = untrack_by_uffd,
                                     .end = nothing_to_end};
