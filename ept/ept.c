/*
 * An EPT as a whole: making and destroying it, looking things up, deciding on violations.
 */
#include "ept/table.h"

/* The EPTP (SDM 25.6.11). */
enum eptp {
    EPTP_MEMTYPE_WB = 6,
    EPTP_WALK_LENGTH_4 = 3 << 3, /* one less than the length */
    EPTP_ACCESSED_DIRTY = 1 << 6,
};

/* Accesses that an entry can say: not write without read (SDM 28.3.3.1, misconfigurations). */
enum {
    VALID_ACCESS = 1 << EPT_ACCESS_NONE | 1 << EPT_ACCESS_R | 1 << EPT_ACCESS_RW |
                   1 << EPT_ACCESS_RX | 1 << EPT_ACCESS_RWX,
    VALID_EXEC_ONLY = 1 << EPT_ACCESS_X,
};

int ept_init(struct ept *ept, const struct ept_env *env, const struct ept_features *features,
             uint64_t limit)
{
    volatile uint64_t *pml4;

    *ept = (struct ept){
        .env = env,
        .features = *features,
        .limit = limit,
        .limit_pages = limit >> EPT_PAGE_SHIFT,
        .fast_pages = limit >> EPT_PAGE_SHIFT,
        .virt_offset = env->virt_offset,
        .valid_access = VALID_ACCESS | (features->exec_only ? VALID_EXEC_ONLY : 0),
        .write_protects = features->accessed_dirty ? 0 : ENTRY_TRACKED,
        .untracked = features->accessed_dirty ? ENTRY_D : 0,
        .converts = features->ve && features->accessed_dirty ? ENTRY_SUPPRESS_VE : 0,
    };
    ept->features.ve = ept->converts != 0;
    for (unsigned access = 0; access <= EPT_ACCESS_RWX; access++) {
        bool valid = ept_access_check(ept, access) == EPT_OK;

        ept->need[access] = valid ? entry_access_bits(access) | ENTRY_LEAF : ~0ull;
        ept->drop[access] = entry_drop_bits(entry_access_bits(access)) | ept->converts;
    }
    /* A 1 GiB leaf is split by way of 2 MiB leaves. */
    ept->features.page_1g = features->page_1g && features->page_2m;
    if (!limit || limit > EPT_LIMIT_MAX || (limit & (EPT_PAGE_BYTES - 1)))
        return EPT_EINVAL;
    if (ept_reserve(ept, EPT_TABLES_BASE)) {
        ept_destroy(ept);
        return EPT_ENOMEM;
    }
    pml4 = ept_page_take(ept);
    ept->pdpt = ept_page_take(ept);
    ept->index = ept_page_take(ept);
    ept->tables = ept_page_take_zeroed(ept);
    ept->dirs = ept_page_take_zeroed(ept);
    ept->limbo = ept_page_take_zeroed(ept);
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        entry_init(&pml4[i], ENTRY_EMPTY);
        entry_init(&ept->pdpt[i], ENTRY_EMPTY);
        ept->index[i] = ept_void_index;
    }
    entry_init(&pml4[0], ept_phys(ept, ept->pdpt) | ENTRY_TABLE);
    ept->root = ept_phys(ept, pml4);
    return EPT_OK;
}

static void destroy_dir(struct ept *ept, uint64_t page)
{
    for (unsigned i = 0; i < EPT_ENTRIES; i++) {
        if (ept_has_table(ept, page + i * PAGES_2M))
            ept_page_release(ept, (void *)ept_page_table(ept, page + i * PAGES_2M));
    }
    ept_page_release(ept, (void *)(ept_slot_2m(ept, page)));
    ept_page_release(ept, ept->index[page >> PAGES_1G_SHIFT]);
    ept_page_release(ept, ept->tables[page >> PAGES_1G_SHIFT]);
}

void ept_destroy(struct ept *ept)
{
    if (ept->root) {
        ept_views_destroy(ept);
        for (uint64_t page = 0; page < ept->limit_pages; page += PAGES_1G) {
            if (ept_has_dir(ept, page))
                destroy_dir(ept, page);
        }
        ept_alias_destroy(ept);
        ept_flushed(ept);
        ept_page_release(ept, ept->limbo);
        ept_page_release(ept, ept->dirs);
        ept_page_release(ept, ept->tables);
        ept_page_release(ept, ept->index);
        ept_page_release(ept, (void *)ept->pdpt);
        ept_page_release(ept, ept_virt(ept, ept->root));
    }
    ept_cache_drop(ept);
    ept->root = 0;
    ept->limit = 0;
    ept->limit_pages = 0;
    ept->fast_pages = 0;
}

