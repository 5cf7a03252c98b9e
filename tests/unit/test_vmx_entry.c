/*
 * The entry and exit stub, run for real: VMLAUNCH, VMRESUME and WRMSR fault in user mode, so a
 * signal handler sees the registers with which the guest would start, and plays the guest and the
 * VM exit.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <cmocka.h>

#include "vmx/entry.h"
#include "vmx/exits.h"
#include "vmx/fields.h"
#include "vmx/x86.h"

/* What ASan needs to know about other stacks is not worth having here. */
#define NO_ASAN __attribute__((no_sanitize("address", "undefined")))

enum {
    STACK_SIZE = 256 * 1024,
    MAX_EVENTS = 32,
    LENGTH_VM = 3, /* VMLAUNCH, VMRESUME */
    LENGTH_WRMSR = 2,
    LEAF_CALL = 4,
    RIP = 0x5000,
    CPL_3 = 3 << 5,
    MSR_SPEC_CTRL = 0x48,
    MSR_FLUSH_CMD = 0x10b,
};

static const uint8_t vmlaunch[] = {0x0f, 0x01, 0xc2};
static const uint8_t vmresume[] = {0x0f, 0x01, 0xc3};
static const uint8_t wrmsr_code[] = {0x0f, 0x30};

enum {
    OPCODE_VMREAD = 0x78,
    OPCODE_VMWRITE = 0x79,
    MODRM_DISP8 = 1,
    MODRM_REGISTER = 3,
    MODRM_RSP = 4, /* as a base: a SIB byte follows */
};

enum event_kind {
    EVENT_LAUNCH,
    EVENT_RESUME,
    EVENT_WRMSR,
    EVENT_VMWRITE,
    EVENT_LEAF,
    EVENT_FAST,
    EVENT_EXIT,
    EVENT_FAILURE,
};

struct event {
    enum event_kind kind;
    struct vmx_regs regs;        /* LAUNCH, RESUME */
    uint64_t rsp;                /* LAUNCH, RESUME; EXIT, FAILURE: the handler's frame */
    uint32_t msr, value;         /* WRMSR */
    uint64_t field, field_value; /* VMWRITE */
    uint32_t entry_flags;        /* LAUNCH, RESUME: as the CPU would see them */
    struct vmx_context *context; /* EXIT, FAILURE */
};

/* What the played guest does with each VM entry. */
enum play {
    PLAY_EXIT,
    PLAY_FAIL,
};

static struct event events[MAX_EVENTS];
static unsigned event_count;
static const enum play *script;
static unsigned script_length, script_position;
static struct vmx_context *entering; /* whose VMCS would be current */
static struct vmx_context *next;     /* what the handlers return */
static bool fast_handles;            /* what the first tier says; only then it is recorded */
static bool leaf_handles;            /* the same for the shortest way */
static struct {                      /* of the VMCS */
    uint64_t reason, length, rights, interruptibility, rip, rflags;
} vmcs;
static struct vmx_regs guest_leaves; /* the registers with which a played guest exits */
static sigjmp_buf finish;

static struct event *record(enum event_kind kind)
{
    if (event_count == MAX_EVENTS) {
        abort();
    }
    events[event_count] = (struct event){.kind = kind};
    return &events[event_count++];
}

static void read_registers(const greg_t *g, struct vmx_regs *r)
{
    *r = (struct vmx_regs){
        .rax = (uint64_t)g[REG_RAX],
        .rcx = (uint64_t)g[REG_RCX],
        .rdx = (uint64_t)g[REG_RDX],
        .rbx = (uint64_t)g[REG_RBX],
        .rbp = (uint64_t)g[REG_RBP],
        .rsi = (uint64_t)g[REG_RSI],
        .rdi = (uint64_t)g[REG_RDI],
        .r8 = (uint64_t)g[REG_R8],
        .r9 = (uint64_t)g[REG_R9],
        .r10 = (uint64_t)g[REG_R10],
        .r11 = (uint64_t)g[REG_R11],
        .r12 = (uint64_t)g[REG_R12],
        .r13 = (uint64_t)g[REG_R13],
        .r14 = (uint64_t)g[REG_R14],
        .r15 = (uint64_t)g[REG_R15],
    };
}

