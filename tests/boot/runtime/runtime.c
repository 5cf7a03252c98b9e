/*
 * The guest runtime: what trap handlers may rely on, and each way in which the runtime ends a
 * guest.
 *
 * Without arguments it makes its checks; with one it ends in the way that the argument names, which
 * its exit code shows.
 */
#include <trapline/trapline.h>

enum {
    CHECKS = 21,
    PAGE = TRAPLINE_PAGE_SIZE,
    CODE_RET = 0xc3,
    REGISTERS = 19, /* three vector registers, RAX to R15 but for RSP, RFLAGS */
    FLAG_CARRY = 1,
    CPUID_1_ECX_AVX = 1 << 28,
};

static volatile unsigned calls;
static volatile struct trapline_fault last;
static char *pages; /* TRAP_MAX_DEPTH + 1 of them, protected for the nesting */
static volatile uint64_t deepest;
static bool avx;

static bool cpu_has_avx(void)
{
    uint32_t eax = 1, ebx, ecx = 0, edx;

    __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx & CPUID_1_ECX_AVX;
}

static void check(bool good, const char *name)
{
    printf(good ? "ok %s\n" : "not ok %s: see runtime.c\n", name);
}

/*
 * Write to address with known values in all registers, and store what they hold afterwards. XMM0,
 * XMM7, XMM15 hold 2, 3, 4; RBX to R15 hold 2 to 15 in the order of the pushes; the carry flag is
 * set.
 */
void write_and_store(char *address, uint64_t *registers);
extern const char write_and_store_write[], write_and_store_end[];
__asm__(
    ".text\n"
    "write_and_store:\n\t"
    "push %rbx\n\tpush %rbp\n\tpush %r12\n\tpush %r13\n\tpush %r14\n\tpush %r15\n\tpush %rsi\n\t"
    "mov %rdi, %rax\n\t"
    "mov $2, %ebx\n\tmov $3, %ecx\n\tmov $4, %edx\n\tmov $5, %esi\n\tmov $6, %edi\n\t"
    "mov $7, %ebp\n\tmov $8, %r8d\n\tmov $9, %r9d\n\tmov $10, %r10d\n\tmov $11, %r11d\n\t"
    "mov $12, %r12d\n\tmov $13, %r13d\n\tmov $14, %r14d\n\tmov $15, %r15d\n\t"
    "movq %rbx, %xmm0\n\tmovq %rcx, %xmm7\n\tmovq %rdx, %xmm15\n\t"
    "stc\n"
    "write_and_store_write:\n\t"
    "movb $42, (%rax)\n"
    "write_and_store_end:\n\t"
    "pushfq\n\t"
    "push %r15\n\tpush %r14\n\tpush %r13\n\tpush %r12\n\tpush %r11\n\tpush %r10\n\tpush %r9\n\t"
    "push %r8\n\tpush %rbp\n\tpush %rdi\n\tpush %rsi\n\tpush %rdx\n\tpush %rcx\n\tpush %rbx\n\t"
    "push %rax\n\t"
    "sub $24, %rsp\n\t"
    "movq %xmm0, (%rsp)\n\tmovq %xmm7, 8(%rsp)\n\tmovq %xmm15, 16(%rsp)\n\t"
    "mov %rsp, %rsi\n\t"
    "mov 152(%rsp), %rdi\n\t"
    "mov $19, %ecx\n\t"
    "rep movsq\n\t"
    "add $152, %rsp\n\t"
    "pop %rsi\n\tpop %r15\n\tpop %r14\n\tpop %r13\n\tpop %r12\n\tpop %rbp\n\tpop %rbx\n\t"
    "ret\n");

int main(int argc, char **argv);

/* Write 42 to address; do all registers hold afterwards what they held? */
static bool registers_survive(char *address)
{
    uint64_t registers[REGISTERS];
    bool good;

    write_and_store(address, registers);
    good = registers[0] == 2 && registers[1] == 3 && registers[2] == 4 &&
           registers[3] == (uint64_t)address && (registers[18] & FLAG_CARRY);
    for (uint64_t i = 4; i < 18; i++)
        good = good && registers[i] == i - 2;
    return good;
}

/* Write to address with a value in all of YMM1; is it there afterwards? */
static bool upper_halves_survive(char *address)
{
    const uint64_t value[4] = {1, 2, 3, 4};
    uint64_t result[4] = {0};

    __asm__ volatile("vmovdqu (%0), %%ymm1\n\t"
                     "movb $1, (%2)\n\t"
                     "vmovdqu %%ymm1, (%1)\n\t"
                     "vzeroupper"
                     :
                     : "r"(value), "r"(result), "r"(address)
                     : "memory", "xmm1");
    return memcmp(value, result, sizeof(value)) == 0;
}

