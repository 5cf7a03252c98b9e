/* From the loader's jump to the part that runs guests. */
#include "hv/main.h"

#include <stdnoreturn.h>

#include "hv/apic.h"
#include "hv/brand.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "hv/start.h"

enum {
    MIB_SHIFT = 20,
    TSC_PER_MHZ = 1000, /* ticks per millisecond */
};

static noreturn void halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

static void print_cpu(void)
{
    struct brand brand;

    brand_read(cpuid, &brand);
    kprintf("trapline: CPU %s, %02X_%02XH stepping %u\n", brand.name, brand.family, brand.model,
            brand.stepping);
}

static noreturn void start(void *argument)
{
    hv_start(argument);
}

void hv_main(struct handover *handover)
{
    /* Nothing in a structure that is not ours can be relied on, not even for a message. */
    if (handover->magic != HANDOVER_MAGIC)
        halt();
    cpu_init_early(handover);
    console_init(handover);
    machine_init(handover);
    if (handover->version != HANDOVER_VERSION || handover->size != sizeof(*handover))
        panic("the loader's hand-over has version %u and %u bytes, not %u and %zu",
              handover->version, handover->size, HANDOVER_VERSION, sizeof(*handover));
    kprintf("trapline: hypervisor at %lx, %lu KiB\n", handover->hv_phys, handover->hv_size / 1024);
    memory_init(handover);
    console_init_screen(handover);
    cpu_init_bsp(handover);
    print_cpu();
    kprintf("trapline: %lu MiB free, TSC %lu MHz, %s\n", memory_free_bytes() >> MIB_SHIFT,
            cpu_tsc_per_ms / TSC_PER_MHZ, apic_is_x2apic() ? "x2APIC" : "xAPIC");
    cpu_run_on(this_cpu()->stack_top, start, handover);
}
