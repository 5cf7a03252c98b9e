#include "hv/flush.h"
#include "hv/guest.h"

#include <stdarg.h>
#include <string.h>

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/disk.h"
#include "hv/memory.h"
#include "hv/mtrr.h"
#include "hv/pml.h"
#include "hv/vcpu.h"
#include "hv/view.h"
#include "hv/vmx_setup.h"
#include "vmx/x86.h"

enum {
    TABLE_BUDGET_SHIFT = 6, /* the default budget is this fraction of RAM ... */
    PT_ENTRIES = 512,
    PTE_PRESENT = 1u << 0,
    PTE_WRITE = 1u << 1,
    PTE_LARGE = 1u << 7,
};
#define TABLE_BUDGET_MIN (256ull << 10) /* ... and this much */

struct guest *guests[HANDOVER_MAX_GUESTS];
unsigned guest_count;
atomic_uint guests_alive;

static struct mtrr_state mtrrs; /* read when guests are created, before any runs */

static uint64_t pool_alloc(void *ctx)
{
    struct table_pool *pool = ctx;
    uint64_t page = pool->free_list;

    if (page) {
        pool->free_list = *(uint64_t *)phys_to_virt(page);
    } else if (pool->next < pool->pages) {
        page = pool->base + pool->next++ * PAGE_SIZE;
    } else {
        return 0;
    }
    pool->used++;
    return page;
}

static void pool_free(void *ctx, uint64_t page)
{
    struct table_pool *pool = ctx;
    uint64_t *words = phys_to_virt(page);

    words[0] = pool->free_list;
    pool->free_list = page;
    pool->used--;
}

/* The EPT needs a freed table's memory at once: make sure that no CPU still walks it. */
static void pool_flush(void *ctx)
{
    struct guest *guest = (struct guest *)((char *)ctx - offsetof(struct guest, pool));

    if (guest->holder)
        flush_ept(guest->holder);
    else
        flush_outside(guest);
}

void *guest_ram(const struct guest *guest, uint64_t gpa)
{
    return phys_to_virt(guest->blocks[gpa >> GUEST_BLOCK_SHIFT] + (gpa & (SIZE_2M - 1)));
}

bool guest_in_ram(const struct guest *guest, uint64_t gpa, uint64_t bytes)
{
    return gpa <= guest->ram_size && bytes <= guest->ram_size - gpa;
}

bool guest_may_access(struct guest *guest, uint64_t gpa, uint64_t bytes, enum ept_access access)
{
    if (!guest_in_ram(guest, gpa, bytes))
        return false;
    return guest->ept.views ? view_allows(guest->holder, gpa, bytes, access)
                            : ept_allows(&guest->ept, gpa, bytes, access);
}

/* Copy to or from guest RAM, block by block; gpa's range is in RAM. */
static void copy(struct guest *guest, uint64_t gpa, void *host, uint64_t bytes, bool to_guest)
{
    while (bytes) {
        uint64_t piece = SIZE_2M - (gpa & (SIZE_2M - 1));

        if (piece > bytes)
            piece = bytes;
        if (to_guest)
            memcpy(guest_ram(guest, gpa), host, piece);
        else
            memcpy(host, guest_ram(guest, gpa), piece);
        gpa += piece;
        host = (char *)host + piece;
        bytes -= piece;
    }
}

void guest_read(struct guest *guest, uint64_t gpa, void *to, uint64_t bytes)
{
    copy(guest, gpa, to, bytes, false);
}

void guest_write(struct guest *guest, uint64_t gpa, const void *from, uint64_t bytes)
{
    /* copy() only reads through its host pointer in this direction. */
    copy(guest, gpa, (void *)(uintptr_t)from, bytes, true);
    ept_mark_dirty(&guest->ept, gpa, bytes);
}

/* A 2 MiB block (or more) is fit for RAM when its memory type is the same everywhere. */
static uint64_t alloc_uniform(uint64_t bytes, enum memory_type *type)
{
    uint64_t phys = memory_alloc(bytes, bytes);

    if (phys && !mtrr_uniform(&mtrrs, phys, bytes, type)) {
        memory_free(phys, bytes);
        return 0;
    }
    return phys;
}