/* Gives the page back, and leaves nothing as it was that a handler may change. */
static void give_back(struct trapline_fault *fault)
{
    calls++;
    last = *fault;
    unprot(trap_page(fault));
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\t"
                     "pcmpeqd %%xmm7, %%xmm7\n\t"
                     "pcmpeqd %%xmm15, %%xmm15\n\t"
                     "clc"
                     :
                     :
                     : "xmm0", "xmm7", "xmm15", "cc");
    if (avx)
        __asm__ volatile("vxorps %%ymm1, %%ymm1, %%ymm1" : : : "xmm1");
}

/* Leaves no general register as it was, but for RSP and RBP. */
__attribute__((always_inline, target("general-regs-only"))) static inline void spoil_registers(void)
{
    __asm__ volatile("xor %%eax, %%eax\n\t"
                     "xor %%ebx, %%ebx\n\t"
                     "xor %%ecx, %%ecx\n\t"
                     "xor %%edx, %%edx\n\t"
                     "xor %%esi, %%esi\n\t"
                     "xor %%edi, %%edi\n\t"
                     "xor %%r8d, %%r8d\n\t"
                     "xor %%r9d, %%r9d\n\t"
                     "xor %%r10d, %%r10d\n\t"
                     "xor %%r11d, %%r11d\n\t"
                     "xor %%r12d, %%r12d\n\t"
                     "xor %%r13d, %%r13d\n\t"
                     "xor %%r14d, %%r14d\n\t"
                     "xor %%r15d, %%r15d"
                     :
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
                       "r13", "r14", "r15", "cc");
}

TRAP_GENERAL static void give_back_general(struct trapline_fault *fault)
{
    calls++;
    last.rax = fault->rax;
    last.r15 = fault->r15;
    unprot(trap_page(fault));
    spoil_registers();
}

/* What a lean handler sees of a fault. */
TRAP_LEAN_HANDLER static void keep_place(const struct trapline_fault *fault)
{
    calls++;
    last.depth = fault->depth;
    last.kind = fault->kind;
    last.physical = fault->physical;
    last.address = fault->address;
    last.rip = fault->rip;
}

TRAP_LEAN_HANDLER static void give_back_lean(struct trapline_fault *fault)
{
    keep_place(fault);
    unprot(trap_page(fault));
    spoil_registers();
}

/* Goes on behind the access of write_and_store(). */
TRAP_LEAN_HANDLER static void skip_lean(struct trapline_fault *fault)
{
    keep_place(fault);
    fault->rip = (uint64_t)write_and_store_end;
}

/* Touches the next page, which is protected, too, before it gives its own back. */
static void nest(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    calls++;
    if (fault->depth > deepest)
        deepest = fault->depth;
    *(volatile char *)(page + PAGE) = 1;
    unprot(page);
}

TRAP_LEAN_HANDLER static void nest_lean(struct trapline_fault *fault)
{
    char *const page = trap_page(fault);

    keep_place(fault);
    if (fault->depth > deepest)
        deepest = fault->depth;
    *(volatile char *)(page + PAGE) = 1;
    unprot(page);
}

static void check_general(char *page)
{
    calls = 0;
    trap(give_back_general, TRAP_GENERAL_REGS);
    prot1(page, TRAPLINE_READ);
    *(volatile char *)page = 0;
    check(calls == 1, "a handler of general registers only");
    prot1(page, TRAPLINE_NONE);
    check(registers_survive(page) && calls == 2 && *page == 42, "registers survive it");
    check(last.rax == (uint64_t)page && last.r15 == 15, "it sees the registers");
}

static void check_lean(char *page)
{
    calls = 0;
    trap(give_back_lean, TRAP_LEAN);
    prot1(page, TRAPLINE_NONE);
    *(volatile char *)page = 1;
    check(calls == 1 && *page == 1, "a lean handler");
    prot1(page + PAGE, TRAPLINE_READ);
    check(registers_survive(page + PAGE) && calls == 2 && page[PAGE] == 42,
          "registers survive a lean handler");
    check(last.kind == TRAPLINE_WRITE && last.address == (uint64_t)page + PAGE &&
              last.physical == last.address && last.depth == 0 &&
              last.rip == (uint64_t)write_and_store_write,
          "it sees what was accessed");

    trap(skip_lean, TRAP_LEAN | TRAP_GENERAL_REGS);
    prot1(page, TRAPLINE_READ);
    check(registers_survive(page) && calls == 3 && *page == 1, "it can go on somewhere else");
    unprot(page);
}

/* Do faults reach the handler, nest() or nest_lean(), in itself, as deep as they may? */
static bool nests(trap_handler *handler, unsigned flags)
{
    calls = 0;
    deepest = 0;
    trap(handler, flags);
    protn_range(pages, TRAP_MAX_DEPTH, TRAPLINE_NONE);
    *(volatile char *)pages = 1;
    return calls == TRAP_MAX_DEPTH && deepest == TRAP_MAX_DEPTH - 1;
}

