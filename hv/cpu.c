#include "hv/cpu.h"

#include "hv/apic.h"
#include "hv/console.h"
#include "hv/cpu_setup.h"
#include "hv/exception.h"
#include "hv/flush.h"
#include "hv/machine.h"
#include "hv/machine_check.h"
#include "hv/memory.h"
#include "vmx/x86.h"

enum {
    EMERGENCY_STACK_BYTES = 8192,
    TSC_PER_MS_UNKNOWN = 1000000, /* the loader could not measure it */
    MS_PER_SECOND = 1000,
    US_PER_MS = 1000,
    STOP_TIMEOUT_MS = 200,
    NO_CPU = -1,
};

#define GDT_CODE 0x00af9b000000ffffull /* 64-bit code, DPL 0, accessed */
#define GDT_DATA 0x00cf93000000ffffull /* writable data, DPL 0, accessed */
#define GDT_TSS  0x0000890000000000ull /* available 64-bit TSS, present */

enum cpuid_features {
    CPUID_FEATURES = 1,
    CPUID_FEATURES_XSAVE = 1u << 26, /* ECX */
    CPUID_STRUCTURED = 7,
    CPUID_STRUCTURED_SMEP = 1u << 7, /* EBX */
    CPUID_STRUCTURED_SMAP = 1u << 20,
};

