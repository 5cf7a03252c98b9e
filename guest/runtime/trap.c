/* TRAP: what happens to a forbidden access; the entry itself is in vectors.asm. */
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/thread.h>
#include <trapline/view.h>
#include <trapline/vm.h>

#include "guest/runtime/runtime.h"
#include "guest/runtime/vcpu.h"

/* Used by vectors.asm: the handler for each way of saving, so that none is called by another. */
extern trap_handler *trap_calls[TRAP_SAVINGS];
noreturn void trap_too_deep(const struct trapline_fault *fault);

trap_handler *trap_calls[TRAP_SAVINGS];

static void report(const char *why, const struct trapline_fault *fault)
{
    printf("guest: %sforbidden access to %#lx (%s%s%s), rip %#lx, rsp %#lx, depth %lu: %s\n",
           vcpu_label(), fault->address, fault->kind & TRAPLINE_READ ? "r" : "",
           fault->kind & TRAPLINE_WRITE ? "w" : "", fault->kind & TRAPLINE_EXEC ? "x" : "",
           fault->rip, fault->rsp, fault->depth, why);
}

static void no_handler(struct trapline_fault *fault)
{
    report("no handler", fault);
    exit(TRAP_EXIT_FAULT);
}

noreturn void trap_too_deep(const struct trapline_fault *fault)
{
    report("handlers nested too deep", fault);
    exit(TRAP_EXIT_DEPTH);
}

int trap(trap_handler *handler, unsigned flags)
{
    const bool filtered = vcpu_count() > 1 && runtime_info.features & TRAPLINE_FEATURE_VE;
    enum trap_saving saving = TRAP_SAVES_ALL;

    if (flags & ~(unsigned)(TRAP_GENERAL_REGS | TRAP_LEAN))
        return -TRAPLINE_EINVAL;
    if (handler && flags & TRAP_LEAN)
        saving = TRAP_SAVES_LEAN;
    else if (handler && flags & TRAP_GENERAL_REGS)
        saving = TRAP_SAVES_GENERAL;
    __atomic_store_n(&trap_calls[saving], handler ? handler : no_handler, __ATOMIC_RELEASE);
    cpu_set_trap_gate(saving, filtered);
    return 0;
}

void trap_init(void)
{
    view_vmfunc = runtime_info.features & TRAPLINE_FEATURE_VMFUNC;
    trap(NULL, 0);
}

bool view_vmfunc;

void trap_register(void)
{
    const int64_t result = hypercall2(TRAPLINE_HC_TRAP, (uint64_t)&vcpu_self()->area, 0);

    if (result < 0) {
        printf("guest: the hypervisor refused the trap area: %s\n", trapline_error_name(result));
        exit(EXIT_START);
    }
}

struct trapline_trap_area *trap_area(void)
{
    return &vcpu_self()->area;
}

void *alias_window(void)
{
    return (void *)runtime_info.alias_base;
}

size_t alias_window_pages(void)
{
    return runtime_info.alias_size / TRAPLINE_PAGE_SIZE;
}
