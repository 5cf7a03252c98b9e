/*
 * PROTN of ranges from one page to 1 GiB, for a picture of the time over the size: by the
 * hypervisor (protn.sweep.N) and by page tables (pt.protn.sweep.N). These rows come only by name.
 *
 * As in protn.contig, a range begins in the second page of 2 MiB, and both its ends lie in small
 * pages: the page before it and the last one of its last 2 MiB stay protected.
 */
#include "guest/workloads/bench/protn.h"

static const struct {
    size_t pages;
    unsigned rounds;
} sizes[] = {
    {1, 200},   {4, 200},   {16, 200},   {64, 200},   {256, 200},
    {1024, 50}, {4096, 50}, {16384, 20}, {65536, 10}, {PAGES_1G, 5},
};

enum {
    SIZES = sizeof(sizes) / sizeof(sizes[0]),
};

/* What a range takes, with the page before it: whole 2 MiB. */
static size_t room_for(size_t pages)
{
    return (pages / PAGES_2M + 1) * PAGES_2M;
}

static void run_size(const char *name, struct region *region, size_t size)
{
    char *const base = region_base(region), *const page = base + PAGE;
    char *const end = base + (room_for(sizes[size].pages) - 1) * PAGE;

    region_prot1(region, base, TRAPLINE_NONE);
    region_prot1(region, end, TRAPLINE_NONE);
    protn_measure_range(name, region->mechanism == REGION_EPT ? NULL : region, page,
                        sizes[size].pages, sizes[size].rounds);
    region_unprot(region, base);
    region_unprot(region, end);
}

/* All sizes in one region, for the largest of them that is wanted and fits. */
static void run_sizes(const char *family, enum region_mechanism mechanism)
{
    const char *names[SIZES];
    struct region *region = NULL;

    for (size_t i = SIZES; i-- > 0;) {
        const char *const name = bench_name("%s.%zu", family, sizes[i].pages);
        int result = 0;

        names[i] = NULL;
        if (!bench_named(family, name))
            continue;
        if (!region)
            result = region_create(&region, room_for(sizes[i].pages), PAGES_2M, mechanism);
        if (result == 0)
            names[i] = name;
        else
            printf("bench: %s left out: %s\n", name,
                   result == -TRAPLINE_ENOMEM ? "too little memory"
                                              : "there is no such mechanism on this CPU");
        if (result != 0)
            region = NULL;
    }
    for (size_t i = 0; i < SIZES; i++)
        if (names[i])
            run_size(names[i], region, i);
    if (region)
        region_destroy(region);
}

void bench_sweep(void)
{
    run_sizes("protn.sweep", REGION_EPT);
    run_sizes("pt.protn.sweep", REGION_PT);
}
