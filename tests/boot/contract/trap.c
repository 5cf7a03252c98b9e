/*
 * TRAP: a forbidden access is delivered with its address, kind and instruction pointer, has had no
 * effect, and happens when the handler returns; for every sort of access that x86 has.
 */
#include "except.h"
#include "probe.h"
#include "walk.h"

/* The stack of the exceptions that are not TRAP. */
extern char exception_stack_bottom[], exception_stack_top[];

/* Every access stub is called with RDI = address, RSI = VALUE; RAX is set to INITIAL first. */
#define ACCESS(name, text)                                                                         \
    __asm__(".text\n"                                                                              \
            "access_" #name ":\n\t"                                                                \
            "movabs $0x1122334455667788, %rax\n"                                                   \
            "access_" #name "_at:\n\t" text "\n"                                                   \
            "access_" #name "_end:\n\t"                                                            \
            "ret\n");                                                                              \
    void access_##name(void *address, uint64_t value);                                             \
    extern const char access_##name##_at[], access_##name##_end[]

#define INITIAL 0x1122334455667788ul
#define VALUE   0x0102030405060708ul

ACCESS(load1, "movb (%rdi), %dl");
ACCESS(load8, "movq (%rdi), %rdx");
ACCESS(load16, "movups (%rdi), %xmm0");
ACCESS(store1, "movb %sil, (%rdi)");
ACCESS(store8, "movq %rsi, (%rdi)");
ACCESS(store_nt, "movnti %rsi, (%rdi)");
ACCESS(add, "addq %rsi, (%rdi)");
ACCESS(bts, "btsq $0, (%rdi)");
ACCESS(lock_add, "lock addq %rsi, (%rdi)");
ACCESS(lock_xadd, "lock xaddq %rsi, (%rdi)");
ACCESS(lock_cmpxchg, "lock cmpxchgq %rsi, (%rdi)");
ACCESS(xchg, "xchgq %rsi, (%rdi)");
ACCESS(compare, "cmpq %rsi, (%rdi)");
ACCESS(push, "pushq (%rdi)\n\taddq $8, %rsp");

struct access {
    const char *name;
    void (*run)(void *address, uint64_t value);
    const char *at, *end;
    unsigned kind;  /* what it is delivered as on a page without access */
    uint64_t after; /* the 8 bytes at the address when it has happened */
};
#define ROW(name, kind, after)                                                                     \
    {                                                                                              \
#name, access_##name, access_##name##_at, access_##name##_end, kind, after                 \
    }

/* Read-modify-writes: the CPU may report the write alone or both. */
#define RMW (TRAPLINE_WRITE | PROBE_WRONG)

static const struct access accesses[] = {
    ROW(load1, TRAPLINE_READ, INITIAL),  ROW(load8, TRAPLINE_READ, INITIAL),
    ROW(load16, TRAPLINE_READ, INITIAL), ROW(compare, TRAPLINE_READ, INITIAL),
    ROW(push, TRAPLINE_READ, INITIAL),   ROW(store1, TRAPLINE_WRITE, 0x1122334455667708),
    ROW(store8, TRAPLINE_WRITE, VALUE),  ROW(store_nt, TRAPLINE_WRITE, VALUE),
    ROW(add, RMW, INITIAL + VALUE),      ROW(bts, RMW, INITIAL | 1),
    ROW(lock_add, RMW, INITIAL + VALUE), ROW(lock_xadd, RMW, INITIAL + VALUE),
    ROW(lock_cmpxchg, RMW, VALUE),       ROW(xchg, RMW, VALUE),
};

/* What the handler below saw, and what it is to do. */
static struct {
    unsigned faults;
    struct trapline_fault fault; /* the first */
    struct trapline_fault last;
    uint64_t memory;       /* the bytes at *watch when it was delivered */
    const uint64_t *watch; /* through an alias, or NULL */
    void *unprot;          /* page to unprotect, else step over to skip_to */
    uint64_t skip_to;
} seen;

static void handler(struct trapline_fault *fault)
{
    if (seen.faults++ == 0)
        seen.fault = *fault;
    seen.last = *fault;
    if (seen.watch)
        seen.memory = *seen.watch;
    if (seen.unprot)
        unprot(seen.unprot);
    else
        fault->rip = seen.skip_to;
}