static void write_registers(greg_t *g, const struct vmx_regs *r)
{
    g[REG_RAX] = (greg_t)r->rax, g[REG_RCX] = (greg_t)r->rcx, g[REG_RDX] = (greg_t)r->rdx;
    g[REG_RBX] = (greg_t)r->rbx, g[REG_RBP] = (greg_t)r->rbp, g[REG_RSI] = (greg_t)r->rsi;
    g[REG_RDI] = (greg_t)r->rdi, g[REG_R8] = (greg_t)r->r8, g[REG_R9] = (greg_t)r->r9;
    g[REG_R10] = (greg_t)r->r10, g[REG_R11] = (greg_t)r->r11, g[REG_R12] = (greg_t)r->r12;
    g[REG_R13] = (greg_t)r->r13, g[REG_R14] = (greg_t)r->r14, g[REG_R15] = (greg_t)r->r15;
}

static uint64_t *vmcs_field(uint64_t field)
{
    static uint64_t host_rsp;

    switch (field) {
    case VMCS_EXIT_REASON: return &vmcs.reason;
    case VMCS_EXIT_INSTRUCTION_LENGTH: return &vmcs.length;
    case VMCS_GUEST_SS_ACCESS_RIGHTS: return &vmcs.rights;
    case VMCS_GUEST_INTERRUPTIBILITY: return &vmcs.interruptibility;
    case VMCS_GUEST_RIP: return &vmcs.rip;
    case VMCS_GUEST_RFLAGS: return &vmcs.rflags;
    case VMCS_HOST_RSP: host_rsp = vmx_context_host_rsp(entering); return &host_rsp;
    default: abort();
    }
}

static const int modrm_registers[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX,
                                      REG_RSP, REG_RBP, REG_RSI, REG_RDI};

/* VMREAD and VMWRITE between the first eight registers and themselves, or memory at one + disp8. */
NO_ASAN static void access_vmcs(greg_t *g, const uint8_t *rip)
{
    uint8_t modrm = rip[2], mode = modrm >> 6;
    uint64_t field = (uint64_t)g[modrm_registers[modrm >> 3 & 7]];
    greg_t *other = &g[modrm_registers[modrm & 7]];
    greg_t *operand = mode == MODRM_REGISTER ? other : (greg_t *)(*other + (int8_t)rip[3]);

    if (mode != MODRM_REGISTER && (mode != MODRM_DISP8 || (modrm & 7) == MODRM_RSP))
        abort();
    if (rip[1] == OPCODE_VMREAD) {
        *operand = (greg_t)*vmcs_field(field);
    } else if (field == VMCS_GUEST_PREEMPTION_TIMER) {
        struct event *event = record(EVENT_VMWRITE);
        event->field = field;
        event->field_value = (uint64_t)*operand;
    } else {
        *vmcs_field(field) = (uint64_t)*operand;
    }
    g[REG_RIP] += mode == MODRM_REGISTER ? LENGTH_VM : LENGTH_VM + 1;
}

static void on_fault(int signal_number, siginfo_t *info, void *frame)
{
    (void)info;
    greg_t *g = ((ucontext_t *)frame)->uc_mcontext.gregs;
    const uint8_t *rip = (const uint8_t *)(uintptr_t)g[REG_RIP];

    if (memcmp(rip, wrmsr_code, sizeof wrmsr_code) == 0) {
        struct event *event = record(EVENT_WRMSR);
        event->msr = (uint32_t)g[REG_RCX];
        event->value = (uint32_t)g[REG_RAX];
        g[REG_RIP] += LENGTH_WRMSR;
        return;
    }
    if (rip[0] == 0x0f && (rip[1] == OPCODE_VMREAD || rip[1] == OPCODE_VMWRITE)) {
        access_vmcs(g, rip);
        return;
    }
    bool launch = memcmp(rip, vmlaunch, sizeof vmlaunch) == 0;
    if (!launch && memcmp(rip, vmresume, sizeof vmresume) != 0) {
        signal(signal_number, SIG_DFL);
        return;
    }
    struct event *event = record(launch ? EVENT_LAUNCH : EVENT_RESUME);
    read_registers(g, &event->regs);
    event->rsp = (uint64_t)g[REG_RSP];
    event->entry_flags = entering->entry_flags;
    if (script_position == script_length) {
        siglongjmp(finish, 1);
    }
    if (script[script_position++] == PLAY_FAIL) {
        g[REG_RIP] += LENGTH_VM;
        return;
    }
    write_registers(g, &guest_leaves);
    g[REG_RSP] = (greg_t)vmx_context_host_rsp(entering);
    g[REG_RIP] = (greg_t)vmx_context_host_rip(entering);
    g[REG_EFL] = 2 | 1 << 9;
}

