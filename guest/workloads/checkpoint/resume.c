#include "guest/workloads/checkpoint/resume.h"

#include "guest/workloads/checkpoint/crew.h"
#include "guest/workloads/checkpoint/image.h"

/* Bring back what is there. Returns as resume(). */
static int restore(struct block_device *target, const struct work_size *size, void *memory,
                   uint64_t *sequence)
{
    struct image image;
    int error = image_open(&image, target, work_pages(size));

    *sequence = 0;
    if (!error)
        error = image_restore(&image, memory, UINT64_MAX, sequence);
    image_close(&image);
    if (error == -TRAPLINE_ENOENT)
        return 0;
    return !error && *sequence != 0 && !work_is(memory, size) ? -TRAPLINE_EINVAL : error;
}

int resume(struct block_device *target, const struct work_size *size,
           enum region_mechanism mechanism, uint64_t *sequence, uint64_t *steps, uint64_t *sum)
{
    struct region *region;
    int error = region_create(&region, work_pages(size), 1, mechanism);

    if (error)
        return error;
    error = restore(target, size, region_base(region), sequence);
    if (!error && *sequence != 0) {
        struct crew crew;

        *steps = work_steps(region_base(region));
        crew_init(&crew, region_base(region), (unsigned)size->parts);
        crew_run(&crew, NULL, NULL);
        *sum = work_sum(region_base(region), region_pages(region));
    }
    region_destroy(region);
    return error;
}
