/*
 * PROTN: lists of every length, also longer than what one exit works on; all or nothing, with the
 * index of the entry at fault; lists that are themselves wrong.
 */
#include "probe.h"

enum {
    REGION_PAGES = 5120,
};

static char *region;                 /* REGION_PAGES, aligned to 2 MiB */
static uint64_t *list;               /* room for LIST_MAX entries, in pages of its own */
static uint16_t order[REGION_PAGES]; /* a fixed shuffle of the region's pages */

enum {
    LIST_MAX = 8192,
    LIST_PAGES = LIST_MAX * sizeof(uint64_t) / PAGE,
};

static struct hypercall_result call(uint64_t address, uint64_t count, uint64_t access)
{
    return hypercall(TRAPLINE_HC_PROTN, address, count, access, 0);
}

static void shuffle(void)
{
    uint32_t random = 12345;

    for (unsigned i = 0; i < REGION_PAGES; i++)
        order[i] = (uint16_t)i;
    for (unsigned i = REGION_PAGES - 1; i > 0; i--) {
        random = random * 1664525 + 1013904223;
        const unsigned j = (random >> 8) % (i + 1);
        const uint16_t keep = order[i];

        order[i] = order[j];
        order[j] = keep;
    }
}

/* Check that exactly the first count pages of the shuffle refuse writes. */
static void expect_protected(unsigned count)
{
    static bool in_list[REGION_PAGES];

    memset(in_list, 0, sizeof(in_list));
    for (unsigned i = 0; i < count; i++)
        in_list[order[i]] = true;
    for (unsigned i = 0; i < REGION_PAGES; i++)
        EXPECT_EQ(probe(region + i * PAGE, TRAPLINE_WRITE), in_list[i]);
}

static void fill_list(unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        list[i] = (uint64_t)region + order[i] * (uint64_t)PAGE;
}

/* Lists of pages of these lengths. */
static void check_lengths(void)
{
    static const unsigned lengths[] = {1,    2,    3,    100,  511,  512,  513,
                                       1023, 1024, 1025, 2047, 2048, 3000, REGION_PAGES};

    for (size_t i = 0; i < COUNT(lengths); i++) {
        check_at("%u pages", lengths[i]);
        fill_list(lengths[i]);
        EXPECT_EQ(call((uint64_t)list, lengths[i], TRAPLINE_READ).rax, 0);
        expect_protected(lengths[i]);
        EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    }
    expect_protected(0);
}

/* The pages in order: whole large pages are protected piece by piece. */
static void check_contiguous(void)
{
    for (unsigned i = 0; i < REGION_PAGES; i++)
        list[i] = (uint64_t)region + i * (uint64_t)PAGE;
    EXPECT_EQ(call((uint64_t)list, REGION_PAGES, TRAPLINE_READ).rax, 0);
    expect_protected(REGION_PAGES);
    EXPECT_EQ(call((uint64_t)list, REGION_PAGES, ACCESS_ALL).rax, 0);
    expect_protected(0);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
}

/* A page that is named often is protected like others. */
static void check_duplicates(void)
{
    fill_list(16);
    for (unsigned i = 16; i < 3000; i++)
        list[i] = list[i % 16];
    EXPECT_EQ(call((uint64_t)list, 3000, TRAPLINE_READ).rax, 0);
    expect_protected(16);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
}