/* A function on the shortest way: changes every register, which the attribute gives back. */
VMX_LEAF NO_ASAN static uint64_t leaf_function(uint64_t rdi, uint64_t rsi, uint64_t rdx,
                                               struct vmx_context *context)
{
    struct event *event = record(EVENT_LEAF);

    event->context = context;
    event->regs = (struct vmx_regs){.rdi = rdi, .rsi = rsi, .rdx = rdx};
    event->rsp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    __asm__ volatile("" : : : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12");
    return leaf_handles ? 0 : LEAF_CALL;
}

vmx_leaf_function *const vmx_leaf_calls[VMX_LEAF_CALLS] = {[LEAF_CALL] = leaf_function};

VMX_LEAF uint64_t vmx_leaf_violation(uint64_t rdi, uint64_t rsi, uint64_t rdx,
                                     struct vmx_context *context)
{
    return leaf_function(rdi, rsi, rdx, context);
}

NO_ASAN uintptr_t vmx_handle_fast_exit(struct vmx_context *context)
{
    if (!fast_handles) {
        return (uintptr_t)context | VMX_EXIT_SLOW;
    }
    struct event *event = record(EVENT_FAST);
    event->context = context;
    event->regs = context->regs;
    event->rsp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    return (uintptr_t)context;
}

NO_ASAN struct vmx_context *vmx_handle_exit(struct vmx_context *context)
{
    struct event *event = record(EVENT_EXIT);
    event->context = context;
    event->regs = context->regs;
    event->rsp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    entering = next;
    return next;
}

NO_ASAN struct vmx_context *vmx_handle_entry_failure(struct vmx_context *context)
{
    struct event *event = record(EVENT_FAILURE);
    event->context = context;
    event->regs = context->regs;
    event->entry_flags = context->entry_flags;
    event->rsp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    entering = next;
    return next;
}

static struct vmx_regs some_registers(uint64_t seed)
{
    struct vmx_regs r;
    uint64_t *word = (uint64_t *)&r;
    for (unsigned i = 0; i < sizeof r / sizeof *word; i++) {
        word[i] = seed * 0x100 + i;
    }
    return r;
}

struct stacks {
    uint8_t *signal, *host;
};

static int set_up(void **state)
{
    static struct stacks stacks;
    stacks.signal = malloc(STACK_SIZE);
    stacks.host =
        mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t alternate = {.ss_sp = stacks.signal, .ss_size = STACK_SIZE};
    if (stacks.host == MAP_FAILED || sigaltstack(&alternate, NULL) != 0) {
        return -1;
    }
    event_count = 0;
    script_position = 0;
    fast_handles = leaf_handles = false;
    memset(&vmcs, 0, sizeof(vmcs));
    *state = &stacks;
    return 0;
}

static int tear_down(void **state)
{
    struct stacks *stacks = *state;
    stack_t off = {.ss_flags = SS_DISABLE};
    sigaltstack(&off, NULL);
    munmap(stacks->host, STACK_SIZE);
    free(stacks->signal);
    return 0;
}

/* A context in memory below which the stub may be interrupted without harm. */
struct arena {
    uint8_t below[4096];
    struct vmx_context context;
};

static uint64_t host_top(void **state)
{
    return (uint64_t)(uintptr_t)((struct stacks *)*state)->host + STACK_SIZE;
}

static void run(struct vmx_context *context, const enum play *plays, unsigned count)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction cmockas_ill, cmockas_segv;

    script = plays;
    script_length = count;
    entering = context;
    sigaction(SIGILL, &action, &cmockas_ill);
    sigaction(SIGSEGV, &action, &cmockas_segv);
    if (sigsetjmp(finish, 1) == 0) {
        vmx_run(context);
    }
    sigaction(SIGILL, &cmockas_ill, NULL);
    sigaction(SIGSEGV, &cmockas_segv, NULL);
}

static void assert_regs_equal(const struct vmx_regs *a, const struct vmx_regs *b)
{
    assert_memory_equal(a, b, sizeof *a);
}