static void watch(void *page_to_unprot, const void *alias, const void *skip_to)
{
    memset(&seen, 0, sizeof(seen));
    seen.unprot = page_to_unprot;
    seen.watch = alias;
    seen.skip_to = (uint64_t)skip_to;
    trap(handler, 0);
}

static bool kind_is(uint64_t kind, unsigned want)
{
    if (want == RMW)
        return kind == TRAPLINE_WRITE || kind == ACCESS_RW;
    return kind == want;
}

/* Unprotects whatever was accessed. */
static void repeat_handler(struct trapline_fault *fault)
{
    if (seen.faults++ == 0)
        seen.fault = *fault;
    seen.last = *fault;
    unprot((void *)(fault->physical & ~0xffful));
}

/* Each sort of access, stepped over (nothing has happened) and retried (it happens once). */
static void check_accesses(void)
{
    char *const page = need_pages(1, 1);
    char *const alias = alias_window();
    uint64_t *const word = (uint64_t *)(page + 0x678);

    EXPECT_EQ(map2(page, alias, TRAPLINE_READ), 0);
    for (size_t i = 0; i < COUNT(accesses); i++) {
        const struct access *const a = &accesses[i];

        for (int retry = 0; retry < 2; retry++) {
            check_at("%s, %s", a->name, retry ? "retried" : "stepped over");
            *word = INITIAL;
            EXPECT_EQ(prot1(page, TRAPLINE_NONE), 0);
            watch(retry ? page : NULL, alias + 0x678, a->end);
            a->run(word, VALUE);
            trap(NULL, 0);
            unprot(page);
            EXPECT_EQ(seen.faults, 1);
            EXPECT_EQ(seen.fault.address, (uint64_t)word);
            EXPECT_EQ(seen.fault.physical, (uint64_t)word);
            EXPECT_EQ(seen.fault.rip, (uint64_t)a->at);
            EXPECT_EQ(seen.fault.rdi, (uint64_t)word);
            EXPECT_EQ(seen.fault.rsi, VALUE);
            EXPECT_EQ(seen.fault.rax, INITIAL);
            EXPECT_EQ(seen.memory, INITIAL);
            if (!kind_is(seen.fault.kind, a->kind))
                check_failed(__LINE__, "delivered as %lu", seen.fault.kind);
            EXPECT_EQ(*word, retry ? a->after : INITIAL);
        }
    }
    EXPECT_EQ(unmap2(alias), 0);
    pages_free(page, 1);
}

/* Accesses that reach over the end of a page: nothing has happened in the other page either. */
static void check_crossing(void)
{
    char *const pages = need_pages(2, 1);
    char *const alias = alias_window();
    uint64_t *const word = (uint64_t *)(pages + PAGE - 3);

    EXPECT_EQ(map2_range(pages, 2, alias, TRAPLINE_READ), 0);
    for (size_t i = 0; i < COUNT(accesses); i++) {
        const struct access *const a = &accesses[i];

        if (a->run == access_load1 || a->run == access_store1)
            continue;
        for (int which = 0; which < 2; which++) {
            char *const page = pages + which * PAGE;

            check_at("%s, page %d protected", a->name, which);
            *word = INITIAL;
            EXPECT_EQ(prot1(page, TRAPLINE_NONE), 0);
            watch(page, alias + PAGE - 3, NULL);
            a->run(word, VALUE);
            trap(NULL, 0);
            EXPECT_EQ(seen.faults, 1);
            EXPECT_EQ(seen.fault.physical & ~0xffful, (uint64_t)page);
            EXPECT_EQ(seen.fault.rip, (uint64_t)a->at);
            EXPECT_EQ(seen.memory, INITIAL);
            EXPECT_EQ(*word, a->after);
        }
        check_at("%s, both protected", a->name);
        *word = INITIAL;
        EXPECT_EQ(protn_range(pages, 2, TRAPLINE_NONE), 0);
        memset(&seen, 0, sizeof(seen));
        trap(repeat_handler, 0);
        a->run(word, VALUE);
        trap(NULL, 0);
        EXPECT_EQ(seen.faults, 2);
        EXPECT_EQ(*word, a->after);
    }
    EXPECT_EQ(unmap2_range(alias, 2), 0);
    pages_free(pages, 2);
}

