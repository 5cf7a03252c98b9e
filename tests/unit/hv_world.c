#define _GNU_SOURCE /* syscall() */
#include "tests/unit/hv_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "hv/apic.h"
#include "hv/channel.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/dump.h"
#include "hv/flush.h"
#include "hv/hypercall.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "hv/mtrr.h"
#include "hv/pml.h"
#include "hv/sched.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    ALLOCATIONS = 64,
    RIP = 0x1000,
    VMCALL_BYTES = 3,
    RIGHTS_CPL_0 = 0xc093,
    ENTRY_DIRTY = 1 << 9, /* SDM table 28-6 */
    NOT_THE_GUESTS = 0xcc,
};

struct hv_world world;
uint64_t fake_vmcs[FAKE_VMCS_FIELDS];
unsigned fake_vmwrites;
struct vmx_setup vmx_setup;
uint64_t cpu_tsc_per_ms = 1000000;

static struct handover_guest configs[WORLD_GUESTS];
static struct cpu world_cpu;
static void *channels_memory; /* the machine's, not a guest's */
static struct vcpu nobody;    /* whose turn it is when the guest's is over */

/* What the CPU has cached since the last INVEPT. */
struct cached {
    uint8_t hardware, dirty, level;
    uint64_t hpa;
};
static struct cached caches[WORLD_GUESTS][WORLD_WATCHED];

static struct snapshot latest[WORLD_GUESTS]; /* what check_cache() saw */

static struct {
    void *memory;
    uint64_t bytes;
} allocations[ALLOCATIONS];

/* Stand-ins for the hypervisor's platform. */

uint64_t memory_alloc(uint64_t bytes, uint64_t align)
{
    if (bytes >= SIZE_1G || world.out_of_memory)
        return 0;
    bytes = (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    for (unsigned i = 0; i < ALLOCATIONS; i++) {
        if (allocations[i].memory)
            continue;
        allocations[i].memory = aligned_alloc(align, (bytes + align - 1) & ~(align - 1));
        allocations[i].bytes = bytes;
        memset(allocations[i].memory, 0, bytes);
        return virt_to_phys(allocations[i].memory);
    }
    fail_msg("more allocations than a guest needs");
    return 0;
}

uint64_t memory_alloc_raw(uint64_t bytes, uint64_t align)
{
    uint64_t phys = memory_alloc(bytes, align);

    if (phys)
        memset(phys_to_virt(phys), NOT_THE_GUESTS, bytes);
    return phys;
}

void memory_free(uint64_t phys, uint64_t bytes)
{
    for (unsigned i = 0; i < ALLOCATIONS; i++) {
        if (!allocations[i].memory || virt_to_phys(allocations[i].memory) != phys)
            continue;
        assert_int_equal(allocations[i].bytes, (bytes + PAGE - 1) & ~(uint64_t)(PAGE - 1));
        free(allocations[i].memory);
        allocations[i].memory = NULL;
        return;
    }
    fail_msg("freed what was not allocated");
}

uint64_t memory_free_bytes(void)
{
    return 0;
}

void mtrr_read(struct mtrr_state *state)
{
    *state = (struct mtrr_state){0};
}

bool mtrr_uniform(const struct mtrr_state *state, uint64_t phys, uint64_t bytes,
                  enum memory_type *type)
{
    (void)state;
    (void)phys;
    (void)bytes;
    *type = MEMORY_TYPE_WB;
    return true;
}

void console_write(const char *text, size_t bytes)
{
    if (bytes > WORLD_CONSOLE - 1 - world.console_length)
        world.console_length = 0;
    memcpy(world.console + world.console_length, text, bytes);
    world.console_length += bytes;
    world.console[world.console_length] = '\0';
}

void kprintf(const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    console_write(line, strlen(line));
}

void dump_vcpu(const struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, world.vcpu);
    world.dumps++;
}

void panic(const char *format, ...)
{
    fail_msg("panic: %s", format);
    abort();
}

struct vcpu *sched_next(void)
{
    return &nobody;
}

void sched_woken(struct vcpu *vcpu)
{
    (void)vcpu;
}