/* Give RAM to the guest in 1 GiB pieces where they fit, else block by block, and map it. */
static bool add_ram(struct guest *guest)
{
    uint64_t gpa = 0;

    while (gpa < guest->ram_size) {
        uint64_t bytes = SIZE_1G;
        enum memory_type type;
        uint64_t phys = 0;

        if (!(gpa & (SIZE_1G - 1)) && guest->ram_size - gpa >= SIZE_1G)
            phys = alloc_uniform(bytes, &type);
        if (!phys) {
            bytes = SIZE_2M;
            phys = alloc_uniform(bytes, &type);
        }
        if (!phys) {
            kprintf("trapline: guest %s: %llu MiB of memory asked for, %llu MiB are free: lower "
                    "'memory' or add RAM\n",
                    guest->config->name, (unsigned long long)(guest->ram_size >> 20),
                    (unsigned long long)((gpa + memory_free_bytes()) >> 20));
            return false;
        }
        for (uint64_t at = 0; at < bytes; at += SIZE_2M)
            guest->blocks[(gpa + at) >> GUEST_BLOCK_SHIFT] = phys + at;
        if (ept_map(&guest->ept, gpa, phys, bytes, EPT_ACCESS_RWX, type) != EPT_OK) {
            kprintf("trapline: guest %s: its table budget of %llu KiB does not hold its memory "
                    "map: raise 'tables'\n",
                    guest->config->name, (unsigned long long)(guest->pool.pages * 4));
            return false;
        }
        gpa += bytes;
    }
    return true;
}

static void load_image(struct guest *guest)
{
    for (unsigned i = 0; i < guest->config->segment_count; i++) {
        const struct handover_segment *s = &guest->config->segments[i];

        copy(guest, s->gpa, phys_to_virt(s->data), s->file_size, true);
    }
}

static void set_entry(struct guest *guest, uint64_t table, unsigned index, uint64_t value)
{
    ((uint64_t *)guest_ram(guest, table))[index] = value | PTE_PRESENT | PTE_WRITE;
}

/*
 * The boot area: struct trapline_info, then page tables that map RAM and the alias window one to
 * one in 2 MiB pages, which every CPU with VMX has.
 */
static void fill_boot_area(struct guest *guest)
{
    uint64_t area = guest->ram_size - GUEST_BOOT_AREA;
    uint64_t pml4 = area + PAGE_SIZE;
    uint64_t pdpt = pml4 + PAGE_SIZE;
    uint64_t pd = pdpt + PAGE_SIZE;
    uint64_t end = guest->alias_base + guest->alias_size;
    struct trapline_info *info = guest_ram(guest, area);

    *info = (struct trapline_info){
        .magic = TRAPLINE_INFO_MAGIC,
        .version = TRAPLINE_ABI_VERSION,
        .ram_size = guest->ram_size,
        .boot_area = area,
        .alias_base = guest->alias_base,
        .alias_size = guest->alias_size,
        .tsc_hz = vmx_setup.tsc_hz,
        .features = guest->features,
        .vcpus = guest->vcpu_count,
    };
    disk_describe(guest, info);
    memcpy(info->name, guest->config->name, sizeof(info->name));
    memcpy(info->args, guest->config->args, sizeof(info->args));

    set_entry(guest, pml4, 0, pdpt);
    for (uint64_t gpa = 0; gpa < end; gpa += SIZE_1G) {
        unsigned gib = (unsigned)(gpa >> 30);

        set_entry(guest, pdpt, gib, pd + gib * PAGE_SIZE);
        for (unsigned i = 0; i < PT_ENTRIES; i++)
            set_entry(guest, pd + gib * PAGE_SIZE, i, (gpa + i * SIZE_2M) | PTE_LARGE);
    }
}

void guest_add_features(struct guest *guest, uint32_t features)
{
    struct trapline_info *info = guest_ram(guest, guest->ram_size - GUEST_BOOT_AREA);

    guest->features |= features;
    info->features = guest->features;
}

/* Round up to whole GiB. */
static uint64_t round_gib(uint64_t bytes)
{
    return (bytes + SIZE_1G - 1) & ~(SIZE_1G - 1);
}

