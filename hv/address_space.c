#include "hv/address_space.h"

#include <string.h>

#include "hv/cpu.h"
#include "hv/lock.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "vmx/x86.h"

/* Windows of the upper half, beside the direct map and the image. */
#define STACKS_BASE 0xffffc00000000000ull
#define MMIO_BASE   0xffffd00000000000ull
#define WINDOW_SIZE (1ull << 39) /* one entry of the PML4 table */

#define SIZE_4G (4ull << 30)

#define MISC_ENABLE_XD_DISABLE (1ull << 34)

enum {
    PML4_ENTRIES = 512,
    PML4_UPPER = 256,
};

enum cpuid_paging {
    CPUID_EXTENDED = 0x80000001,
    CPUID_EXTENDED_PAGES_1G = 1u << 26, /* EDX */
    CPUID_EXTENDED_NX = 1u << 20,
};

/* Boundaries of the image; linker.ld. */
extern char hv_text_start[], hv_text_end[], hv_rodata_start[], hv_rodata_end[], hv_data_start[],
    hv_data_end[];
extern char boot_stack_guard[];

static struct paging tables;
static struct paging firmware_tables;
static struct spinlock lock;
static bool noexec_was_hidden;
static uint64_t next_stack = STACKS_BASE;
static uint64_t next_mmio = MMIO_BASE;

static uint64_t alloc_table(void *context)
{
    (void)context;
    return memory_alloc(PAGE_SIZE, PAGE_SIZE);
}

static uint64_t *table_at(void *context, uint64_t phys)
{
    (void)context;
    return phys_to_virt(phys);
}

static void must_map(struct paging *paging, uint64_t virt, uint64_t phys, uint64_t bytes,
                     unsigned rights)
{
    if (bytes == 0)
        return;
    enum paging_result result = paging_map(paging, virt, phys, bytes, rights);
    if (result != PAGING_OK)
        panic("page tables: cannot map %llx bytes at %llx (result %d)", (unsigned long long)bytes,
              (unsigned long long)virt, result);
}

static void map_direct(uint64_t base, uint64_t end, unsigned rights)
{
    if (end > base)
        must_map(&tables, HANDOVER_DIRECT_BASE + base, base, end - base, rights | PAGING_GLOBAL);
}

/* RAM from base to end, but what the image may not write stays unwritable here, too. */
static void map_ram(const struct handover *handover, uint64_t base, uint64_t end)
{
    uint64_t fixed = handover->hv_phys;
    uint64_t fixed_end = fixed + (uint64_t)(hv_data_start - hv_text_start);

    if (end <= fixed || base >= fixed_end) {
        map_direct(base, end, PAGING_WRITE);
        return;
    }
    map_direct(base, fixed, PAGING_WRITE);
    map_direct(base > fixed ? base : fixed, end < fixed_end ? end : fixed_end, PAGING_READ);
    map_direct(fixed_end, end, PAGING_WRITE);
}

static bool is_ram(const struct handover_region *region)
{
    return region->type == HANDOVER_MEM_FREE || region->type == HANDOVER_MEM_KEPT;
}

static void map_all_ram(const struct handover *handover)
{
    for (uint32_t i = 0; i < handover->region_count;) {
        const struct handover_region *region = &handover->regions[i++];
        if (!is_ram(region))
            continue;
        uint64_t end = region->base + region->size;
        while (i < handover->region_count && is_ram(&handover->regions[i]) &&
               handover->regions[i].base == end)
            end += handover->regions[i++].size;
        map_ram(handover, region->base, end);
    }
}

static void map_image(const struct handover *handover, const char *start, const char *end,
                      unsigned rights)
{
    must_map(&tables, (uint64_t)start, handover->hv_phys + (uint64_t)(start - hv_text_start),
             (uint64_t)(end - start), rights | PAGING_GLOBAL);
}

static void build_firmware_tables(const struct handover *handover)
{
    firmware_tables = address_space_derive(alloc_table(NULL));
    /* Pages of at most 2 MiB: larger ones would span different memory types of the MTRRs. */
    firmware_tables.pages_1g = false;
    firmware_tables.allow_wx = true;
    must_map(&firmware_tables, 0, 0, SIZE_4G, PAGING_WRITE | PAGING_EXEC);
    for (uint32_t i = 0; i < handover->region_count; i++) {
        const struct handover_region *region = &handover->regions[i];
        uint64_t end = region->base + region->size;
        uint64_t base = region->base < SIZE_4G ? SIZE_4G : region->base;
        if (region->type == HANDOVER_MEM_FIRMWARE && end > base)
            must_map(&firmware_tables, base, base, end - base, PAGING_WRITE | PAGING_EXEC);
    }
}

