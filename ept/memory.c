/*
 * Table memory. A table page that CPUs could reach goes to limbo first: paging-structure caches may
 * point at it until the flush that its removal owes is paid (SDM 28.3.3.1, 28.3.3.4), so it is
 * neither written nor given away before ept_flushed().
 */
#include "ept/table.h"

static void cache_push(struct ept *ept, uint64_t page)
{
    *(uint64_t *)ept_virt(ept, page) = ept->cache;
    ept->cache = page;
    ept->cache_count++;
}

static uint64_t cache_pop(struct ept *ept)
{
    uint64_t page = ept->cache;

    ept->cache = *(uint64_t *)ept_virt(ept, page);
    ept->cache_count--;
    return page;
}

/* Keep a free page for the next call, or give it back. */
static void page_free(struct ept *ept, uint64_t page)
{
    uint64_t keep = ept->cache_wanted > EPT_CACHE_MAX ? ept->cache_wanted : EPT_CACHE_MAX;

    ept->stats.tables--;
    if (ept->cache_count < keep)
        cache_push(ept, page);
    else
        ept->env->free(ept->env->ctx, page);
}

int ept_reserve(struct ept *ept, uint64_t pages)
{
    int error = EPT_OK;

    ept->cache_wanted = pages;
    while (ept->cache_count < pages) {
        uint64_t page = ept->env->alloc(ept->env->ctx);

        if (page) {
            cache_push(ept, page);
        } else if (ept->limbo_count) {
            ept->env->flush(ept->env->ctx);
        } else {
            error = EPT_ENOMEM;
            break;
        }
    }
    ept->cache_wanted = 0;
    if (error) {
        while (ept->cache_count > EPT_CACHE_MAX)
            ept->env->free(ept->env->ctx, cache_pop(ept));
    }
    return error;
}

void ept_cache_drop(struct ept *ept)
{
    while (ept->cache_count)
        ept->env->free(ept->env->ctx, cache_pop(ept));
}

void *ept_page_take(struct ept *ept)
{
    ept->stats.tables++;
    return ept_virt(ept, cache_pop(ept));
}

void *ept_page_take_zeroed(struct ept *ept)
{
    uint64_t *page = ept_page_take(ept);

    for (unsigned i = 0; i < EPT_ENTRIES; i++)
        page[i] = 0;
    return page;
}

void ept_page_release(struct ept *ept, void *page)
{
    page_free(ept, ept_phys(ept, page));
}

void ept_page_retire(struct ept *ept, const volatile uint64_t *table)
{
    if (ept->limbo_count == LIMBO_MAX)
        ept->env->flush(ept->env->ctx);
    ept->limbo[ept->limbo_count++] = ept_phys(ept, table);
    ept->flush_owed = true;
}

void ept_flushed(struct ept *ept)
{
    ept->flush_owed = false;
    while (ept->limbo_count)
        page_free(ept, ept->limbo[--ept->limbo_count]);
}
