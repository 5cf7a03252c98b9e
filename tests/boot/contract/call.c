/*
 * The calling convention itself: hypercall 0, numbers that do not exist, registers, CPL 3; STATS,
 * PRINT; and CPUID, which says what the guest may use.
 */
#include "except.h"
#include "probe.h"
#include "user.h"

enum reg {
    REG_RAX,
    REG_RBX,
    REG_RCX,
    REG_RDX,
    REG_RSI,
    REG_RDI,
    REG_RBP,
    REG_R8,
    REG_R9,
    REG_R10,
    REG_R11,
    REG_R12,
    REG_R13,
    REG_R14,
    REG_R15,
    REG_COUNT,
};

/* Load all general registers but RSP, VMCALL, store them. RFLAGS go in and out as well. */
__asm__(".text\n"
        "call_all:\n\t"
        "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\t"
        "push %rdi\n\t"
        "pushq 120(%rdi)\n\t"
        "mov 8(%rdi), %rbx\n\tmov 16(%rdi), %rcx\n\tmov 24(%rdi), %rdx\n\tmov 32(%rdi), %rsi\n\t"
        "mov 48(%rdi), %rbp\n\tmov 56(%rdi), %r8\n\tmov 64(%rdi), %r9\n\tmov 72(%rdi), %r10\n\t"
        "mov 80(%rdi), %r11\n\tmov 88(%rdi), %r12\n\tmov 96(%rdi), %r13\n\tmov 104(%rdi), %r14\n\t"
        "mov 112(%rdi), %r15\n\tmov (%rdi), %rax\n\tmov 40(%rdi), %rdi\n\t"
        "popfq\n\t"
        "vmcall\n\t"
        "pushfq\n\t"
        "xchg %rdi, 8(%rsp)\n\t" /* RDI = the array, its slot = what RDI was */
        "mov %rax, (%rdi)\n\tmov %rbx, 8(%rdi)\n\tmov %rcx, 16(%rdi)\n\tmov %rdx, 24(%rdi)\n\t"
        "mov %rsi, 32(%rdi)\n\tmov %rbp, 48(%rdi)\n\tmov %r8, 56(%rdi)\n\tmov %r9, 64(%rdi)\n\t"
        "mov %r10, 72(%rdi)\n\tmov %r11, 80(%rdi)\n\tmov %r12, 88(%rdi)\n\tmov %r13, 96(%rdi)\n\t"
        "mov %r14, 104(%rdi)\n\tmov %r15, 112(%rdi)\n\t"
        "popq 120(%rdi)\n\t"
        "popq 40(%rdi)\n\t"
        "cld\n\t"
        "pop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
        "ret\n");
void call_all(uint64_t regs[REG_COUNT + 1]);

enum rflags {
    RFLAGS_CF = 1u << 0,
    RFLAGS_FIXED = 1u << 1,
    RFLAGS_SF = 1u << 7,
    RFLAGS_DF = 1u << 10,
    RFLAGS_OF = 1u << 11,
};
#define RFLAGS_RUBBISH (RFLAGS_FIXED | RFLAGS_CF | RFLAGS_SF | RFLAGS_DF | RFLAGS_OF)

/* The result of a call that is made with all registers full; the others must be as they were. */
static int64_t call_and_compare(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                bool second_result)
{
    uint64_t regs[REG_COUNT + 1], before[REG_COUNT + 1];

    for (unsigned i = 0; i < REG_COUNT; i++)
        regs[i] = 0x8000000000000000 + 0x0123456789abcdef * (i + 1);
    regs[REG_RAX] = number;
    regs[REG_RDI] = a;
    regs[REG_RSI] = b;
    regs[REG_RDX] = c;
    regs[REG_R10] = d;
    regs[REG_COUNT] = RFLAGS_RUBBISH;
    memcpy(before, regs, sizeof(before));
    call_all(regs);
    for (unsigned i = REG_RBX; i <= REG_COUNT; i++) {
        if (i == REG_RDX && second_result)
            continue;
        if (regs[i] != before[i])
            check_failed(__LINE__, "register %u is 0x%lx, not 0x%lx", i, regs[i], before[i]);
    }
    return (int64_t)regs[REG_RAX];
}

