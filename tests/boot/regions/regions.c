/*
 * Regions: one program over every mechanism that the CPU has. What <trapline/vm.h> promises of
 * pages holds for the pages of a region, whoever keeps their protection.
 */
#include <trapline/portable.h>

#include "probe.h"

enum {
    PAGES = 40,
    MANY = 1200, /* more than two leaf tables, and more than are flushed singly */
};

static enum region_mechanism mechanism;
static struct region *region;
static char *base;

/* A region for a check, its pages ready for allowed(). */
static void open_region(size_t pages)
{
    const int result = region_create(&region, pages, 1, mechanism);

    if (result != 0) {
        printf("not ok region: %s\n", trapline_error_name(result));
        exit(EXIT_FAILURE);
    }
    base = region_base(region);
    plant_ret(base, pages);
}

static void close_region(void)
{
    region_destroy(region);
    region = NULL;
}

/* A page that no list may name: the hypervisor, which reads those of its regions, knows RAM only.
 */
static char *foreign(void)
{
    return mechanism == REGION_EPT ? (char *)ram_size() : base + region_pages(region) * PAGE;
}

static char *page(size_t index)
{
    return base + index * PAGE;
}

/* What allowed() finds for an access that was asked for. */
static unsigned expected(unsigned access)
{
    return access & region_rights(region);
}

static void check_create(void)
{
    struct region *made = NULL, *other;
    size_t before;

    EXPECT_EQ(region_create(&made, 0, 1, mechanism), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_create(&made, 1, 0, mechanism), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_create(&made, 1, 3, mechanism), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_create(&made, 1, 1, REGION_MECHANISMS), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_create(&made, ram_size(), 1, mechanism), -TRAPLINE_ENOMEM);
    EXPECT(made == NULL);
    EXPECT_EQ(region_create(&made, 3, 16, mechanism), 0);
    EXPECT_EQ((uint64_t)region_base(made) % (16 * PAGE), 0);
    EXPECT_EQ(region_pages(made), 3);
    for (size_t i = 0; i < 3 * PAGE; i++)
        EXPECT(((char *)region_base(made))[i] == 0);
    /* Two regions may share 2 MiB. */
    EXPECT_EQ(region_create(&other, 2, 1, mechanism), 0);
    EXPECT_EQ(region_prot1(made, region_base(other), TRAPLINE_NONE), -TRAPLINE_ENOENT);
    region_destroy(other);
    before = pages_available();
    for (int i = 0; i < 200; i++) {
        EXPECT_EQ(region_create(&other, 5, 1, mechanism), 0);
        EXPECT_EQ(region_protn_range(other, region_base(other), 5, TRAPLINE_NONE), 0);
        region_destroy(other);
    }
    EXPECT_EQ(pages_available(), before);
    region_destroy(made);
}

/* From every access to every other one, and back by UNPROT. */
static void check_access(void)
{
    static const unsigned accesses[] = {TRAPLINE_NONE, TRAPLINE_READ, ACCESS_RW, ACCESS_RX,
                                        ACCESS_ALL};

    open_region(3);
    for (size_t from = 0; from < COUNT(accesses); from++) {
        for (size_t to = 0; to < COUNT(accesses); to++) {
            check_at("%u to %u", accesses[from], accesses[to]);
            EXPECT_EQ(region_prot1(region, page(1), accesses[from]), 0);
            EXPECT_EQ(allowed(page(1)), expected(accesses[from]));
            EXPECT_EQ(region_prot1(region, page(1), accesses[to]), 0);
            EXPECT_EQ(allowed(page(1)), expected(accesses[to]));
        }
        EXPECT_EQ(region_unprot(region, page(1)), 0);
        EXPECT_EQ(allowed(page(1)), region_rights(region));
        EXPECT_EQ(allowed(page(0)), region_rights(region));
        EXPECT_EQ(allowed(page(2)), region_rights(region));
    }
    close_region();
}