/* Set aside the table budget and the array of blocks; false = the machine has no room. */
static bool reserve(struct guest *guest)
{
    uint64_t budget = guest->config->table_budget;

    if (!budget)
        budget = (guest->ram_size >> TABLE_BUDGET_SHIFT) + TABLE_BUDGET_MIN;
    guest->pool = (struct table_pool){.pages = (budget + PAGE_SIZE - 1) / PAGE_SIZE};
    guest->pool.base = memory_alloc_raw(guest->pool.pages * PAGE_SIZE, PAGE_SIZE);
    guest->block_bytes = (guest->ram_size >> GUEST_BLOCK_SHIFT) * sizeof(uint64_t);
    if (!guest->pool.base) {
        kprintf("trapline: guest %s: no memory for %llu KiB of tables\n", guest->config->name,
                (unsigned long long)(guest->pool.pages * 4));
        return false;
    }
    uint64_t blocks = memory_alloc(guest->block_bytes, PAGE_SIZE);
    if (!blocks) {
        kprintf("trapline: guest %s: no memory for its description\n", guest->config->name);
        return false;
    }
    guest->blocks = phys_to_virt(blocks);
    return true;
}

/* Make the vCPUs, or make them new for the next run. */
static bool begin_vcpus(struct guest *guest)
{
    for (unsigned i = 0; i < guest->config->vcpus; i++) {
        if (!guest->vcpus[i])
            guest->vcpus[i] = vcpu_create(guest, i);
        if (!guest->vcpus[i] || !vcpu_begin(guest->vcpus[i], guest->ram_size - GUEST_BOOT_AREA))
            return false;
    }
    guest->vcpu_count = guest->config->vcpus;
    atomic_store(&guest->vcpus_left, guest->vcpu_count);
    guest->vcpus_started = 1;
    guest->leaf_barred = 0;
    return true;
}

/* All that a run begins with; false = the machine cannot give it, and the reason was printed. */
static bool begin(struct guest *guest)
{
    const struct handover_guest *config = guest->config;

    guest->holder = NULL;
    guest->line_length = 0;
    atomic_store(&guest->listening, false);
    atomic_store(&guest->time_used, 0);
    atomic_fetch_add(&guest->flush_gen, 1); /* so that the first load of each vCPU flushes */
    if (!reserve(guest)) {
        /* The reason was printed. */
    } else if (ept_init(&guest->ept, &guest->ept_env, &vmx_setup.ept,
                        guest->alias_base + guest->alias_size) != EPT_OK) {
        kprintf("trapline: guest %s: 'tables' is too small for any page table\n", config->name);
    } else if (!pml_guest_create(guest)) {
        kprintf("trapline: guest %s: no memory for its log of dirty pages\n", config->name);
    } else if (!disk_guest_create(guest)) {
        kprintf("trapline: guest %s: no memory for its I/O bitmap\n", config->name);
    } else if (!view_set_create(guest)) {
        kprintf("trapline: guest %s: no memory for its list of views\n", config->name);
    } else if (add_ram(guest)) {
        if (begin_vcpus(guest)) {
            load_image(guest);
            fill_boot_area(guest);
            atomic_store(&guest->state, GUEST_RUNNING);
            return true;
        }
        kprintf("trapline: guest %s: no memory for its vCPUs\n", config->name);
    }
    guest_release(guest);
    return false;
}

struct guest *guest_create(const struct handover_guest *config, unsigned id)
{
    struct guest *guest;
    uint64_t phys;

    if (config->vcpus > GUEST_MAX_VCPUS) {
        kprintf("trapline: guest %s: vcpus = %u: a guest can have %u\n", config->name,
                config->vcpus, GUEST_MAX_VCPUS);
        return NULL;
    }
    phys = memory_alloc(sizeof(*guest), PAGE_SIZE);
    if (!phys) {
        kprintf("trapline: guest %s: no memory left\n", config->name);
        return NULL;
    }
    mtrr_read(&mtrrs);
    guest = phys_to_virt(phys);
    guest->config = config;
    guest->id = id;
    guest->ram_size = config->memory;
    guest->alias_base = round_gib(config->memory);
    guest->alias_size = guest->alias_base;
    guest->features = vmx_setup.features;
    guest->ept_env = (struct ept_env){
        .virt_offset = HANDOVER_DIRECT_BASE,
        .alloc = pool_alloc,
        .free = pool_free,
        .flush = pool_flush,
        .ctx = &guest->pool,
    };
    if (guest->alias_base + guest->alias_size > 1ull << vmx_setup.physical_bits)
        kprintf("trapline: guest %s: memory and alias window do not fit into the CPU's %u "
                "physical address bits\n",
                config->name, vmx_setup.physical_bits);
    else if (begin(guest))
        return guest;
    guest_destroy(guest);
    return NULL;
}

