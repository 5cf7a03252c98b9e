#include "guest/workloads/checkpoint/saver.h"

#include "guest/workloads/checkpoint/crew.h"
#include "guest/workloads/checkpoint/pool.h"
#include "guest/workloads/checkpoint/work.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
};

/* What becomes of a page in a checkpoint. Who changes it from PENDING has the page to save. */
enum page_state {
    OPEN,    /* no part of it, or saved: may be written */
    PENDING, /* to be saved, and read-only */
    CLAIMED, /* somebody saves it right now */
};

struct saver {
    struct region *region;
    char *base;
    size_t pages;
    struct image *image;
    struct crew *crew;
    struct saver_options options;
    struct saver_counts counts;
    struct pool pool;
    _Atomic uint8_t *state; /* of each page, enum page_state */
    uint32_t *index;        /* of each page, in the list */
    uint32_t *list;         /* the pages of the checkpoint in progress, ascending */
    void **addresses;       /* the same, for DIRTY and PROTN */
    size_t count;           /* of them */
    size_t next;            /* the first that the saver has not come to, in the list */
    _Atomic size_t saved;   /* that are on the target */
    bool active;
    uint64_t due; /* steps at which the next checkpoint is taken */
    _Atomic uint64_t traps, trap_ticks, direct;
};

/* Where the TRAP handler finds it. */
static struct saver *current;

static noreturn void fail(const char *what, long error)
{
    printf("checkpoint: %s: error %ld\n", what, error);
    exit(EXIT_FAILURE);
}

static char *page_at(const struct saver *saver, size_t page)
{
    return saver->base + page * PAGE;
}

static bool claim(struct saver *saver, size_t page)
{
    uint8_t expected = PENDING;

    return atomic_compare_exchange_strong(&saver->state[page], &expected, CLAIMED);
}

static void save(struct saver *saver, size_t index, const void *contents)
{
    const int error = image_write_page(saver->image, index, contents);

    if (error)
        fail("a page cannot be written to the target", error);
    atomic_fetch_add(&saver->saved, 1);
}

/* A write to a page whose turn has not come: it is saved as it is before the write. */
static void save_first(struct saver *saver, size_t page)
{
    if (!claim(saver, page))
        return;
    if (!pool_fill(&saver->pool, page_at(saver, page), saver->index[page])) {
        save(saver, saver->index[page], page_at(saver, page));
        atomic_fetch_add(&saver->direct, 1);
    }
    atomic_store(&saver->state[page], OPEN);
}

static void on_trap(struct trapline_fault *fault)
{
    struct saver *const saver = current;
    const uint64_t start = ticks();
    char *const where = trap_page(fault);
    size_t page;

    if (!saver || where < saver->base || where >= page_at(saver, saver->pages))
        fail("a forbidden access outside of the state", (long)fault->address);
    page = (size_t)(where - saver->base) / PAGE;
    if (saver->options.mistake == SAVER_OPENS_UNCOPIED)
        region_unprot(saver->region, where);
    else
        save_first(saver, page);
    /* While somebody else saves it the access is tried again, and again. */
    if (atomic_load(&saver->state[page]) == OPEN)
        region_unprot(saver->region, where);
    atomic_fetch_add(&saver->traps, 1);
    atomic_fetch_add(&saver->trap_ticks, ticks() - start);
}

static bool is_open(const struct saver *saver, size_t index)
{
    return atomic_load(&saver->state[saver->list[index]]) == OPEN;
}

/*
 * Allow writes to what is saved of the list's pages from first to before end, each run of them by
 * one call. What a handler is still copying is the handler's to open.
 */
static void open_pages(struct saver *saver, size_t first, size_t end)
{
    while (first < end) {
        size_t run = 0;
        int error;

        while (first + run < end && saver->list[first + run] == saver->list[first] + run &&
               is_open(saver, first + run))
            run++;
        if (run == 0) {
            first++;
            continue;
        }
        error = region_unprot_range(saver->region, saver->addresses[first], run);
        if (error)
            fail("pages cannot be opened", error);
        first += run;
    }
}

/* Save what handlers have copied. */
static void empty_pool(struct saver *saver)
{
    const void *buffer;
    size_t index;

    while ((buffer = pool_filled(&saver->pool, &index))) {
        save(saver, index, buffer);
        pool_empty(&saver->pool, buffer);
    }
}

/* Save the next pages of the list, but for those that a handler was faster with. */
static void save_next(struct saver *saver)
{
    const size_t first = saver->next;
    size_t end = first + saver->options.slice;

    if (end > saver->count)
        end = saver->count;
    for (; saver->next < end; saver->next++) {
        const size_t page = saver->list[saver->next];

        if (claim(saver, page)) {
            save(saver, saver->next, page_at(saver, page));
            atomic_store(&saver->state[page], OPEN);
        }
    }
    open_pages(saver, first, end);
    if (saver->image->sequence == saver->options.die && end > saver->count / 2) {
        printf("checkpoint: the program ends on purpose in the middle of checkpoint %lu\n",
               saver->options.die);
        exit(EXIT_SUCCESS);
    }
}

static void witness(struct saver *saver, void (*what)(void *, uint64_t))
{
    const uint64_t start = ticks();

    if (what)
        what(saver->options.witness.context, saver->image->sequence);
    saver->counts.witness_ticks += ticks() - start;
}

