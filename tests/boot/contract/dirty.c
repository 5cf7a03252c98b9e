/*
 * TRACK and DIRTY: exactly the pages that were written since the last call are reported, through
 * whichever address and by whomever, and no write is ever lost.
 */
#include "probe.h"

enum {
    REGION_PAGES = 1200, /* over 2 MiB boundaries */
    BUFFER_PAGES = 4,
    CAPACITY = BUFFER_PAGES * PAGE / sizeof(uint64_t),
};

static char *region;
static uint64_t *buffer;

static struct hypercall_result call(uint64_t page, uint64_t pages, uint64_t to, uint64_t capacity)
{
    return hypercall(TRAPLINE_HC_DIRTY, page, pages, to, capacity);
}

static struct hypercall_result fetch(uint64_t capacity)
{
    return call((uint64_t)region, REGION_PAGES, (uint64_t)buffer, capacity);
}

static void begin(void)
{
    EXPECT_EQ(track(region, REGION_PAGES, 1), 0);
    EXPECT_EQ(fetch(CAPACITY).rax, 0);
}

static void end(void)
{
    EXPECT_EQ(track(region, REGION_PAGES, 0), 0);
}

static void write_page(unsigned page)
{
    ((volatile char *)region)[page * (uint64_t)PAGE + 8 + page % 1024] = 1;
}

/* Check that the pages of the list, ascending, and no other ones are reported. */
static void expect_dirty(const unsigned *pages, size_t count)
{
    struct hypercall_result result;

    memset(buffer, 0x5a, BUFFER_PAGES * PAGE);
    result = fetch(CAPACITY);
    EXPECT_EQ(result.rax, count);
    EXPECT_EQ(result.rdx, 0);
    for (size_t i = 0; i < count; i++)
        EXPECT_EQ(buffer[i], (uint64_t)region + pages[i] * (uint64_t)PAGE);
    EXPECT_EQ(buffer[count], 0x5a5a5a5a5a5a5a5a); /* nothing behind the list is written */
}

static const unsigned some[] = {0, 1, 5, 100, 510, 511, 512, 513, 1000, 1198, 1199};

/* Writes are reported once, reads and fetches never. */
static void check_writes(void)
{
    char sum = 0;

    plant_ret(region, REGION_PAGES);
    begin();
    check_at("nothing");
    expect_dirty(NULL, 0);
    check_at("some");
    for (size_t i = 0; i < COUNT(some); i++)
        write_page(some[i]);
    expect_dirty(some, COUNT(some));
    check_at("again");
    expect_dirty(NULL, 0);
    check_at("reads and fetches");
    for (unsigned i = 0; i < REGION_PAGES; i++) {
        sum += ((volatile char *)region)[i * PAGE];
        probe_fetch(region + i * PAGE);
    }
    EXPECT(sum != 0);
    expect_dirty(NULL, 0);
    check_at("the same pages a second time");
    for (size_t i = 0; i < COUNT(some); i++)
        write_page(some[i]);
    expect_dirty(some, COUNT(some));
    check_at("all");
    for (unsigned i = 0; i < REGION_PAGES; i++)
        write_page(i);
    EXPECT_EQ(fetch(CAPACITY).rax, REGION_PAGES);
    for (unsigned i = 0; i < REGION_PAGES; i++)
        EXPECT_EQ(buffer[i], (uint64_t)region + i * (uint64_t)PAGE);
    end();
}

/* A part of what is tracked: the rest stays dirty. */
static void check_parts(void)
{
    static const unsigned rest[] = {0, 511, 513, 1199};

    begin();
    for (size_t i = 0; i < COUNT(rest); i++)
        write_page(rest[i]);
    write_page(512);
    EXPECT_EQ(call((uint64_t)region + 512 * PAGE, 1, (uint64_t)buffer, CAPACITY).rax, 1);
    EXPECT_EQ(buffer[0], (uint64_t)region + 512 * PAGE);
    EXPECT_EQ(call((uint64_t)region + 512 * PAGE, 1, (uint64_t)buffer, CAPACITY).rax, 0);
    expect_dirty(rest, COUNT(rest));
    end();
}