static void check_nop(void)
{
    static const uint64_t rubbish[] = {0, 1, 4096, ~0ul, 1ul << 63, 0x123456789abcdef0};

    for (size_t i = 0; i < COUNT(rubbish); i++) {
        const uint64_t r = rubbish[i];

        check_at("0x%lx", r);
        EXPECT_EQ(call_and_compare(TRAPLINE_HC_NOP, r, r, r, r, false), 0);
    }
}

/* No call disturbs a register that holds no result, whether it succeeds or fails. */
static void check_registers(void)
{
    static uint64_t list[2000];
    static struct trapline_stats counters;
    char *const page = need_pages(2, 1);
    const uint64_t p = (uint64_t)page, w = (uint64_t)alias_window();
    const struct {
        const char *name;
        uint64_t number, a, b, c, d;
        int64_t result;
        bool second; /* it returns RDX */
    } rows[] = {
        {"PROT1", TRAPLINE_HC_PROT1, p, TRAPLINE_READ, 1, 2, 0, false},
        {"PROT1 that fails", TRAPLINE_HC_PROT1, p + 1, 1, 1, 2, -TRAPLINE_EINVAL, false},
        {"PROTN", TRAPLINE_HC_PROTN, (uint64_t)list, 4, TRAPLINE_READ, 9, 0, false},
        {"PROTN, long", TRAPLINE_HC_PROTN, (uint64_t)list, COUNT(list), TRAPLINE_READ, 9, 0, false},
        {"PROTN that fails", TRAPLINE_HC_PROTN, 4, 4, 1, 9, -TRAPLINE_EINVAL, true},
        {"UNPROT", TRAPLINE_HC_UNPROT, p, 2, 7, 8, 0, false},
        {"TRACK", TRAPLINE_HC_TRACK, p, 2, 1, 8, 0, false},
        {"DIRTY", TRAPLINE_HC_DIRTY, p, 2, (uint64_t)list, 2, 0, true},
        {"DIRTY that fails", TRAPLINE_HC_DIRTY, p, 2, 4, 2, -TRAPLINE_EINVAL, false},
        {"TRACK off", TRAPLINE_HC_TRACK, p, 2, 0, 8, 0, false},
        {"MAP2", TRAPLINE_HC_MAP2, p, 2, w, 3, 0, false},
        {"MAP2 that fails", TRAPLINE_HC_MAP2, p, 2, w, 3, -TRAPLINE_EEXIST, false},
        {"UNMAP2", TRAPLINE_HC_UNMAP2, w, 2, 5, 6, 0, false},
        {"PRINT", TRAPLINE_HC_PRINT, p, 0, 5, 6, 0, false},
        {"STATS", TRAPLINE_HC_STATS, (uint64_t)&counters, 1, 2, 3, 0, false},
        {"TRAP that fails", TRAPLINE_HC_TRAP, 1, 1, 2, 3, -TRAPLINE_EINVAL, false},
        {"12", TRAPLINE_HC_COUNT, 1, 2, 3, 4, -TRAPLINE_ENOSYS, false},
    };

    for (size_t i = 0; i < COUNT(list); i++)
        list[i] = p + i % 2 * PAGE;
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(call_and_compare(rows[i].number, rows[i].a, rows[i].b, rows[i].c, rows[i].d,
                                   rows[i].second),
                  rows[i].result);
    }
    pages_free(page, 2);
}