static void check_traps(void)
{
    void (*code)(void);
    char *const page = pages;

    trap(give_back, 0);
    prot1(page, TRAPLINE_NONE);
    check(registers_survive(page) && calls == 1 && *page == 42, "registers survive a fault");
    check(last.kind == TRAPLINE_WRITE && last.address == (uint64_t)page &&
              last.rax == last.address && last.r15 == 15 && last.depth == 0,
          "the fault is described");
    if (avx) {
        prot1(page, TRAPLINE_NONE);
        check(upper_halves_survive(page) && calls == 2, "AVX registers survive a fault");
    } else {
        check(true, "AVX registers survive a fault (there are none)");
    }

    prot1(page + PAGE, TRAPLINE_NONE);
    check(((volatile char *)page)[PAGE] == 0 && last.kind == TRAPLINE_READ, "a read is told apart");
    page[0] = (char)CODE_RET;
    prot1(page, TRAPLINE_READ);
    memcpy(&code, &page, sizeof(code));
    code();
    check(last.kind == TRAPLINE_EXEC && last.rip == (uint64_t)page, "a fetch is told apart");

    check_general(page);
    check_lean(page);
    check(trap(give_back, 4) == -TRAPLINE_EINVAL, "an unknown flag is refused");
    check(nests(nest, 0), "handlers nest to their depth");
    check(nests(nest_lean, TRAP_LEAN), "lean handlers nest to their depth");
    trap(NULL, 0);
}

static void check_memory(void)
{
    const size_t before = pages_available();
    char *const block = malloc(3 << 20), *const aligned = aligned_alloc(PAGE, 100);
    char *const large = pages_alloc(512, 512);
    char *moved;

    check(block && aligned && (uint64_t)aligned % PAGE == 0, "the heap grows and aligns");
    check(large && (uint64_t)large % (512 * PAGE) == 0 && large[0] == 0 &&
              large[512 * PAGE - 1] == 0,
          "an aligned 2 MiB of pages, zeroed");
    block[0] = 'x';
    moved = realloc(block, 4 << 20);
    check(moved && moved[0] == 'x', "realloc keeps what was there");
    free(moved);
    free(aligned);
    pages_free(large, 512);
    check(malloc(ram_size() + 1) == NULL && !pages_alloc(before + 1, 1), "too much is refused");
}

static void check_time(void)
{
    const uint64_t start = ns(), hz = tsc_hz();
    uint64_t now = start;

    for (int i = 0; i < 1000 && now == start; i++)
        now = ns();
    check(now > start, "time goes on");
    check(ticks_to_ns(hz) == 1000000000 && ticks_to_ns(5 * hz / 2) == 2500000000,
          "ticks become ns");
}

/* Overflows the stack; the array keeps the compiler from making a loop of it. */
static int recurse(int depth)
{
    static volatile int never = -1;
    volatile char frame[512];

    frame[0] = (char)depth;
    if (depth == never)
        return 0;
    return recurse(depth + 1) + frame[0];
}

/* Built as libraries are: see guest/runtime/canary.c. */
__attribute__((noinline, optimize("stack-protector-all"))) static int overrun(volatile size_t bytes)
{
    volatile char frame[16];

    for (size_t i = 0; i < bytes; i++)
        frame[i] = 'x';
    return frame[0];
}

static int end_as(const char *way)
{
    volatile uint64_t zero = 0;
    char *block;

    if (strcmp(way, "fault") == 0) {
        prot1(pages, TRAPLINE_READ);
        *(volatile char *)pages = 1;
    } else if (strcmp(way, "depth") == 0) {
        trap(nest, 0);
        protn_range(pages, TRAP_MAX_DEPTH + 1, TRAPLINE_NONE);
        *(volatile char *)pages = 1;
    } else if (strcmp(way, "lean") == 0) {
        trap(nest_lean, TRAP_LEAN);
        protn_range(pages, TRAP_MAX_DEPTH + 1, TRAPLINE_NONE);
        *(volatile char *)pages = 1;
    } else if (strcmp(way, "stack") == 0) {
        return recurse(0);
    } else if (strcmp(way, "null") == 0) {
        *(volatile char *)zero = 1;
    } else if (strcmp(way, "text") == 0) {
        *(volatile char *)(uint64_t)main = 1;
    } else if (strcmp(way, "divide") == 0) {
        return (int)(1000 / zero);
    } else if (strcmp(way, "assert") == 0) {
        assert(zero == 1);
    } else if (strcmp(way, "free") == 0) {
        block = malloc(10);
        free(block);
        free(block);
    } else if (strcmp(way, "overrun") == 0) {
        if (overrun(sizeof(char[16])) == 'x') /* what lies within is no overrun */
            return overrun(sizeof(char[48]));
    } else if (strcmp(way, "seven") == 0) {
        return 7;
    }
    return EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    avx = cpu_has_avx();
    pages = pages_alloc(TRAP_MAX_DEPTH + 2, 1);
    if (argc > 1)
        return end_as(argv[1]);
    printf("1..%d\n", CHECKS);
    check_traps();
    check_memory();
    check_time();
    return EXIT_SUCCESS;
}
