/* User mode: what it is given, and how it ends; the ways in and out are in user.asm. */
/* Handlers run with the arithmetic state that user mode left: see USER_HANDLER. */
#pragma GCC target("general-regs-only")

#include <trapline/user.h>

#include <trapline/interrupt.h>
#include <trapline/process.h>
#include <trapline/thread.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/page_tables.h"
#include "guest/runtime/region_shootdown.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/vcpu.h"

enum {
    SLOT_USER_DATA = 5, /* in the GDT; SYSRET wants the data segment before the code segment */
    SLOT_USER_CODE = 6,
    SYSRET_BASE = 0x20 | 3, /* data at 8 above it, code at 16 */
    STAR_SYSCALL_SHIFT = 32,
    STAR_SYSRET_SHIFT = 48,
    VECTOR_UD = 6,
    VECTOR_PF = 14,
    STACK_ALIGN = 16,
    XSAVE_AREA = 576, /* the legacy part and the header */
    XSAVE_FCW = 0,
    XSAVE_MXCSR = 24,
    FCW_INITIAL = 0x37f,
    MXCSR_INITIAL = 0x1f80,
};

#define GDT_USER_CODE 0x00affb000000ffffull /* 64-bit, CPL 3, accessed */
#define GDT_USER_DATA 0x00cff3000000ffffull
#define CANONICAL_END (1ull << 47)

/* From the linker script. */
extern char user_text_start[], user_text_end[], user_data_start[], user_data_end[];

/* user.asm */
void user_enter(uint64_t rip, uint64_t rsp, uint64_t rflags, uint64_t argument);
noreturn void user_leave(void);
void user_syscall_entry(void);
extern const char user_return[];

/* As vectors.asm pushes it. */
struct exception_frame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* Used by vectors.asm and user.asm. */
noreturn void user_exception(const struct exception_frame *frame);
extern user_syscall_handler *user_syscall_call;
extern uint8_t user_initial_vectors[XSAVE_AREA];

/* XRSTOR of it: every component in its initial state. */
uint8_t user_initial_vectors[XSAVE_AREA] __attribute__((aligned(64)));

static int64_t no_syscall(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                          uint64_t number)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    (void)e;
    (void)number;
    return -TRAPLINE_ENOSYS;
}

user_syscall_handler *user_syscall_call = no_syscall;

void user_syscalls(user_syscall_handler *handler)
{
    __atomic_store_n(&user_syscall_call, handler ? handler : no_syscall, __ATOMIC_RELEASE);
}

/* Set or clear the user flag of the leaves. */
static int set_user(uint64_t address, size_t pages, bool allow)
{
    int result = page_tables_init();

    if (result == 0)
        result = page_tables_cover(address, pages);
    if (result != 0)
        return result;
    if (allow)
        page_tables_allow_user(address, pages);
    for (size_t i = 0; i < pages; i++) {
        uint64_t *const entry = page_tables_entry(address + i * TRAPLINE_PAGE_SIZE);

        if (allow)
            __atomic_or_fetch(entry, PTE_USER, __ATOMIC_SEQ_CST);
        else
            __atomic_and_fetch(entry, ~(uint64_t)PTE_USER, __ATOMIC_SEQ_CST);
    }
    space_follow_pages(address, pages);
    /* When it is given, too: nobody tries a fault of user mode again. */
    flush_all();
    region_flush_others();
    return 0;
}

int user_allow(void *page, size_t pages, bool allow)
{
    const uint64_t address = (uint64_t)page;
    int result;

    if (address % TRAPLINE_PAGE_SIZE || pages == 0)
        return -TRAPLINE_EINVAL;
    if (address < (uint64_t)TRAPLINE_PAGE_SIZE || address >= runtime_info.ram_size ||
        pages > (runtime_info.ram_size - address) / TRAPLINE_PAGE_SIZE)
        return -TRAPLINE_ENOENT;
    region_lock_init();
    region_lock();
    result = set_user(address, pages, allow);
    region_unlock();
    return result;
}

bool user_may(const void *address, size_t bytes, unsigned access)
{
    const uint64_t start = (uint64_t)address, end = start + bytes;
    const uint64_t wanted = PTE_PRESENT | PTE_USER | (access & TRAPLINE_WRITE ? PTE_WRITE : 0);

    if (end < start || end > PAGE_TABLES_SPAN)
        return false;
    for (uint64_t page = start & ~(TRAPLINE_PAGE_SIZE - 1ull); page < end;
         page += TRAPLINE_PAGE_SIZE)
        if ((page_tables_read_here(page) & wanted) != wanted)
            return false;
    return true;
}

void user_access_begin(void)
{
    if (read_cr4() & CR4_SMAP)
        __asm__ volatile("stac" : : : "memory");
}

