/*
 * What only a process of Linux meets: too many mappings for the kernel, a buffer whose pages are
 * tracked, and forbidden accesses that end the program.
 */
#include <trapline/portable.h>

#include "suite.h"

enum {
    SCATTERED = 66000, /* pages; with every second one protected, more mappings than may be */
    FEW = 1000,
};

static struct region *region;
static char *base;

static void open_region(size_t pages, enum region_mechanism mechanism)
{
    if (region_create(&region, pages, 1, mechanism) != 0) {
        printf("not ok region: it cannot be made\n");
        exit(EXIT_FAILURE);
    }
    base = region_base(region);
}

static char *page(size_t index)
{
    return base + index * PAGE;
}

static volatile unsigned faults;

static void count_and_open(struct trapline_fault *fault)
{
    faults++;
    region_unprot(region, trap_page(fault));
}

/* Mappings that a process may have. */
static long most_mappings(void)
{
    FILE *const file = fopen("/proc/sys/vm/max_map_count", "r");
    long most = 0;

    EXPECT(file && fscanf(file, "%ld", &most) == 1);
    if (file)
        fclose(file);
    return most;
}

/* The kernel refuses in the midst of a list: nothing has changed, and fewer are possible. */
static void check_mappings(void)
{
    static void *list[SCATTERED / 2];
    size_t bad = 99;

    if (most_mappings() >= SCATTERED) {
        printf("limits: this kernel allows too many mappings to try it\n");
        return;
    }
    open_region(SCATTERED, REGION_MPROTECT);
    for (size_t i = 0; i < COUNT(list); i++)
        list[i] = page(2 * i);
    EXPECT_EQ(region_prot1(region, page(3), TRAPLINE_READ), 0);
    EXPECT_EQ(region_protn_at(region, list, COUNT(list), TRAPLINE_NONE, &bad), -TRAPLINE_ENOMEM);
    region_trap(count_and_open, 0);
    faults = 0;
    for (size_t i = 0; i < SCATTERED; i++)
        *page(i) = 1;
    EXPECT_EQ(faults, 1);
    EXPECT_EQ(region_protn(region, list, FEW, TRAPLINE_NONE), 0);
    for (size_t i = 0; i < SCATTERED; i++)
        *page(i) = 2;
    EXPECT_EQ(faults, 1 + FEW);
    region_trap(NULL, 0);
    region_destroy(region);
}

/* userfaultfd splits no mapping. */
static void check_uffd(void)
{
    static void *list[SCATTERED / 2];

    if (region_create(&region, 1, 1, REGION_UFFD) == -TRAPLINE_EOPNOTSUPP)
        return;
    region_destroy(region);
    open_region(SCATTERED, REGION_UFFD);
    for (size_t i = 0; i < COUNT(list); i++)
        list[i] = page(2 * i);
    EXPECT_EQ(region_protn(region, list, COUNT(list), TRAPLINE_NONE), 0);
    region_trap(count_and_open, 0);
    faults = 0;
    for (size_t i = 0; i < SCATTERED; i++)
        EXPECT_EQ(*page(i), 0);
    EXPECT_EQ(faults, SCATTERED / 2);
    region_trap(NULL, 0);
    region_destroy(region);
}

/* DIRTY's buffer may be written by DIRTY for the first time. */
static void check_buffer(void)
{
    static const enum region_mechanism mechanisms[] = {REGION_MPROTECT, REGION_UFFD};

    for (size_t i = 0; i < COUNT(mechanisms); i++) {
        void **buffer;
        long found;

        check_at("%s", region_mechanism_name(mechanisms[i]));
        if (region_create(&region, 1, 1, mechanisms[i]) == -TRAPLINE_EOPNOTSUPP)
            continue;
        region_destroy(region);
        open_region(8, mechanisms[i]);
        buffer = (void **)page(6);
        EXPECT_EQ(region_track(region, base, 8, 1), 0);
        *page(2) = 1;
        found = region_dirty(region, base, 8, buffer, 8, NULL);
        EXPECT(found >= 1 && buffer[0] == page(2));
        if (found == 1) { /* else the call has noticed itself what it wrote */
            EXPECT_EQ(region_dirty(region, base, 8, buffer, 8, NULL), 1);
            EXPECT(buffer[0] == page(6));
        } else {
            EXPECT(found == 2 && buffer[1] == page(6));
        }
        EXPECT_EQ(region_track(region, base, 8, 0), 0);
        region_destroy(region);
    }
}