/* Nor a vector register: the hypervisor has none in use. */
static void check_vector_registers(void)
{
    static uint64_t in[2] __attribute__((aligned(16))) = {0x1111222233334444, 0x5555666677778888};
    static uint64_t out[2][2] __attribute__((aligned(16)));
    static uint64_t counters[32];
    double pi = 0;

    __asm__ volatile("fninit\n\tfldpi\n\t"
                     "movaps (%[in]), %%xmm0\n\tmovaps (%[in]), %%xmm13\n\t"
                     "vmcall\n\t"
                     "movaps %%xmm0, (%[out])\n\tmovaps %%xmm13, 16(%[out])\n\t"
                     "fstpl %[pi]"
                     : [pi] "=m"(pi)
                     : [in] "r"(in), [out] "r"(out), "a"((uint64_t)TRAPLINE_HC_STATS),
                       "D"((uint64_t)counters)
                     : "memory", "xmm0", "xmm13", "st");
    EXPECT(memcmp(in, out[0], sizeof(in)) == 0);
    EXPECT(memcmp(in, out[1], sizeof(in)) == 0);
    EXPECT(pi > 3.14159 && pi < 3.1416);
}

static void check_unknown(void)
{
    static const uint64_t numbers[] = {
        TRAPLINE_HC_COUNT,
        64,
        255,
        256,
        1ul << 31,
        1ul << 32,
        (1ul << 32) + TRAPLINE_HC_PROT1,
        1ul << 63,
        (1ul << 63) + TRAPLINE_HC_EXIT,
        ~0ul,
    };
    struct trapline_stats before, after;

    EXPECT_EQ(stats(&before), 0);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        check_at("number 0x%lx", numbers[i]);
        EXPECT_EQ(call_and_compare(numbers[i], 1, 2, 3, 4, false), -TRAPLINE_ENOSYS);
    }
    EXPECT_EQ(stats(&after), 0);
    EXPECT_EQ(after.hypercalls - before.hypercalls, COUNT(numbers) + 1);
}

/* Above CPL 0 every call is refused, also 0, EXIT and numbers that do not exist. */
static void check_user(void)
{
    static const unsigned char code[] = {0x0f, 0x01, 0xc1, 0x0f, 0x0b}; /* VMCALL; UD2 */
    struct trapline_stats before, after;

    user_init();
    EXPECT_EQ(stats(&before), 0);
    for (uint64_t number = 0; number <= TRAPLINE_HC_COUNT + 1; number++) {
        const uint64_t rax = number <= TRAPLINE_HC_COUNT ? number : ~0ul;

        check_at("number 0x%lx", rax);
        EXPECT_EQ(user_run(code, sizeof(code), rax, RFLAGS_FIXED), -TRAPLINE_EPERM);
        EXPECT_EQ(user_end.vector, VECTOR_UD);
        EXPECT_EQ(user_end.offset, 3);
    }
    EXPECT_EQ(stats(&after), 0);
    EXPECT_EQ(after.hypercalls - before.hypercalls, TRAPLINE_HC_COUNT + 3);
}

static void check_stats(void)
{
    char *const pages = need_pages(2, 1);
    const uint64_t p = (uint64_t)pages, size = sizeof(struct trapline_stats);
    const struct {
        const char *name;
        uint64_t address;
        int result;
    } rows[] = {
        {"aligned to 8", p + 8, 0},
        {"over a page", p + PAGE - 8, 0},
        {"the end of RAM", ram_size() - size, 0},
        {"misaligned by 1", p + 1, -TRAPLINE_EINVAL},
        {"misaligned by 4", p + 4, -TRAPLINE_EINVAL},
        {"all ones", ~0ul, -TRAPLINE_EINVAL},
        {"over the end of RAM", ram_size() - size + 8, -TRAPLINE_EFAULT},
        {"behind RAM", ram_size(), -TRAPLINE_EFAULT},
        {"alias window", (uint64_t)alias_window(), -TRAPLINE_EFAULT},
        {"1 TiB", 1ul << 40, -TRAPLINE_EFAULT},
        {"bit 63", 1ul << 63 | p, -TRAPLINE_EFAULT},
        {"end of all", ~7ul, -TRAPLINE_EFAULT},
    };
    struct trapline_stats first, second;
    uint64_t injected;

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, rows[i].address, 0), rows[i].result);
    }
    check_at("read-only");
    EXPECT_EQ(prot1(pages + PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, p + PAGE, 0), -TRAPLINE_EFAULT);
    check_at("half of it read-only");
    memset(pages, 0x5a, PAGE);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_STATS, p + PAGE - 8, 0), -TRAPLINE_EFAULT);
    EXPECT_EQ(*(uint64_t *)(pages + PAGE - 8), 0x5a5a5a5a5a5a5a5a);
    EXPECT_EQ(unprot_range(pages, 2), 0);

    check_at("what it counts");
    EXPECT_EQ(stats(&first), 0);
    EXPECT_EQ(prot1(pages, TRAPLINE_READ), 0);
    EXPECT_EQ(probe(pages, TRAPLINE_WRITE), 1);
    EXPECT_EQ(unprot(pages), 0);
    EXPECT_EQ(stats(&second), 0);
    EXPECT_EQ(second.hypercalls - first.hypercalls, 3);
    /* What the CPU delivers by itself nobody counts. */
    injected = has_feature(TRAPLINE_FEATURE_VE) ? 0 : 1;
    EXPECT_EQ(second.traps - first.traps, injected);
    EXPECT(second.exits - first.exits >= 3 + injected); /* and the timer's, when it came */
    EXPECT(second.exits - first.exits <= 5 + injected);
    EXPECT(second.table_pages > 0 && second.table_pages <= second.table_budget);
    pages_free(pages, 2);
}