bool sched_is_called(struct vcpu *vcpu)
{
    (void)vcpu;
    return false;
}

void sched_charge(struct vcpu *vcpu)
{
    assert_ptr_equal(vcpu, world.vcpu);
    world.charges++;
}

void cpu_handle_nmi(void)
{
}

uint64_t sched_next_deadline(const struct cpu *cpu)
{
    (void)cpu;
    return 0;
}

void cpu_delay_us(uint64_t us)
{
    (void)us;
}

/* The machine's local APIC, which guests have for themselves where interrupts are direct. */

void apic_send_self(uint8_t vector)
{
    world.self_ipis[world.self_ipi_count++ % WORLD_SELF_IPIS] = vector;
}

void apic_send_fixed(uint32_t id, uint8_t vector)
{
    (void)id;
    (void)vector;
    fail_msg("an interrupt for another CPU, and there is none");
}

void apic_quiesce(void)
{
    world.quiesced++;
}

void apic_eoi(void)
{
    world.eois++;
}

void apic_set_spurious(uint32_t value)
{
    world.spurious_vector = value;
}

uint32_t apic_take_errors(void)
{
    return world.apic_errors;
}

bool apic_timer_armed(void)
{
    return world.timer_armed;
}

bool apic_pending(void)
{
    return false;
}

void cpu_kick(struct cpu *cpu)
{
    if (!world.remote || world.remote->cpu != cpu)
        fail_msg("an NMI to another CPU, and there is none");
    world.kicks++;
    flush_catch_up(world.remote); /* what its NMI handler does */
}

void cpu_wake(struct cpu *cpu)
{
    (void)cpu;
}

void cpu_make_look(struct cpu *cpu)
{
    (void)cpu;
}

void cpu_unblock_nmis(void)
{
}

void cpu_handle_machine_check(void)
{
}

void cpu_handle_interrupt(unsigned vector)
{
    (void)vector;
}

void vmx_exit_stub(void)
{
}

void vmx_exit_stub_guarded(void)
{
}

void vmx_exit_stub_verw(void)
{
}

void fake_invept(enum invept_type type, uint64_t eptp)
{
    world.invepts++;
    for (unsigned i = 0; i < guest_count; i++) {
        if (eptp != ept_pointer(&guests[i]->ept))
            continue;
        /* Translations of views are cached under EPTPs of their own. */
        assert_int_equal(type, guests[i]->ept.views ? guests[i]->flush_type : type);
        assert_true(type == INVEPT_SINGLE_CONTEXT || guests[i]->flush_type == type);
        memset(caches[i], 0, sizeof(caches[i]));
        return;
    }
    fail_msg("INVEPT for an EPTP that is nobody's");
}

void fake_invvpid(enum invvpid_type type, uint16_t vpid)
{
    assert_int_equal(type, INVVPID_SINGLE_CONTEXT);
    assert_int_equal(vpid, world.vcpu->vpid);
    world.invvpids++;
}

/* Watching. */

static unsigned ram_pages(void)
{
    return (unsigned)(world.guest->ram_size / PAGE);
}

unsigned watched_count(void)
{
    return ram_pages() + WORLD_ALIASES + WORLD_LAST;
}

uint64_t watched_gpa(unsigned index)
{
    const struct guest *guest = world.guest;

    if (index < ram_pages())
        return index * (uint64_t)PAGE;
    index -= ram_pages();
    if (index < WORLD_ALIASES)
        return guest->alias_base + index * (uint64_t)PAGE;
    index -= WORLD_ALIASES;
    return guest->alias_base + guest->alias_size - (WORLD_LAST - index) * (uint64_t)PAGE;
}

static struct page_state look(unsigned index)
{
    struct ept_translation t;

    ept_lookup(&world.guest->ept, watched_gpa(index), &t);
    if (!t.level)
        return (struct page_state){0};
    return (struct page_state){
        .level = (uint8_t)t.level,
        .access = (uint8_t)t.access,
        .full = (uint8_t)t.full,
        .hardware = (uint8_t)t.hardware,
        .tracked = t.tracked,
        .aliased = t.aliased,
        .alias = t.alias,
        .dirty = t.tracked && (t.entry & ENTRY_DIRTY), /* means nothing elsewhere */
        .hpa = t.hpa,
    };
}