void address_space_init(const struct handover *handover)
{
    tables.root = alloc_table(NULL);
    tables.alloc = alloc_table;
    tables.table = table_at;
    tables.pages_1g = cpuid(CPUID_EXTENDED, 0).edx & CPUID_EXTENDED_PAGES_1G;
    if (!tables.root)
        panic("page tables: no memory");

    map_all_ram(handover);
    map_image(handover, hv_text_start, hv_text_end, PAGING_EXEC);
    map_image(handover, hv_rodata_start, hv_rodata_end, PAGING_READ);
    map_image(handover, hv_data_start, boot_stack_guard, PAGING_WRITE);
    map_image(handover, boot_stack_guard + PAGE_SIZE, hv_data_end, PAGING_WRITE);
    build_firmware_tables(handover);
}

struct paging address_space_derive(uint64_t root)
{
    struct paging derived = tables;

    derived.root = root;
    if (root)
        memcpy(table_at(NULL, root) + PML4_UPPER, table_at(NULL, tables.root) + PML4_UPPER,
               (PML4_ENTRIES - PML4_UPPER) * sizeof(uint64_t));
    return derived;
}

void address_space_load_firmware(void)
{
    /* Windows that came into use since the tables were built. */
    address_space_derive(firmware_tables.root);
    write_cr4(read_cr4() & ~(uint64_t)CR4_PGE);
    write_cr3(firmware_tables.root);
}

bool address_space_mapped(uint64_t virt)
{
    struct paging current = {.root = read_cr3() & PTE_ADDRESS, .table = table_at};

    return paging_find(&current, virt, NULL) != 0;
}

/*
 * A firmware may have hidden execute-disable; IA32_MISC_ENABLE brings it back (SDM volume 4). Every
 * 64-bit CPU with VMX has it.
 */
static void enable_noexec(void)
{
    if (!(cpuid(CPUID_EXTENDED, 0).edx & CPUID_EXTENDED_NX)) {
        wrmsr(MSR_IA32_MISC_ENABLE, rdmsr(MSR_IA32_MISC_ENABLE) & ~MISC_ENABLE_XD_DISABLE);
        noexec_was_hidden = true;
    }
    wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_NXE);
}

bool address_space_noexec_was_hidden(void)
{
    return noexec_was_hidden;
}

void memory_load(void)
{
    enable_noexec();
    /* The caches and the TLB must hold nothing that the old PAT decided (SDM 11.12.4). */
    write_cr4(read_cr4() & ~(uint64_t)CR4_PGE);
    __asm__ volatile("wbinvd" : : : "memory");
    wrmsr(MSR_IA32_PAT, PAGING_PAT);
    write_cr3(tables.root);
    write_cr0((read_cr0() | CR0_WP) & ~(uint64_t)(CR0_CD | CR0_NW));
    write_cr4(read_cr4() | CR4_PGE);
}

void *memory_map_mmio(uint64_t phys, uint64_t bytes, bool wc)
{
    uint64_t offset = phys % PAGE_SIZE;
    uint64_t base = phys - offset;
    uint64_t size = (bytes + offset + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
    void *result = NULL;

    spin_lock(&lock);
    /* The same place within 2 MiB as the physical address, so that large pages fit. */
    uint64_t virt = next_mmio + ((base - next_mmio) & (SIZE_2M - 1));
    if (size <= WINDOW_SIZE && virt + size <= MMIO_BASE + WINDOW_SIZE) {
        unsigned rights = PAGING_WRITE | PAGING_GLOBAL | (wc ? PAGING_WC : PAGING_UC);
        next_mmio = virt + size;
        if (paging_map(&tables, virt, base, size, rights) == PAGING_OK)
            result = (void *)(virt + offset);
    }
    spin_unlock(&lock);
    return result;
}

void *memory_alloc_stack(unsigned pages)
{
    uint64_t bytes = (uint64_t)pages * PAGE_SIZE;
    uint64_t phys = memory_alloc(bytes, PAGE_SIZE);
    enum paging_result result = PAGING_NO_MEMORY;
    uint64_t top = 0;

    if (!phys)
        return NULL;
    spin_lock(&lock);
    if (next_stack + PAGE_SIZE + bytes <= STACKS_BASE + WINDOW_SIZE) {
        uint64_t bottom = next_stack + PAGE_SIZE;
        top = bottom + bytes;
        next_stack = top;
        result = paging_map(&tables, bottom, phys, bytes, PAGING_WRITE | PAGING_GLOBAL);
    }
    spin_unlock(&lock);
    return result == PAGING_OK ? (void *)top : NULL;
}