static void check_errors(void)
{
    const bool exec_only = mechanism == REGION_EPT && has_feature(TRAPLINE_FEATURE_EXEC_ONLY);
    char *outside;

    open_region(3);
    outside = need_pages(1, 1);
    EXPECT_EQ(region_prot1(region, page(1), TRAPLINE_READ), 0);
    EXPECT_EQ(region_prot1(region, page(1) + 1, TRAPLINE_NONE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_prot1(region, page(1) + PAGE / 2, TRAPLINE_NONE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_prot1(region, page(1), TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_prot1(region, page(1), TRAPLINE_WRITE | TRAPLINE_EXEC), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_prot1(region, page(1), 8), -TRAPLINE_EINVAL);
    if (!exec_only)
        EXPECT_EQ(region_prot1(region, page(1), TRAPLINE_EXEC), -TRAPLINE_EOPNOTSUPP);
    EXPECT_EQ(region_prot1(region, outside, TRAPLINE_NONE), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_prot1(region, page(3), TRAPLINE_NONE), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_prot1(region, page(0) - PAGE, TRAPLINE_NONE), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_prot1(region, NULL, TRAPLINE_NONE), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_unprot(region, page(1) + 8), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_unprot(region, page(3)), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_unprot_range(region, page(1), 0), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_unprot_range(region, page(1), 3), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_unprot_range(region, page(1), (size_t)-1), -TRAPLINE_EINVAL);
    EXPECT_EQ(allowed(page(0)), region_rights(region));
    EXPECT_EQ(allowed(page(1)), TRAPLINE_READ);
    EXPECT_EQ(allowed(page(2)), region_rights(region));
    *outside = 1;
    pages_free(outside, 1);
    close_region();
}

static void check_protn(void)
{
    void *list[PAGES];
    struct trapline_range ranges[3];
    size_t bad = 99;

    open_region(MANY);
    for (size_t i = 0; i < PAGES; i++)
        list[i] = page(i * 29 % MANY);
    list[PAGES - 1] = list[0]; /* once more */
    EXPECT_EQ(region_protn(region, list, PAGES, TRAPLINE_READ), 0);
    for (size_t i = 0; i < PAGES; i++)
        EXPECT_EQ(allowed(list[i]), TRAPLINE_READ);
    EXPECT_EQ(allowed(page(1)), region_rights(region));
    /* A bad entry: its index, and nothing changes. */
    list[7] = foreign();
    EXPECT_EQ(region_protn_at(region, list, PAGES, TRAPLINE_NONE, &bad), -TRAPLINE_ENOENT);
    EXPECT_EQ(bad, 7);
    list[7] = page(3) + 1;
    EXPECT_EQ(region_protn_at(region, list, PAGES, TRAPLINE_NONE, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(bad, 7);
    EXPECT_EQ(region_protn_at(region, list, PAGES, TRAPLINE_WRITE, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_protn(region, (void **)((char *)list + 1), 1, TRAPLINE_NONE),
              -TRAPLINE_EINVAL);
    EXPECT_EQ(region_protn(region, list, 0, TRAPLINE_NONE), 0);
    EXPECT_EQ(region_protn(region, list, 0, TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_protn(region, list, (size_t)-1 / 4, TRAPLINE_NONE), -TRAPLINE_EFAULT);
    EXPECT_EQ(allowed(list[0]), TRAPLINE_READ);
    EXPECT_EQ(region_unprot_range(region, base, MANY), 0);
    EXPECT_EQ(allowed(list[0]), region_rights(region));

    ranges[0] = (struct trapline_range){(uint64_t)page(2), 600};
    ranges[1] = (struct trapline_range){(uint64_t)page(700), 1};
    ranges[2] = (struct trapline_range){(uint64_t)page(600), 50};
    EXPECT_EQ(region_protn_ranges(region, ranges, 3, TRAPLINE_NONE, &bad), 0);
    EXPECT_EQ(allowed(page(1)), region_rights(region));
    for (size_t i = 2; i < 650; i += 31)
        EXPECT_EQ(allowed(page(i)), TRAPLINE_NONE);
    EXPECT_EQ(allowed(page(650)), region_rights(region));
    EXPECT_EQ(allowed(page(700)), TRAPLINE_NONE);
    EXPECT_EQ(region_protn_range(region, page(0), MANY, ACCESS_RX), 0);
    for (size_t i = 0; i < MANY; i += 97)
        EXPECT_EQ(allowed(page(i)), expected(ACCESS_RX));
    ranges[1].page = (uint64_t)foreign();
    EXPECT_EQ(region_protn_ranges(region, ranges, 3, TRAPLINE_NONE, &bad), -TRAPLINE_ENOENT);
    EXPECT_EQ(bad, 1);
    ranges[1].pages = 0;
    EXPECT_EQ(region_protn_ranges(region, ranges, 3, TRAPLINE_NONE, &bad), -TRAPLINE_EINVAL);
    EXPECT_EQ(allowed(page(2)), expected(ACCESS_RX));
    close_region();
}

/* A list may lie in the pages that it names; it must be readable. */
static void check_list_inside(void)
{
    void **list;

    open_region(4);
    list = (void **)page(1);
    for (size_t i = 0; i < 3; i++)
        list[i] = page(i);
    EXPECT_EQ(region_protn(region, list, 3, TRAPLINE_NONE), 0);
    for (size_t i = 0; i < 3; i++)
        EXPECT_EQ(allowed(page(i)), TRAPLINE_NONE);
    EXPECT_EQ(region_protn(region, list, 3, TRAPLINE_READ), -TRAPLINE_EFAULT);
    EXPECT_EQ(allowed(page(0)), TRAPLINE_NONE);
    close_region();
}

/* The handler gives its page back; the access is tried again. */
static volatile unsigned count;
static volatile uint64_t seen_registers[2];

static void open_page(struct trapline_fault *fault)
{
    count++;
    seen_registers[0] = fault->rax;
    seen_registers[1] = fault->r15;
    fault->rbx = 0x1234;
    region_unprot(region, trap_page(fault));
}

TRAP_GENERAL static void open_page_general(struct trapline_fault *fault)
{
    count++;
    seen_registers[0] = fault->rax;
    seen_registers[1] = fault->r15;
    fault->rbx = 0x1234;
    region_unprot(region, trap_page(fault));
}

TRAP_LEAN_HANDLER static void open_page_lean(struct trapline_fault *fault)
{
    count++;
    region_unprot(region, trap_page(fault));
}

/* Write with all registers known; returns whether they came back, RBX as given. */
static bool write_keeps_registers(void *address, uint64_t rbx)
{
    uint64_t rax = 0x1111, found = 0xbbbb, good;

    __asm__ volatile("movq $0x2222, %%r15\n\t"
                     "movq $0x3333, %%rcx\n\t"
                     "movq $0x4444, %%rdx\n\t"
                     "movq $0x5555, %%rsi\n\t"
                     "movq $0x6666, %%r8\n\t"
                     "stc\n\t"
                     "movq %%rax, (%%rdi)\n\t"
                     "setc %b[good]\n\t"
                     "cmpq $0x2222, %%r15\n\tjne 1f\n\t"
                     "cmpq $0x3333, %%rcx\n\tjne 1f\n\t"
                     "cmpq $0x4444, %%rdx\n\tjne 1f\n\t"
                     "cmpq $0x5555, %%rsi\n\tjne 1f\n\t"
                     "cmpq $0x6666, %%r8\n\tjne 1f\n\t"
                     "cmpq $0x1111, %%rax\n\tje 2f\n"
                     "1:\tmovb $0, %b[good]\n"
                     "2:"
                     : "+a"(rax), "+b"(found), [good] "=&r"(good)
                     : "D"(address)
                     : "rcx", "rdx", "rsi", "r8", "r15", "memory", "cc");
    return (good & 1) && found == rbx && *(uint64_t *)address == 0x1111;
}

static void check_trap(void)
{
    static const struct {
        trap_handler *handler;
        unsigned flags;
    } modes[] = {
        {open_page, 0}, {open_page_general, TRAP_GENERAL_REGS}, {open_page_lean, TRAP_LEAN}};

    open_region(8);
    for (size_t i = 0; i < COUNT(modes); i++) {
        check_at("mode %zu", i);
        for (unsigned access = TRAPLINE_NONE; access <= TRAPLINE_READ; access++) {
            count = 0;
            seen_registers[0] = seen_registers[1] = 0;
            EXPECT_EQ(region_protn_range(region, page(2), 3, access), 0);
            EXPECT_EQ(region_trap(modes[i].handler, modes[i].flags), 0);
            EXPECT(
                write_keeps_registers(page(3) + 8, modes[i].flags == TRAP_LEAN ? 0xbbbb : 0x1234));
            EXPECT_EQ(count, 1);
            if (modes[i].flags != TRAP_LEAN) {
                EXPECT_EQ(seen_registers[0], 0x1111);
                EXPECT_EQ(seen_registers[1], 0x2222);
            }
            EXPECT(write_keeps_registers(page(3) + 8, 0xbbbb));
            EXPECT_EQ(count, 1);
            trap(NULL, 0);
        }
    }
    EXPECT_EQ(region_trap(open_page, 1u << 7), -TRAPLINE_EINVAL);
    close_region();
}

/* Vector registers survive a handler that uses them. */
static void use_vectors(struct trapline_fault *fault)
{
    __asm__ volatile("pxor %%xmm0, %%xmm0\n\tpxor %%xmm15, %%xmm15" : : : "xmm0", "xmm15");
    region_unprot(region, trap_page(fault));
}

static void check_vectors(void)
{
    uint64_t low = 0x0123456789abcdef, back = 0, back15 = 0;

    open_region(1);
    region_prot1(region, base, TRAPLINE_NONE);
    region_trap(use_vectors, 0);
    __asm__ volatile("movq %[low], %%xmm0\n\tmovq %[low], %%xmm15\n\t"
                     "movb $1, (%[page])\n\t"
                     "movq %%xmm0, %[back]\n\tmovq %%xmm15, %[back15]"
                     : [back] "=r"(back), [back15] "=r"(back15)
                     : [low] "r"(low), [page] "r"(base)
                     : "xmm0", "xmm15", "memory");
    trap(NULL, 0);
    EXPECT_EQ(back, low);
    EXPECT_EQ(back15, low);
    close_region();
}

/* A handler that touches the next page, TRAP_MAX_DEPTH levels deep. */
static volatile unsigned deepest;

static void descend(struct trapline_fault *fault)
{
    char *const here = trap_page(fault);
    const uint64_t depth = fault->depth;

    EXPECT_EQ(depth, (here - base) / PAGE);
    if (depth > deepest)
        deepest = (unsigned)depth;
    if (depth + 1 < TRAP_MAX_DEPTH)
        *(volatile char *)(here + PAGE) = 1;
    region_unprot(region, here);
}

static void check_nested(void)
{
    open_region(TRAP_MAX_DEPTH);
    deepest = 0;
    region_protn_range(region, base, TRAP_MAX_DEPTH, TRAPLINE_NONE);
    region_trap(descend, 0);
    *(volatile char *)base = 1;
    trap(NULL, 0);
    EXPECT_EQ(deepest, TRAP_MAX_DEPTH - 1);
    EXPECT_EQ(allowed(page(TRAP_MAX_DEPTH - 1)), region_rights(region));
    close_region();
}

static bool listed(void *const *list, long length, const void *what)
{
    for (long i = 0; i < length; i++)
        if (list[i] == what)
            return true;
    return false;
}

static void check_dirty(void)
{
    static void *list[MANY];
    size_t left = 99;

    open_region(MANY);
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_track(region, page(1), 0, 1), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_track(region, page(1) + 1, 1, 1), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_track(region, page(MANY), 1, 1), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_track(region, page(1), MANY - 1, 1), 0);
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_track(region, base, MANY, 1), 0);
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), 0);
    EXPECT_EQ(left, 0);
    for (size_t round = 0; round < 5; round++) {
        const size_t step = round * round * 11 + 1;
        size_t written = 0;
        long found;

        check_at("every %zu pages", step);
        for (size_t i = round; i < MANY; i += step, written++)
            page(i)[round] = 1;
        for (size_t i = 0; i < MANY; i++)
            *(volatile char *)page(i); /* reading is no writing */
        found = region_dirty(region, base, MANY, list, MANY, &left);
        EXPECT_EQ(found, written);
        EXPECT_EQ(left, 0);
        for (size_t i = round, j = 0; i < MANY && j < written; i += step, j++)
            EXPECT(list[j] == page(i));
        EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), 0);
    }
    /* Too small a buffer keeps the rest dirty; a part of the region is a region. */
    for (size_t i = 10; i < 20; i++)
        *page(i) = 1;
    EXPECT_EQ(region_dirty(region, page(12), 6, list, 4, &left), 4);
    EXPECT_EQ(left, 2);
    EXPECT(list[0] == page(12) && list[3] == page(15));
    EXPECT_EQ(region_dirty(region, base, MANY, list, 0, &left), 0);
    EXPECT_EQ(left, 6);
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, NULL), 6);
    EXPECT(listed(list, 6, page(10)) && listed(list, 6, page(19)) && !listed(list, 6, page(13)));
    /* Protection and tracking do not disturb one another. */
    *page(5) = 1;
    region_prot1(region, page(5), TRAPLINE_NONE);
    region_prot1(region, page(6), TRAPLINE_READ);
    region_unprot(region, page(6));
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), 1);
    EXPECT(list[0] == page(5));
    region_unprot(region, page(5));
    *page(5) = 2;
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), 1);
    /* A buffer that may not be written. */
    *page(5) = 3;
    region_prot1(region, page(900), TRAPLINE_READ);
    EXPECT_EQ(region_dirty(region, base, 9, (void **)page(900), 9, &left), -TRAPLINE_EFAULT);
    EXPECT_EQ(region_dirty(region, base, 9, list, 9, &left), 1);
    EXPECT_EQ(region_track(region, base, MANY, 0), 0);
    EXPECT_EQ(region_dirty(region, base, MANY, list, MANY, &left), -TRAPLINE_EINVAL);
    close_region();
}