static void test_first_entry_launches_then_resumes(void **state)
{
    static struct arena a;
    a.context = (struct vmx_context){.regs = some_registers(1), .host_stack = host_top(state)};
    vmx_context_cleared(&a.context);
    guest_leaves = some_registers(2);
    next = &a.context;
    static const enum play plays[] = {PLAY_EXIT, PLAY_EXIT};
    struct vmx_regs first = a.context.regs;

    run(&a.context, plays, 2);

    assert_int_equal(event_count, 5);
    assert_int_equal(events[0].kind, EVENT_LAUNCH);
    assert_regs_equal(&events[0].regs, &first);
    assert_int_equal(events[0].entry_flags, 0);
    assert_int_equal(events[1].kind, EVENT_EXIT);
    assert_ptr_equal(events[1].context, &a.context);
    assert_regs_equal(&events[1].regs, &guest_leaves);
    assert_int_equal(events[2].kind, EVENT_RESUME);
    assert_regs_equal(&events[2].regs, &guest_leaves);
    assert_int_equal(events[3].kind, EVENT_EXIT);
    /* The host stack starts at the same place each time, aligned as the ABI has it. */
    assert_int_equal(events[1].rsp, events[3].rsp);
    assert_int_equal(events[1].rsp, host_top(state) - 16);
    assert_int_equal(events[4].kind, EVENT_RESUME);
}

static void test_another_context_is_entered(void **state)
{
    static struct arena a, b;
    a.context = (struct vmx_context){.regs = some_registers(1), .host_stack = host_top(state)};
    b.context = (struct vmx_context){.regs = some_registers(7), .host_stack = host_top(state)};
    vmx_context_cleared(&b.context);
    guest_leaves = some_registers(2);
    next = &b.context;
    static const enum play plays[] = {PLAY_EXIT};
    struct vmx_regs other = b.context.regs;

    run(&a.context, plays, 1);

    assert_int_equal(event_count, 3);
    assert_int_equal(events[0].kind, EVENT_RESUME);
    assert_ptr_equal(events[1].context, &a.context);
    assert_int_equal(events[2].kind, EVENT_LAUNCH);
    assert_regs_equal(&events[2].regs, &other);
    assert_regs_equal(&a.context.regs, &guest_leaves);
}

static void test_failed_launch_keeps_everything(void **state)
{
    static struct arena a;
    a.context = (struct vmx_context){.regs = some_registers(3), .host_stack = host_top(state)};
    vmx_context_cleared(&a.context);
    next = &a.context;
    static const enum play plays[] = {PLAY_FAIL};
    struct vmx_regs first = a.context.regs;

    run(&a.context, plays, 1);

    assert_int_equal(event_count, 3);
    assert_int_equal(events[0].kind, EVENT_LAUNCH);
    assert_int_equal(events[1].kind, EVENT_FAILURE);
    assert_ptr_equal(events[1].context, &a.context);
    assert_regs_equal(&events[1].regs, &first);
    assert_int_equal(events[1].entry_flags, VMX_CONTEXT_LAUNCH);
    assert_int_equal(events[1].rsp, host_top(state) - 16);
    assert_int_equal(events[2].kind, EVENT_LAUNCH);
    assert_regs_equal(&events[2].regs, &first);
}

static void test_failed_resume_on_either_path(void **state)
{
    static struct arena a;
    static const uint32_t flags[] = {0, VMX_CONTEXT_VERW};
    for (unsigned i = 0; i < 2; i++) {
        a.context = (struct vmx_context){
            .regs = some_registers(4), .host_stack = host_top(state), .entry_flags = flags[i]};
        next = &a.context;
        static const enum play plays[] = {PLAY_FAIL};
        event_count = script_position = 0;

        run(&a.context, plays, 1);

        assert_int_equal(event_count, 3);
        assert_int_equal(events[0].kind, EVENT_RESUME);
        assert_int_equal(events[1].kind, EVENT_FAILURE);
        assert_ptr_equal(events[1].context, &a.context);
        assert_int_equal(events[1].entry_flags, flags[i]);
        assert_int_equal(events[2].kind, EVENT_RESUME);
    }
}

static void test_barriers_before_entry(void **state)
{
    static struct arena a;
    a.context = (struct vmx_context){
        .regs = some_registers(5),
        .host_stack = host_top(state),
        .entry_flags = VMX_CONTEXT_LAUNCH | VMX_CONTEXT_L1D_FLUSH | VMX_CONTEXT_VERW |
                       VMX_CONTEXT_GUEST_SPEC_CTRL,
        .spec_ctrl_guest = 4,
        .spec_ctrl_host = 1,
        .verw_selector = 0x2b,
    };
    next = &a.context;
    guest_leaves = some_registers(6);
    static const enum play plays[] = {PLAY_EXIT};
    struct vmx_regs first = a.context.regs;

    run(&a.context, plays, 1);

    static const enum event_kind order[] = {EVENT_WRMSR, EVENT_WRMSR, EVENT_LAUNCH, EVENT_EXIT,
                                            EVENT_WRMSR, EVENT_WRMSR, EVENT_RESUME};
    assert_int_equal(event_count, 7);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(events[i].kind, order[i]);
    }
    assert_int_equal(events[0].msr, MSR_SPEC_CTRL);
    assert_int_equal(events[0].value, 4);
    assert_int_equal(events[1].msr, MSR_FLUSH_CMD);
    assert_int_equal(events[1].value, 1);
    assert_regs_equal(&events[2].regs, &first);
    assert_int_equal(a.context.entry_flags,
                     VMX_CONTEXT_L1D_FLUSH | VMX_CONTEXT_VERW | VMX_CONTEXT_GUEST_SPEC_CTRL);
    assert_regs_equal(&events[6].regs, &guest_leaves);
}