void user_access_end(void)
{
    if (read_cr4() & CR4_SMAP)
        __asm__ volatile("clac" : : : "memory");
}

/* What the image has for user mode, once for the guest. */
static int give_image(void)
{
    static bool given;
    const uint64_t text = (uint64_t)user_text_start, data = (uint64_t)user_data_start;
    int result = 0;

    if (given)
        return 0;
    *(uint16_t *)&user_initial_vectors[XSAVE_FCW] = FCW_INITIAL;
    *(uint32_t *)&user_initial_vectors[XSAVE_MXCSR] = MXCSR_INITIAL;
    result = set_user(text, ((uint64_t)user_text_end - text) / TRAPLINE_PAGE_SIZE, true);
    if (result == 0 && (uint64_t)user_data_end != data)
        result = set_user(data, ((uint64_t)user_data_end - data) / TRAPLINE_PAGE_SIZE, true);
    given = result == 0;
    return result;
}

/* This vCPU's segments, SYSCALL, and protection of ring 0 from what user mode can write. */
static void init_vcpu(struct vcpu_local *self)
{
    const struct cpuid features = cpuid(CPUID_STRUCTURED, 0);
    uint64_t cr4 = read_cr4() & ~(uint64_t)CR4_FSGSBASE;

    if (features.ebx & CPUID_7_EBX_SMEP)
        cr4 |= CR4_SMEP;
    if (features.ebx & CPUID_7_EBX_SMAP)
        cr4 |= CR4_SMAP;
    if (features.ecx & CPUID_7_ECX_UMIP)
        cr4 |= CR4_UMIP;
    write_cr4(cr4);
    self->gdt[SLOT_USER_DATA] = GDT_USER_DATA;
    self->gdt[SLOT_USER_CODE] = GDT_USER_CODE;
    self->tss_rsp0 = (uint64_t)&self->tss + offsetof(struct tss, rsp);
    write_msr(MSR_STAR, (uint64_t)TRAPLINE_SEL_CODE << STAR_SYSCALL_SHIFT |
                            (uint64_t)SYSRET_BASE << STAR_SYSRET_SHIFT);
    write_msr(MSR_LSTAR, (uint64_t)user_syscall_entry);
    write_msr(MSR_FMASK, RFLAGS_TF | RFLAGS_IF | RFLAGS_DF | RFLAGS_NT | RFLAGS_AC);
    write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_SCE);
    cpu_set_user_gates();
    self->has_user_mode = true;
}

int user_run(user_function *function, uint64_t argument, void *stack, struct user_result *result)
{
    struct vcpu_local *const self = vcpu_self();
    struct user_result *const outer = self->user_result;
    const uint64_t rip = (uint64_t)function, rsp = (uint64_t)stack;
    int error;
    bool interrupts;

    if (rsp % STACK_ALIGN || rsp < STACK_ALIGN || rsp >= CANONICAL_END || rip >= CANONICAL_END)
        return -TRAPLINE_EINVAL;
    region_lock_init();
    region_lock();
    error = give_image();
    region_unlock();
    if (error != 0)
        return error;
    if (!self->has_user_mode)
        init_vcpu(self);
    if (!user_may((void *)(rsp - sizeof(uint64_t)), sizeof(uint64_t),
                  TRAPLINE_READ | TRAPLINE_WRITE))
        return -TRAPLINE_EFAULT;
    user_access_begin();
    *(uint64_t *)(rsp - sizeof(uint64_t)) = (uint64_t)user_return;
    user_access_end();
    interrupts = interrupts_save();
    self->user_result = result;
    write_msr(MSR_KERNEL_GS_BASE, 0);
    user_enter(rip, rsp - sizeof(uint64_t), RFLAGS_FIXED | (interrupts ? RFLAGS_IF : 0), argument);
    self->user_result = outer;
    write_msr(MSR_FS_BASE, (uint64_t)&self->thread_block); /* ring 3 may have loaded FS */
    interrupts_restore(interrupts);
    return 0;
}

noreturn void user_exception(const struct exception_frame *frame)
{
    const uint64_t cr2 = read_cr2();

    if (frame->vector == VECTOR_UD && frame->rip == (uint64_t)user_return)
        *vcpu_self()->user_result =
            (struct user_result){.how = USER_RETURNED, .value = (int64_t)frame->rax};
    else
        *vcpu_self()->user_result = (struct user_result){
            .how = USER_FAULTED,
            .vector = (unsigned)frame->vector,
            .error = frame->error,
            .rip = frame->rip,
            .address = frame->vector == VECTOR_PF ? cr2 : 0,
        };
    user_leave();
}

noreturn void user_end(int64_t value)
{
    *vcpu_self()->user_result = (struct user_result){.how = USER_ENDED, .value = value};
    user_leave();
}