/* A buffer that is too small: the others stay dirty and are counted. */
static void check_small_buffer(void)
{
    static const unsigned capacities[] = {0, 1, 2, 7, 100, 511, 512, 513, 1199};

    begin();
    for (size_t i = 0; i < COUNT(capacities); i++) {
        const unsigned capacity = capacities[i];
        struct hypercall_result result;

        check_at("room for %u", capacity);
        for (unsigned page = 0; page < REGION_PAGES; page++)
            write_page(page);
        memset(buffer, 0x5a, BUFFER_PAGES * PAGE);
        result = fetch(capacity);
        EXPECT_EQ(result.rax, capacity);
        EXPECT_EQ(result.rdx, REGION_PAGES - capacity);
        EXPECT_EQ(buffer[capacity], 0x5a5a5a5a5a5a5a5a);
        for (unsigned n = 0; n < capacity; n++)
            EXPECT_EQ(buffer[n], (uint64_t)region + n * (uint64_t)PAGE);
        result = fetch(CAPACITY);
        EXPECT_EQ(result.rax, REGION_PAGES - capacity);
        EXPECT_EQ(result.rdx, 0);
        for (unsigned n = 0; n < REGION_PAGES - capacity; n++)
            EXPECT_EQ(buffer[n], (uint64_t)region + (capacity + n) * (uint64_t)PAGE);
        EXPECT_EQ(fetch(CAPACITY).rax, 0);
    }
    end();
}

/* Through aliases, also one that is gone by the time of the call. */
static void check_aliases(void)
{
    char *const window = alias_window();
    char *const second = window + BYTES_2M;

    check_at("aliases made before tracking");
    EXPECT_EQ(map2_range(region, REGION_PAGES, window, ACCESS_RW), 0);
    begin();
    for (size_t i = 0; i < COUNT(some); i++)
        *(volatile char *)(window + some[i] * PAGE) = 1;
    expect_dirty(some, COUNT(some));
    expect_dirty(NULL, 0);

    check_at("an alias made while tracking");
    EXPECT_EQ(map2_range(region, 2, second + REGION_PAGES * PAGE, ACCESS_RW), 0);
    *(volatile char *)(second + REGION_PAGES * PAGE) = 1;
    *(volatile char *)(second + (REGION_PAGES + 1) * PAGE) = 1;
    expect_dirty(some, 2);

    check_at("page and alias written");
    write_page(some[0]);
    *(volatile char *)(window + some[0] * PAGE) = 1;
    expect_dirty(some, 1);

    check_at("an alias that is gone");
    *(volatile char *)(second + REGION_PAGES * PAGE) = 1;
    EXPECT_EQ(unmap2_range(second + REGION_PAGES * PAGE, 2), 0);
    expect_dirty(some, 1);

    check_at("reading an alias");
    EXPECT_EQ(*(volatile char *)(window + some[2] * PAGE), 1);
    expect_dirty(NULL, 0);

    check_at("tracking has ended");
    end();
    *(volatile char *)window = 1;
    EXPECT_EQ(unmap2_range(window, REGION_PAGES), 0);
}

/* What the hypervisor writes for the guest is written, too: counters, and DIRTY's own list. */
static void check_hypervisor(void)
{
    static const unsigned three[] = {3};
    static const unsigned two_pages[] = {510, 511};
    struct hypercall_result result;

    begin();
    check_at("STATS");
    EXPECT_EQ(stats((struct trapline_stats *)(region + 3 * PAGE + 8)), 0);
    expect_dirty(three, 1);
    check_at("STATS that fails");
    EXPECT_EQ(stats((struct trapline_stats *)(region + 3 * PAGE + 4)), -TRAPLINE_EINVAL);
    expect_dirty(NULL, 0);
    check_at("STATS over the end of a page");
    EXPECT_EQ(stats((struct trapline_stats *)(region + 511 * PAGE - 8)), 0);
    expect_dirty(two_pages, 2);

    check_at("DIRTY into a tracked page");
    write_page(700);
    result = call((uint64_t)region, REGION_PAGES, (uint64_t)region + 3 * PAGE, 16);
    EXPECT_EQ(result.rax, 1);
    EXPECT_EQ(*(uint64_t *)(region + 3 * PAGE), (uint64_t)region + 700 * PAGE);
    expect_dirty(three, 1);
    check_at("DIRTY that writes nothing");
    result = call((uint64_t)region, REGION_PAGES, (uint64_t)region + 3 * PAGE, 16);
    EXPECT_EQ(result.rax, 0);
    expect_dirty(NULL, 0);
    check_at("PRINT reads");
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, (uint64_t)region, 0), 0);
    expect_dirty(NULL, 0);
    end();
}