/* Every access value. */
static void check_access(void)
{
    const bool exec_only = has_feature(TRAPLINE_FEATURE_EXEC_ONLY);
    const struct {
        uint64_t access;
        int result;
    } rows[] = {
        {TRAPLINE_NONE, 0},
        {TRAPLINE_READ, 0},
        {TRAPLINE_WRITE, -TRAPLINE_EINVAL},
        {ACCESS_RW, 0},
        {TRAPLINE_EXEC, exec_only ? 0 : -TRAPLINE_EOPNOTSUPP},
        {ACCESS_RX, 0},
        {TRAPLINE_WRITE | TRAPLINE_EXEC, -TRAPLINE_EINVAL},
        {ACCESS_ALL, 0},
        {8, -TRAPLINE_EINVAL},
        {1ul << 9, -TRAPLINE_EINVAL},
        {3ul << 8, -TRAPLINE_EINVAL},
        {1ul << 32, -TRAPLINE_EINVAL},
        {1ul << 63 | TRAPLINE_READ, -TRAPLINE_EINVAL},
        {~0ul, -TRAPLINE_EINVAL},
    };
    static struct trapline_range ranges[3];

    plant_ret(region, 8);
    for (unsigned i = 0; i < 3; i++) {
        list[i] = (uint64_t)region + 2 * i * PAGE;
        ranges[i] = (struct trapline_range){list[i], 1};
    }
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int form = 0; form < 2; form++) {
            const uint64_t address = form ? (uint64_t)ranges : (uint64_t)list;
            const uint64_t access = rows[i].access | (form ? TRAPLINE_LIST_RANGES : 0);
            const unsigned want = rows[i].result ? ACCESS_RX : (unsigned)rows[i].access;

            if (form && (rows[i].access & TRAPLINE_LIST_RANGES))
                continue;
            check_at("access 0x%lx", access);
            EXPECT_EQ(protn_range(region, 6, ACCESS_RX), 0);
            EXPECT_EQ(call(address, 3, access).rax, rows[i].result);
            for (unsigned page = 0; page < 6; page++)
                EXPECT_EQ(allowed(region + page * PAGE), page % 2 ? ACCESS_RX : want);
        }
    }
    EXPECT_EQ(unprot_range(region, 6), 0);
}

/* One bad entry: its index, and nothing has changed, wherever it is. */
static void check_bad_entry(void)
{
    static const struct {
        unsigned count, at;
    } places[] = {
        {1, 0},       {3, 0},       {3, 1},       {3, 2},       {1024, 0},
        {1024, 1023}, {1025, 1024}, {2500, 0},    {2500, 700},  {2500, 1023},
        {2500, 1024}, {2500, 2047}, {2500, 2499}, {5000, 4096},
    };
    const struct {
        uint64_t entry;
        int result;
    } bad[] = {
        {(uint64_t)region + 8, -TRAPLINE_EINVAL},
        {~0ul, -TRAPLINE_EINVAL},
        {ram_size(), -TRAPLINE_ENOENT},
        {(uint64_t)alias_window(), -TRAPLINE_ENOENT},
        {1ul << 52, -TRAPLINE_ENOENT},
        {1ul << 63, -TRAPLINE_ENOENT},
    };

    for (size_t i = 0; i < COUNT(places); i++) {
        const unsigned kind = i % COUNT(bad);
        struct hypercall_result result;

        check_at("%u entries, number %u is 0x%lx", places[i].count, places[i].at, bad[kind].entry);
        fill_list(places[i].count);
        list[places[i].at] = bad[kind].entry;
        result = call((uint64_t)list, places[i].count, TRAPLINE_NONE);
        EXPECT_EQ(result.rax, bad[kind].result);
        EXPECT_EQ(result.rdx, places[i].at);
        expect_protected(0);
    }
    /* Of several the first. */
    check_at("two bad entries");
    fill_list(3000);
    list[2000] = ram_size();
    list[1500] = 8;
    struct hypercall_result result = call((uint64_t)list, 3000, TRAPLINE_NONE);
    EXPECT_EQ(result.rax, -TRAPLINE_EINVAL);
    EXPECT_EQ(result.rdx, 1500);
    expect_protected(0);
}

/* A call that fails gives back the tables that it split for. */
static void check_failed_call_keeps_tables(void)
{
    struct trapline_stats before, after;

    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    /* What the first failure leaves for later use, later ones use: nothing piles up. */
    for (int round = 0; round < 4; round++) {
        fill_list(2000);
        list[1999] = ram_size();
        EXPECT_EQ(call((uint64_t)list, 2000, TRAPLINE_NONE).rax, -TRAPLINE_ENOENT);
        if (round == 0)
            EXPECT_EQ(stats(&before), 0);
    }
    EXPECT_EQ(stats(&after), 0);
    EXPECT(after.table_pages <= before.table_pages);
}