static void complete(struct saver *saver)
{
    const int error = image_commit(saver->image, saver->options.mistake != SAVER_FLUSHES_NOT);

    if (error)
        fail("a checkpoint cannot be completed", error);
    saver->active = false;
    if (saver->image->sequence < saver->options.most)
        crew_set_due(saver->crew, saver->due);
    saver->counts.checkpoints++;
    saver->counts.bytes += image_checkpoint_bytes(saver->image);
    witness(saver, saver->options.witness.completed);
}

/* Which pages the checkpoint saves that begins now; nobody computes. */
static void choose(struct saver *saver)
{
    const uint64_t number = saver->image->sequence, full = saver->options.full;
    long dirty = 0;

    if (saver->options.increments) {
        dirty = region_dirty(saver->region, saver->base, saver->pages, saver->addresses,
                             saver->pages, NULL);
        if (dirty < 0)
            fail("DIRTY", dirty);
    }
    saver->count = (size_t)dirty;
    if (!saver->options.increments || number == 0 || (full && number % full == 0)) {
        saver->count = saver->pages;
        for (size_t i = 0; i < saver->pages; i++)
            saver->addresses[i] = page_at(saver, i);
    } else if (saver->options.mistake == SAVER_FORGETS_DIRTY && dirty) {
        saver->count--;
    }
    for (size_t i = 0; i < saver->count; i++) {
        const size_t page = (size_t)((char *)saver->addresses[i] - saver->base) / PAGE;

        saver->list[i] = (uint32_t)page;
        saver->index[page] = (uint32_t)i;
    }
}

/* Forbid writes to the pages of the list. */
static void protect(struct saver *saver)
{
    int error = 0;

    for (size_t i = 0; i < saver->count; i++)
        atomic_store_explicit(&saver->state[saver->list[i]], PENDING, memory_order_relaxed);
    if (saver->count == saver->pages)
        error = region_protn_range(saver->region, saver->base, saver->pages, TRAPLINE_READ);
    else if (saver->count != 0)
        error = region_protn(saver->region, saver->addresses, saver->count, TRAPLINE_READ);
    if (error)
        fail("PROTN", error);
}

/* A checkpoint's instant. */
static void begin(struct saver *saver)
{
    const uint64_t start = crew_stop(saver->crew);
    uint64_t watched = saver->counts.witness_ticks;

    crew_set_due(saver->crew, UINT64_MAX);
    saver->due += saver->options.every;
    choose(saver);
    image_begin(saver->image, saver->list, saver->count);
    witness(saver, saver->options.witness.stopped);
    atomic_store(&saver->saved, 0);
    saver->next = 0;
    saver->active = true;
    if (saver->options.stop_and_copy) {
        for (size_t i = 0; i < saver->count; i++)
            save(saver, i, page_at(saver, i));
        complete(saver);
    } else {
        protect(saver);
    }
    crew_go(saver->crew);
    watched = saver->counts.witness_ticks - watched;
    saver->counts.stops[saver->image->sequence - 1] = ticks() - start - watched;
}

/* Go on with the checkpoint in progress. */
static void advance(struct saver *saver)
{
    const uint64_t start = ticks(), watched = saver->counts.witness_ticks;

    empty_pool(saver);
    save_next(saver);
    if (saver->next == saver->count && atomic_load(&saver->saved) == saver->count)
        complete(saver);
    saver->counts.copy_ticks += ticks() - start - (saver->counts.witness_ticks - watched);
}

bool saver_turn(void *context)
{
    struct saver *const saver = context;

    if (saver->active) {
        advance(saver);
        return true;
    }
    if (saver->image->sequence == saver->options.most || work_steps(saver->base) < saver->due)
        return false;
    begin(saver);
    return true;
}

void saver_finish(struct saver *saver)
{
    while (saver->active)
        advance(saver);
    saver->counts.traps = atomic_load(&saver->traps);
    saver->counts.trap_ticks = atomic_load(&saver->trap_ticks);
    saver->counts.direct = atomic_load(&saver->direct);
}

const struct saver_counts *saver_counts(const struct saver *saver)
{
    return &saver->counts;
}

static int allocate(struct saver *saver)
{
    saver->state = calloc(saver->pages, sizeof(*saver->state));
    saver->index = calloc(saver->pages, sizeof(*saver->index));
    saver->list = calloc(saver->pages, sizeof(*saver->list));
    saver->addresses = calloc(saver->pages, sizeof(*saver->addresses));
    saver->counts.stops = calloc(saver->options.most, sizeof(*saver->counts.stops));
    if (!saver->state || !saver->index || !saver->list || !saver->addresses || !saver->counts.stops)
        return -TRAPLINE_ENOMEM;
    return pool_create(&saver->pool, (unsigned)saver->options.buffers);
}

int saver_create(struct saver **result, struct region *region, struct image *image,
                 struct crew *crew, const struct saver_options *options)
{
    struct saver *const saver = calloc(1, sizeof(*saver));
    int error;

    if (!saver)
        return -TRAPLINE_ENOMEM;
    saver->region = region;
    saver->base = region_base(region);
    saver->pages = region_pages(region);
    saver->image = image;
    saver->crew = crew;
    saver->options = *options;
    saver->due = options->every;
    crew_set_due(crew, saver->due);
    error = allocate(saver);
    if (!error && options->increments)
        error = region_track(region, saver->base, saver->pages, 1);
    if (error) {
        saver_destroy(saver);
        return error;
    }
    current = saver;
    region_trap(on_trap, 0);
    *result = saver;
    return 0;
}

void saver_destroy(struct saver *saver)
{
    if (current == saver)
        current = NULL;
    pool_destroy(&saver->pool);
    free(saver->state);
    free(saver->index);
    free(saver->list);
    free(saver->addresses);
    free(saver->counts.stops);
    free(saver);
}
