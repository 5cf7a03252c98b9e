#include "hv/machine.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>

#include "hv/address_space.h"
#include "hv/backtrace.h"
#include "hv/console.h"
#include "hv/cpu.h"
#include "vmx/x86.h"

/* EFI_RESET_TYPE (UEFI specification 8.5.1). */
enum efi_reset {
    EFI_RESET_COLD = 0,
    EFI_RESET_SHUTDOWN = 2,
};

typedef void(__attribute__((ms_abi)) * reset_system_function)(uint32_t type, uint64_t status,
                                                              uint64_t data_size, void *data);

static uint64_t reset_system;
static uint32_t on_exit;

void machine_init(const struct handover *handover)
{
    reset_system = handover->reset_system;
    on_exit = handover->on_exit;
    backtrace_init(handover);
}

static noreturn void halt(void)
{
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

static void print_end(int failed)
{
    kprintf("trapline: end %s\n", failed ? "failed" : "ok");
    console_drain();
}

static noreturn void halt_with_notice(const char *why, int failed)
{
    kprintf("trapline: %sthe machine can be switched off now\n", why);
    print_end(failed);
    halt();
}

void machine_stop(int failed)
{
    static atomic_int attempts;

    cpu_stop_others();
    /* A fault on the way brings us here again: one more try, then a halt, in the end a silent one.
     */
    switch (atomic_fetch_add(&attempts, 1)) {
    case 0:
    case 1: break;
    case 2: halt_with_notice("stopping failed; ", 1);
    default: halt();
    }
    if (on_exit == HANDOVER_HALT)
        halt_with_notice("", failed);
    if (reset_system == 0)
        halt_with_notice("the firmware has no ResetSystem; ", failed);

    print_end(failed);
    cpu_leave_vmx();
    address_space_load_firmware();
    ((reset_system_function)reset_system)(
        on_exit == HANDOVER_RESET ? EFI_RESET_COLD : EFI_RESET_SHUTDOWN, 0, 0, NULL);
    halt_with_notice("ResetSystem returned; ", failed);
}

void panic(const char *format, ...)
{
    va_list args;

    if (!cpu_stop_others())
        kprintf("\ntrapline: panic while stopping: ");
    else
        kprintf("\ntrapline: panic on CPU %u (APIC id %u): ", this_cpu()->index,
                this_cpu()->apic_id);
    va_start(args, format);
    kvprintf(format, args);
    va_end(args);
    kprintf("\n");
    backtrace_print((uint64_t)panic, (uint64_t)__builtin_frame_address(0));
    machine_stop(1);
}