/* What the CPU may have cached of a page from now on. */
static void fill_cache(unsigned index, const struct page_state *now)
{
    struct cached *cache = caches[world.guest->id];

    latest[world.guest->id].pages[index] = *now;
    /* How the tables hold a page, and with it whether it must not be executed, is not what it is.
     */
    latest[world.guest->id].pages[index].level = 0;
    if (vmx_setup.ept.nx_huge)
        latest[world.guest->id].pages[index].hardware &= ~EPT_ACCESS_X;
    cache[index].hardware |= now->hardware;
    cache[index].hpa = now->hpa;
    cache[index].level = now->level;
    cache[index].dirty |= now->hardware && now->dirty; /* what is not present is not cached */
}

/* The guest wrote: the page's dirty flag is cached. */
static void cache_written(uint64_t gpa)
{
    for (unsigned i = 0; i < watched_count(); i++) {
        if (watched_gpa(i) == (gpa & ~(uint64_t)(PAGE - 1))) {
            struct page_state now = look(i);

            fill_cache(i, &now);
        }
    }
}

/* The world. */

static void create_guest(const struct world_options *options, unsigned id)
{
    configs[id] = (struct handover_guest){
        .memory = options->ram,
        .table_budget = options->budget * PAGE,
        .vcpus = options->vcpus ? options->vcpus : 1,
        .entry = RIP,
        .disk = id == 0 ? options->disk : HANDOVER_DISK_NONE,
        .repeat = options->repeat ? options->repeat : 1,
    };
    snprintf(configs[id].name, sizeof(configs[id].name), id ? "test-%u" : "test", id);
    guests[id] = guest_create(&configs[id], id);
    if (!guests[id])
        fail_msg("%s", world.console);
    for (unsigned i = 0; i < guests[id]->vcpu_count; i++) {
        guests[id]->vcpus[i]->cpu = &world_cpu;
        guests[id]->vcpus[i]->slice_end = UINT64_MAX; /* its slice never ends */
    }
}

void world_run_elsewhere(unsigned guest)
{
    static struct cpu elsewhere;

    world.remote = guests[guest]->vcpus[0];
    world.remote->cpu = &elsewhere;
    atomic_store(&world.remote->loaded, true);
    flush_catch_up(world.remote);
}

void world_enter(unsigned guest)
{
    world.guest = guests[guest];
    world_turn(0);
}

void world_open(const struct world_options *options)
{
    for (unsigned i = 0; i < ALLOCATIONS; i++) { /* what a test that failed left behind */
        free(allocations[i].memory);
        allocations[i].memory = NULL;
    }
    world = (struct hv_world){0};
    world_cpu = (struct cpu){.self = &world_cpu, .current = NULL};
    syscall(SYS_arch_prctl, ARCH_SET_GS, &world_cpu); /* for this_cpu() */
    memset(fake_vmcs, 0, sizeof(fake_vmcs));
    memset(caches, 0, sizeof(caches));
    vmx_setup = (struct vmx_setup){
        .caps = {.basic = (uint64_t)PAGE << 32,
                 .cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG,
                 .cr0_fixed1 = UINT32_MAX,
                 .cr4_fixed1 = UINT32_MAX,
                 .control = {[VMX_CONTROL_PROC2] = (uint64_t)VMX_PROC2_ENABLE_VPID << 32},
                 .ept_vpid = VMX_EPT_INVVPID | VMX_EPT_INVVPID_SINGLE},
        .invept_type = INVEPT_SINGLE_CONTEXT,
        .physical_bits = 48,
        .fpu_bytes = PAGE,
        .ept = options->features,
        .pml = options->pml,
    };
    guest_count = options->guests ? options->guests : 1;
    assert_true(channels_init(guest_count));
    channels_memory = allocations[0].memory;
    for (unsigned i = 0; i < guest_count; i++)
        create_guest(options, i);
    fake_vmcs[VMCS_GUEST_SS_ACCESS_RIGHTS] = RIGHTS_CPL_0;
    for (unsigned i = guest_count; i-- > 0;) {
        world_enter(i);
        check_cache(); /* which also fills it */
    }
    for (unsigned i = 0; options->pml && i < world.guest->vcpu_count; i++) {
        world_turn(i);
        pml_init_vmcs(world.vcpu);
    }
    world_turn(0);
    for (uint64_t i = 1; i < options->ram / BLOCK;
         i++) /* or crossing a block would prove nothing */
        assert_true(world.guest->blocks[i] != world.guest->blocks[i - 1] + BLOCK);
}

