/*
 * User mode: functions in ring 3, their system calls and faults, regions and keys from there, and
 * code that tries to do harm. Nothing of it needs a VM exit.
 */
/* System calls' handlers keep to the general registers. */
#pragma GCC target("general-regs-only")

#include <trapline/user.h>

#include "suite.h"

enum {
    STACK_PAGES = 2,
    VECTOR_DB = 1,
    VECTOR_UD = 6,
    VECTOR_GP = 13,
    VECTOR_PF = 14,
    ERROR_PRESENT = 1,
    ERROR_WRITE = 2,
    ERROR_USER = 4,
    ERROR_FETCH = 16,
    MANY = 1000,
    PKRU_BITS = 2,
};

static char *stack, *stack_end;
static struct user_result end;
static volatile unsigned opened; /* pages, by handlers */

static int run(user_function *function, uint64_t argument)
{
    memset(&end, 0xff, sizeof(end));
    return user_run(function, argument, stack_end, &end);
}

/* A function that ends by an exception. */
static bool faults(user_function *function, uint64_t argument, unsigned vector)
{
    return run(function, argument) == 0 && end.how == USER_FAULTED && end.vector == vector;
}

static bool returns(user_function *function, uint64_t argument, int64_t value)
{
    return run(function, argument) == 0 && end.how == USER_RETURNED && end.value == value;
}

USER_CODE static int64_t triple(uint64_t argument)
{
    return (int64_t)(3 * argument);
}

USER_DATA static volatile uint64_t shared = 5;

USER_CODE static int64_t use_data(uint64_t argument)
{
    volatile uint64_t local[16];

    for (unsigned i = 0; i < 16; i++)
        local[i] = argument + i;
    shared += local[3];
    return (int64_t)shared;
}

USER_CODE static int64_t level(uint64_t argument)
{
    uint16_t cs;

    (void)argument;
    __asm__ volatile("mov %%cs, %0" : "=r"(cs));
    return cs & 3;
}

static void check_run(void)
{
    EXPECT(returns(triple, 14, 42));
    EXPECT(returns(use_data, 10, 18));
    user_access_begin();
    EXPECT_EQ(shared, 18);
    user_access_end();
    EXPECT(returns(level, 0, 3));
    for (uint64_t i = 0; i < MANY; i++)
        EXPECT(returns(triple, i, (int64_t)(3 * i)));
    EXPECT_EQ(user_run(triple, 1, stack_end - 8, &end), -TRAPLINE_EINVAL);
    EXPECT_EQ(user_run(triple, 1, NULL, &end), -TRAPLINE_EINVAL);
    EXPECT_EQ(user_run(triple, 1, (void *)(1ul << 63), &end), -TRAPLINE_EINVAL);
    EXPECT_EQ(user_run(triple, 1, &end + 1, &end), -TRAPLINE_EFAULT);
}

static volatile uint64_t calls;

USER_HANDLER static int64_t on_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                    uint64_t number)
{
    calls++;
    if (number == 99)
        user_end((int64_t)a);
    return (int64_t)(number * 100000 + a * 10000 + b * 1000 + c * 100 + d * 10 + e);
}

USER_CODE static int64_t call_once(uint64_t argument)
{
    return user_syscall(argument, 1, 2, 3, 4, 5);
}

USER_CODE static int64_t call_often(uint64_t argument)
{
    int64_t sum = 0;

    for (uint64_t i = 0; i < argument; i++)
        sum += user_syscall(0, 0, 0, 0, 0, 1);
    return sum;
}

