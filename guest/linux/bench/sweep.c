/* PROTN of ranges from one page to 1 GiB, for a picture of the time over the size; by name alone.
 */
#include "guest/linux/bench/area.h"
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/protection.h"

static const struct {
    size_t pages;
    unsigned rounds;
} sizes[] = {
    {1, 200},   {4, 200},   {16, 200},   {64, 200},   {256, 200},
    {1024, 50}, {4096, 50}, {16384, 20}, {65536, 10}, {PAGES_1G, 5},
};

/* One size in an area of its own; both ends of the range lie inside a mapping. */
static void run_size(const struct protection *by, const char *name, size_t pages, unsigned rounds)
{
    const size_t room = (pages / PAGES_2M + 1) * PAGES_2M;
    char *const area = area_open(room);
    struct range range = {by, area + RANGE_BEFORE * PAGE, pages};

    if (!area) {
        printf("bench: %s by %s left out: too little memory\n", name, by->mode);
        return;
    }
    bench_expect(by->begin(area, room) && by->forbid(area, 1), name, "the area can be used");
    range_measure(name, by->mode, &range, rounds);
    area_close(area, room);
}

void bench_sweep(void)
{
    static const char family[] = "protn.sweep";

    for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
        const char *const name = bench_name("%s.%zu", family, sizes[size].pages);

        if (!bench_named(family, name))
            continue;
        for (size_t i = 0; protections[i]; i++)
            run_size(protections[i], name, sizes[size].pages, sizes[size].rounds);
    }
}
