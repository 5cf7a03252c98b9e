#include "guest/workloads/store/store.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
};

enum page_state {
    ABSENT,
    CLEAN,
    CHANGED, /* by the transaction in progress */
};

struct store {
    struct region *region;
    char *base;   /* of the region */
    char *alias;  /* the same pages, always accessible; NULL = not made yet */
    char *before; /* their contents before the transaction, of those that it changed */
    uint64_t pages;
    struct log log;
    struct store_options options;
    struct store_counts counts;
    uint8_t *state;  /* of each page, enum page_state */
    bool *unwritten; /* pages that committed transactions changed since the log is empty */
    void **changed;  /* the pages that are CHANGED */
    size_t changed_count;
    bool active; /* a transaction is in progress */
};

/* Where the TRAP handler finds it. */
static struct store *current;

static noreturn void fail(const char *what, const void *address)
{
    printf("store: %s at %p\n", what, address);
    exit(EXIT_FAILURE);
}

static uint64_t page_of(const struct store *store, const void *address)
{
    return (uint64_t)((const char *)address - store->base) / PAGE;
}

static void load(struct store *store, uint64_t page)
{
    if (log_read_page(&store->log, page, store->alias + page * PAGE) != 0)
        fail("the disk cannot be read for the page", store->base + page * PAGE);
    store->state[page] = CLEAN;
    store->counts.loads++;
}

/* The page is going to be written: keep what it holds. */
static void keep(struct store *store, uint64_t page)
{
    if (!store->active)
        fail("a write outside of a transaction", store->base + page * PAGE);
    memcpy(store->before + page * PAGE, store->alias + page * PAGE, PAGE);
    store->state[page] = CHANGED;
    store->changed[store->changed_count++] = store->base + page * PAGE;
}

static void on_trap(struct trapline_fault *fault)
{
    struct store *const store = current;
    const uint64_t start = ticks();
    char *const where = trap_page(fault);
    uint64_t page;

    if (!store || where < store->base || page_of(store, where) >= store->pages)
        fail("a forbidden access outside of the store", (void *)fault->address);
    page = page_of(store, where);
    if (store->state[page] == ABSENT)
        load(store, page);
    if (fault->kind & TRAPLINE_WRITE) {
        keep(store, page);
        region_unprot(store->region, where);
    } else {
        region_prot1(store->region, where, TRAPLINE_READ);
    }
    store->counts.traps++;
    store->counts.trap_ticks += ticks() - start;
}

/* A change that the log tells of, at the start. */
static int redo(void *context, uint64_t page, uint64_t mask, const uint8_t *chunks)
{
    struct store *const store = context;

    if (page >= store->pages)
        return -TRAPLINE_EINVAL;
    if (store->state[page] == ABSENT)
        load(store, page);
    for (; mask; mask &= mask - 1) {
        memcpy(store->alias + page * PAGE + (size_t)__builtin_ctzll(mask) * CHUNK, chunks, CHUNK);
        chunks += CHUNK;
    }
    store->unwritten[page] = true;
    store->counts.replayed++;
    return 0;
}

/* Bring all committed changes to the data area, and empty the log. Between transactions. */
static int restart_log(struct store *store)
{
    int error;

    for (uint64_t page = 0; page < store->pages; page++) {
        if (store->unwritten[page]) {
            error = log_write_page(&store->log, page, store->alias + page * PAGE);
            if (error)
                return error;
        }
    }
    error = log_restart(&store->log);
    if (error)
        return error;
    memset(store->unwritten, 0, store->pages * sizeof(*store->unwritten));
    store->counts.restarts++;
    return 0;
}

/* Everything absent; or, when the program tells what it does, everything there and accessible. */
static int protect_all(struct store *store)
{
    if (!store->options.explicit) {
        int error = region_protn_range(store->region, store->base, store->pages, TRAPLINE_NONE);

        for (uint64_t page = 0; page < store->pages && !error; page++)
            if (store->state[page] == CLEAN)
                error = region_prot1(store->region, store->base + page * PAGE, TRAPLINE_READ);
        return error;
    }
    for (uint64_t page = 0; page < store->pages; page++)
        if (store->state[page] == ABSENT)
            load(store, page);
    return 0;
}

