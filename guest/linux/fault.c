/* TRAP on Linux: from the kernel's signals to the handler, and back. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include <trapline/region.h>
#include <trapline/thread.h>

#include "guest/linux/linux.h"
#include "guest/linux/region.h"

/* The CPU's error code, which the kernel puts beside the registers (SDM 4.7). */
enum page_fault_error {
    FAULT_WRITE = 1u << 1,
    FAULT_FETCH = 1u << 4,
};

enum {
    REPORT_LEN = 200,
    SS_SHIFT =
        48, /* REG_CSGSFS: the code segment's selector in the lowest 16 bits, SS in the top */
    SELECTOR_MASK = 0xffff,
};

static _Atomic(trap_handler *) handler;
static _Thread_local unsigned depth;

int trap(trap_handler *wanted, unsigned flags)
{
    if (flags & ~(unsigned)(TRAP_GENERAL_REGS | TRAP_LEAN))
        return -TRAPLINE_EINVAL;
    atomic_store(&handler, wanted);
    return 0;
}

static void get_registers(struct trapline_fault *fault, const greg_t *from)
{
    const uint64_t selectors = (uint64_t)from[REG_CSGSFS];

#define GET(name, number) fault->name = (uint64_t)from[number]
    GET(r15, REG_R15), GET(r14, REG_R14), GET(r13, REG_R13), GET(r12, REG_R12);
    GET(r11, REG_R11), GET(r10, REG_R10), GET(r9, REG_R9), GET(r8, REG_R8);
    GET(rbp, REG_RBP), GET(rdi, REG_RDI), GET(rsi, REG_RSI), GET(rdx, REG_RDX);
    GET(rcx, REG_RCX), GET(rbx, REG_RBX), GET(rax, REG_RAX);
    GET(rip, REG_RIP), GET(rflags, REG_EFL), GET(rsp, REG_RSP);
#undef GET
    fault->cs = selectors & SELECTOR_MASK;
    fault->ss = selectors >> SS_SHIFT;
}

static void put_registers(const struct trapline_fault *fault, greg_t *to)
{
#define PUT(name, number) to[number] = (greg_t)fault->name
    PUT(r15, REG_R15), PUT(r14, REG_R14), PUT(r13, REG_R13), PUT(r12, REG_R12);
    PUT(r11, REG_R11), PUT(r10, REG_R10), PUT(r9, REG_R9), PUT(r8, REG_R8);
    PUT(rbp, REG_RBP), PUT(rdi, REG_RDI), PUT(rsi, REG_RSI), PUT(rdx, REG_RDX);
    PUT(rcx, REG_RCX), PUT(rbx, REG_RBX), PUT(rax, REG_RAX);
    PUT(rip, REG_RIP), PUT(rflags, REG_EFL), PUT(rsp, REG_RSP);
#undef PUT
}

/* Say why the program ends, and let the access do what it does in a program without handlers. */
static void give_up(int number, const char *why, const struct trapline_fault *fault)
{
    char text[REPORT_LEN];
    const int length =
        snprintf(text, sizeof(text),
                 "thread %u: forbidden access to %#lx (%s%s%s), rip %#lx, rsp %#lx, depth %u: %s\n",
                 vcpu_index(), fault->address, fault->kind & TRAPLINE_READ ? "r" : "",
                 fault->kind & TRAPLINE_WRITE ? "w" : "", fault->kind & TRAPLINE_EXEC ? "x" : "",
                 fault->rip, fault->rsp, depth, why);

    if (write(STDERR_FILENO, text, (size_t)length) < 0)
        _exit(TRAP_EXIT_FAULT);
    signal(number, SIG_DFL);
}

static unsigned kind_of(uint64_t error)
{
    if (error & FAULT_FETCH)
        return TRAPLINE_EXEC;
    return error & FAULT_WRITE ? TRAPLINE_WRITE : TRAPLINE_READ;
}

static void deliver(int number, struct trapline_fault *fault)
{
    trap_handler *const current = atomic_load(&handler);

    if (!current) {
        give_up(number, "no handler", fault);
    } else if (depth == TRAP_MAX_DEPTH) {
        give_up(number, "handlers nested too deep", fault);
    } else {
        fault->depth = depth++;
        current(fault);
        depth--;
    }
}

/* ThreadSanitizer calls handlers with all signals blocked; those of a handler's own faults must
 * come.
 */
static void let_signals_in(void)
{
#ifdef __SANITIZE_THREAD__
    sigset_t none;

    sigemptyset(&none);
    pthread_sigmask(SIG_SETMASK, &none, NULL);
#endif
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct trapline_fault fault = {.address = (uint64_t)info->si_addr,
                                   .physical = (uint64_t)info->si_addr,
                                   .kind = kind_of((uint64_t)registers[REG_ERR])};
    const int error = errno;

    let_signals_in();
    get_registers(&fault, registers);
    switch (region_fault(fault.address, (unsigned)fault.kind, number == SIGBUS)) {
    case REGION_FAULT_RETRY: break;
    case REGION_FAULT_FORBIDDEN:
        deliver(number, &fault);
        put_registers(&fault, registers);
        break;
    case REGION_FAULT_FOREIGN: give_up(number, "not a page of a region", &fault); break;
    }
    fault_is_over();
    errno = error;
}

void fault_init(void)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};

    sigemptyset(&action.sa_mask);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}