static void test_timer_follows_its_deadline(void **state)
{
    enum {
        SHIFT = 5
    };
    static const int64_t ahead[] = {1ll << 36, -1, -(1ll << 36)};
    static struct arena a;

    for (unsigned i = 0; i < 3; i++) {
        a.context = (struct vmx_context){
            .regs = some_registers(14),
            .host_stack = host_top(state),
            .entry_flags = VMX_CONTEXT_TIMER,
            .timer_shift = SHIFT,
            .timer_deadline = __builtin_ia32_rdtsc() + (uint64_t)ahead[i],
        };
        next = &a.context;
        struct vmx_regs first = a.context.regs;
        event_count = script_position = 0;

        run(&a.context, NULL, 0);

        assert_int_equal(event_count, 2);
        assert_int_equal(events[0].kind, EVENT_VMWRITE);
        assert_int_equal(events[0].field, VMCS_GUEST_PREEMPTION_TIMER);
        if (ahead[i] < 0)
            assert_int_equal(events[0].field_value, 0);
        else
            assert_in_range(events[0].field_value, (uint64_t)ahead[i] / 2 >> SHIFT,
                            (uint64_t)ahead[i] >> SHIFT);
        assert_int_equal(events[1].kind, EVENT_RESUME);
        assert_regs_equal(&events[1].regs, &first);
    }
}

static void test_barriers_after_exit(void **state)
{
    static struct arena a;
    a.context = (struct vmx_context){
        .regs = some_registers(8),
        .host_stack = host_top(state),
        .exit_flags = VMX_CONTEXT_RSB_FILL | VMX_CONTEXT_HOST_SPEC_CTRL,
        .spec_ctrl_host = 0x401,
    };
    next = &a.context;
    guest_leaves = some_registers(9);
    static const enum play plays[] = {PLAY_EXIT};

    assert_int_equal(vmx_context_host_rip(&a.context), (uintptr_t)vmx_exit_stub_guarded);
    run(&a.context, plays, 1);

    assert_int_equal(event_count, 4);
    assert_int_equal(events[0].kind, EVENT_RESUME);
    assert_int_equal(events[1].kind, EVENT_WRMSR);
    assert_int_equal(events[1].msr, MSR_SPEC_CTRL);
    assert_int_equal(events[1].value, 0x401);
    assert_int_equal(events[2].kind, EVENT_EXIT);
    assert_regs_equal(&events[2].regs, &guest_leaves);
    assert_int_equal(events[2].rsp, host_top(state) - 16);
    assert_regs_equal(&events[3].regs, &guest_leaves);
}

/* From rax on: what the first tier sees. */
static void assert_volatile_equal(const struct vmx_regs *a, const struct vmx_regs *b)
{
    assert_memory_equal(&a->rax, &b->rax, sizeof *a - offsetof(struct vmx_regs, rax));
}

static void test_fast_exit_keeps_all_registers(void **state)
{
    static struct arena a;
    static const uint32_t entry_flags[] = {0, VMX_CONTEXT_VERW, 0, VMX_CONTEXT_VERW};
    static const uint32_t exit_flags[] = {0, 0, VMX_CONTEXT_RSB_FILL, VMX_CONTEXT_RSB_FILL};

    for (unsigned i = 0; i < 4; i++) {
        a.context = (struct vmx_context){
            .regs = some_registers(10),
            .host_stack = host_top(state),
            .entry_flags = entry_flags[i],
            .exit_flags = exit_flags[i],
            .verw_selector = 0x2b,
        };
        guest_leaves = some_registers(11);
        fast_handles = true;
        static const enum play plays[] = {PLAY_EXIT};
        event_count = script_position = 0;

        run(&a.context, plays, 1);

        assert_int_equal(event_count, 3);
        assert_int_equal(events[0].kind, EVENT_RESUME);
        assert_int_equal(events[1].kind, EVENT_FAST);
        assert_ptr_equal(events[1].context, &a.context);
        assert_volatile_equal(&events[1].regs, &guest_leaves);
        assert_int_equal(events[1].rsp, host_top(state) - 16);
        assert_int_equal(events[2].kind, EVENT_RESUME);
        assert_regs_equal(&events[2].regs, &guest_leaves);
    }
}

