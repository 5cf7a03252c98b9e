#include "hv/direct.h"

#include <stdatomic.h>

#include "hv/apic.h"
#include "hv/cpu.h"
#include "hv/vcpu.h"
#include "vmx/x86.h"

enum {
    SETTLE_US = 50, /* an IPI that was sent has long arrived */
    WORD_BITS = 64,
};

void direct_attach(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (cpu->owned)
        return;
    cpu->owned = true;
    apic_quiesce();
    atomic_store(&vcpu->attached, true);
    direct_send_posted(vcpu);
}

/*
 * Who sends counts itself among the senders and then looks at attached; here it is the other way
 * round. A sender that is through may have an IPI on its way; nothing tells when it arrives.
 */
void direct_detach(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->cpu;

    if (!cpu->owned)
        return;
    atomic_store(&vcpu->attached, false);
    while (atomic_load(&vcpu->senders))
        __builtin_ia32_pause();
    cpu_delay_us(SETTLE_US);
    apic_quiesce();
    cpu->owned = false;
}

bool direct_send_posted(struct vcpu *vcpu)
{
    bool here = vcpu->cpu == this_cpu(), sent = false;

    atomic_fetch_add(&vcpu->senders, 1);
    for (unsigned i = 0; atomic_load(&vcpu->attached) && i < VAPIC_VECTORS / WORD_BITS; i++) {
        uint64_t bits = atomic_exchange(&vcpu->vapic.posted[i], 0);

        for (; bits; bits &= bits - 1) {
            uint8_t vector = (uint8_t)(i * WORD_BITS + (unsigned)__builtin_ctzll(bits));

            if (here)
                apic_send_self(vector);
            else
                apic_send_fixed(vcpu->cpu->apic_id, vector);
            sent |= !here;
        }
    }
    atomic_fetch_sub(&vcpu->senders, 1);
    return sent;
}

bool direct_write_spurious(struct vcpu *vcpu, uint64_t value)
{
    struct vapic_ipi none;

    if (!vapic_write(&vcpu->vapic, VAPIC_MSR_FIRST + VAPIC_SVR, value, 0, &none))
        return false;
    apic_set_spurious((uint32_t)value);
    return true;
}

bool direct_write_errors(struct vcpu *vcpu, uint64_t value)
{
    struct vapic_ipi none;

    if (value)
        return false;
    vapic_error(&vcpu->vapic, apic_take_errors());
    return vapic_write(&vcpu->vapic, VAPIC_MSR_FIRST + VAPIC_ESR, 0, 0, &none);
}

void direct_put_back(unsigned vector)
{
    apic_eoi(); /* it was delivered last, so that it is the highest in service */
    apic_send_self((uint8_t)vector);
}
