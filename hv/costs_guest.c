#include "hv/costs_guest.h"

#include <string.h>

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/vcpu.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"

/* All in one 2 MiB, which are small pages since one of them has no rights. */
enum {
    GUEST_BYTES = (2 << 20) + GUEST_BOOT_AREA,
    CODE = PAGE_SIZE,
    BARRED = CODE + PAGE_SIZE,
    PAGES = BARRED + PAGE_SIZE,
    GUEST_ID = HANDOVER_MAX_GUESTS, /* above those of the configuration, so that its VPID is, too */
    WHY_LEN = 64,
};

static const struct handover_guest config = {
    .name = "costs",
    .memory = GUEST_BYTES,
    .vcpus = 1,
    .entry = CODE,
    .interrupts = HANDOVER_INTERRUPTS_VIRTUAL,
    .repeat = 1,
};

void costs_none(const char *row, const char *why)
{
    kprintf("trapline: %s: not measured: %s\n", row, why);
}

bool costs_guest_create(struct costs_guest *guest)
{
    struct guest *made = guest_create(&config, GUEST_ID);

    if (!made)
        return false;
    *guest = (struct costs_guest){.vcpu = made->vcpus[0], .pages = PAGES, .barred = BARRED};
    memcpy(guest_ram(made, CODE), costs_code_begin, (size_t)(costs_code_end - costs_code_begin));
    if (ept_protect(&made->ept, BARRED, 1, 0) != EPT_OK) {
        guest_release(made);
        guest_destroy(made);
        return false;
    }
    guest->vcpu->cpu = this_cpu();
    vcpu_load(guest->vcpu);
    flush_here(guest->vcpu);
    ept_flushed(&made->ept);
    return true;
}

void costs_guest_destroy(struct costs_guest *guest)
{
    struct guest *made = guest->vcpu->guest;

    vcpu_unload(guest->vcpu);
    guest_release(made);
    guest_destroy(made);
}

/* What nobody expects must not stay unanswered either. */
static void take(uint32_t reason)
{
    struct interruption event =
        vmx_decode_interruption((uint32_t)vmread(VMCS_EXIT_INTERRUPTION_INFO));

    if (reason == EXIT_REASON_EXTERNAL_INTERRUPT) {
        cpu_handle_interrupt(event.vector);
    } else if (reason == EXIT_REASON_EXCEPTION_OR_NMI && event.type == EVENT_NMI) {
        cpu_handle_nmi();
        cpu_unblock_nmis();
    }
}

const char *costs_guest_visit(struct costs_guest *guest, struct costs_visit *visit,
                              const char *place, uint32_t reason)
{
    static char why[WHY_LEN];
    bool launch = !guest->launched;
    uint32_t came;

    vmwrite(VMCS_GUEST_RIP, CODE + (uint64_t)(place - costs_code_begin));
    vmwrite(VMCS_GUEST_PREEMPTION_TIMER, UINT32_MAX);
    if (!costs_enter(visit, launch)) {
        ksnprintf(why, sizeof(why), "VM entry failed with error %u",
                  (unsigned)vmread(VMCS_INSTRUCTION_ERROR));
        return why;
    }
    guest->launched = true;
    came = (uint32_t)vmread(VMCS_EXIT_REASON);
    if (came == reason)
        return NULL;
    take(came);
    ksnprintf(why, sizeof(why), "exit reason %x came in place of %u", came, reason);
    return why;
}