/* The processor's own writes: stack frames, locked instructions.*/
static void check_processor(void)
{
    static const unsigned one[] = {9};
    static const unsigned stack_page[] = {20};
    char *const stack = region + 21 * PAGE;
    char *const other = need_pages(1, 1);

    begin();
    check_at("pushes, and the frame of a trap");
    EXPECT_EQ(prot1(other, TRAPLINE_READ), 0);
    probe_seen.faults = 0;
    trap(probe_handler, 0);
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "mov %0, %%rsp\n\t"
                     "mov %1, %%rdi\n\t"
                     "call probe_write\n\t"
                     "mov %%rbx, %%rsp"
                     :
                     : "r"(stack), "r"(other)
                     : "memory", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
                       "r11");
    trap(NULL, 0);
    EXPECT_EQ(probe_seen.faults, 1);
    expect_dirty(stack_page, 1);
    EXPECT_EQ(unprot(other), 0);

    check_at("a locked instruction that writes what was there");
    __asm__ volatile("lock orb $0, (%0)" : : "r"(region + 9 * PAGE) : "memory", "cc");
    expect_dirty(one, 1);
    end();
    pages_free(other, 1);
}

/* Protection and tracking do not disturb one another. */
static void check_protection(void)
{
    static const unsigned page[] = {300};

    begin();
    check_at("a store that trapped has written nothing");
    plant_ret(region + 300 * PAGE, 1);
    expect_dirty(page, 1);
    EXPECT_EQ(prot1(region + 300 * PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(probe(region + 300 * PAGE, TRAPLINE_WRITE), 1);
    expect_dirty(NULL, 0);
    check_at("allowed(), tracked");
    EXPECT_EQ(allowed(region + 300 * PAGE), TRAPLINE_READ);
    EXPECT_EQ(prot1(region + 300 * PAGE, ACCESS_RW), 0);
    EXPECT_EQ(allowed(region + 300 * PAGE), ACCESS_RW);
    expect_dirty(page, 1);
    check_at("dirty, then protected");
    write_page(300);
    EXPECT_EQ(prot1(region + 300 * PAGE, TRAPLINE_NONE), 0);
    expect_dirty(page, 1);
    EXPECT_EQ(unprot(region + 300 * PAGE), 0);
    check_at("clean, then unprotected");
    expect_dirty(NULL, 0);
    write_page(300);
    expect_dirty(page, 1);
    check_at("protected as a whole");
    write_page(300);
    EXPECT_EQ(protn_range(region, REGION_PAGES, TRAPLINE_READ), 0);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    expect_dirty(page, 1);
    end();
}

/* TRACK again, on parts, off and on. */
static void check_track(void)
{
    static const unsigned ten[] = {10};
    static const unsigned both[] = {10, 800};

    begin();
    check_at("again, on a part");
    write_page(10);
    EXPECT_EQ(track(region, 20, 1), 0);
    expect_dirty(ten, 1);
    check_at("off and on");
    write_page(10);
    end();
    write_page(11);
    EXPECT_EQ(track(region, REGION_PAGES, 1), 0);
    expect_dirty(NULL, 0);
    check_at("off in the middle");
    EXPECT_EQ(track(region + 400 * PAGE, 10, 0), 0);
    EXPECT_EQ(fetch(CAPACITY).rax, -TRAPLINE_EINVAL);
    write_page(10);
    write_page(405);
    write_page(800);
    EXPECT_EQ(call((uint64_t)region, 400, (uint64_t)buffer, CAPACITY).rax, 1);
    EXPECT_EQ(buffer[0], (uint64_t)region + 10 * PAGE);
    write_page(10);
    EXPECT_EQ(track(region + 400 * PAGE, 10, 1), 0);
    expect_dirty(both, 2);
    end();
    check_at("off twice");
    end();

    check_at("many ranges");
    unsigned ranges = 0;
    while (ranges < REGION_PAGES / 2 && track(region + 2 * ranges * PAGE, 1, 1) == 0)
        ranges++;
    EXPECT_EQ(ranges, 64);
    EXPECT_EQ(track(region + 2 * ranges * PAGE, 1, 1), -TRAPLINE_ENOMEM);
    EXPECT_EQ(call((uint64_t)region + 2 * ranges * PAGE, 1, (uint64_t)buffer, 1).rax,
              -TRAPLINE_EINVAL);
    write_page(126);
    EXPECT_EQ(call((uint64_t)region + 126 * PAGE, 1, (uint64_t)buffer, 1).rax, 1);
    end();
    check_at("afterwards");
    begin();
    end();
}

static void check_track_errors(void)
{
    const uint64_t page = (uint64_t)region;
    char *const alias = alias_window();
    const struct {
        const char *name;
        uint64_t page, pages, on;
        int result;
    } rows[] = {
        {"misaligned", page + 8, 1, 1, -TRAPLINE_EINVAL},
        {"empty", page, 0, 1, -TRAPLINE_EINVAL},
        {"on = 2", page, 1, 2, -TRAPLINE_EINVAL},
        {"on = 2^32", page, 1, 1ul << 32, -TRAPLINE_EINVAL},
        {"on = all ones", page, 1, ~0ul, -TRAPLINE_EINVAL},
        {"end of RAM", ram_size(), 1, 1, -TRAPLINE_ENOENT},
        {"over the end of RAM", ram_size() - PAGE, 2, 1, -TRAPLINE_ENOENT},
        {"2^52 pages", page, 1ul << 52, 1, -TRAPLINE_EINVAL},
        {"all ones pages", page, ~0ul, 1, -TRAPLINE_EINVAL},
        {"wraps", ~0xffful, 2, 1, -TRAPLINE_EINVAL},
        {"an alias", (uint64_t)alias, 1, 1, -TRAPLINE_EINVAL},
        {"an alias, off", (uint64_t)alias, 1, 0, -TRAPLINE_EINVAL},
        {"no alias", (uint64_t)alias + PAGE, 1, 1, -TRAPLINE_ENOENT},
        {"1 TiB", 1ul << 40, 1, 1, -TRAPLINE_ENOENT},
    };

    EXPECT_EQ(map2(region, alias, ACCESS_RW), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall(TRAPLINE_HC_TRACK, rows[i].page, rows[i].pages, rows[i].on, 0).rax,
                  rows[i].result);
        EXPECT_EQ(call(page, 1, (uint64_t)buffer, 1).rax, -TRAPLINE_EINVAL);
    }
    EXPECT_EQ(unmap2(alias), 0);
}

/* Calls that fail write nothing, say so, and leave the pages dirty. */
static void check_errors(void)
{
    static const unsigned dirty_page[] = {2};
    const uint64_t page = (uint64_t)region, to = (uint64_t)buffer, last = ram_size() - 8;
    char *const alias = alias_window();
    const struct {
        const char *name;
        uint64_t page, pages, buffer, capacity;
        int result;
    } rows[] = {
        {"misaligned page", page + 8, 4, to, 4, -TRAPLINE_EINVAL},
        {"no pages", page, 0, to, 4, -TRAPLINE_EINVAL},
        {"page outside RAM", ram_size(), 1, to, 4, -TRAPLINE_EINVAL},
        {"an alias", (uint64_t)alias, 1, to, 4, -TRAPLINE_EINVAL},
        {"all ones pages", page, ~0ul, to, 4, -TRAPLINE_EINVAL},
        {"2^52 pages", page, 1ul << 52, to, 4, -TRAPLINE_EINVAL},
        {"not tracked throughout", page, REGION_PAGES + 1, to, 4, -TRAPLINE_EINVAL},
        {"not tracked", page - PAGE, 1, to, 4, -TRAPLINE_EINVAL},
        {"buffer misaligned by 1", page, 4, to + 1, 4, -TRAPLINE_EINVAL},
        {"buffer misaligned by 4", page, 4, to + 4, 4, -TRAPLINE_EINVAL},
        {"buffer behind RAM", page, 4, ram_size(), 4, -TRAPLINE_EFAULT},
        {"buffer over the end of RAM", page, 4, last, 4, -TRAPLINE_EFAULT},
        {"buffer at 1 TiB", page, 4, 1ul << 40, 4, -TRAPLINE_EFAULT},
        {"buffer at the end of all", page, 4, ~7ul, 4, -TRAPLINE_EFAULT},
        {"buffer with bit 63", page, 4, to | 1ul << 63, 4, -TRAPLINE_EFAULT},
        {"buffer in the alias window", page, 4, (uint64_t)alias, 4, -TRAPLINE_EFAULT},
        {"buffer read-only", page, 4, to + PAGE, 4, -TRAPLINE_EFAULT},
        {"buffer's second page read-only", page, 4, to + PAGE - 8, 4, -TRAPLINE_EFAULT},
        {"buffer without access", page, 4, to + 2 * PAGE, 4, -TRAPLINE_EFAULT},
    };

    EXPECT_EQ(map2(region, alias, ACCESS_RW), 0);
    begin();
    write_page(2);
    EXPECT_EQ(prot1((char *)buffer + PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(prot1((char *)buffer + 2 * PAGE, TRAPLINE_NONE), 0);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(call(rows[i].page, rows[i].pages, rows[i].buffer, rows[i].capacity).rax,
                  rows[i].result);
    }
    EXPECT_EQ(unprot_range(buffer, BUFFER_PAGES), 0);
    check_at("afterwards");
    expect_dirty(dirty_page, 1);

    /* Capacity is what the buffer holds; it need not lie in RAM beyond what can be reported. */
    check_at("huge capacity");
    write_page(2);
    EXPECT_EQ(call(page, 4, to, ~0ul).rax, 1);
    check_at("four entries at the end of RAM");
    write_page(2);
    EXPECT_EQ(call(page, 4, ram_size() - 32, 1ul << 61).rax, 1);
    EXPECT_EQ(*(uint64_t *)(ram_size() - 32), page + 2 * PAGE);
    end();
    EXPECT_EQ(unmap2(alias), 0);
}

/* The list itself lies over a 2 MiB boundary. */
static void check_buffer_over_boundary(void)
{
    char *const two = need_pages(2 * PAGES_2M, PAGES_2M);
    uint64_t *const own = buffer;

    begin();
    for (unsigned before = 0; before <= 12; before++) {
        check_at("%u entries before the boundary", before);
        buffer = (uint64_t *)(two + BYTES_2M) - before;
        memset(buffer - 1, 0x5a, 16 * sizeof(uint64_t));
        for (size_t i = 0; i < COUNT(some); i++)
            write_page(some[i]);
        EXPECT_EQ(fetch(COUNT(some)).rax, COUNT(some));
        for (size_t i = 0; i < COUNT(some); i++)
            EXPECT_EQ(buffer[i], (uint64_t)region + some[i] * (uint64_t)PAGE);
        EXPECT_EQ(buffer[-1], 0x5a5a5a5a5a5a5a5a);
        EXPECT_EQ(buffer[COUNT(some)], 0x5a5a5a5a5a5a5a5a);
    }
    /* And with less room than is needed. */
    for (unsigned before = 0; before <= 5; before++) {
        struct hypercall_result result;

        check_at("%u of 5 entries before the boundary", before);
        buffer = (uint64_t *)(two + BYTES_2M) - before;
        for (size_t i = 0; i < COUNT(some); i++)
            write_page(some[i]);
        result = fetch(5);
        EXPECT_EQ(result.rax, 5);
        EXPECT_EQ(result.rdx, COUNT(some) - 5);
        for (size_t i = 0; i < 5; i++)
            EXPECT_EQ(buffer[i], (uint64_t)region + some[i] * (uint64_t)PAGE);
        EXPECT_EQ(fetch(COUNT(some)).rax, COUNT(some) - 5);
        EXPECT_EQ(buffer[0], (uint64_t)region + some[5] * (uint64_t)PAGE);
    }
    buffer = own;
    end();
    pages_free(two, 2 * PAGES_2M);
}

/* Get and clear: a long run of writes and fetches in which each write is reported exactly once. */
static void check_random(void)
{
    static bool expected[REGION_PAGES];
    uint32_t random = 1;
    unsigned wrong = 0;

    begin();
    memset(expected, 0, sizeof(expected));
    for (unsigned round = 0; round < 3000; round++) {
        for (unsigned i = 0; i < 8; i++) {
            random = random * 1664525 + 1013904223;
            const unsigned page = (random >> 8) % REGION_PAGES;

            write_page(page);
            expected[page] = true;
        }
        if (round % 3 == 0) {
            const long count = fetch(1 + random % 32).rax;

            for (long i = 0; i < count; i++) {
                const unsigned page = (unsigned)((buffer[i] - (uint64_t)region) / PAGE);

                wrong += page >= REGION_PAGES || !expected[page];
                expected[page] = false;
            }
        }
    }
    const long count = fetch(CAPACITY).rax;
    for (long i = 0; i < count; i++) {
        const unsigned page = (unsigned)((buffer[i] - (uint64_t)region) / PAGE);

        wrong += !expected[page];
        expected[page] = false;
    }
    for (unsigned i = 0; i < REGION_PAGES; i++)
        wrong += expected[i];
    EXPECT_EQ(wrong, 0);
    end();
}

static const struct check checks[] = {
    {"dirty: writes, not reads", check_writes},
    {"dirty: parts", check_parts},
    {"dirty: a small buffer", check_small_buffer},
    {"dirty: through aliases", check_aliases},
    {"dirty: by the hypervisor", check_hypervisor},
    {"dirty: by the processor", check_processor},
    {"dirty: and protection", check_protection},
    {"dirty: errors", check_errors},
    {"dirty: a buffer over a 2 MiB boundary", check_buffer_over_boundary},
    {"dirty: random writes", check_random},
    {"track: again, in parts, off", check_track},
    {"track: errors", check_track_errors},
};

int main(void)
{
    region = need_pages(REGION_PAGES + 2, 1) + PAGE; /* those beside it are never tracked */
    buffer = (uint64_t *)need_pages(BUFFER_PAGES, 1);
    return RUN_CHECKS(checks);
}
