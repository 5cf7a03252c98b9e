/*
 * The guest's page tables: one to one, as large as the CPU and the borders allow.
 *
 * The image is mapped with its segments' rights. Everything else, RAM and the alias window, may be
 * read, written and executed as far as the guest's tables are concerned: who may do what there is
 * for the primitives to say, and a runtime that compiles code needs pages to execute.
 *
 * Source: SDM volume 3, 4.5 (4-level paging).
 */
#include <trapline/abi.h>
#include <trapline/thread.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/pte.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/vcpu.h"

struct tables {
    uint64_t root;
    uint64_t next_page; /* where the next table goes */
    int largest;        /* highest level that may hold a large page: 1 = 2 MiB, 2 = 1 GiB */
    uint64_t nx;        /* PTE_NX, or 0 where the CPU has none */
};

static uint64_t level_size(int level)
{
    return (uint64_t)TRAPLINE_PAGE_SIZE << (PAGING_LEVEL_BITS * level);
}

static uint64_t new_table(struct tables *tables)
{
    const uint64_t page = tables->next_page;
    uint64_t *entries = (uint64_t *)page;

    for (int i = 0; i < PAGING_ENTRIES; i++)
        entries[i] = 0;
    tables->next_page += TRAPLINE_PAGE_SIZE;
    return page;
}

/* Map the piece at address, which reaches up to end at most; returns the size of what was mapped.
 */
static uint64_t map_piece(struct tables *tables, uint64_t address, uint64_t end, uint64_t flags)
{
    uint64_t *table = (uint64_t *)tables->root;

    for (int level = PAGING_LEVELS - 1;; level--) {
        const uint64_t size = level_size(level);
        uint64_t *entry = &table[address / size % PAGING_ENTRIES];

        if (level == 0 ||
            (level <= tables->largest && address % size == 0 && size <= end - address)) {
            *entry = address | flags | (level ? PTE_LARGE : 0);
            return size;
        }
        if (!*entry)
            *entry = new_table(tables) | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
        table = (uint64_t *)(*entry & PTE_ADDRESS);
    }
}

static void map(struct tables *tables, const void *start, uint64_t end, uint64_t flags)
{
    uint64_t address = (uint64_t)start;

    while (address < end)
        address += map_piece(tables, address, end, flags | PTE_PRESENT | PTE_ACCESSED | PTE_DIRTY);
}

/* All but the guard pages. */
static void map_vcpu(struct tables *tables, const struct vcpu_space *space)
{
    const struct vcpu_stacks *const stacks = &space->stacks;

    map(tables, stacks->stack, (uint64_t)stacks->exception_guard, PTE_WRITE | tables->nx);
    map(tables, stacks->exception_stack, (uint64_t)(space + 1), PTE_WRITE | tables->nx);
}

uint64_t paging_init(const struct trapline_info *info, uint64_t first_page)
{
    const uint32_t features = cpuid_extended_edx();
    struct tables tables = {
        .next_page = first_page,
        .largest = features & CPUID_80000001_EDX_PAGE_1G ? 2 : 1,
        .nx = features & CPUID_80000001_EDX_NX ? PTE_NX : 0,
    };

    if (tables.nx)
        write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NXE);

    tables.root = new_table(&tables);
    map(&tables, (void *)TRAPLINE_PAGE_SIZE, (uint64_t)image_start, PTE_WRITE);
    map(&tables, image_start, (uint64_t)text_end, 0);
    map(&tables, text_end, (uint64_t)rodata_end, tables.nx);
    map(&tables, rodata_end, (uint64_t)stack_guard, PTE_WRITE | tables.nx);
    map(&tables, stack_bottom, (uint64_t)exception_stack_guard, PTE_WRITE | tables.nx);
    map(&tables, exception_stack_bottom, (uint64_t)image_end, PTE_WRITE | tables.nx);
    for (unsigned i = 1; i < vcpu_count(); i++)
        map_vcpu(&tables, &vcpu_spaces()[i - 1]);
    map(&tables, &vcpu_spaces()[vcpu_count() - 1], info->ram_size, PTE_WRITE);
    map(&tables, (void *)info->alias_base, info->alias_base + info->alias_size, PTE_WRITE);
    write_cr3(tables.root);
    return tables.next_page;
}
