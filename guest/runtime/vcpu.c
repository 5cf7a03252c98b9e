/* Each vCPU's own structures: see vcpu.h. */
#include "guest/runtime/vcpu.h"

#include <trapline/hypercall.h>
#include <trapline/process.h>
#include <trapline/space.h>
#include <trapline/stdio.h>
#include <trapline/thread.h>
#include <trapline/vm.h>

#include "guest/runtime/canary.h"
#include "guest/runtime/cpu.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/space.h"

enum {
    SEL_TSS = 0x18, /* two slots */
    TSS_AVAILABLE = 0x89,
    IST_SHIFT = 1,      /* IST entries count from 1 */
    RETURN_ADDRESS = 8, /* bytes below the stack's top, as if the function had been called */
};

#define GDT_CODE 0x00af9b000000ffffull /* 64-bit, CPL 0, accessed */
#define GDT_DATA 0x00cf93000000ffffull

static struct vcpu_local first;
static struct vcpu_space *others; /* of vCPU 1, followed by the rest */
static unsigned count = 1;

unsigned vcpu_index(void)
{
    uint32_t index;

    __asm__("movl %%gs:%c1, %0" : "=r"(index) : "i"(offsetof(struct vcpu_local, index)));
    return index;
}

unsigned vcpu_count(void)
{
    return count;
}

const char *vcpu_label(void)
{
    return vcpu_self()->label;
}

struct vcpu_local *vcpu_local(unsigned index)
{
    return index == 0 ? &first : &others[index - 1].local;
}

struct vcpu_space *vcpu_spaces(void)
{
    return others;
}

uint64_t vcpu_place(const struct trapline_info *info, uint64_t first_free)
{
    uint64_t end;

    if (info->vcpus > VCPUS_MAX)
        exit(EXIT_START);
    count = info->vcpus ? info->vcpus : 1;
    others = (struct vcpu_space *)first_free;
    end = first_free + (count - 1) * sizeof(*others);
    if (end > info->boot_area)
        exit(EXIT_START);
    return end;
}

void vcpu_init(unsigned index)
{
    struct vcpu_local *const local = vcpu_local(index);
    const uint64_t tss = (uint64_t)&local->tss;

    *local = (struct vcpu_local){.self = local, .index = index, .retry_page = UINT64_MAX};
    if (index == 0) {
        local->stack_guard = stack_guard;
        local->stack_bottom = stack_bottom;
        local->stack_top = stack_top;
        local->exception_stack_top = exception_stack_top;
    } else {
        struct vcpu_stacks *const stacks = &others[index - 1].stacks;

        snprintf(local->label, sizeof(local->label), "vCPU %u: ", index);
        local->stack_guard = stacks->guard;
        local->stack_bottom = stacks->stack;
        local->stack_top = stacks->stack + sizeof(stacks->stack);
        local->exception_stack_top = stacks->exception_stack + sizeof(stacks->exception_stack);
    }
    local->thread_block.self = &local->thread_block;
    local->thread_block.canary = canary_make();
    local->tss.ist[EXCEPTION_IST - IST_SHIFT] = (uint64_t)local->exception_stack_top;
    local->tss.io_map_base = sizeof(local->tss);
    local->gdt[TRAPLINE_SEL_CODE / 8] = GDT_CODE;
    local->gdt[TRAPLINE_SEL_DATA / 8] = GDT_DATA;
    local->gdt[SEL_TSS / 8] = (sizeof(local->tss) - 1) | (tss & 0xffffff) << 16 |
                              (uint64_t)TSS_AVAILABLE << 40 | (tss >> 24 & 0xff) << 56;
    local->gdt[SEL_TSS / 8 + 1] = tss >> 32;
}

void vcpu_enter(struct vcpu_local *local)
{
    const struct table_pointer pointer = {sizeof(local->gdt) - 1, (uint64_t)local->gdt};

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %1\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %2, %%ds\n\t"
                     "movl %2, %%es\n\t"
                     "movl %2, %%ss\n\t"
                     "movl %3, %%fs\n\t"
                     "movl %3, %%gs\n\t"
                     "ltr %w4"
                     :
                     : "m"(pointer), "i"(TRAPLINE_SEL_CODE), "r"(TRAPLINE_SEL_DATA), "r"(0),
                       "r"(SEL_TSS)
                     : "rax", "memory");
    write_msr(MSR_FS_BASE, (uint64_t)&local->thread_block);
    write_msr(MSR_GS_BASE, (uint64_t)local);
}

struct thread_slot *thread_slot(unsigned vcpu)
{
    return &vcpu_local(vcpu)->thread;
}

void thread_ended(void)
{
    space_enter_full();
}

static noreturn void vcpu_main(struct vcpu_local *local)
{
    vcpu_enter(local);
    space_enter_vcpu();
    cpu_init_vectors();
    interrupt_init();
    trap_register();
    thread_loop(&local->thread);
}

int vcpu_start(unsigned vcpu)
{
    struct vcpu_local *const local = vcpu_local(vcpu);
    /* It begins with the caller's CR3, in a space that nobody destroys meanwhile. */
    const unsigned space = space_enter_full();
    const int64_t result = hypercall(TRAPLINE_HC_VCPU_START, vcpu, (uint64_t)vcpu_main,
                                     (uint64_t)local->stack_top - RETURN_ADDRESS, (uint64_t)local)
                               .rax;

    space_leave(space);
    return (int)result;
}

int thread_doorbell(unsigned vcpu, unsigned vector)
{
    return (int)hypercall2(TRAPLINE_HC_DOORBELL, vcpu, vector);
}