static void test_failure_after_fast_exit_shows_all_registers(void **state)
{
    static struct arena a;
    a.context = (struct vmx_context){.regs = some_registers(12), .host_stack = host_top(state)};
    guest_leaves = some_registers(13);
    fast_handles = true;
    next = &a.context;
    static const enum play plays[] = {PLAY_EXIT, PLAY_FAIL};

    run(&a.context, plays, 2);

    assert_int_equal(event_count, 5);
    assert_int_equal(events[1].kind, EVENT_FAST);
    assert_int_equal(events[2].kind, EVENT_RESUME);
    assert_int_equal(events[3].kind, EVENT_FAILURE);
    assert_regs_equal(&events[3].regs, &guest_leaves);
    assert_int_equal(events[4].kind, EVENT_RESUME);
    assert_regs_equal(&events[4].regs, &guest_leaves);
}

static const uint32_t leaf_flags[] = {0, VMX_CONTEXT_VERW};

static int64_t preset_null_calls, preset_short_exits;

/* One exit of a context with these entry flags; it is resumed by whatever way. */
static void leave_once(void **state, struct vmx_context *context, uint32_t flags, uint64_t reason,
                       uint64_t rax)
{
    static const enum play plays[] = {PLAY_EXIT};

    *context = (struct vmx_context){
        .regs = some_registers(20),
        .host_stack = host_top(state),
        .entry_flags = flags,
        .verw_selector = 0x2b,
        .null_calls = preset_null_calls,
        .short_exits = preset_short_exits,
    };
    guest_leaves = some_registers(21);
    guest_leaves.rax = rax;
    vmcs.reason = reason;
    vmcs.length = 3;
    vmcs.rip = RIP;
    event_count = script_position = 0;
    next = context;
    run(context, plays, 1);
}

static void test_null_call_is_answered(void **state)
{
    static struct arena a;

    for (unsigned i = 0; i < 2; i++) {
        leave_once(state, &a.context, leaf_flags[i], EXIT_REASON_VMCALL, 0);
        assert_int_equal(event_count, 2);
        assert_int_equal(events[1].kind, EVENT_RESUME);
        assert_regs_equal(&events[1].regs, &guest_leaves);
        assert_int_equal(vmcs.rip, RIP + 3);
        assert_int_equal(a.context.null_calls, 1);
    }
}

static void test_leaf_call(void **state)
{
    static struct arena a;

    leaf_handles = true;
    for (unsigned i = 0; i < 2; i++) {
        leave_once(state, &a.context, leaf_flags[i], EXIT_REASON_VMCALL, LEAF_CALL);
        assert_int_equal(event_count, 3);
        assert_int_equal(events[1].kind, EVENT_LEAF);
        assert_ptr_equal(events[1].context, &a.context);
        assert_int_equal(events[1].regs.rdi, guest_leaves.rdi);
        assert_int_equal(events[1].regs.rsi, guest_leaves.rsi);
        assert_int_equal(events[1].regs.rdx, guest_leaves.rdx);
        assert_in_range(events[1].rsp, host_top(state) - 1024, host_top(state) - 16);
        assert_int_equal(events[2].kind, EVENT_RESUME);
        guest_leaves.rax = 0;
        assert_regs_equal(&events[2].regs, &guest_leaves);
        assert_int_equal(vmcs.rip, RIP + 3);
    }
}

static void test_leaf_violation(void **state)
{
    static struct arena a;

    leaf_handles = true;
    for (unsigned i = 0; i < 2; i++) {
        leave_once(state, &a.context, leaf_flags[i], EXIT_REASON_EPT_VIOLATION, 99);
        assert_int_equal(event_count, 3);
        assert_int_equal(events[1].kind, EVENT_LEAF);
        assert_int_equal(events[2].kind, EVENT_RESUME);
        assert_regs_equal(&events[2].regs, &guest_leaves);
        assert_int_equal(vmcs.rip, RIP);
    }
}

