/* The space itself: its memory twice over, and the faults of the thread that uses it. */
#include "guest/workloads/svm/node.h"

struct node node = {.fresh = NO_PAGE};

noreturn void node_fail(const char *why, uint64_t value)
{
    printf("svm: node %u: %s %lu\n", node.self, why, (unsigned long)value);
    exit(EXIT_FAILURE);
}

static void count_time(bool write, uint64_t time)
{
    struct svm_times *times = &node.times;

    if (write && times->writes < SVM_SAMPLES)
        times->write[times->writes++] = time;
    if (!write && times->reads < SVM_SAMPLES)
        times->read[times->reads++] = time;
}

static void on_fault(struct trapline_fault *fault)
{
    const uint64_t start = rdtsc();
    const uint64_t offset = fault->address - (uint64_t)node.base;
    const bool write = fault->kind & TRAPLINE_WRITE;
    bool held;

    if (offset >= node.pages * TRAPLINE_PAGE_SIZE)
        node_fail("nothing is allowed, or there any more, at address", fault->address);
    held = node_lock();
    node_fault(offset / TRAPLINE_PAGE_SIZE, write);
    node_unlock(held);
    node_wait(&node.pending.waiting);
    held = node_lock();
    if (node.fresh != NO_PAGE) {
        node.fresh_until = rdtsc() + node.hold;
        if (node.deferred_count)
            node_served_late();
    }
    count_time(write, rdtsc() - start);
    node_unlock(held);
}

/* The pages once more, where no protection of theirs is in the way. */
static int map_alias(size_t pages)
{
    node.alias = region_alias_window(node.region);
    return region_map2_range(node.region, node.base, pages, node.alias,
                             TRAPLINE_READ | TRAPLINE_WRITE);
}

int svm_start(const struct svm_options *options)
{
    int result = region_create(&node.region, options->pages, 1, options->mechanism);

    if (result != 0)
        return result;
    node.base = region_base(node.region);
    node.pages = options->pages;
    node.self = peers_self();
    node.count = peers_count();
    node.threaded = vcpu_count() > 1;
    node.hold = options->hold;
    node.deaf = options->deaf;
    node.table = calloc(options->pages, sizeof(*node.table));
    if (!node.table)
        return -TRAPLINE_ENOMEM;
    result = map_alias(options->pages);
    if (result == 0)
        result = region_trap(on_fault, 0);
    for (size_t i = 0; i < options->pages; i++) {
        node.table[i].owner = node.self == 0;
        node.table[i].access = node.self == 0 ? TRAPLINE_READ | TRAPLINE_WRITE : TRAPLINE_NONE;
    }
    if (result == 0 && node.self != 0)
        result = region_protn_range(node.region, node.base, options->pages, TRAPLINE_NONE);
    if (result == 0)
        serve_start();
    return result;
}

void svm_end(void)
{
    serve_end();
}

void *svm_alloc(size_t bytes)
{
    const size_t pages = (bytes + TRAPLINE_PAGE_SIZE - 1) / TRAPLINE_PAGE_SIZE;
    void *memory = node_page(node.used);

    if (pages > node.pages - node.used)
        return NULL;
    node.used += pages;
    return memory;
}

void svm_counts_reset(void)
{
    const bool held = node_lock();

    memset(&node.counts, 0, sizeof(node.counts));
    memset(&node.times, 0, sizeof(node.times));
    node_unlock(held);
}

void svm_counts_read(struct svm_counts *counts, struct svm_times *times)
{
    const bool held = node_lock();

    *counts = node.counts;
    *times = node.times;
    node_unlock(held);
}