/* Of the fields that calls leave behind for the next one, only this is in use. */
void world_turn(unsigned vcpu)
{
    static uint64_t pml_index[GUEST_MAX_VCPUS];

    if (world.vcpu)
        pml_index[world.vcpu->index] = fake_vmcs[VMCS_PML_INDEX];
    world.vcpu = world.guest->vcpus[vcpu];
    fake_vmcs[VMCS_EPT_POINTER] = world.vcpu->eptp;
    fake_vmcs[VMCS_PML_INDEX] = pml_index[vcpu];
}

void world_close(void)
{
    for (unsigned i = 0; i < guest_count; i++) {
        guest_release(guests[i]);
        guest_destroy(guests[i]);
    }
    memory_free(virt_to_phys(channels_memory), allocations[0].bytes);
    for (unsigned i = 0; i < ALLOCATIONS; i++)
        assert_null(allocations[i].memory);
}

void world_open_plain(void)
{
    world_open(&(struct world_options){
        .ram = WORLD_RAM_MAX,
        .features = {.page_2m = true, .page_1g = true, .accessed_dirty = true, .exec_only = true},
    });
}

/* Whether the stub tries the shortest way for a VMCALL. */
static bool leaf_call(const struct vmx_regs *regs)
{
    uint64_t flags = fake_vmcs[VMCS_GUEST_RFLAGS];
    uint64_t shadow = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS;

    if ((fake_vmcs[VMCS_GUEST_SS_ACCESS_RIGHTS] & HYPERCALL_SS_DPL) || (flags & RFLAGS_TF))
        return false;
    if ((flags & RFLAGS_IF) && (fake_vmcs[VMCS_GUEST_INTERRUPTIBILITY] & shadow))
        return false;
    return regs->rax < VMX_LEAF_CALLS;
}

/* What the exit stub does first: the shortest way, which finds no register in the context. */
static bool leaf_exit(struct vmx_context *context, uint32_t reason)
{
    struct vmx_regs before = context->regs;
    uint64_t number = before.rax, declined = 0;

    memset(&context->regs, NOT_THE_GUESTS, sizeof(context->regs));
    if (reason == EXIT_REASON_EPT_VIOLATION)
        declined = vmx_leaf_violation(before.rdi, before.rsi, before.rdx, context);
    else if (number == TRAPLINE_HC_NOP)
        context->null_calls++;
    else
        declined = vmx_leaf_calls[number](before.rdi, before.rsi, before.rdx, context);
    for (size_t i = 0; i < sizeof(context->regs); i++)
        assert_int_equal(((uint8_t *)&context->regs)[i], NOT_THE_GUESTS);
    context->regs = before;
    if (declined) {
        if (reason == EXIT_REASON_VMCALL)
            assert_int_equal(declined, number);
        assert_int_equal(fake_vmwrites, 0);
        return false;
    }
    if (reason == EXIT_REASON_VMCALL) {
        context->regs.rax = 0;
        fake_vmcs[VMCS_GUEST_RIP] += fake_vmcs[VMCS_EXIT_INSTRUCTION_LENGTH];
    }
    return true;
}

/*
 * What the exit stub does: the shortest way, then the fast tier, which does not see the registers
 * that C functions preserve, then the slow one, each only if nothing has changed. Every other exit
 * goes without the first, as on CPUs that need barriers, so that both are tested.
 */