/* What is declined, and what is not for the shortest way at all, arrives whole. */
static void test_long_way(void **state)
{
    static const struct {
        uint64_t reason, rax, rights, rflags, interruptibility;
        bool leaf; /* it is tried */
    } cases[] = {
        {EXIT_REASON_VMCALL, LEAF_CALL, 0, 0, 0, true},
        {EXIT_REASON_EPT_VIOLATION, 0, 0, 0, 0, true},
        {EXIT_REASON_EPT_VIOLATION, 99, CPL_3, RFLAGS_TF, INTERRUPTIBILITY_STI, true},
        {EXIT_REASON_VMCALL, VMX_LEAF_CALLS, 0, 0, 0, false},
        {EXIT_REASON_VMCALL, 1ull << 32, 0, 0, 0, false},
        {EXIT_REASON_VMCALL, UINT64_MAX, 0, 0, 0, false},
        {EXIT_REASON_VMCALL, 0, CPL_3, 0, 0, false},
        {EXIT_REASON_VMCALL, 0, 1 << 5, 0, 0, false},
        {EXIT_REASON_VMCALL, 0, 2 << 5, 0, 0, false},
        {EXIT_REASON_VMCALL, LEAF_CALL, CPL_3, 0, 0, false},
        {EXIT_REASON_VMCALL, 0, 0, RFLAGS_TF, 0, false},
        {EXIT_REASON_VMCALL, LEAF_CALL, 0, RFLAGS_TF, 0, false},
        {EXIT_REASON_VMCALL, 0, 0, RFLAGS_IF, INTERRUPTIBILITY_STI, false},
        {EXIT_REASON_VMCALL, LEAF_CALL, 0, RFLAGS_IF, INTERRUPTIBILITY_MOV_SS, false},
        {EXIT_REASON_CPUID, 0, 0, 0, 0, false},
        {EXIT_REASON_VMCALL | EXIT_REASON_ENTRY_FAILURE, 0, 0, 0, 0, false},
    };
    static struct arena a;

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned fast = 0; fast < 2; fast++) {
            unsigned at = cases[i].leaf ? 2 : 1;

            fast_handles = fast;
            vmcs.rights = cases[i].rights;
            vmcs.rflags = cases[i].rflags;
            vmcs.interruptibility = cases[i].interruptibility;
            leave_once(state, &a.context, leaf_flags[i % 2], cases[i].reason, cases[i].rax);
            assert_int_equal(event_count, at + 2);
            assert_int_equal(events[at].kind, fast ? EVENT_FAST : EVENT_EXIT);
            assert_volatile_equal(&events[at].regs, &guest_leaves);
            if (!fast)
                assert_regs_equal(&events[at].regs, &guest_leaves);
            assert_int_equal(events[at].rsp, host_top(state) - 16);
            assert_int_equal(events[at + 1].kind, EVENT_RESUME);
            assert_regs_equal(&events[at + 1].regs, &guest_leaves);
            assert_int_equal(vmcs.rip, RIP);
            assert_int_equal(a.context.null_calls, 0);
        }
    }
}

/*
 * When a counter of short exits is used up the exit arrives whole, as one that the slow tier is to
 * look at, and the null call is not counted as answered; before that it is answered.
 */
static void test_short_exits_are_bounded(void **state)
{
    static const struct {
        uint64_t reason, rax;
        int64_t null_calls, short_exits;
        bool due;
    } cases[] = {
        {EXIT_REASON_VMCALL, 0, -2, -5, false},
        {EXIT_REASON_VMCALL, 0, -1, -5, true},
        {EXIT_REASON_VMCALL, LEAF_CALL, -1, -2, false},
        {EXIT_REASON_VMCALL, LEAF_CALL, -7, -1, true},
        {EXIT_REASON_EPT_VIOLATION, 99, -1, -2, false},
        {EXIT_REASON_EPT_VIOLATION, 99, -7, -1, true},
    };
    static struct arena a;

    leaf_handles = true;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        preset_null_calls = cases[i].null_calls;
        preset_short_exits = cases[i].short_exits;
        leave_once(state, &a.context, leaf_flags[i % 2], cases[i].reason, cases[i].rax);
        preset_null_calls = preset_short_exits = 0;
        assert_int_equal(vmx_context_is_due(&a.context), cases[i].due);
        assert_int_equal(events[event_count - 1].kind, EVENT_RESUME);
        if (!cases[i].due)
            continue;
        assert_int_equal(event_count, 3);
        assert_int_equal(events[1].kind, EVENT_EXIT);
        assert_regs_equal(&events[1].regs, &guest_leaves);
        assert_int_equal(vmcs.rip, RIP);
        assert_int_equal(a.context.null_calls, cases[i].null_calls);
    }
}

