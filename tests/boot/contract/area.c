/*
 * TRAP's information area: what it holds, registering another one, and areas that cannot be.
 */
#include "except.h"
#include "probe.h"

/* A gate of the test's own on vector 20, with an area of its own. */
__asm__(".text\n"
        "raw_entry:\n\t"
        "push %rax\n\tpush %rbx\n\tpush %rcx\n\tpush %rdx\n\tpush %rsi\n\tpush %rdi\n\t"
        "push %r8\n\tpush %r9\n\tpush %r10\n\tpush %r11\n\t"
        "lea 80(%rsp), %rdi\n\t"
        "mov %rsp, %rbx\n\t"
        "and $-64, %rsp\n\tsub $512, %rsp\n\tfxsave64 (%rsp)\n\tcld\n\t"
        "call raw_caught\n\t"
        "fxrstor64 (%rsp)\n\tmov %rbx, %rsp\n\t"
        "pop %r11\n\tpop %r10\n\tpop %r9\n\tpop %r8\n\t"
        "pop %rdi\n\tpop %rsi\n\tpop %rdx\n\tpop %rcx\n\tpop %rbx\n\tpop %rax\n\t"
        "iretq\n");
extern const char raw_entry[];
void raw_caught(const uint64_t *frame);

static struct {
    struct trapline_trap_area *area;
    struct trapline_trap_area copy;
    bool area_protected;
    unsigned faults;
    uint64_t rip;
} raw;

void raw_caught(const uint64_t *frame)
{
    if (raw.area_protected)
        unprot(raw.area);
    raw.copy = *raw.area;
    raw.area->busy = 0;
    raw.rip = frame[0];
    raw.faults++;
    unprot((void *)(raw.copy.physical & ~0xffful));
}

/* One store to a protected page with the area at area. */
static void raw_store(struct trapline_trap_area *area, char *page)
{
    memset(&raw.copy, 0, sizeof(raw.copy));
    raw.faults = 0;
    raw.area = area;
    set_gate(TRAPLINE_VECTOR_TRAP, (uint64_t)raw_entry);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, (uint64_t)area, 0), 0);
    EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
    probe_write(page + 0x123, 1);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, (uint64_t)trap_area(), 0), 0);
    trap(NULL, 0);
    EXPECT_EQ(raw.faults, 1);
    EXPECT_EQ(raw.rip, (uint64_t)probe_write);
    EXPECT_EQ(raw.copy.reason, 48);
    EXPECT_EQ(raw.copy.busy, UINT32_MAX);
    EXPECT_EQ(raw.copy.qualification & ACCESS_ALL, TRAPLINE_Q_WRITE);
    EXPECT(raw.copy.qualification & TRAPLINE_Q_LINEAR_VALID);
    EXPECT(raw.copy.qualification & TRAPLINE_Q_NOT_WALK);
    EXPECT_EQ(raw.copy.linear, (uint64_t)page + 0x123);
    EXPECT_EQ(raw.copy.physical, (uint64_t)page + 0x123);
    EXPECT_EQ(raw.copy.eptp_index, 0);
    EXPECT_EQ(page[0x123], 1);
    page[0x123] = 0;
}

/* The information area: its contents, another one in its place, one that is protected itself. */
static void check_area(void)
{
    char *const page = need_pages(1, 1);
    struct trapline_trap_area *const first = (void *)need_pages(1, 1);
    struct trapline_trap_area *const second = (void *)need_pages(1, 1);
    struct trapline_trap_area *const last = (void *)(ram_size() - PAGE);

    check_at("an area");
    raw_store(first, page);
    check_at("another area");
    memset(first, 0, sizeof(*first));
    raw_store(second, page);
    EXPECT_EQ(first->reason, 0);
    check_at("the last page of RAM");
    raw_store(last, page);
    check_at("a protected area");
    raw.area_protected = true;
    EXPECT_EQ(prot1(first, TRAPLINE_NONE), 0);
    raw_store(first, page);
    raw.area_protected = false;
    pages_free(page, 1);
    pages_free(first, 1);
    pages_free(second, 1);
}

static void check_area_errors(void)
{
    const struct {
        const char *name;
        uint64_t area;
        int want;
    } rows[] = {
        {"misaligned by 1", (uint64_t)trap_area() + 1, -TRAPLINE_EINVAL},
        {"misaligned by 8", (uint64_t)trap_area() + 8, -TRAPLINE_EINVAL},
        {"1", 1, -TRAPLINE_EINVAL},
        {"all ones", ~0ul, -TRAPLINE_EINVAL},
        {"end of RAM", ram_size(), -TRAPLINE_ENOENT},
        {"alias window", (uint64_t)alias_window(), -TRAPLINE_ENOENT},
        {"1 TiB", 1ul << 40, -TRAPLINE_ENOENT},
        {"bit 63", 1ul << 63, -TRAPLINE_ENOENT},
        {"last page of all", ~0xffful, -TRAPLINE_ENOENT},
    };
    char *const page = need_pages(1, 1);

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, rows[i].area, 0), rows[i].want);
    }
    /* The one before is still registered. */
    check_at("afterwards");
    EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
    EXPECT_EQ(probe(page, TRAPLINE_WRITE), 1);
    EXPECT_EQ(unprot(page), 0);
    /* Unregister, and register again. */
    EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, 0, 0), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, 0, 0), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_TRAP, (uint64_t)trap_area(), 0), 0);
    EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
    EXPECT_EQ(probe(page, TRAPLINE_WRITE), 1);
    EXPECT_EQ(unprot(page), 0);
    pages_free(page, 1);
}

static const struct check checks[] = {
    {"trap: the information area", check_area},
    {"trap: errors, unregister, register again", check_area_errors},
};

int main(void)
{
    return RUN_CHECKS(checks);
}