bool vm_exit(uint32_t reason)
{
    struct vmx_context *context = &world.vcpu->context;
    struct vmx_regs before = context->regs;
    uintptr_t next;

    fake_vmcs[VMCS_EXIT_REASON] = reason;
    fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO] = 0;
    fake_vmwrites = 0;
    world.guarded = !world.guarded;
    if (!world.guarded &&
        ((reason == EXIT_REASON_VMCALL && leaf_call(&before)) ||
         reason == EXIT_REASON_EPT_VIOLATION) &&
        leaf_exit(context, reason))
        return true;
    memset(&context->regs, NOT_THE_GUESTS, offsetof(struct vmx_regs, rax));
    next = vmx_handle_fast_exit(context);
    for (size_t i = 0; i < offsetof(struct vmx_regs, rax); i++)
        assert_int_equal(((uint8_t *)&context->regs)[i], NOT_THE_GUESTS);
    memcpy(&context->regs, &before, offsetof(struct vmx_regs, rax));
    if (next == (uintptr_t)context)
        return true;
    assert_int_equal(next, (uintptr_t)context | VMX_EXIT_SLOW);
    assert_memory_equal(&context->regs, &before, sizeof(before));
    assert_int_equal(fake_vmwrites, 0);
    return vmx_handle_exit(context) == context;
}

bool hypercall_once(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10)
{
    struct vmx_regs *regs = &world.vcpu->context.regs, before;

    *regs = (struct vmx_regs){.rax = number,
                              .rdi = rdi,
                              .rsi = rsi,
                              .rdx = rdx,
                              .r10 = r10,
                              .rbx = 1,
                              .rcx = 2,
                              .rbp = 3,
                              .r8 = 8,
                              .r9 = 9,
                              .r11 = 11,
                              .r12 = 12,
                              .r13 = 13,
                              .r14 = 14,
                              .r15 = 15};
    before = *regs;
    fake_vmcs[VMCS_GUEST_RIP] = RIP;
    fake_vmcs[VMCS_EXIT_INSTRUCTION_LENGTH] = VMCALL_BYTES;
    if (!vm_exit(EXIT_REASON_VMCALL)) {
        assert_int_not_equal(world.guest->state, GUEST_RUNNING);
        regs->rax = INT64_MAX;
        return true;
    }
    assert_int_equal(world.guest->state, GUEST_RUNNING);
    assert_int_equal(fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO], 0);
    assert_false(atomic_load(&world.guest->lock.held));
    if (fake_vmcs[VMCS_GUEST_RIP] == RIP) {
        assert_memory_equal(regs, &before, sizeof(before));
        return false;
    }
    assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], RIP + VMCALL_BYTES);
    before.rax = regs->rax;
    before.rdx = regs->rdx;
    assert_memory_equal(regs, &before, sizeof(before));
    check_cache();
    return true;
}

int64_t hypercall(uint64_t number, uint64_t rdi, uint64_t rsi, uint64_t rdx, uint64_t r10)
{
    world.agains = 0;
    while (!hypercall_once(number, rdi, rsi, rdx, r10))
        world.agains++;
    world.rdx = world.vcpu->context.regs.rdx;
    return (int64_t)world.vcpu->context.regs.rax;
}

enum outcome violate(uint64_t gpa, uint64_t qualification, uint32_t vectoring)
{
    uint64_t info;

    world.violations++;
    fake_vmcs[VMCS_GUEST_RIP] = RIP;
    fake_vmcs[VMCS_EXIT_QUALIFICATION] = qualification;
    fake_vmcs[VMCS_GUEST_PHYSICAL_ADDRESS] = gpa;
    fake_vmcs[VMCS_GUEST_LINEAR_ADDRESS] = gpa;
    fake_vmcs[VMCS_IDT_VECTORING_INFO] = vectoring;
    if (!vm_exit(EXIT_REASON_EPT_VIOLATION)) {
        assert_int_equal(world.guest->state, GUEST_STOPPED);
        return ACCESS_STOPPED;
    }
    assert_int_equal(fake_vmcs[VMCS_GUEST_RIP], RIP);
    assert_false(atomic_load(&world.guest->lock.held));
    check_cache();
    info = fake_vmcs[VMCS_ENTRY_INTERRUPTION_INFO];
    if ((info & INTERRUPTION_VALID) && (info & INTERRUPTION_VECTOR) == TRAPLINE_VECTOR_TRAP)
        return ACCESS_TRAPPED;
    return ACCESS_DONE;
}