/* With interrupts on, but not in a shadow, it is as without. */
static void test_leaf_with_interrupts_on(void **state)
{
    static struct arena a;

    vmcs.rflags = RFLAGS_IF;
    vmcs.interruptibility = INTERRUPTIBILITY_NMI;
    leave_once(state, &a.context, 0, EXIT_REASON_VMCALL, 0);
    assert_int_equal(event_count, 2);
    assert_int_equal(vmcs.rip, RIP + 3);
}

static void test_failure_on_the_shortest_way(void **state)
{
    static const uint64_t rax[] = {0, LEAF_CALL, 99};
    static const uint64_t reasons[] = {EXIT_REASON_VMCALL, EXIT_REASON_VMCALL,
                                       EXIT_REASON_EPT_VIOLATION};
    static const enum play plays[] = {PLAY_EXIT, PLAY_FAIL};
    static struct arena a;

    leaf_handles = true;
    for (unsigned i = 0; i < 6; i++) {
        unsigned at = rax[i % 3] ? 3 : 2;

        a.context = (struct vmx_context){.regs = some_registers(22),
                                         .host_stack = host_top(state),
                                         .entry_flags = leaf_flags[i / 3],
                                         .verw_selector = 0x2b};
        guest_leaves = some_registers(23);
        guest_leaves.rax = rax[i % 3];
        vmcs.reason = reasons[i % 3];
        event_count = script_position = 0;
        next = &a.context;

        run(&a.context, plays, 2);

        if (vmcs.reason == EXIT_REASON_VMCALL)
            guest_leaves.rax = 0;
        assert_int_equal(event_count, at + 2);
        assert_int_equal(events[at - 1].kind, EVENT_RESUME);
        assert_int_equal(events[at].kind, EVENT_FAILURE);
        assert_ptr_equal(events[at].context, &a.context);
        assert_regs_equal(&events[at].regs, &guest_leaves);
        assert_int_equal(events[at].rsp, host_top(state) - 16);
        assert_int_equal(events[at + 1].kind, EVENT_RESUME);
        assert_regs_equal(&events[at + 1].regs, &guest_leaves);
    }
}

static void test_register_numbers(void **state)
{
    (void)state;
    struct vmx_regs r;
    uint64_t *const want[16] = {&r.rax, &r.rcx, &r.rdx, &r.rbx, NULL,   &r.rbp, &r.rsi, &r.rdi,
                                &r.r8,  &r.r9,  &r.r10, &r.r11, &r.r12, &r.r13, &r.r14, &r.r15};
    for (unsigned i = 0; i < 16; i++) {
        assert_ptr_equal(vmx_reg(&r, i), want[i]);
    }
}

static void test_host_fields(void **state)
{
    (void)state;
    struct vmx_context context = {.exit_flags = 0};
    assert_int_equal(vmx_context_host_rsp(&context), (uintptr_t)(&context.regs + 1));
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub);
    vmx_context_cleared(&context);
    assert_int_equal(context.entry_flags, VMX_CONTEXT_LAUNCH);
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub);
    context.entry_flags |= VMX_CONTEXT_VERW;
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub_verw);
    context.entry_flags = VMX_CONTEXT_TIMER;
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub_guarded);
    context.entry_flags = VMX_CONTEXT_VERW | VMX_CONTEXT_L1D_FLUSH;
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub_guarded);
    context = (struct vmx_context){.exit_flags = VMX_CONTEXT_RSB_FILL};
    assert_int_equal(vmx_context_host_rip(&context), (uintptr_t)vmx_exit_stub_guarded);
}

#define RUN_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_first_entry_launches_then_resumes),
        RUN_TEST(test_another_context_is_entered),
        RUN_TEST(test_failed_launch_keeps_everything),
        RUN_TEST(test_failed_resume_on_either_path),
        RUN_TEST(test_barriers_before_entry),
        RUN_TEST(test_timer_follows_its_deadline),
        RUN_TEST(test_barriers_after_exit),
        RUN_TEST(test_fast_exit_keeps_all_registers),
        RUN_TEST(test_failure_after_fast_exit_shows_all_registers),
        RUN_TEST(test_null_call_is_answered),
        RUN_TEST(test_leaf_call),
        RUN_TEST(test_leaf_violation),
        RUN_TEST(test_long_way),
        RUN_TEST(test_short_exits_are_bounded),
        RUN_TEST(test_leaf_with_interrupts_on),
        RUN_TEST(test_failure_on_the_shortest_way),
        cmocka_unit_test(test_register_numbers),
        cmocka_unit_test(test_host_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