/* Lists that are wrong themselves: RDX is 0, since no entry is at fault. */
static void check_bad_list(void)
{
    const uint64_t end = ram_size();
    const struct {
        const char *name;
        uint64_t list, count;
        int result;
    } rows[] = {
        {"misaligned by 1", (uint64_t)list + 1, 1, -TRAPLINE_EINVAL},
        {"misaligned by 4", (uint64_t)list + 4, 1, -TRAPLINE_EINVAL},
        {"all ones", ~0ul, 1, -TRAPLINE_EINVAL},
        {"end of RAM", end, 1, -TRAPLINE_EFAULT},
        {"over the end of RAM", end - 8, 2, -TRAPLINE_EFAULT},
        {"alias window", (uint64_t)alias_window(), 1, -TRAPLINE_EFAULT},
        {"1 TiB", 1ul << 40, 1, -TRAPLINE_EFAULT},
        {"bit 63", 1ul << 63 | (uint64_t)list, 1, -TRAPLINE_EFAULT},
        {"last word of all", ~7ul, 1, -TRAPLINE_EFAULT},
        {"wraps", ~7ul, 2, -TRAPLINE_EFAULT},
        {"2^61 entries", (uint64_t)list, 1ul << 61, -TRAPLINE_EFAULT},
        {"2^61 + 1 entries", (uint64_t)list, (1ul << 61) + 1, -TRAPLINE_EFAULT},
        {"2^60 entries", (uint64_t)list, 1ul << 60, -TRAPLINE_EFAULT},
        {"2^63 entries", (uint64_t)list, 1ul << 63, -TRAPLINE_EFAULT},
        {"all ones entries", (uint64_t)list, ~0ul, -TRAPLINE_EFAULT},
        {"as many as RAM holds", (uint64_t)list, end / 8, -TRAPLINE_EFAULT},
    };

    fill_list(2);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (unsigned form = 0; form <= TRAPLINE_LIST_RANGES; form += TRAPLINE_LIST_RANGES) {
            struct hypercall_result result;

            check_at("%s, form 0x%x", rows[i].name, form);
            result = call(rows[i].list, rows[i].count, TRAPLINE_NONE | form);
            EXPECT_EQ(result.rax, rows[i].result);
            EXPECT_EQ(result.rdx, 0);
        }
    }
    expect_protected(0);
}

/* The list's own protection: it must be readable, and may be protected by the call. */
static void check_protected_list(void)
{
    fill_list(3);
    check_at("no access");
    EXPECT_EQ(prot1(list, TRAPLINE_NONE), 0);
    EXPECT_EQ(call((uint64_t)list, 3, TRAPLINE_READ).rax, -TRAPLINE_EFAULT);
    if (has_feature(TRAPLINE_FEATURE_EXEC_ONLY)) {
        check_at("execute-only");
        EXPECT_EQ(prot1(list, TRAPLINE_EXEC), 0);
        EXPECT_EQ(call((uint64_t)list, 3, TRAPLINE_READ).rax, -TRAPLINE_EFAULT);
    }
    check_at("read-only");
    EXPECT_EQ(prot1(list, TRAPLINE_READ), 0);
    EXPECT_EQ(call((uint64_t)list, 3, TRAPLINE_READ).rax, 0);
    expect_protected(3);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    EXPECT_EQ(unprot(list), 0);

    check_at("second page without access");
    fill_list(PAGE / 8 + 1);
    EXPECT_EQ(prot1((char *)list + PAGE, TRAPLINE_NONE), 0);
    EXPECT_EQ(call((uint64_t)list, PAGE / 8 + 1, TRAPLINE_READ).rax, -TRAPLINE_EFAULT);
    expect_protected(0);
    EXPECT_EQ(call((uint64_t)list, PAGE / 8, TRAPLINE_READ).rax, 0);
    expect_protected(PAGE / 8);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    EXPECT_EQ(unprot((char *)list + PAGE), 0);

    /* The list's pages are in the list, first: all entries take effect all the same. */
    check_at("in itself");
    fill_list(3000);
    for (unsigned i = 0; i < LIST_PAGES; i++)
        list[i] = (uint64_t)list + i * (uint64_t)PAGE;
    EXPECT_EQ(call((uint64_t)list, 3000, TRAPLINE_NONE).rax, 0);
    for (unsigned i = 0; i < LIST_PAGES; i++)
        EXPECT_EQ(probe((char *)list + i * PAGE, TRAPLINE_READ), 1);
    for (unsigned i = LIST_PAGES; i < 3000; i++)
        EXPECT_EQ(probe(region + order[i] * PAGE, TRAPLINE_READ), 1);
    EXPECT_EQ(unprot_range(list, LIST_PAGES), 0);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
}

