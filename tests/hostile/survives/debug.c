/*
 * Debug exceptions, single steps over what the hypervisor emulates, CPL 3, and states that are odd
 * but legal: the guest sees what the CPU would do by itself.
 */
#include "user.h"

/* TRY() with nothing but an instruction. */
#define TRY_PLAIN(vector, text) TRY(vector, text, , , "rax", "rbx", "rcx", "rdx")

enum dr_bits {
    DR6_B0 = 1u << 0,
    DR6_BD = 1u << 13,
    DR6_BS = 1u << 14,
    DR7_L0 = 1u << 0,
    DR7_GD = 1u << 13,
    DR7_WRITE0 = 1u << 16,
};

static uint64_t read_dr6(void)
{
    uint64_t value;

    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static void write_dr6(uint64_t value)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

/* The single-step trap comes right behind the instruction, also one that the hypervisor emulates.
 */
static void check_step(void)
{
    uint64_t behind;
    int vector;

#define STEP(text)                                                                                 \
    do {                                                                                           \
        check_at("%s", text);                                                                      \
        write_dr6(0xffff0ff0);                                                                     \
        TRY(vector,                                                                                \
            "lea step%=(%%rip), %0\n\t"                                                            \
            "xor %%eax, %%eax\n\txor %%ecx, %%ecx\n\t"                                             \
            "pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\t" text "\nstep%=:\n\tnop\n\tnop",           \
            "=&r"(behind), ARGS("D"(0), "S"(0)), "rax", "rbx", "rcx", "rdx", "r10");               \
        EXPECT_EQ(vector, VECTOR_DB);                                                              \
        EXPECT_EQ(except_state.rip, behind);                                                       \
        EXPECT_EQ(read_dr6() & (DR6_BS | DR6_BD | 15), DR6_BS);                                    \
    } while (0)

    STEP("nop");
    STEP("vmcall");
    STEP("cpuid");
    STEP("wbinvd");
    STEP("mov %%cr8, %%rax");
    STEP("rdtsc");
}

/* INT1, INT3, breakpoints on data, DR7.GD, registers that do not exist. */
static void check_debug(void)
{
    static volatile uint64_t watched;
    uint64_t dr7;
    int vector;

    check_at("INT1");
    write_dr6(0xffff0ff0);
    TRY_PLAIN(vector, ".byte 0xf1");
    EXPECT_EQ(vector, VECTOR_DB);
    check_at("INT3");
    TRY_PLAIN(vector, "int3");
    EXPECT_EQ(vector, VECTOR_BP);
    check_at("INT 1 by number");
    TRY_PLAIN(vector, "int $1");
    EXPECT_EQ(vector, VECTOR_DB);
    check_at("INT to what is no gate");
    idt_gates()[0x80].type = 0;
    TRY_PLAIN(vector, "int $0x80");
    EXPECT_EQ(vector, VECTOR_GP);
    EXPECT_EQ(except_state.error, 0x80 << 3 | 2);

    check_at("a breakpoint on data");
    write_dr6(0xffff0ff0);
    __asm__ volatile("mov %0, %%dr0" : : "r"(&watched));
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul | DR7_L0 | DR7_WRITE0));
    TRY(vector, "movq $1, %0", "=m"(watched), );
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul));
    EXPECT_EQ(vector, VECTOR_DB);
    EXPECT_EQ(watched, 1);
    EXPECT_EQ(read_dr6() & (DR6_BS | DR6_BD | 15), DR6_B0);

    check_at("access to a debug register with GD");
    write_dr6(0xffff0ff0);
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul | DR7_GD));
    TRY(vector, "mov %%dr0, %0", "=r"(dr7), );
    EXPECT_EQ(vector, VECTOR_DB);
    EXPECT_EQ(read_dr6() & (DR6_BS | DR6_BD | 15), DR6_BD);
    __asm__ volatile("mov %%dr7, %0" : "=r"(dr7));
    EXPECT_EQ(dr7, 0x400);
    check_at("DR7, reserved bits");
    TRY(vector, "mov %0, %%dr7", , "r"(1ul << 32));
    EXPECT_EQ(vector, VECTOR_GP);
    write_dr6(0xffff0ff0);
}