/* The registers that a function preserves stay, the others come back as zeros. */
USER_CODE static int64_t call_registers(uint64_t argument)
{
    uint64_t bad = argument;

    __asm__ volatile("movq $11, %%rbx\n\tmovq $12, %%r12\n\tmovq $13, %%r13\n\t"
                     "movq $14, %%r14\n\tmovq $15, %%r15\n\t"
                     "movq $7, %%rax\n\tmovq %%rsp, %%r9\n\tpushq %%r9\n\tsyscall\n\t"
                     "popq %%rcx\n\tcmpq %%rcx, %%rsp\n\tjne 1f\n\t"
                     "cmpq $11, %%rbx\n\tjne 1f\n\tcmpq $12, %%r12\n\tjne 1f\n\t"
                     "cmpq $13, %%r13\n\tjne 1f\n\tcmpq $14, %%r14\n\tjne 1f\n\t"
                     "cmpq $15, %%r15\n\tjne 1f\n\t"
                     "orq %%rdi, %%rsi\n\torq %%rdx, %%rsi\n\torq %%r8, %%rsi\n\t"
                     "orq %%r9, %%rsi\n\torq %%r10, %%rsi\n\tjne 1f\n\t"
                     "xorl %%eax, %%eax\n\tjmp 2f\n"
                     "1:\tmovl $1, %%eax\n2:"
                     : "=a"(bad)
                     :
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
                       "r14", "r15", "memory", "cc");
    return (int64_t)bad;
}

/* A system call's handler may run user mode itself. */
USER_HANDLER static int64_t nesting_call(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                         uint64_t number)
{
    static unsigned depth;
    struct user_result inner;

    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)number;
    (void)a;
    if (depth++)
        return 7;
    user_run(call_once, 0, stack_end - PAGE, &inner);
    return inner.how == USER_RETURNED ? inner.value + 1 : -1;
}

static void check_syscalls(void)
{
    EXPECT(returns(call_once, 6, -TRAPLINE_ENOSYS));
    user_syscalls(on_call);
    EXPECT(returns(call_once, 6, 612345));
    calls = 0;
    EXPECT(returns(call_often, MANY, MANY));
    EXPECT_EQ(calls, MANY);
    EXPECT(returns(call_registers, 0, 0));
    EXPECT(run(call_once, 99) == 0 && end.how == USER_ENDED && end.value == 1);
    user_syscalls(nesting_call);
    EXPECT(returns(call_once, 0, 8));
    user_syscalls(NULL);
    EXPECT(returns(call_once, 6, -TRAPLINE_ENOSYS));
}

USER_CODE static int64_t write_to(uint64_t argument)
{
    *(volatile uint64_t *)argument = 1;
    return 1;
}

USER_CODE static int64_t read_from(uint64_t argument)
{
    return (int64_t) * (volatile uint64_t *)argument;
}

USER_CODE static int64_t jump_to(uint64_t argument)
{
    return ((user_function *)argument)(0);
}

static int64_t supervisor_code(uint64_t argument)
{
    return (int64_t)argument;
}

/* What it was not given is out of reach, and is as it was. */
static void check_reach(void)
{
    static volatile uint64_t secret = 77;
    char *const page = need_pages(1, 1);

    EXPECT(faults(write_to, (uint64_t)&secret, VECTOR_PF));
    EXPECT_EQ(end.error, ERROR_PRESENT | ERROR_WRITE | ERROR_USER);
    EXPECT_EQ(end.address, (uint64_t)&secret);
    EXPECT(end.rip >= (uint64_t)write_to && end.rip < (uint64_t)write_to + 32);
    EXPECT_EQ(secret, 77);
    EXPECT(faults(read_from, (uint64_t)&secret, VECTOR_PF));
    EXPECT(faults(read_from, 0, VECTOR_PF));
    EXPECT(faults(read_from, 0xffffffff80000000, VECTOR_PF));
    EXPECT(faults(read_from, 1ul << 63, VECTOR_GP));
    EXPECT(faults(jump_to, (uint64_t)supervisor_code, VECTOR_PF));
    EXPECT_EQ(end.error, ERROR_PRESENT | ERROR_USER | ERROR_FETCH);
    EXPECT(faults(jump_to, 1ul << 63, VECTOR_GP));
    EXPECT(faults(jump_to, 0x7ffffffffff0, VECTOR_PF));
    EXPECT(faults(write_to, (uint64_t)triple, VECTOR_PF)); /* its code is not to be written */
    EXPECT(faults(write_to, (uint64_t)page, VECTOR_PF));
    EXPECT(!user_may(page, 8, TRAPLINE_READ));
    EXPECT_EQ(user_allow(page, 1, true), 0);
    EXPECT(user_may(page, PAGE, TRAPLINE_READ | TRAPLINE_WRITE));
    EXPECT(!user_may(page, PAGE + 1, TRAPLINE_READ) && !user_may(page - 1, 2, TRAPLINE_READ));
    EXPECT(returns(write_to, (uint64_t)page, 1));
    EXPECT_EQ(user_allow(page, 1, false), 0);
    EXPECT(faults(write_to, (uint64_t)page, VECTOR_PF));
    EXPECT_EQ(user_allow(page + 1, 1, true), -TRAPLINE_EINVAL);
    EXPECT_EQ(user_allow(page, 0, true), -TRAPLINE_EINVAL);
    EXPECT_EQ(user_allow((void *)ram_size(), 1, true), -TRAPLINE_ENOENT);
    EXPECT_EQ(user_allow(NULL, 1, true), -TRAPLINE_ENOENT);
    EXPECT_EQ(*page, 1); /* ring 0's again */
    pages_free(page, 1);
}