static unsigned interruptions;
static char *interrupted; /* the page that the long call's VMCALL lies in */
static char *meanwhile;   /* two pages that the handler protects */

static void interrupt(struct trapline_fault *fault)
{
    void *const own[] = {meanwhile, meanwhile + PAGE};

    EXPECT_EQ(fault->kind, TRAPLINE_EXEC);
    EXPECT_EQ(fault->rip, (uint64_t)interrupted);
    if (interruptions++ == 0)
        EXPECT_EQ(protn(own, COUNT(own), TRAPLINE_READ), 0);
    EXPECT_EQ(unprot(interrupted), 0);
}

/*
 * A long list takes the right to execute from the page that its own VMCALL lies in, so that the
 * call traps in the middle; the handler makes a PROTN of its own, after which the long one begins
 * anew, traps once more, and goes on.
 */
static void check_interrupted(void)
{
    static const unsigned char code[] = {0x0f, 0x01, 0xc1, 0xc3}; /* VMCALL; RET */
    int64_t result;

    interrupted = need_pages(1, 1);
    meanwhile = need_pages(2, 1);
    memcpy(interrupted, code, sizeof(code));
    fill_list(4000);
    list[4000] = list[0];
    list[0] = (uint64_t)interrupted;
    interruptions = 0;
    trap(interrupt, 0);
    __asm__ volatile("call *%[code]"
                     : "=a"(result)
                     : [code] "b"(interrupted), "a"((uint64_t)TRAPLINE_HC_PROTN), "D"(list),
                       "S"(4001ul), "d"((uint64_t)TRAPLINE_NONE)
                     : "memory", "rcx", "r8", "r9", "r10", "r11");
    trap(NULL, 0);
    EXPECT_EQ(result, 0);
    EXPECT(interruptions >= 1);
    expect_protected(4000);
    EXPECT_EQ(probe(meanwhile, TRAPLINE_WRITE), 1);
    EXPECT_EQ(probe(meanwhile + PAGE, TRAPLINE_WRITE), 1);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    EXPECT_EQ(unprot_range(meanwhile, 2), 0);
    EXPECT_EQ(unprot(interrupted), 0);
    pages_free(meanwhile, 2);
    pages_free(interrupted, 1);
}

/* A list that lies over a 2 MiB boundary, where the hypervisor's memory need not be contiguous. */
static void check_list_over_boundary(void)
{
    char *const two = need_pages(2 * PAGES_2M, PAGES_2M);
    uint64_t *const own = list;

    for (unsigned before = 0; before <= 1024; before += 256) {
        check_at("%u entries before the boundary", before);
        list = (uint64_t *)(two + BYTES_2M) - before;
        fill_list(1500);
        EXPECT_EQ(call((uint64_t)list, 1500, TRAPLINE_READ).rax, 0);
        expect_protected(1500);
        EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    }
    list = own;
    pages_free(two, 2 * PAGES_2M);
}

/* Nothing to do. */
static void check_empty(void)
{
    EXPECT_EQ(call((uint64_t)list, 0, TRAPLINE_NONE).rax, 0);
    EXPECT_EQ(call(0, 0, TRAPLINE_NONE).rax, 0);
    EXPECT_EQ(call((uint64_t)list, 0, TRAPLINE_NONE | TRAPLINE_LIST_RANGES).rax, 0);
    EXPECT_EQ(call((uint64_t)list, 0, TRAPLINE_WRITE).rax, -TRAPLINE_EINVAL);
    expect_protected(0);
}

enum {
    RANGES_MAX = 1300, /* more than one exit works on */
};
static struct trapline_range ranges[RANGES_MAX];

static struct hypercall_result call_ranges(unsigned count, unsigned access)
{
    return call((uint64_t)ranges, count, access | TRAPLINE_LIST_RANGES);
}