/* A CPU sets a dirty flag; false: its log is full, which it says by an exit instead. */
static bool set_dirty(const struct ept_translation *t, uint64_t gpa)
{
    uint64_t index = fake_vmcs[VMCS_PML_INDEX];

    if (world.vcpu->log && !(t->entry & ENTRY_DIRTY)) {
        if (index >= PAGE / 8) {
            fake_vmcs[VMCS_EXIT_QUALIFICATION] = 0;
            fake_vmcs[VMCS_IDT_VECTORING_INFO] = 0;
            world.log_full++;
            assert_true(vm_exit(EXIT_REASON_PML_FULL));
            assert_false(atomic_load(&world.guest->lock.held));
            return false;
        }
        ((uint64_t *)phys_to_virt(world.vcpu->log))[index] = gpa & ~(uint64_t)(PAGE - 1);
        fake_vmcs[VMCS_PML_INDEX] = (uint16_t)(index - 1);
    }
    *(uint64_t *)phys_to_virt(t->table) |= ENTRY_DIRTY;
    return true;
}

enum outcome guest_access(uint64_t gpa, enum ept_access access, uint8_t data)
{
    struct ept_translation t;

    /* A violation that is dealt with is retried; none needs it more than twice. */
    for (unsigned i = 0; i < 3; i++) {
        enum outcome outcome;

        ept_lookup(&world.guest->ept, gpa, &t);
        if (t.level && !(access & ~t.hardware)) {
            if ((access & EPT_ACCESS_W) && vmx_setup.ept.accessed_dirty && !set_dirty(&t, gpa))
                continue;
            if (access & EPT_ACCESS_W)
                *(uint8_t *)phys_to_virt(t.hpa) = data;
            cache_written(gpa);
            return ACCESS_DONE;
        }
        outcome = violate(
            gpa, access | t.hardware << 3 | EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED,
            0);
        if (outcome != ACCESS_DONE)
            return outcome;
    }
    fail_msg("a violation that never ends");
    return ACCESS_STOPPED;
}

void snapshot_take(struct snapshot *snapshot)
{
    *snapshot = latest[world.guest->id];
}

bool snapshot_same(const struct snapshot *a, const struct snapshot *b)
{
    return !memcmp(a->pages, b->pages, watched_count() * sizeof(a->pages[0]));
}

/* Of the guest that world.guest is. */
static void check_own_cache(void)
{
    const struct cached *cache = caches[world.guest->id];

    if (world.guest->ept.holds) /* a PROTN in progress pays when it is done */
        return;
    for (unsigned i = 0; i < watched_count(); i++) {
        struct page_state now = look(i);

        if (cache[i].hardware & ~now.hardware)
            fail_msg("0x%llx: rights 0x%x are cached, and 0x%x are left: a flush is missing",
                     (unsigned long long)watched_gpa(i), cache[i].hardware, now.hardware);
        if (cache[i].hardware && cache[i].hpa != now.hpa)
            fail_msg("0x%llx: the page has moved", (unsigned long long)watched_gpa(i));
        /* SDM 28.3.3.4: the size of the page */
        if (cache[i].hardware && cache[i].level != now.level)
            fail_msg("0x%llx: cached as of level %u, now %u: a flush is missing",
                     (unsigned long long)watched_gpa(i), cache[i].level, now.level);
        if (cache[i].dirty && now.tracked && !now.dirty)
            fail_msg("0x%llx: cached as dirty: the next write is lost",
                     (unsigned long long)watched_gpa(i));
        fill_cache(i, &now);
    }
}

void check_cache(void)
{
    struct guest *current = world.guest;

    for (unsigned i = 0; i < guest_count; i++) {
        world.guest = guests[i];
        if (world.guest == current || atomic_load(&world.guest->vcpus[0]->loaded))
            check_own_cache();
    }
    world.guest = current;
}

unsigned access_of(uint64_t gpa)
{
    struct ept_translation t;

    ept_lookup(&world.guest->ept, gpa, &t);
    return t.access;
}

void *ram(uint64_t gpa)
{
    return guest_ram(world.guest, gpa);
}