static void check_print(void)
{
    char *const pages = need_pages(2, 1);
    const uint64_t p = (uint64_t)pages;
    const struct {
        const char *name;
        uint64_t text, bytes;
        int64_t result;
    } rows[] = {
        {"nothing", p, 0, 0},
        {"all that one call takes", p, 4096, 4096},
        {"all ones bytes", p, ~0ul, 4096},
        {"up to the end of RAM", ram_size() - 16, 16, 16},
        {"over the end of RAM", ram_size() - 16, 17, -TRAPLINE_EFAULT},
        {"behind RAM", ram_size() + PAGE, 1, -TRAPLINE_EFAULT},
        {"alias window", (uint64_t)alias_window(), 1, -TRAPLINE_EFAULT},
        {"1 TiB", 1ul << 40, 1, -TRAPLINE_EFAULT},
        {"last byte of all", ~0ul, 1, -TRAPLINE_EFAULT},
        {"wraps", ~0ul, 2, -TRAPLINE_EFAULT},
        {"bit 63", 1ul << 63 | p, 1, -TRAPLINE_EFAULT},
    };

    memset(pages, ' ', 2 * PAGE);
    pages[PAGE - 1] = '\n';
    memset((void *)(ram_size() - 16), '\n', 16);
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, rows[i].text, rows[i].bytes), rows[i].result);
    }
    check_at("without access");
    memcpy(pages + PAGE - 4, "no p", 4);
    EXPECT_EQ(prot1(pages + PAGE, TRAPLINE_NONE), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, p + PAGE, 1), -TRAPLINE_EFAULT);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, p + PAGE - 4, 5), -TRAPLINE_EFAULT);
    if (has_feature(TRAPLINE_FEATURE_EXEC_ONLY)) {
        EXPECT_EQ(prot1(pages + PAGE, TRAPLINE_EXEC), 0);
        EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, p + PAGE, 1), -TRAPLINE_EFAULT);
    }
    check_at("read-only");
    EXPECT_EQ(prot1(pages + PAGE, TRAPLINE_READ), 0);
    EXPECT_EQ(hypercall2(TRAPLINE_HC_PRINT, p + PAGE, 1), 1);
    EXPECT_EQ(unprot_range(pages, 2), 0);
    pages_free(pages, 2);
}

struct leaf {
    uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct leaf r;

    __asm__ volatile("cpuid"
                     : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
                     : "a"(leaf), "c"(subleaf));
    return r;
}

