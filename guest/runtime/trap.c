/* TRAP: what happens to a forbidden access; the entry itself is in vectors.asm. */
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/vm.h>

#include "guest/runtime/runtime.h"

/* Used by vectors.asm. */
extern struct trapline_trap_area trap_area;
extern uint64_t trap_depth;
extern trap_handler *trap_call;
noreturn void trap_too_deep(const struct trapline_fault *fault);

struct trapline_trap_area trap_area __attribute__((aligned(TRAPLINE_PAGE_SIZE)));
uint64_t trap_depth;
trap_handler *trap_call;

static void report(const char *why, const struct trapline_fault *fault)
{
    printf("guest: forbidden access to %#lx (%s%s%s), rip %#lx, rsp %#lx, depth %lu: %s\n",
           fault->address, fault->kind & TRAPLINE_READ ? "r" : "",
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
    if (flags & ~(unsigned)(TRAP_GENERAL_REGS | TRAP_LEAN))
        return -TRAPLINE_EINVAL;
    trap_call = handler ? handler : no_handler;
    cpu_set_trap_gate(handler ? flags : 0);
    return 0;
}

void trap_init(void)
{
    int64_t result;

    trap(NULL, 0);
    result = hypercall2(TRAPLINE_HC_TRAP, (uint64_t)&trap_area, 0);
    if (result < 0) {
        printf("guest: the hypervisor refused the trap area: %s\n", trapline_error_name(result));
        exit(EXIT_START);
    }
}

const char *trapline_error_name(long error)
{
    switch (-error) {
    case 0: return "no error";
    case TRAPLINE_EPERM: return "EPERM";
    case TRAPLINE_ENOENT: return "ENOENT";
    case TRAPLINE_ENOMEM: return "ENOMEM";
    case TRAPLINE_EFAULT: return "EFAULT";
    case TRAPLINE_EEXIST: return "EEXIST";
    case TRAPLINE_EINVAL: return "EINVAL";
    case TRAPLINE_ENOSYS: return "ENOSYS";
    case TRAPLINE_EOPNOTSUPP: return "EOPNOTSUPP";
    default: return "unknown error";
    }
}

void *alias_window(void)
{
    return (void *)runtime_info.alias_base;
}

size_t alias_window_pages(void)
{
    return runtime_info.alias_size / TRAPLINE_PAGE_SIZE;
}