/* Ranges: some, many, overlapping, whole large pages. */
static void check_ranges(void)
{
    check_at("three");
    ranges[0] = (struct trapline_range){(uint64_t)region + 3 * PAGE, 2};
    ranges[1] = (struct trapline_range){(uint64_t)region + 4 * PAGE, 10};
    ranges[2] = (struct trapline_range){(uint64_t)region + 20 * PAGE, PAGES_2M};
    EXPECT_EQ(call_ranges(3, TRAPLINE_READ).rax, 0);
    for (unsigned i = 0; i < REGION_PAGES; i++) {
        const bool want = (i >= 3 && i < 14) || (i >= 20 && i < 20 + PAGES_2M);

        EXPECT_EQ(probe(region + i * PAGE, TRAPLINE_WRITE), want);
    }
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);

    check_at("many");
    for (unsigned i = 0; i < RANGES_MAX; i++)
        ranges[i] = (struct trapline_range){(uint64_t)region + (3 * i + 1) * (uint64_t)PAGE, 2};
    EXPECT_EQ(call_ranges(RANGES_MAX, TRAPLINE_READ).rax, 0);
    for (unsigned i = 0; i < REGION_PAGES; i++)
        EXPECT_EQ(probe(region + i * PAGE, TRAPLINE_WRITE), i < 3 * RANGES_MAX && i % 3 != 0);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);

    check_at("one over all");
    EXPECT_EQ(protn_range(region, REGION_PAGES, TRAPLINE_READ), 0);
    expect_protected(REGION_PAGES);
    EXPECT_EQ(unprot_range(region, REGION_PAGES), 0);
    expect_protected(0);
}

/* Ranges that cannot be: the index, and nothing has changed. */
static void check_bad_ranges(void)
{
    const uint64_t last = ram_size() - PAGE;
    const struct {
        const char *name;
        struct trapline_range range;
        int result;
    } rows[] = {
        {"empty", {(uint64_t)region, 0}, -TRAPLINE_EINVAL},
        {"misaligned", {(uint64_t)region + 8, 1}, -TRAPLINE_EINVAL},
        {"outside RAM", {ram_size(), 1}, -TRAPLINE_ENOENT},
        {"over the end of RAM", {last, 2}, -TRAPLINE_ENOENT},
        {"2^52 pages", {(uint64_t)region, 1ul << 52}, -TRAPLINE_EINVAL},
        {"2^52 + 1 pages", {(uint64_t)region, (1ul << 52) + 1}, -TRAPLINE_EINVAL},
        {"2^63 pages", {(uint64_t)region, 1ul << 63}, -TRAPLINE_EINVAL},
        {"all ones pages", {(uint64_t)region, ~0ul}, -TRAPLINE_EINVAL},
        {"wraps", {~0xffful, 2}, -TRAPLINE_EINVAL},
    };
    static const unsigned places[] = {0, 1, 511, 512, 1200, RANGES_MAX - 1};

    for (size_t i = 0; i < COUNT(rows); i++) {
        const unsigned place = places[i % COUNT(places)];
        struct hypercall_result result;

        check_at("%s, number %u", rows[i].name, place);
        for (unsigned r = 0; r < RANGES_MAX; r++)
            ranges[r] = (struct trapline_range){(uint64_t)region + 3 * r * (uint64_t)PAGE, 3};
        ranges[place] = rows[i].range;
        result = call_ranges(RANGES_MAX, TRAPLINE_NONE);
        EXPECT_EQ(result.rax, rows[i].result);
        EXPECT_EQ(result.rdx, place);
        expect_protected(0);
    }
}

static const struct check checks[] = {
    {"protn: lists of pages, by length", check_lengths},
    {"protn: contiguous pages", check_contiguous},
    {"protn: duplicates", check_duplicates},
    {"protn: access values and forms", check_access},
    {"protn: a bad entry", check_bad_entry},
    {"protn: a failed call keeps no tables", check_failed_call_keeps_tables},
    {"protn: bad lists", check_bad_list},
    {"protn: the list's own protection", check_protected_list},
    {"protn: a list over a 2 MiB boundary", check_list_over_boundary},
    {"protn: a call that traps in the middle", check_interrupted},
    {"protn: nothing to do", check_empty},
    {"protn: ranges", check_ranges},
    {"protn: bad ranges", check_bad_ranges},
};

int main(void)
{
    region = need_pages(REGION_PAGES, PAGES_2M);
    list = (uint64_t *)need_pages(LIST_PAGES, 1);
    shuffle();
    return RUN_CHECKS(checks);
}