enum {
    STRING_PAGES = 4,
    STRING_BYTES = 3 * PAGE,
    STRING_START = 100, /* offset into the first page */
};

struct string_row {
    const char *name;
    bool move;       /* MOVS, else STOS */
    bool down;       /* direction flag set */
    int width;       /* 1 or 8 */
    int from, to;    /* page that is protected in the source, in the destination; -1 = none */
    unsigned faults; /* in all */
    uint64_t left;   /* RCX at the first */
};

static const struct string_row strings[] = {
    {"rep stosb", false, false, 1, -1, 2, 1, STRING_BYTES - (2 * PAGE - STRING_START)},
    {"rep stosb, first page", false, false, 1, -1, 0, 1, STRING_BYTES},
    {"rep stosq", false, false, 8, -1, 1, 1, (STRING_BYTES - (PAGE - STRING_START)) / 8 + 1},
    {"rep movsb, source", true, false, 1, 1, -1, 1, STRING_BYTES - (PAGE - STRING_START)},
    {"rep movsb, destination", true, false, 1, -1, 3, 1, STRING_BYTES - (3 * PAGE - STRING_START)},
    {"rep movsb, both", true, false, 1, 1, 2, 2, STRING_BYTES - (PAGE - STRING_START)},
    {"rep stosb down", false, true, 1, -1, 1, 1, 2 * PAGE - STRING_START},
};

/* A string instruction goes on in the middle, and no iteration happens twice or never. */
static void check_strings(void)
{
    char *const from = need_pages(STRING_PAGES, 1);
    char *const to = need_pages(STRING_PAGES, 1);

    for (size_t i = 0; i < COUNT(strings); i++) {
        const struct string_row *const row = &strings[i];
        uint64_t count = STRING_BYTES / (unsigned)row->width;
        char *source = from + STRING_START, *target = to + STRING_START;
        unsigned wrong = 0;

        check_at("%s", row->name);
        for (size_t b = 0; b < STRING_PAGES * PAGE; b++)
            from[b] = (char)(b * 7 + 1);
        memset(to, 0x55, STRING_PAGES * PAGE);
        if (row->from >= 0)
            EXPECT_EQ(prot1(from + row->from * PAGE, TRAPLINE_NONE), 0);
        if (row->to >= 0)
            EXPECT_EQ(prot1(to + row->to * PAGE, TRAPLINE_READ), 0);
        memset(&seen, 0, sizeof(seen));
        trap(repeat_handler, 0);
        if (row->down) {
            source += STRING_BYTES - 1;
            target += STRING_BYTES - 1;
            __asm__ volatile("std\n\trep stosb\n\tcld"
                             : "+D"(target), "+c"(count)
                             : "a"(0x1717171717171717)
                             : "memory");
        } else if (row->move) {
            __asm__ volatile("rep movsb" : "+D"(target), "+S"(source), "+c"(count) : : "memory");
        } else if (row->width == 8) {
            __asm__ volatile("rep stosq"
                             : "+D"(target), "+c"(count)
                             : "a"(0x1717171717171717)
                             : "memory");
        } else {
            __asm__ volatile("rep stosb"
                             : "+D"(target), "+c"(count)
                             : "a"(0x1717171717171717)
                             : "memory");
        }
        trap(NULL, 0);
        EXPECT_EQ(count, 0);
        EXPECT_EQ(seen.faults, row->faults);
        EXPECT_EQ(seen.fault.rcx, row->left);
        for (size_t b = 0; b < STRING_PAGES * PAGE; b++) {
            const bool inside = b >= STRING_START && b < STRING_START + STRING_BYTES;
            const char want = inside ? (row->move ? (char)(b * 7 + 1) : 0x17) : 0x55;

            wrong += to[b] != want;
        }
        EXPECT_EQ(wrong, 0);
    }
    pages_free(from, STRING_PAGES);
    pages_free(to, STRING_PAGES);
}

/*
 * Fetches: the first byte, and an instruction whose second half lies in a protected page. Each on
 * code that never ran, since a CPU may go on with an instruction that it has decoded before.
 */