static int allocate(struct store *store)
{
    const uint64_t pages = store->pages;
    int error = region_create(&store->region, pages, 1, store->options.mechanism);

    if (error)
        return error;
    store->base = region_base(store->region);
    error = region_map2_range(store->region, store->base, pages, region_alias_window(store->region),
                              TRAPLINE_READ | TRAPLINE_WRITE);
    if (error)
        return error;
    store->alias = region_alias_window(store->region);
    store->before = pages_alloc(pages, 1);
    store->state = calloc(pages, sizeof(*store->state));
    store->unwritten = calloc(pages, sizeof(*store->unwritten));
    store->changed = calloc(pages, sizeof(*store->changed));
    return store->before && store->state && store->unwritten && store->changed ? 0
                                                                               : -TRAPLINE_ENOMEM;
}

int store_open(struct store **result, struct block_device *device, uint64_t pages,
               const struct store_options *options)
{
    struct store *const store = calloc(1, sizeof(*store));
    int error;

    if (!store)
        return -TRAPLINE_ENOMEM;
    store->options = *options;
    store->pages = pages;
    error = allocate(store);
    if (!error)
        error = log_open(&store->log, device, pages, true);
    store->log.mistake = options->mistake;
    if (!error)
        error = log_replay(&store->log, redo, store);
    if (!error && store->counts.replayed)
        error = restart_log(store);
    if (!error)
        error = protect_all(store);
    if (error) {
        store_close(store);
        return error;
    }
    current = store;
    region_trap(on_trap, 0);
    *result = store;
    return 0;
}

void store_close(struct store *store)
{
    if (current == store)
        current = NULL;
    log_close(&store->log);
    if (store->alias)
        region_unmap2_range(store->region, store->alias, store->pages);
    if (store->region)
        region_destroy(store->region);
    if (store->before)
        pages_free(store->before, store->pages);
    free(store->state);
    free(store->unwritten);
    free(store->changed);
    free(store);
}

void *store_base(const struct store *store)
{
    return store->base;
}

int store_begin(struct store *store)
{
    int error = 0;

    assert(!store->active);
    if (!log_has_room(&store->log))
        error = restart_log(store);
    store->active = error == 0;
    return error;
}

/* The transaction is over: its pages are clean again. */
static void end(struct store *store)
{
    for (size_t i = 0; i < store->changed_count; i++)
        store->state[page_of(store, store->changed[i])] = CLEAN;
    if (!store->options.explicit && store->changed_count != 0 &&
        region_protn(store->region, store->changed, store->changed_count, TRAPLINE_READ) != 0)
        fail("pages cannot be protected, the first", store->changed[0]);
    store->counts.changed += store->changed_count;
    store->changed_count = 0;
    store->active = false;
}

int store_commit(struct store *store)
{
    int error;

    assert(store->active);
    log_begin(&store->log);
    for (size_t i = 0; i < store->changed_count; i++) {
        const uint64_t page = page_of(store, store->changed[i]);

        log_add(&store->log, page, store->before + page * PAGE, store->alias + page * PAGE);
    }
    error = log_commit(&store->log);
    if (error)
        return error;
    for (size_t i = 0; i < store->changed_count; i++)
        store->unwritten[page_of(store, store->changed[i])] = true;
    store->counts.commits++;
    end(store);
    return 0;
}

void store_abort(struct store *store)
{
    assert(store->active);
    for (size_t i = 0; i < store->changed_count; i++) {
        const uint64_t page = page_of(store, store->changed[i]);

        memcpy(store->alias + page * PAGE, store->before + page * PAGE, PAGE);
    }
    store->counts.aborts++;
    end(store);
}

void store_will_write(struct store *store, const void *address)
{
    const uint64_t page = page_of(store, address);

    if (store->options.explicit && store->state[page] != CHANGED)
        keep(store, page);
}

const struct store_counts *store_counts(const struct store *store)
{
    return &store->counts;
}

uint64_t store_log_bytes(const struct store *store)
{
    return store->log.bytes;
}
