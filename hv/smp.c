#include "hv/smp.h"

#include <string.h>

#include "hv/address_space.h"
#include "hv/apic.h"
#include "hv/console.h"
#include "hv/cpu_setup.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "vmx/x86.h"

enum smp_delay {
    INIT_DELAY_US = 10000,  /* between INIT and the first start-up IPI */
    STARTUP_DELAY_US = 200, /* before the second start-up IPI */
    START_TIMEOUT_US = 200000,
    ONLINE_TIMEOUT_US = 1000000,
    POLL_US = 10,
};

_Atomic(uint64_t) smp_ticket = SMP_TICKET_NONE;
struct cpu *smp_cpu;

static void (*entry)(void);
static atomic_bool released;

void smp_main(struct cpu *cpu)
{
    cpu_load_tables(cpu);
    cpu_enable();
    atomic_store(&cpu->online, true);
    while (!atomic_load(&released))
        __builtin_ia32_pause();
    entry();
    panic("the entry function of CPU %u returned", cpu->index);
}

/* The place in the copy of something in the trampoline. */
static void *in_copy(const struct handover *handover, const char *label)
{
    return (char *)phys_to_virt(handover->trampoline) + (label - trampoline_begin);
}

static void store32(const struct handover *handover, const char *label, uint64_t value)
{
    uint32_t word = (uint32_t)value;

    memcpy(in_copy(handover, label), &word, sizeof(word));
}

/*
 * The trampoline's tables: it can load CR3 with 32 bits only, so that their root takes the second
 * of the two pages.
 */
static bool place_trampoline(const struct handover *handover)
{
    uint64_t base = handover->trampoline, root = base + PAGE_SIZE, go = (uint64_t)smp_entry;

    memset(phys_to_virt(root), 0, PAGE_SIZE);
    struct paging tables = address_space_derive(root);
    if (paging_map(&tables, base, base, PAGE_SIZE, PAGING_EXEC) != PAGING_OK)
        return false;

    memcpy(phys_to_virt(base), trampoline_begin, (size_t)(trampoline_end - trampoline_begin));
    store32(handover, trampoline_gdt_base, base + (uint64_t)(trampoline_gdt - trampoline_begin));
    store32(handover, trampoline_jump32, base + (uint64_t)(trampoline_code32 - trampoline_begin));
    store32(handover, trampoline_jump64, base + (uint64_t)(trampoline_code64 - trampoline_begin));
    store32(handover, trampoline_cr3, root);
    memcpy(in_copy(handover, trampoline_entry), &go, sizeof(go));
    *(uint8_t *)in_copy(handover, trampoline_enable_xd) = address_space_noexec_was_hidden();
    return true;
}

/* Poll until the ticket is claimed or us microseconds have passed. */
static bool wait_claimed(uint64_t us)
{
    for (uint64_t waited = 0; waited < us; waited += POLL_US) {
        if (atomic_load(&smp_ticket) == SMP_TICKET_CLAIMED)
            return true;
        cpu_delay_us(POLL_US);
    }
    return false;
}

static bool wait_online(struct cpu *cpu)
{
    for (uint64_t waited = 0; waited < ONLINE_TIMEOUT_US; waited += POLL_US) {
        if (atomic_load(&cpu->online))
            return true;
        cpu_delay_us(POLL_US);
    }
    return false;
}

/* Whether the CPU took the ticket. */
static bool wake(uint32_t id, uint64_t trampoline)
{
    uint8_t page = (uint8_t)(trampoline >> PAGE_SHIFT);
    uint64_t expected = id;

    atomic_store(&smp_ticket, id);
    apic_send_init(id);
    cpu_delay_us(INIT_DELAY_US);
    apic_send_startup(id, page);
    if (wait_claimed(STARTUP_DELAY_US))
        return true;
    apic_send_startup(id, page);
    if (wait_claimed(START_TIMEOUT_US))
        return true;
    return !atomic_compare_exchange_strong(&smp_ticket, &expected, SMP_TICKET_NONE);
}

static struct cpu *new_cpu(void)
{
    uint64_t phys = memory_alloc(sizeof(struct cpu), PAGE_SIZE);
    struct cpu *cpu = phys ? phys_to_virt(phys) : NULL;

    return cpu && cpu_prepare(cpu) ? cpu : NULL;
}

static void start_all(const struct handover *handover)
{
    struct cpu *cpu = NULL; /* prepared and not taken yet */

    for (uint32_t i = 0; i < handover->cpu_count && i < HANDOVER_MAX_CPUS; i++) {
        uint32_t id = handover->cpus[i].apic_id;
        if (handover->cpus[i].bsp || id == this_cpu()->apic_id)
            continue;
        if (!apic_is_x2apic() && id >= APIC_XAPIC_IDS) {
            kprintf("trapline: CPU with APIC id %u needs x2APIC mode; left out\n", id);
            continue;
        }
        if (!cpu)
            cpu = new_cpu();
        if (!cpu) {
            kprintf("trapline: no memory for CPU with APIC id %u; left out\n", id);
            return;
        }
        cpu->index = cpu_count;
        cpu->apic_id = id;
        smp_cpu = cpu;
        if (!wake(id, handover->trampoline)) {
            kprintf("trapline: CPU with APIC id %u did not start; left out\n", id);
            continue;
        }
        if (wait_online(cpu))
            cpus[cpu_count++] = cpu;
        else
            kprintf("trapline: CPU with APIC id %u did not get ready; left out\n", id);
        cpu = NULL;
    }
}

void cpu_start_others(const struct handover *handover, void (*ap_entry)(void))
{
    entry = ap_entry;
    if (handover->cpu_count > 1 && place_trampoline(handover))
        start_all(handover);
    else if (handover->cpu_count > 1)
        kprintf("trapline: no memory to start the other CPUs; left out\n");
    atomic_store(&released, true);
}