static void check_fetch(void)
{
    static const unsigned char code[] = {0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xc3}; /* MOV; RET */
    enum {
        BEFORE = 5
    }; /* bytes of the MOV in the first page */

    for (int which = 0; which < 2; which++) {
        char *const pages = need_pages(2, 1);
        char *const start = pages + PAGE - BEFORE, *const page = pages + which * PAGE;

        check_at("page %d protected", which);
        memcpy(start, code, sizeof(code));
        EXPECT_EQ(prot1(page, ACCESS_RW), 0);
        watch(page, NULL, NULL);
        EXPECT_EQ(((uint64_t(*)(void))start)(), 0x0807060504030201);
        trap(NULL, 0);
        EXPECT_EQ(seen.faults, 1);
        EXPECT_EQ(seen.fault.kind, TRAPLINE_EXEC);
        EXPECT_EQ(seen.fault.rip, (uint64_t)start);
        EXPECT_EQ(seen.fault.physical & ~0xffful, (uint64_t)page);
    }
}

/* Through an alias: the alias is the address, and only its own protection counts. */
static void check_alias(void)
{
    char *const page = need_pages(1, 1);
    char *const alias = alias_window();

    plant_ret(page, 1);
    EXPECT_EQ(map2(page, alias, ACCESS_ALL), 0);
    EXPECT_EQ(prot1(alias, TRAPLINE_READ), 0);
    EXPECT_EQ(allowed(alias), TRAPLINE_READ);
    EXPECT_EQ(allowed(page), ACCESS_ALL);
    EXPECT_EQ(unprot(alias), 0);
    EXPECT_EQ(prot1(page, TRAPLINE_NONE), 0);
    EXPECT_EQ(allowed(alias), ACCESS_ALL);
    EXPECT_EQ(allowed(page), TRAPLINE_NONE);
    EXPECT_EQ(unprot(page), 0);
    EXPECT_EQ(unmap2(alias), 0);
    pages_free(page, 1);
}

static char *chain;
static unsigned depths_seen; /* a bit for each depth */

static void chain_handler(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);
    const uint64_t depth = ((uint64_t)page - (uint64_t)chain) / PAGE;

    if (depth == fault->depth)
        depths_seen |= 1u << depth;
    if (depth + 1 < TRAP_MAX_DEPTH)
        *(volatile char *)(page + PAGE) = 1;
    unprot(page);
}

/* A handler faults, its handler too, and so on, as deep as the runtime says. */
static void check_nesting(void)
{
    unsigned written = 0;

    chain = need_pages(TRAP_MAX_DEPTH, 1);
    for (int round = 0; round < 3; round++) {
        memset(chain, 0, TRAP_MAX_DEPTH * PAGE);
        depths_seen = 0;
        EXPECT_EQ(protn_range(chain, TRAP_MAX_DEPTH, TRAPLINE_READ), 0);
        trap(chain_handler, 0);
        *(volatile char *)chain = 1;
        trap(NULL, 0);
        EXPECT_EQ(depths_seen, (1u << TRAP_MAX_DEPTH) - 1);
        for (int i = 0; i < TRAP_MAX_DEPTH; i++)
            written += (unsigned)chain[i * PAGE];
    }
    EXPECT_EQ(written, 3 * TRAP_MAX_DEPTH);
    pages_free(chain, TRAP_MAX_DEPTH);
}

static void vector_handler(struct trapline_fault *fault)
{
    static const uint64_t junk[2] __attribute__((aligned(16))) = {~0ul, ~0ul};

    /* Change what the interrupted code may have in use. */
    __asm__ volatile("movaps %0, %%xmm0\n\tmovaps %0, %%xmm7\n\tmovaps %0, %%xmm15\n\tfldpi"
                     :
                     : "m"(junk)
                     : "xmm0", "xmm7", "xmm15", "st");
    unprot(trap_page(fault));
}

