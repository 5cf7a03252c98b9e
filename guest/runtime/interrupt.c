/* Interrupts: from the stubs of vectors.asm to the guest's handlers. */
#include <trapline/interrupt.h>

#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/vm.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/vcpu.h"

enum {
    VECTORS = 256,
    VECTOR_SPURIOUS = 255, /* not acknowledged: SDM 10.9 */
};

/* vectors.asm */
extern bool interrupt_general[VECTORS];
void interrupt_dispatch(unsigned vector);

bool interrupt_general[VECTORS]; /* the handler keeps to the general registers */

static interrupt_handler *handlers[VECTORS];
static bool has_apic;

int interrupt_handle_with(unsigned vector, interrupt_handler *handler, unsigned flags)
{
    if (vector < INTERRUPT_FIRST || vector > INTERRUPT_LAST ||
        flags & ~(unsigned)INTERRUPT_GENERAL_REGS)
        return -TRAPLINE_EINVAL;
    /* With all registers saved either handler is right. */
    __atomic_store_n(&interrupt_general[vector], false, __ATOMIC_SEQ_CST);
    __atomic_store_n(&handlers[vector], handler, __ATOMIC_SEQ_CST);
    if (handler && flags & INTERRUPT_GENERAL_REGS)
        __atomic_store_n(&interrupt_general[vector], true, __ATOMIC_SEQ_CST);
    return 0;
}

TRAP_GENERAL void interrupt_dispatch(unsigned vector)
{
    interrupt_handler *const handler = __atomic_load_n(&handlers[vector], __ATOMIC_RELAXED);

    if (vector == VECTOR_SPURIOUS)
        return;
    if (!handler) {
        printf("guest: %sinterrupt %u, which has no handler\n", vcpu_label(), vector);
        exit(EXIT_EXCEPTION + (int)vector);
    }
    handler(vector);
    if (has_apic)
        write_msr(MSR_APIC_EOI, 0);
}

void interrupt_init(void)
{
    has_apic = cpuid(CPUID_FEATURES, 0).ecx & CPUID_1_ECX_X2APIC;
}
