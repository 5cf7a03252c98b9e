/* The transitional address space; see space.h. */
#include "boot/space.h"

#include "hv/paging.h"

enum {
    PAGE = 4096,
    LOW_GIB = 4,         /* GiB that are mapped whatever the memory map says */
    GIB_PER_TABLE = 512, /* GiB below one PML4 entry */
    IMAGE_TABLES = 2,    /* page-directory-pointer table and directory of the image */
};

#define GIB       (1ull << 30)
#define SIZE_2M   (2ull << 20)
#define PAGE_MASK (~(uint64_t)(PAGE - 1))

struct pool {
    uint8_t *memory;
    uint64_t bytes;
    uint64_t used;
    uint64_t phys_offset;
};

static uint64_t pool_alloc(void *context)
{
    struct pool *pool = context;

    if (pool->bytes - pool->used < PAGE)
        return 0;
    uint64_t phys = (uint64_t)(pool->memory + pool->used) + pool->phys_offset;
    pool->used += PAGE;
    return phys;
}

static uint64_t *pool_table(void *context, uint64_t phys)
{
    const struct pool *pool = context;

    return (uint64_t *)(phys - pool->phys_offset);
}

static bool is_ram(uint32_t type)
{
    return type == HANDOVER_MEM_FREE || type == HANDOVER_MEM_KEPT || type == HANDOVER_MEM_FIRMWARE;
}

/* The first GiB from number from on that is to be mapped, UINT64_MAX = there is none. */
static uint64_t next_gib(const struct space_input *input, uint64_t from)
{
    if (from < LOW_GIB)
        return from;
    for (size_t i = 0; i < input->region_count; i++) {
        const struct handover_region *region = &input->regions[i];
        uint64_t last = (region->base + region->size - 1) / GIB;
        if (!is_ram(region->type) || last < from)
            continue;
        return region->base / GIB > from ? region->base / GIB : from;
    }
    return UINT64_MAX;
}

uint64_t space_table_bytes(const struct space_input *input)
{
    uint64_t gibs = 0, tables = 0, last_table = UINT64_MAX;
    uint64_t image_end = 0;

    for (uint64_t gib = next_gib(input, 0); gib != UINT64_MAX; gib = next_gib(input, gib + 1)) {
        gibs++;
        if (gib / GIB_PER_TABLE != last_table)
            tables++;
        last_table = gib / GIB_PER_TABLE;
    }
    for (uint32_t i = 0; i < input->image->segment_count; i++) {
        const struct elf_segment *segment = &input->image->segments[i];
        uint64_t end = segment->address + segment->mem_size - HANDOVER_HV_BASE;
        if (end > image_end)
            image_end = end;
    }
    uint64_t image_tables = IMAGE_TABLES + image_end / SIZE_2M + 1;
    uint64_t map_tables = tables + (input->pages_1g ? 0 : gibs);
    return (1 + 2 * map_tables + image_tables) * PAGE;
}

static bool map_image(struct paging *paging, const struct space_input *input)
{
    for (uint32_t i = 0; i < input->image->segment_count; i++) {
        const struct elf_segment *segment = &input->image->segments[i];
        uint64_t first = segment->address & PAGE_MASK;
        uint64_t end = (segment->address + segment->mem_size + PAGE - 1) & PAGE_MASK;
        unsigned rights = PAGING_READ;
        if (segment->flags & ELF_W)
            rights |= PAGING_WRITE;
        if (segment->flags & ELF_X)
            rights |= PAGING_EXEC;
        if (paging_map(paging, first, input->image_phys + (first - HANDOVER_HV_BASE), end - first,
                       rights) != PAGING_OK)
            return false;
    }
    return true;
}

uint64_t space_build(const struct space_input *input, void *pool_memory, uint64_t bytes,
                     uint64_t phys_offset)
{
    struct pool pool = {.memory = pool_memory, .bytes = bytes, .phys_offset = phys_offset};
    struct paging paging = {
        .alloc = pool_alloc,
        .table = pool_table,
        .context = &pool,
        .pages_1g = input->pages_1g,
        .allow_wx = true, /* the loader's own code and data lie side by side */
    };

    paging.root = pool_alloc(&pool);
    if (paging.root == 0)
        return 0;
    for (uint64_t gib = next_gib(input, 0); gib != UINT64_MAX; gib = next_gib(input, gib + 1)) {
        uint64_t phys = gib * GIB;
        if (paging_map(&paging, phys, phys, GIB, PAGING_WRITE | PAGING_EXEC) != PAGING_OK ||
            paging_map(&paging, HANDOVER_DIRECT_BASE + phys, phys, GIB, PAGING_WRITE) != PAGING_OK)
            return 0;
    }
    return map_image(&paging, input) ? paging.root : 0;
}