void guest_release(struct guest *guest)
{
    uint64_t blocks = guest->ram_size >> GUEST_BLOCK_SHIFT;

    for (unsigned i = 0; i < GUEST_MAX_VCPUS && guest->vcpus[i]; i++)
        vcpu_release(guest->vcpus[i]);
    for (uint64_t i = 0; guest->blocks && i < blocks; i++) {
        if (guest->blocks[i])
            memory_free(guest->blocks[i], SIZE_2M);
    }
    if (guest->blocks)
        memory_free(virt_to_phys(guest->blocks), guest->block_bytes);
    view_set_release(guest);
    pml_guest_release(guest);
    disk_guest_release(guest);
    if (guest->pool.base)
        memory_free(guest->pool.base, guest->pool.pages * PAGE_SIZE);
    guest->blocks = NULL;
    guest->pool.base = 0;
}

void guest_destroy(struct guest *guest)
{
    for (unsigned i = 0; i < GUEST_MAX_VCPUS && guest->vcpus[i]; i++)
        vcpu_destroy(guest->vcpus[i]);
    memory_free(virt_to_phys(guest), sizeof(*guest));
}

bool guest_denied(struct guest *guest, enum guest_denial kind)
{
    return guest->denials[kind]++ == 0;
}

bool guest_begin_end(struct guest *guest)
{
    enum guest_state running = GUEST_RUNNING;

    if (!atomic_compare_exchange_strong(&guest->state, &running, GUEST_ENDING))
        return false;
    guest->ender = this_cpu();
    return true;
}

/* Whether this CPU is to say how the guest ended; its last line gets its end first. */
static bool begin_finish(struct guest *guest)
{
    if (!guest_begin_end(guest) && (guest->state != GUEST_ENDING || guest->ender != this_cpu()))
        return false;
    spin_lock(&guest->print_lock);
    if (guest->line_length) /* what it printed last, without its newline */
        guest_print(guest, "\n", 1);
    spin_unlock(&guest->print_lock);
    return true;
}

/* All is said: have the vCPUs leave their CPUs, those that run by a kick. */
static void finish(struct guest *guest, enum guest_state state)
{
    atomic_store(&guest->state, state);
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        struct vcpu *vcpu = guest->vcpus[i];

        if (vcpu->cpu != this_cpu())
            cpu_make_look(vcpu->cpu);
    }
}

void guest_exit(struct guest *guest, int64_t code)
{
    if (!begin_finish(guest))
        return;
    guest->exit_code = code;
    guest->failures += code != 0;
    /* Of many runs the summary tells: those that are like the one before need no line each. */
    if (code != 0 || guest->runs + 1 == guest->config->repeat)
        kprintf("trapline: guest %s: exit code %lld\n", guest->config->name, (long long)code);
    finish(guest, GUEST_EXITED);
}

static void say_stopped(struct guest *guest)
{
    guest->failures++;
    kprintf("trapline: guest %s: stopped: %s\n", guest->config->name, guest->stop_reason);
}

void guest_stop(struct guest *guest, const char *format, ...)
{
    va_list args;

    if (!begin_finish(guest))
        return;
    va_start(args, format);
    kvsnprintf(guest->stop_reason, sizeof(guest->stop_reason), format, args);
    va_end(args);
    say_stopped(guest);
    finish(guest, GUEST_STOPPED);
}

/* Add what this run counted to the runs before it. */
static void keep_stats(struct guest *guest)
{
    guest->past.splits += guest->ept.stats.splits;
    guest->past.merges += guest->ept.stats.merges;
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        vcpu_keep_stats(guest->vcpus[i]);
}

bool guest_run_again(struct guest *guest)
{
    keep_stats(guest);
    guest->runs++;
    if (guest->runs < guest->config->repeat) {
        uint64_t start = rdtsc();
        bool begun = begin(guest);

        guest->start_ticks += rdtsc() - start;
        if (begun)
            return true;
        ksnprintf(guest->stop_reason, sizeof(guest->stop_reason), "run %u could not begin",
                  guest->runs + 1);
        say_stopped(guest);
        atomic_store(&guest->state, GUEST_STOPPED);
    }
    guest->ept.stats.splits = guest->past.splits;
    guest->ept.stats.merges = guest->past.merges;
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        guest->vcpus[i]->stats = guest->vcpus[i]->past;
    return false;
}