/* All registers survive a delivery, also when the handler uses the vector registers. */
static void check_registers(void)
{
    static const uint64_t pattern[2] __attribute__((aligned(16))) = {0x123456789abcdef0, VALUE};
    static uint64_t after[3][2] __attribute__((aligned(16)));
    char *const page = need_pages(1, 1);
    double one;

    EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
    trap(vector_handler, 0);
    __asm__ volatile("fninit\n\tfld1\n\t"
                     "movaps (%2), %%xmm0\n\tmovaps (%2), %%xmm7\n\tmovaps (%2), %%xmm15\n\t"
                     "movb $1, (%1)\n\t"
                     "movaps %%xmm0, (%3)\n\tmovaps %%xmm7, 16(%3)\n\tmovaps %%xmm15, 32(%3)\n\t"
                     "fstpl %0"
                     : "=m"(one)
                     : "r"(page), "r"(pattern), "r"(after)
                     : "memory", "xmm0", "xmm7", "xmm15", "st");
    trap(NULL, 0);
    for (int i = 0; i < 3; i++)
        EXPECT(memcmp(after[i], pattern, sizeof(pattern)) == 0);
    EXPECT(one == 1.0);
    pages_free(page, 1);
}

/* The stack of another exception is protected: that exception comes after the trap. */
static void check_delivery(void)
{
    const size_t bytes = (size_t)exception_stack_top - (size_t)exception_stack_bottom;
    char *const page = exception_stack_bottom + bytes - PAGE;
    int vector;

    EXPECT_EQ(prot1(page, TRAPLINE_READ), 0);
    watch(page, NULL, NULL);
    TRY(vector, "ud2", , );
    trap(NULL, 0);
    EXPECT_EQ(vector, VECTOR_UD);
    EXPECT_EQ(seen.faults, 1);
    EXPECT_EQ(seen.fault.kind, TRAPLINE_WRITE);
    EXPECT_EQ(seen.fault.physical & ~0xffful, (uint64_t)page);
    EXPECT_EQ(seen.fault.rip, except_state.rip);
}

static uint64_t walk_qualification;

static void walk_handler(struct trapline_fault *fault)
{
    walk_qualification = trap_area()->qualification;
    repeat_handler(fault);
}

/* A page table of the guest's own is protected: the walk traps. */
static void check_walk(void)
{
    char *const page = need_pages(1, 1);
    struct walk walk = walk_map(page);
    uint64_t *const tables[] = {walk.pt, walk.pd, walk.pdpt};

    *page = 42;
    for (size_t i = 0; i < COUNT(tables); i++) {
        check_at("table %zu, no access", i);
        memset(&seen, 0, sizeof(seen));
        EXPECT_EQ(prot1(tables[i], TRAPLINE_NONE), 0);
        trap(walk_handler, 0);
        walk_flush();
        EXPECT_EQ(probe_read(walk.linear), 42);
        trap(NULL, 0);
        EXPECT_EQ(seen.faults, 1);
        EXPECT_EQ(seen.fault.physical & ~0xffful, (uint64_t)tables[i]);
        EXPECT_EQ(seen.fault.rip, (uint64_t)probe_read);
        EXPECT(walk_qualification & TRAPLINE_Q_LINEAR_VALID);
        EXPECT(!(walk_qualification & TRAPLINE_Q_NOT_WALK));
        /* Where the CPU sets the EPT's dirty bits, walks count as writes. */
        check_at("table %zu, read-only", i);
        seen.faults = 0;
        EXPECT_EQ(prot1(tables[i], TRAPLINE_READ), 0);
        trap(repeat_handler, 0);
        walk_flush();
        EXPECT_EQ(probe_read(walk.linear), 42);
        trap(NULL, 0);
        EXPECT_EQ(seen.faults, has_feature(TRAPLINE_FEATURE_AD) ? 1 : 0);
        unprot(tables[i]);
    }
    walk_unmap(&walk);
    pages_free(page, 1);
}

static const struct check checks[] = {
    {"trap: every sort of access", check_accesses},
    {"trap: accesses over the end of a page", check_crossing},
    {"trap: string instructions", check_strings},
    {"trap: fetches", check_fetch},
    {"trap: through an alias", check_alias},
    {"trap: nesting", check_nesting},
    {"trap: registers", check_registers},
    {"trap: during the delivery of an exception", check_delivery},
    {"trap: walks of the guest's page tables", check_walk},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