/* At CPL 3 the same, and what only exists there: #AC. */
static void check_user(void)
{
    static const struct {
        const char *name;
        unsigned char code[16];
        int vector;
    } rows[] = {
        {"HLT", {0xf4}, VECTOR_GP},
        {"RDMSR", {0x0f, 0x32}, VECTOR_GP},
        {"WRMSR", {0x0f, 0x30}, VECTOR_GP},
        {"IN", {0xec}, VECTOR_GP},
        {"OUT", {0xee}, VECTOR_GP},
        {"CLI", {0xfa}, VECTOR_GP},
        {"INVD", {0x0f, 0x08}, VECTOR_GP},
        {"MOV to CR0", {0x0f, 0x22, 0xc0}, VECTOR_GP},
        {"MOV from CR4", {0x0f, 0x20, 0xe0}, VECTOR_GP},
        {"INT1", {0xf1}, VECTOR_DB},
        {"UD2", {0x0f, 0x0b}, VECTOR_UD},
        {"VMXOFF", {0x0f, 0x01, 0xc4}, VECTOR_UD},
        {"VMLAUNCH", {0x0f, 0x01, 0xc2}, VECTOR_UD},
        /* mov $1, %eax; vmfunc */
        {"VMFUNC", {0xb8, 1, 0, 0, 0, 0x0f, 0x01, 0xd4}, VECTOR_UD},
        {"CPUID, then UD2", {0x0f, 0xa2, 0x0f, 0x0b}, VECTOR_UD},
        /* lea 2(%rip), %rax; mov (%rax), %eax */
        {"misaligned", {0x48, 0x8d, 0x05, 2, 0, 0, 0, 0x8b, 0x00, 0x0f, 0x0b}, VECTOR_UD},
    };
    enum {
        CR0_AM = 1u << 18,
        RFLAGS_FIXED = 2,
        RFLAGS_AC = 1u << 18
    };
    const unsigned char *const misaligned = rows[COUNT(rows) - 1].code;
    uint64_t cr0;

    user_init();
    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("%s", rows[i].name);
        user_run(rows[i].code, sizeof(rows[i].code), 0, RFLAGS_FIXED);
        EXPECT_EQ(user_end.vector, rows[i].vector);
    }
    check_at("#AC");
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | CR0_AM));
    user_run(misaligned, sizeof(rows[0].code), 0, RFLAGS_FIXED | RFLAGS_AC);
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0));
    EXPECT_EQ(user_end.vector, VECTOR_AC);
    EXPECT_EQ(user_end.error, 0);
    EXPECT_EQ(user_end.offset, 7);
}

/* States that are odd but legal go through an exit and an entry. */
static void check_odd_states(void)
{
    int64_t result;
    uint64_t rsp;

#define ODD(name_, before, after)                                                                  \
    do {                                                                                           \
        check_at("%s", name_);                                                                     \
        __asm__ volatile(before "\n\tvmcall\n\t" after                                             \
                         : "=a"(result), "=&b"(rsp)                                                \
                         : "a"(0ul), "c"(TRAPLINE_SEL_DATA), "d"(1ul << 47)                        \
                         : "memory", "cc", "rdi", "rsi", "r10");                                   \
        EXPECT_EQ(result, 0);                                                                      \
    } while (0)

    ODD("null SS", "mov %%eax, %%ss", "mov %%ecx, %%ss");
    ODD("null DS and ES", "mov %%eax, %%ds\n\tmov %%eax, %%es",
        "mov %%ecx, %%ds\n\tmov %%ecx, %%es");
    ODD("right behind MOV SS", "mov %%ecx, %%ss", "");
    ODD("right behind STI", "sti", "cli");
    ODD("interrupts on", "sti\n\tnop", "nop\n\tcli");
    ODD("RSP that is not canonical", "mov %%rsp, %%rbx\n\tmov %%rdx, %%rsp", "mov %%rbx, %%rsp");
    ODD("RSP 0", "mov %%rsp, %%rbx\n\txor %%esp, %%esp", "mov %%rbx, %%rsp");
    ODD("no LDT", "lldt %%ax", "");
    ODD("NT, AC, ID and DF", "pushfq\n\torq $0x244400, (%%rsp)\n\tpopfq", "pushq $2\n\tpopfq");
}

static const struct check checks[] = {
    {"hostile: single steps", check_step},
    {"hostile: debug exceptions", check_debug},
    {"hostile: at CPL 3", check_user},
    {"hostile: odd states", check_odd_states},
};

int main(void)
{
    except_init();
    return RUN_CHECKS(checks);
}