static void check_map2(void)
{
    char *alias;
    void *list[4];
    size_t left;

    open_region(6);
    alias = region_alias_window(region);
    EXPECT(region_alias_window_pages(region) >= 512);
    EXPECT_EQ(region_map2_range(region, page(1), 3, alias + PAGE, ACCESS_RW), 0);
    page(2)[9] = 42;
    EXPECT_EQ(alias[2 * PAGE + 9], 42);
    alias[3 * PAGE + 1] = 43;
    EXPECT_EQ(page(3)[1], 43);
    EXPECT_EQ(allowed(alias + PAGE), ACCESS_RW);
    /* Protected each for itself. */
    EXPECT_EQ(region_prot1(region, page(1), TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed(page(1)), TRAPLINE_NONE);
    EXPECT_EQ(allowed(alias + PAGE), ACCESS_RW);
    EXPECT_EQ(region_prot1(region, alias + PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(region_unprot(region, page(1)), 0);
    EXPECT_EQ(allowed(alias + PAGE), TRAPLINE_READ);
    EXPECT_EQ(allowed(page(1)), region_rights(region));
    list[0] = alias + 2 * PAGE;
    EXPECT_EQ(region_protn(region, list, 1, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed(alias + 2 * PAGE), TRAPLINE_NONE);
    EXPECT_EQ(region_unprot_range(region, alias + PAGE, 3), 0);
    EXPECT_EQ(allowed(alias + PAGE), ACCESS_RW);
    EXPECT_EQ(allowed(alias + 2 * PAGE), ACCESS_RW);

    EXPECT_EQ(region_map2(region, page(1) + 1, alias, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(1), alias + 1, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(1), page(2), ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(1), alias, TRAPLINE_NONE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(1), alias, TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(1), alias, 9), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2_range(region, page(1), 0, alias, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, alias + PAGE, alias, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_map2(region, page(6), alias, ACCESS_RW), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_map2_range(region, page(4), 2, alias, ACCESS_RW), -TRAPLINE_EEXIST);
    EXPECT_EQ(region_unmap2(region, alias), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_unmap2(region, page(1)), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_unmap2(region, alias + PAGE + 1), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_unmap2_range(region, alias + PAGE, 4), -TRAPLINE_ENOENT);

    /* DIRTY sees writes through any alias, those of one that is gone included. */
    EXPECT_EQ(region_track(region, base, 6, 1), 0);
    EXPECT_EQ(region_map2(region, page(1), alias, ACCESS_RW), 0);
    alias[2 * PAGE] = 1;
    alias[0] = 1;
    EXPECT_EQ(region_unmap2(region, alias), 0);
    EXPECT_EQ(region_dirty(region, base, 6, list, 4, &left), 2);
    EXPECT(list[0] == page(1) && list[1] == page(2));
    EXPECT_EQ(region_dirty(region, base, 6, list, 4, &left), 0);
    alias[2 * PAGE] = 2;
    EXPECT_EQ(region_dirty(region, base, 6, list, 4, &left), 1);
    EXPECT_EQ(region_track(region, alias + PAGE, 1, 1), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_track(region, base, 6, 0), 0);

    EXPECT_EQ(region_unmap2_range(region, alias + PAGE, 3), 0);
    EXPECT_EQ(region_map2(region, page(5), alias + 2 * PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(alias + 2 * PAGE), TRAPLINE_READ);
    EXPECT_EQ(region_unprot(region, alias + 2 * PAGE), 0);
    EXPECT_EQ(allowed(alias + 2 * PAGE), TRAPLINE_READ);
    EXPECT_EQ(region_unmap2(region, alias + 2 * PAGE), 0);
    close_region();
}

static void check_remap2(void)
{
    char *alias;
    void *list[4];
    size_t left;

    open_region(4);
    alias = region_alias_window(region);
    EXPECT_EQ(region_remap2(region, page(0), alias, ACCESS_RW), -TRAPLINE_ENOENT);
    EXPECT_EQ(region_map2(region, page(1), alias, ACCESS_RW), 0);
    page(1)[9] = 1;
    page(2)[9] = 2;
    EXPECT_EQ(alias[9], 1);
    /* The new page's rights are those that were asked for, whatever was allowed before. */
    EXPECT_EQ(region_prot1(region, alias, TRAPLINE_NONE), 0);
    EXPECT_EQ(region_remap2(region, page(2), alias, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(alias), TRAPLINE_READ);
    EXPECT_EQ(alias[9], 2);
    EXPECT_EQ(region_unprot(region, alias), 0);
    EXPECT_EQ(allowed(alias), TRAPLINE_READ);
    EXPECT_EQ(region_remap2(region, page(2), alias, ACCESS_RW), 0);
    EXPECT_EQ(allowed(alias), ACCESS_RW);
    EXPECT_EQ(region_remap2(region, page(1), alias, ACCESS_RW), 0);
    alias[9] = 3;
    EXPECT(page(1)[9] == 3 && page(2)[9] == 2);

    EXPECT_EQ(region_remap2(region, page(1), alias, TRAPLINE_NONE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(1), alias, TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(1), alias, 9), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(1) + 1, alias, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(1), alias + 1, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(1), page(2), ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, alias, alias, ACCESS_RW), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_remap2(region, page(4), alias, ACCESS_RW), -TRAPLINE_ENOENT);
    EXPECT_EQ(alias[9], 3);

    /* What was written by it is the old page's, and then the new one's. */
    EXPECT_EQ(region_track(region, base, 4, 1), 0);
    alias[9] = 4;
    EXPECT_EQ(region_remap2(region, page(3), alias, ACCESS_RW), 0);
    EXPECT_EQ(region_dirty(region, base, 4, list, 4, &left), 1);
    EXPECT(list[0] == page(1));
    alias[9] = 5;
    EXPECT_EQ(region_dirty(region, base, 4, list, 4, &left), 1);
    EXPECT(list[0] == page(3));
    EXPECT_EQ(region_track(region, base, 4, 0), 0);
    EXPECT_EQ(region_unmap2(region, alias), 0);
    close_region();
}

static void check_sets(void)
{
    static void *odd[PAGES / 2], *even[PAGES / 2];
    struct region_set *first, *second;

    open_region(PAGES);
    for (size_t i = 0; i < PAGES / 2; i++) {
        even[i] = page(2 * i);
        odd[i] = page(2 * i + 1);
    }
    EXPECT_EQ(region_set_create(&first, region, even, 0), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_set_create(&first, region, even, PAGES / 2), 0);
    EXPECT_EQ(region_set_create(&second, region, even, 1), -TRAPLINE_EINVAL);
    even[0] = page(PAGES);
    EXPECT_EQ(region_set_create(&second, region, even, 1), -TRAPLINE_ENOENT);
    even[0] = page(1) + 1;
    EXPECT_EQ(region_set_create(&second, region, even, 1), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_set_create(&second, region, odd, PAGES / 2), 0);
    EXPECT_EQ(region_set_prot(first, TRAPLINE_WRITE), -TRAPLINE_EINVAL);
    EXPECT_EQ(region_set_prot(first, 8), -TRAPLINE_EINVAL);
    /* What user mode sees of it: tests/boot/user. Single pages leave the set and come back. */
    EXPECT_EQ(region_prot1(region, page(0), TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed(page(0)), TRAPLINE_NONE);
    EXPECT_EQ(region_set_prot(first, region_rights(region)), 0);
    EXPECT_EQ(allowed(page(0)), region_rights(region));
    EXPECT_EQ(region_set_prot(first, TRAPLINE_READ), 0);
    EXPECT(probe(page(2), TRAPLINE_WRITE) == 1);
    EXPECT(probe(page(2), TRAPLINE_READ) == 0);
    EXPECT(probe(page(3), TRAPLINE_WRITE) == 0);
    EXPECT_EQ(region_unprot(region, page(2)), 0);
    EXPECT(probe(page(2), TRAPLINE_WRITE) == 0);
    EXPECT(probe(page(4), TRAPLINE_WRITE) == 1);
    EXPECT_EQ(region_set_prot(first, TRAPLINE_READ), 0);
    EXPECT(probe(page(2), TRAPLINE_WRITE) == 1);
    region_set_destroy(first);
    EXPECT_EQ(allowed(page(2)), region_rights(region));
    region_set_destroy(second);
    close_region();
}

/* Page tables and keys cost no VM exit. */
static void check_exits(void)
{
    struct trapline_stats before, between, after;
    void *list[4];
    size_t left;

    open_region(64);
    region_track(region, base, 64, 1);
    region_trap(open_page_lean, TRAP_LEAN);
    stats(&before);
    stats(&between);
    for (size_t i = 0; i < 64; i++)
        region_prot1(region, page(i), TRAPLINE_NONE);
    for (size_t i = 0; i < 64; i++)
        *page(i) = 1;
    region_protn_range(region, base, 64, TRAPLINE_READ);
    for (size_t i = 0; i < 64; i++)
        *page(i) = 1;
    region_dirty(region, base, 64, list, 4, &left);
    stats(&after);
    trap(NULL, 0);
    if (mechanism == REGION_EPT)
        EXPECT(after.exits - between.exits > 64);
    else
        EXPECT_EQ(after.exits - between.exits, between.exits - before.exits);
    region_track(region, base, 64, 0);
    close_region();
}

static const struct check checks[] = {
    {"create and destroy", check_create},
    {"every access to every other", check_access},
    {"errors change nothing", check_errors},
    {"lists and ranges", check_protn},
    {"a list in the pages that it names", check_list_inside},
    {"handlers and registers", check_trap},
    {"vector registers", check_vectors},
    {"nested faults", check_nested},
    {"track and dirty", check_dirty},
    {"aliases", check_map2},
    {"aliases that move", check_remap2},
    {"sets", check_sets},
    {"exits", check_exits},
};

int main(void)
{
    size_t failed = 0;

    printf("1..%zu\n", REGION_MECHANISMS * COUNT(checks));
    for (mechanism = 0; mechanism < REGION_MECHANISMS; mechanism++) {
        struct region *made;
        const int result = region_create(&made, 1, 1, mechanism);
        const char *const name = region_mechanism_name(mechanism);

        if (result == 0)
            region_destroy(made);
        for (size_t i = 0; i < COUNT(checks); i++) {
            check_state.where[0] = check_state.why[0] = '\0';
            /* A mechanism that is missing is refused as such, and that is all there is to check. */
            if (result == 0)
                checks[i].run();
            else
                EXPECT_EQ(result, -TRAPLINE_EOPNOTSUPP);
            printf("%s %s: %s%s%s%s\n", check_good() ? "ok" : "not ok", name, checks[i].name,
                   check_good() ? "" : ": ", check_state.why, result == 0 ? "" : " (missing)");
            failed += !check_good();
        }
    }
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