/* Instructions that ring 3 may not execute, or that try to leave ring 0 with what is not its own.
 */
#define HOSTILE(name, text)                                                                        \
    USER_CODE static int64_t name(uint64_t argument)                                               \
    {                                                                                              \
        int64_t result = (int64_t)argument;                                                        \
        __asm__ volatile(text                                                                      \
                         : "+a"(result)                                                            \
                         :                                                                         \
                         : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory",  \
                           "cc");                                                                  \
        return result;                                                                             \
    }

HOSTILE(do_cli, "cli")
HOSTILE(do_sti, "sti")
HOSTILE(do_hlt, "hlt")
HOSTILE(do_in, "inb $0x60, %%al")
HOSTILE(do_out, "outb %%al, $0x80")
HOSTILE(do_cr3, "mov %%cr3, %%rax")
HOSTILE(do_write_cr0, "mov %%rax, %%cr0")
HOSTILE(do_rdmsr, "movl $0xc0000101, %%ecx\n\trdmsr")
HOSTILE(do_wrmsr, "movl $0xc0000101, %%ecx\n\twrmsr")
HOSTILE(do_swapgs, "swapgs")
HOSTILE(do_invlpg, "invlpg (%%rax)")
HOSTILE(do_lgdt, "subq $16, %%rsp\n\tlgdt (%%rsp)")
HOSTILE(do_iret_0, "pushq $0x10\n\tpushq %%rsp\n\tpushq $2\n\tpushq $8\n\tpushq %%rax\n\tiretq")
HOSTILE(do_int_20, "int $20")
HOSTILE(do_int_14, "int $14")
HOSTILE(do_int_32, "int $32")
HOSTILE(do_wrgsbase, "wrgsbase %%rax")
HOSTILE(do_sysret, "sysretq")
HOSTILE(do_bad_ss, "movl $0x10, %%ecx\n\tmov %%ecx, %%ss")
HOSTILE(do_ltr, "movl $0x18, %%ecx\n\tltr %%cx")
HOSTILE(do_ud, "ud2")
HOSTILE(do_divide, "xorl %%edx, %%edx\n\txorl %%ecx, %%ecx\n\tdivl %%ecx")
HOSTILE(do_step, "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop")
HOSTILE(do_vmcall, "vmcall")
HOSTILE(do_sysenter, "sysenter")
HOSTILE(do_push_nowhere, "xorl %%esp, %%esp\n\tpushq %%rax")
HOSTILE(do_exit_call, "movl $10, %%eax\n\txorl %%edi, %%edi\n\tvmcall")

static void check_forbidden(void)
{
    static const struct {
        const char *name;
        user_function *function;
        unsigned vector;
    } rows[] = {
        {"cli", do_cli, VECTOR_GP},
        {"sti", do_sti, VECTOR_GP},
        {"hlt", do_hlt, VECTOR_GP},
        {"in", do_in, VECTOR_GP},
        {"out", do_out, VECTOR_GP},
        {"read CR3", do_cr3, VECTOR_GP},
        {"write CR0", do_write_cr0, VECTOR_GP},
        {"rdmsr", do_rdmsr, VECTOR_GP},
        {"wrmsr", do_wrmsr, VECTOR_GP},
        {"swapgs", do_swapgs, VECTOR_GP},
        {"invlpg", do_invlpg, VECTOR_GP},
        {"lgdt", do_lgdt, VECTOR_GP},
        {"iret to ring 0", do_iret_0, VECTOR_GP},
        {"int 20", do_int_20, VECTOR_GP},
        {"int 14", do_int_14, VECTOR_GP},
        {"int 32", do_int_32, VECTOR_GP},
        {"wrgsbase", do_wrgsbase, VECTOR_UD},
        {"sysret", do_sysret, VECTOR_GP},
        {"SS of ring 0", do_bad_ss, VECTOR_GP},
        {"ltr", do_ltr, VECTOR_GP},
        {"ud2", do_ud, VECTOR_UD},
        {"divide", do_divide, 0},
        {"single step", do_step, VECTOR_DB},
        {"sysenter", do_sysenter, VECTOR_GP},
        {"a stack nowhere", do_push_nowhere, VECTOR_PF},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        EXPECT(faults(rows[i].function, (uint64_t)&opened, rows[i].vector) ||
               /* With a stack pointer of 0 some CPUs see the stack segment's limits first. */
               (rows[i].function == do_push_nowhere && end.vector == 12));
        EXPECT(returns(triple, 1, 3));
    }
    /* A hypercall is refused, whatever it asks for. */
    EXPECT(returns(do_vmcall, 0, -TRAPLINE_EPERM));
    EXPECT(returns(do_exit_call, 0, -TRAPLINE_EPERM));
}

/*
 * The GS selector and base, the stack pointer, flags and arithmetic exceptions as ring 3 likes them
 * when it enters ring 0 by each way there is.
 */
#define TRICKS                                                                                     \
    "xorl %%ecx, %%ecx\n\tmov %%ecx, %%gs\n\tmovl $0x2b, %%ecx\n\tmov %%ecx, %%gs\n\t"             \
    "mov %%ecx, %%fs\n\tmov %%ecx, %%ds\n\tmov %%ecx, %%es\n\t"                                    \
    "pushq $0x1f\n\tldmxcsr (%%rsp)\n\tpopq %%rcx\n\t"                                             \
    "pushfq\n\torl $0x40400, (%%rsp)\n\tpopfq\n\t" /* DF, AC */                                    \
    "pushq $0\n\tfldcw (%%rsp)\n\tpopq %%rcx\n\t"

HOSTILE(trick_syscall, TRICKS "movl $5, %%eax\n\tsyscall\n\tcld")
HOSTILE(trick_syscall_stack, TRICKS "movq %%rsp, %%rbx\n\tmovq $0x1234567, %%rsp\n\t"
                                    "movl $5, %%eax\n\tsyscall\n\tmovq %%rbx, %%rsp\n\tcld")
HOSTILE(trick_syscall_step, TRICKS "pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tsyscall")
HOSTILE(trick_fault, TRICKS "movb $1, (%%rax)\n\tcld")
HOSTILE(trick_ud, TRICKS "ud2")

static struct region *region;

static void open_page(struct trapline_fault *fault)
{
    opened++;
    EXPECT_EQ(fault->cs & 3, 3);
    region_unprot(region, trap_page(fault));
}

TRAP_LEAN_HANDLER static void open_page_lean(struct trapline_fault *fault)
{
    opened++;
    region_unprot(region, trap_page(fault));
}

static void check_tricks(void)
{
    user_syscalls(on_call);
    for (unsigned i = 0; i < 20; i++) {
        calls = 0;
        EXPECT(run(trick_syscall, 0) == 0 && end.how == USER_RETURNED);
        EXPECT(run(trick_syscall_stack, 0) == 0 && end.how == USER_RETURNED);
        EXPECT_EQ(calls, 2);
        EXPECT(faults(trick_syscall_step, 0, VECTOR_DB));
        EXPECT(faults(trick_fault, (uint64_t)&opened, VECTOR_PF));
        EXPECT(faults(trick_ud, 0, VECTOR_UD));
    }
    user_syscalls(NULL);
    for (enum region_mechanism mechanism = REGION_EPT; mechanism < REGION_MECHANISMS; mechanism++) {
        check_at("%s", region_mechanism_name(mechanism));
        if (region_create(&region, 2, 1, mechanism) != 0)
            continue;
        if (mechanism != REGION_KEY)
            EXPECT_EQ(user_allow(region_base(region), 2, true), 0);
        opened = 0;
        region_prot1(region, region_base(region), TRAPLINE_NONE);
        region_trap(open_page, 0);
        EXPECT(run(trick_fault, (uint64_t)region_base(region)) == 0 && end.how == USER_RETURNED);
        region_prot1(region, region_base(region), TRAPLINE_READ);
        region_trap(open_page_lean, TRAP_LEAN);
        EXPECT(run(trick_fault, (uint64_t)region_base(region)) == 0 && end.how == USER_RETURNED);
        EXPECT_EQ(opened, 2);
        region_trap(NULL, 0);
        if (mechanism != REGION_KEY)
            EXPECT_EQ(user_allow(region_base(region), 2, false), 0);
        region_destroy(region);
    }
}

/* Protection of regions, met in ring 3 and handled in ring 0, by every mechanism. */
static void check_regions(void)
{
    for (enum region_mechanism mechanism = REGION_EPT; mechanism < REGION_MECHANISMS; mechanism++) {
        char *base;

        check_at("%s", region_mechanism_name(mechanism));
        if (region_create(&region, 4, 1, mechanism) != 0)
            continue;
        base = region_base(region);
        if (mechanism != REGION_KEY) {
            EXPECT(faults(read_from, (uint64_t)base, VECTOR_PF));
            EXPECT_EQ(user_allow(base, 4, true), 0);
        }
        region_trap(open_page, 0);
        for (unsigned access = TRAPLINE_NONE; access <= TRAPLINE_READ; access++) {
            opened = 0;
            EXPECT_EQ(region_protn_range(region, base, 4, access), 0);
            EXPECT(returns(write_to, (uint64_t)base + PAGE, 1));
            EXPECT_EQ(opened, 1);
            EXPECT(returns(write_to, (uint64_t)base + PAGE, 1));
            EXPECT(returns(read_from, (uint64_t)base + 2 * PAGE, 0));
            EXPECT_EQ(opened, access == TRAPLINE_NONE ? 2 : 1);
        }
        region_trap(NULL, 0);
        region_unprot_range(region, base, 4);
        if (mechanism != REGION_KEY)
            EXPECT_EQ(user_allow(base, 4, false), 0);
        region_destroy(region);
    }
}

/* Sets with keys: one write to PKRU for all pages; single pages leave and come back. */
static void check_keys(void)
{
    enum {
        PAGES = 20
    };
    static void *pages[PAGES];
    struct region_set *set;
    char *base;

    if (region_create(&region, 2 * PAGES, 1, REGION_KEY) != 0)
        return;
    base = region_base(region);
    for (size_t i = 0; i < PAGES; i++)
        pages[i] = base + 2 * i * PAGE;
    EXPECT_EQ(region_set_create(&set, region, pages, PAGES), 0);
    region_trap(open_page, 0);
    for (unsigned round = 0; round < 3; round++) {
        check_at("round %u", round);
        opened = 0;
        EXPECT_EQ(region_set_prot(set, TRAPLINE_NONE), 0);
        EXPECT(returns(write_to, (uint64_t)base + PAGE, 1));
        EXPECT_EQ(opened, 0);
        EXPECT(returns(read_from, (uint64_t)base, round ? 1 : 0));
        EXPECT_EQ(opened, 1);
        EXPECT(returns(write_to, (uint64_t)base, 1));
        EXPECT(returns(write_to, (uint64_t)pages[PAGES - 1], 1));
        EXPECT(returns(write_to, (uint64_t)pages[PAGES - 1], 1));
        EXPECT_EQ(opened, 2);
        EXPECT_EQ(region_set_prot(set, TRAPLINE_READ), 0);
        EXPECT(returns(read_from, (uint64_t)base, 1));
        EXPECT_EQ(opened, 2);
        EXPECT(returns(write_to, (uint64_t)base, 1));
        EXPECT_EQ(opened, 3);
        EXPECT_EQ(region_set_prot(set, TRAPLINE_READ | TRAPLINE_WRITE), 0);
        for (size_t i = 0; i < PAGES; i++)
            EXPECT(returns(write_to, (uint64_t)pages[i], 1));
        EXPECT_EQ(opened, 3);
        /* A page that is forbidden for itself stays so, until the set is given its access. */
        EXPECT_EQ(region_prot1(region, pages[3], TRAPLINE_READ), 0);
        EXPECT(returns(write_to, (uint64_t)pages[3], 1));
        EXPECT_EQ(opened, 4);
        EXPECT_EQ(region_prot1(region, pages[4], TRAPLINE_NONE), 0);
        EXPECT_EQ(region_set_prot(set, TRAPLINE_READ | TRAPLINE_WRITE), 0);
        EXPECT(returns(write_to, (uint64_t)pages[4], 1));
        EXPECT_EQ(opened, 4);
    }
    region_trap(NULL, 0);
    region_set_destroy(set);
    region_destroy(region);
}

/* System calls and faults of user mode cost no VM exit, but with the hypervisor's tables. */
static void check_exits(void)
{
    struct trapline_stats before, between, after;

    if (region_create(&region, 1, 1, REGION_PT) != 0)
        return;
    user_allow(region_base(region), 1, true);
    user_syscalls(on_call);
    region_trap(open_page_lean, TRAP_LEAN);
    stats(&before);
    stats(&between);
    run(call_often, 100);
    region_prot1(region, region_base(region), TRAPLINE_NONE);
    run(write_to, (uint64_t)region_base(region));
    stats(&after);
    EXPECT_EQ(after.exits - between.exits, between.exits - before.exits);
    EXPECT_EQ(end.how, USER_RETURNED);
    region_trap(NULL, 0);
    user_syscalls(NULL);
    user_allow(region_base(region), 1, false);
    region_destroy(region);
}

/* Ring 0 is kept from user memory but where it says so, and from user code. */
static void check_ring_0(void)
{
    uint64_t cr4;

    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    user_access_begin();
    stack[0] = 9;
    EXPECT_EQ(stack[0], 9);
    user_access_end();
    printf("user: SMEP %s, SMAP %s, UMIP %s\n", cr4 >> 20 & 1 ? "on" : "off",
           cr4 >> 21 & 1 ? "on" : "off", cr4 >> 11 & 1 ? "on" : "off");
}

static const struct check checks[] = {
    {"user: functions run and return", check_run},  {"user: system calls", check_syscalls},
    {"user: what it was not given", check_reach},   {"user: what it may not do", check_forbidden},
    {"user: tricks on the way in", check_tricks},   {"user: regions", check_regions},
    {"user: protection keys", check_keys},          {"user: exits", check_exits},
    {"user: ring 0 and user memory", check_ring_0},
};

int main(void)
{
    stack = need_pages(STACK_PAGES, 1);
    stack_end = stack + STACK_PAGES * PAGE;
    if (user_allow(stack, STACK_PAGES, true) != 0)
        return EXIT_FAILURE;
    return RUN_CHECKS(checks);
}
