#include "guest/linux/bench/fault.h"

#include <ucontext.h>

static volatile unsigned faults;
static void *volatile seen;
static volatile uint64_t seen_at;

static greg_t *rip_of(void *context)
{
    return &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

void fault_handle(fault_handler *handler)
{
    struct sigaction action = {.sa_flags = SA_NODEFER};

    sigemptyset(&action.sa_mask);
    if (handler) {
        action.sa_sigaction = handler;
        action.sa_flags |= SA_SIGINFO;
    } else {
        action.sa_handler = SIG_DFL;
    }
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

void fault_step_over(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    *rip_of(context) = (greg_t)bench_touch_end;
}

static void note(int number, siginfo_t *info, void *context)
{
    greg_t *const rip = rip_of(context);

    (void)number;
    faults++;
    seen = info->si_addr;
    seen_at = (uint64_t)*rip;
    *rip = (greg_t)(seen_at == (uint64_t)bench_touch ? bench_touch_end : bench_peek_end);
}

static bool traps(void (*access)(void *), void *address)
{
    faults = 0;
    fault_handle(note);
    access(address);
    fault_handle(NULL);
    return faults == 1 && seen == address && seen_at == (uint64_t)access;
}

bool bench_write_traps(void *address)
{
    return traps(bench_touch, address);
}

bool bench_read_traps(void *address)
{
    return traps(bench_peek, address);
}