static void check_cpuid(void)
{
    const struct leaf signature = cpuid(TRAPLINE_CPUID_SIGNATURE, 0);
    const struct leaf version = cpuid(TRAPLINE_CPUID_VERSION, 0);
    const struct leaf one = cpuid(1, 0), seven = cpuid(7, 0);
    char text[13] = "";

    memcpy(text, &signature.ebx, 4);
    memcpy(text + 4, &signature.ecx, 4);
    memcpy(text + 8, &signature.edx, 4);
    EXPECT(strcmp(text, "TraplineHV") == 0);
    EXPECT_EQ(signature.eax, TRAPLINE_CPUID_VERSION);
    EXPECT_EQ(version.eax, TRAPLINE_ABI_VERSION);
    EXPECT_EQ(version.ebx, guest_info()->features);
    EXPECT(one.ecx & 1u << 31);      /* a hypervisor is present */
    EXPECT(!(one.ecx & 1u << 3));    /* MONITOR */
    EXPECT(!(one.ecx & 1u << 5));    /* VMX */
    EXPECT(!(one.ecx & 1u << 6));    /* SMX */
    EXPECT(one.ecx & 1u << 21);      /* x2APIC */
    EXPECT(one.edx & 1u << 9);       /* APIC */
    EXPECT(!(seven.ecx & 1u << 7));  /* CET shadow stacks */
    EXPECT(!(seven.edx & 1u << 20)); /* CET branch tracking */
    EXPECT(!(seven.edx & 1u << 26)); /* IBRS and IBPB */
}

/* An instruction works exactly where CPUID shows it. */
static void check_shown_is_usable(void)
{
    const struct leaf one = cpuid(1, 0), seven = cpuid(7, 0), extended = cpuid(0x80000001, 0);
    const bool xsave = one.ecx & 1u << 26;
    const bool xsaves = xsave && (cpuid(0xd, 1).eax & 1u << 3);
    static uint8_t area[16384] __attribute__((aligned(64)));
    static const uint64_t descriptor[2];
    int vector;

    check_at("RDTSCP");
    TRY(vector, "rdtscp", , , "rax", "rcx", "rdx");
    EXPECT_EQ(vector, extended.edx & 1u << 27 ? VECTOR_NONE : VECTOR_UD);
    check_at("RDPID");
    TRY(vector, "rdpid %%rax", , , "rax");
    EXPECT_EQ(vector, seven.ecx & 1u << 22 ? VECTOR_NONE : VECTOR_UD);
    check_at("INVPCID");
    TRY(vector, "invpcid %0, %1", , ARGS("m"(descriptor), "r"(2ul)));
    EXPECT_EQ(vector, seven.ebx & 1u << 10 ? VECTOR_NONE : VECTOR_UD);
    check_at("XGETBV");
    TRY(vector, "xgetbv", , "c"(0), "rax", "rdx");
    EXPECT_EQ(vector, xsave ? VECTOR_NONE : VECTOR_UD);
    check_at("XSAVES");
    TRY(vector, "xsaves64 (%0)", , ARGS("r"(area), "a"(3), "d"(0)));
    EXPECT_EQ(vector, xsaves ? VECTOR_NONE : VECTOR_UD);
    check_at("XRSTORS");
    TRY(vector, "xrstors64 (%0)", , ARGS("r"(area), "a"(3), "d"(0)));
    EXPECT_EQ(vector, xsaves ? VECTOR_NONE : VECTOR_UD);
    check_at("RDFSBASE, which CR4 has off");
    TRY(vector, "rdfsbase %%rax", , , "rax");
    EXPECT_EQ(vector, VECTOR_UD);
    check_at("MONITOR");
    TRY(vector, "monitor", , ARGS("a"(area), "c"(0), "d"(0)));
    EXPECT_EQ(vector, VECTOR_UD);
}

static const struct check checks[] = {
    {"call: 0", check_nop},
    {"call: registers", check_registers},
    {"call: vector registers", check_vector_registers},
    {"call: numbers that do not exist", check_unknown},
    {"call: from ring 3", check_user},
    {"stats", check_stats},
    {"print", check_print},
    {"cpuid", check_cpuid},
    {"cpuid: what is shown is usable", check_shown_is_usable},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