struct descriptor_register {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

struct cpu *cpus[HANDOVER_MAX_CPUS];
unsigned cpu_count;
uint64_t cpu_tsc_per_ms = TSC_PER_MS_UNKNOWN;

static struct cpu bsp;
static char emergency_stack[EMERGENCY_STACK_BYTES] __attribute__((aligned(16)));

/* The CPU that stops the machine, and how many have stopped at its behest. */
static atomic_int stopper = NO_CPU;
static atomic_uint stopped;

static void fill_tables(struct cpu *cpu)
{
    uint64_t tss = (uint64_t)&cpu->tss;

    cpu->self = cpu;
    cpu->gdt.entry[SEL_CODE / 8] = GDT_CODE;
    cpu->gdt.entry[SEL_DATA / 8] = GDT_DATA;
    cpu->gdt.entry[SEL_TSS / 8] =
        GDT_TSS | (sizeof(cpu->tss) - 1) | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
    cpu->gdt.entry[SEL_TSS / 8 + 1] = tss >> 32;
    cpu->tss.io_map_base = sizeof(cpu->tss);
}

bool cpu_prepare(struct cpu *cpu)
{
    fill_tables(cpu);
    cpu->stack_top = memory_alloc_stack(CPU_STACK_PAGES);
    for (unsigned ist = IST_NONE + 1; ist < IST_COUNT; ist++) {
        cpu->tss.ist[ist - 1] = (uint64_t)memory_alloc_stack(CPU_STACK_PAGES);
        if (!cpu->tss.ist[ist - 1])
            return false;
    }
    return cpu->stack_top;
}

void cpu_load_tables(struct cpu *cpu)
{
    struct descriptor_register gdtr = {
        .limit = sizeof(cpu->gdt) - 1,
        .base = (uint64_t)&cpu->gdt,
    };

    __asm__ volatile(
        "lgdt %[gdtr]\n\t"
        "push %[code]\n\t"
        "lea 1f(%%rip), %%rax\n\t"
        "push %%rax\n\t"
        "lretq\n"
        "1:\n\t"
        "mov %[data], %%ds\n\t"
        "mov %[data], %%es\n\t"
        "mov %[data], %%ss\n\t"
        "mov %[null], %%fs\n\t"
        "mov %[null], %%gs\n\t"
        :
        : [gdtr] "m"(gdtr), [code] "i"(SEL_CODE), [data] "r"(SEL_DATA), [null] "r"(SEL_NULL)
        : "rax", "memory");
    /* Loading GS has cleared its base. */
    wrmsr(MSR_IA32_GS_BASE, (uint64_t)cpu);
    __asm__ volatile("lldt %w0" : : "r"(SEL_NULL));
    __asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
    exception_load_idt();
}

void cpu_enable(void)
{
    uint64_t cr4 = CR4_PAE | CR4_DE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    struct cpuid_regs structured = cpuid(CPUID_STRUCTURED, 0);

    memory_load();
    write_cr0(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE);
    if (cpuid(CPUID_FEATURES, 0).ecx & CPUID_FEATURES_XSAVE)
        cr4 |= CR4_OSXSAVE;
    if (structured.ebx & CPUID_STRUCTURED_SMEP)
        cr4 |= CR4_SMEP;
    if (structured.ebx & CPUID_STRUCTURED_SMAP)
        cr4 |= CR4_SMAP;
    write_cr4(cr4);
    machine_check_enable();
    apic_enable();
}

void cpu_init_early(const struct handover *handover)
{
    if (handover->tsc_hz >= MS_PER_SECOND)
        cpu_tsc_per_ms = handover->tsc_hz / MS_PER_SECOND;
    fill_tables(&bsp);
    for (unsigned ist = IST_NONE + 1; ist < IST_COUNT; ist++)
        bsp.tss.ist[ist - 1] = (uint64_t)emergency_stack + sizeof(emergency_stack);
    cpus[0] = &bsp;
    cpu_count = 1;
    cpu_load_tables(&bsp);
}

void cpu_init_bsp(const struct handover *handover)
{
    if (!cpu_prepare(&bsp))
        panic("no memory for the stacks of CPU 0");
    pic_disable();
    apic_init(!(handover->disable & HANDOVER_NO_X2APIC),
              !(handover->disable & HANDOVER_NO_TSC_DEADLINE));
    cpu_enable();
    bsp.apic_id = apic_id();
    atomic_store(&bsp.online, true);
}

void cpu_delay_us(uint64_t us)
{
    uint64_t begin = rdtsc(), ticks = us * cpu_tsc_per_ms / US_PER_MS;

    while (rdtsc() - begin < ticks)
        __builtin_ia32_pause();
}

void cpu_kick(struct cpu *cpu)
{
    this_cpu()->ipis_sent++;
    apic_send_nmi(cpu->apic_id);
}

void cpu_wake(struct cpu *cpu)
{
    unsigned halting = CPU_HALTING, polling = CPU_POLLING;

    if (atomic_compare_exchange_strong(&cpu->idle, &polling, CPU_WOKEN) ||
        !atomic_compare_exchange_strong(&cpu->idle, &halting, CPU_WOKEN_BY_IPI))
        return;
    this_cpu()->ipis_sent++;
    apic_send_fixed(cpu->apic_id, APIC_WAKE_VECTOR);
}

void cpu_make_look(struct cpu *cpu)
{
    if (atomic_load(&cpu->idle) != CPU_BUSY)
        cpu_wake(cpu);
    else
        cpu_kick(cpu);
}

void cpu_begin_idle(void)
{
    struct cpu *cpu = this_cpu();

    cpu->wakes_before = cpu->wakes;
    atomic_store(&cpu->idle, cpu->owned ? CPU_POLLING : CPU_HALTING);
}

void cpu_wait(uint64_t deadline)
{
    struct cpu *cpu = this_cpu();

    /* Not by cpu->idle, which cpu_wake() may have changed since the look for work. */
    if (cpu->owned) {
        while (atomic_load(&cpu->idle) == CPU_POLLING && (!deadline || rdtsc() < deadline))
            __builtin_ia32_pause();
        return;
    }
    if (deadline)
        apic_timer_start(deadline);
    /* STI holds interrupts back until HLT has begun (SDM volume 2, STI). */
    __asm__ volatile("sti; hlt; cli" : : : "memory");
    if (deadline)
        apic_timer_stop();
}

bool cpu_end_idle(void)
{
    struct cpu *cpu = this_cpu();
    const volatile uint64_t *wakes = &cpu->wakes;
    unsigned was = atomic_exchange(&cpu->idle, CPU_BUSY);

    /* Wait for the interrupt: it must not come when a guest has the APIC. */
    while (was == CPU_WOKEN_BY_IPI && *wakes == cpu->wakes_before)
        __asm__ volatile("sti; pause; cli" : : : "memory");
    return was == CPU_WOKEN || was == CPU_WOKEN_BY_IPI;
}

void cpu_leave_vmx(void)
{
    struct cpu *cpu = this_cpu();

    if (!cpu->vmxon_region)
        return;
    cpu->current = NULL; /* an NMI that is on its way must not flush: INVEPT does not exist then */
    cpu->vmxon_region = 0;
    __asm__ volatile("vmxoff" : : : "cc", "memory");
}

static noreturn void park(void)
{
    cpu_leave_vmx();
    atomic_fetch_add(&stopped, 1);
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

void cpu_handle_nmi(void)
{
    int by = atomic_load(&stopper);

    this_cpu()->nmis++;
    if (by != NO_CPU && by != (int)this_cpu()->index)
        park();
    if (this_cpu()->current)
        flush_catch_up(this_cpu()->current);
}

void cpu_handle_interrupt(unsigned vector)
{
    this_cpu()->interrupts++;
    this_cpu()->wakes += vector == APIC_WAKE_VECTOR;
    /* Takes no EOI if it is a spurious one, which is not in service. */
    apic_end_interrupt((uint8_t)vector);
}

bool cpu_stop_others(void)
{
    int self = (int)this_cpu()->index, expected = NO_CPU;

    if (!atomic_compare_exchange_strong(&stopper, &expected, self)) {
        if (expected == self)
            return false;
        park();
    }
    unsigned others = 0;
    for (unsigned i = 0; i < cpu_count; i++) {
        if (cpus[i] == this_cpu())
            continue;
        apic_send_nmi(cpus[i]->apic_id);
        others++;
    }
    uint64_t begin = rdtsc();
    while (atomic_load(&stopped) < others && rdtsc() - begin < STOP_TIMEOUT_MS * cpu_tsc_per_ms)
        __builtin_ia32_pause();
    console_take_over();
    return true;
}