/* The first access to a page in a mapping is nobody's business: no fault, and no write if it reads.
 */
static void first_accesses(enum region_mechanism mechanism)
{
    void *list[4];
    char *alias;

    open_region(8, mechanism);
    alias = region_alias_window(region);
    *(volatile char *)page(0) = 1;
    EXPECT_EQ(region_track(region, base, 8, 1), 0);
    EXPECT_EQ(*(volatile char *)page(3), 0);
    EXPECT_EQ(region_dirty(region, base, 8, list, 4, NULL), 0);
    EXPECT_EQ(region_map2(region, page(5), alias, TRAPLINE_READ | TRAPLINE_WRITE), 0);
    *(volatile char *)alias = 1; /* the page comes into being by its alias */
    EXPECT_EQ(*(volatile char *)page(5), 1);
    EXPECT_EQ(region_dirty(region, base, 8, list, 4, NULL), 1);
    EXPECT(list[0] == page(5));
    EXPECT_EQ(region_map2(region, page(6), alias + PAGE, TRAPLINE_READ | TRAPLINE_WRITE), 0);
    EXPECT_EQ(region_prot1(region, page(6), TRAPLINE_READ), 0);
    alias[PAGE] = 1;
    faults = 0;
    region_trap(count_and_open, 0);
    EXPECT_EQ(*(volatile char *)page(6), 1);
    EXPECT_EQ(faults, 0);
    *(volatile char *)page(6) = 2;
    EXPECT_EQ(faults, 1);
    region_trap(NULL, 0);
    EXPECT_EQ(region_dirty(region, base, 8, list, 4, NULL), 1);
    EXPECT(list[0] == page(6));
    EXPECT_EQ(region_track(region, base, 8, 0), 0);
    EXPECT_EQ(region_unmap2_range(region, alias, 2), 0);
    region_destroy(region);
}

static void check_first_accesses(void)
{
    check_at("mprotect");
    first_accesses(REGION_MPROTECT);
    if (region_create(&region, 1, 1, REGION_UFFD) == -TRAPLINE_EOPNOTSUPP)
        return;
    region_destroy(region);
    check_at("uffd");
    first_accesses(REGION_UFFD);
}

static const struct check checks[] = {
    {"first accesses", check_first_accesses},
    {"too many mappings are refused, and nothing changes", check_mappings},
    {"userfaultfd protects as many pages", check_uffd},
    {"a buffer in pages that are tracked", check_buffer},
};

static void touch_next(struct trapline_fault *fault)
{
    *(volatile char *)((char *)trap_page(fault) + PAGE) = 1;
}

/* Each of these ends the program. */
static void end_by(const char *what)
{
    open_region(TRAP_MAX_DEPTH + 1, REGION_MPROTECT);
    if (strcmp(what, "nobody") != 0)
        region_trap(touch_next, 0);
    region_protn_range(region, base, TRAP_MAX_DEPTH + 1, TRAPLINE_READ);
    if (strcmp(what, "foreign") == 0)
        *(volatile char *)region_alias_window(region) = 1;
    else
        *(volatile char *)base = 1;
    printf("not ok %s: the access was made\n", what);
}

/* Arguments: none, or which end is wanted: nobody, deep, foreign. */
int main(int argc, char **argv)
{
    if (argc < 2)
        return RUN_CHECKS(checks);
    end_by(argv[1]);
    return EXIT_SUCCESS;
}