uint64_t ept_pointer(const struct ept *ept)
{
    return ept->root | EPTP_MEMTYPE_WB | EPTP_WALK_LENGTH_4 |
           (ept->features.accessed_dirty ? EPTP_ACCESSED_DIRTY : 0);
}

int ept_lookup(const struct ept *ept, uint64_t gpa, struct ept_translation *translation)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    volatile uint64_t *slot;
    unsigned level;
    uint64_t entry;

    *translation = (struct ept_translation){0};
    if (page >= ept->limit_pages)
        return EPT_ENOENT;
    slot = ept_walk(ept, page, &level);
    entry = *slot;
    translation->entry = entry;
    translation->table = ept_phys(ept, slot);
    if (!(entry & ENTRY_LEAF))
        return EPT_ENOENT;
    translation->level = level;
    translation->access = entry_access(entry);
    translation->full = entry_full(entry);
    translation->hardware = (unsigned)(entry & ENTRY_HARDWARE);
    translation->memtype = (unsigned)((entry & ENTRY_MEMTYPE) >> ENTRY_MEMTYPE_SHIFT);
    translation->tracked = entry & ENTRY_TRACKED;
    translation->aliased = entry & ENTRY_ALIASED;
    translation->alias = entry & ENTRY_IS_ALIAS;
    translation->hpa =
        (entry & ENTRY_ADDRESS) | (gpa & ((ept_level_pages(level) << EPT_PAGE_SHIFT) - 1));
    return EPT_OK;
}

bool ept_allows(const struct ept *ept, uint64_t gpa, uint64_t bytes, unsigned access)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    uint64_t end;

    if (!bytes)
        return true;
    if (gpa >= ept->limit || bytes > ept->limit - gpa)
        return false;
    end = (gpa + bytes - 1) / EPT_PAGE_BYTES + 1;
    for (;;) {
        unsigned level;
        volatile uint64_t *slot = ept_walk(ept, page, &level);
        uint64_t run = ept_run(page, end, level == 1 ? 2 : level);
        uint64_t all = ept_sum(slot, level == 1 ? run : 1).all;

        if (!(all & ENTRY_LEAF) || (access & ~entry_access(all)))
            return false;
        page += run;
        if (page >= end)
            return true;
    }
}

/* The access is allowed by the protection but not by the hardware bits: find out why, and allow it.
 */
static __attribute__((noinline)) enum ept_fault resolve(struct ept *ept, uint64_t page,
                                                        unsigned access)
{
    volatile uint64_t *slot;

    if (!ept_has_table(ept, page)) {
        while (ept_reserve(ept, ept_need_4k(ept, page, page + 1))) {
            if (!ept_reclaim(ept))
                return EPT_FAULT_NOMEM;
        }
        ept_split_to_4k(ept, page);
        ept_table_of(ept, page)->flags |= TABLE_KEEP;
    }
    slot = ept_slot_4k(ept, page);
    if ((access & EPT_ACCESS_W) && !(*slot & ENTRY_W))
        entry_raise(slot, ENTRY_D | ENTRY_W);
    ept_views_changed(ept, page, 1);
    return EPT_FAULT_RESOLVED;
}

enum ept_fault ept_fault(struct ept *ept, uint64_t gpa, unsigned access)
{
    uint64_t page = gpa >> EPT_PAGE_SHIFT;
    uint64_t entry;

    if (page >= ept->limit_pages)
        return EPT_FAULT_UNMAPPED;
    entry = *ept_slot_4k(ept, page);
    if (!(entry & ENTRY_LEAF)) {
        unsigned level;

        entry = *ept_walk(ept, page, &level);
        if (!(entry & ENTRY_LEAF))
            return EPT_FAULT_UNMAPPED;
    }
    if (access & ~entry_access(entry))
        return EPT_FAULT_DENIED;
    if (!(access & ~entry & ENTRY_HARDWARE))
        return EPT_FAULT_SPURIOUS;
    return resolve(ept, page, access);
}
