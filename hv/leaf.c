/*
 * The shortest way through the hypervisor (vmx/entry.h): what a running program does again and
 * again to single pages, without saving a register that it does not need. Each function does what
 * its counterpart in primitives.c does in the plain case, or declines.
 */
#include "ept/fast.h"
#include "guest/include/trapline/abi.h"
#include "hv/guest.h"
#include "hv/primitives.h"
#include "hv/raised.h"
#include "hv/vcpu.h"
#include "vmx/entry.h"
#include "vmx/exits.h"
#include "vmx/instructions.h"

enum {
    LEAF_PAGES_MAX = 2048, /* pages of a PROTN that is dealt with here */
};

_Static_assert(VMX_LEAF_CALLS == TRAPLINE_HC_PROT1_UNPROT + 1, "the table below");

static inline void flush(struct vcpu *vcpu)
{
    vcpu->stats.flushes++;
    invept_by((enum invept_type)vcpu->guest->flush_type, &vcpu->flush);
}

VMX_LEAF static uint64_t leaf_prot1(uint64_t page, uint64_t access, uint64_t unused,
                                    struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;

    (void)unused;
    if (access > EPT_ACCESS_RWX || !spin_try_lock(&guest->lock))
        return TRAPLINE_HC_PROT1;
    if (guest->leaf_barred || !ept_fast_lower(&guest->ept, page, access)) {
        spin_unlock(&guest->lock);
        return TRAPLINE_HC_PROT1;
    }
    vcpu->stats.hypercalls[TRAPLINE_HC_PROT1]++;
    flush(vcpu);
    spin_unlock(&guest->lock);
    return 0;
}

VMX_LEAF static uint64_t leaf_unprot(uint64_t page, uint64_t pages, uint64_t unused,
                                     struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;
    bool cached;

    (void)unused;
    if (pages != 1 || !spin_try_lock(&guest->lock))
        return TRAPLINE_HC_UNPROT;
    if ((guest->leaf_barred & LEAF_BAR_VCPUS) || !ept_fast_raise(&guest->ept, page, &cached)) {
        spin_unlock(&guest->lock);
        return TRAPLINE_HC_UNPROT;
    }
    if (__builtin_expect(cached, 0) && guest->ept.converts) /* as raised_note() does */
        flush(vcpu);
    vcpu->stats.hypercalls[TRAPLINE_HC_UNPROT]++;
    spin_unlock(&guest->lock);
    return 0;
}

/* Whether the second page can be raised is known before the first one is lowered. */
VMX_LEAF static uint64_t leaf_prot1_unprot(uint64_t page, uint64_t access, uint64_t other,
                                           struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;
    volatile uint64_t *raised;

    if (access > EPT_ACCESS_RWX || !spin_try_lock(&guest->lock))
        return TRAPLINE_HC_PROT1_UNPROT;
    if (guest->leaf_barred)
        goto decline;
    raised = ept_fast_raisable(&guest->ept, other);
    if (!raised || !ept_fast_lower(&guest->ept, page, access))
        goto decline;
    ept_fast_raise_slot(raised);
    vcpu->stats.hypercalls[TRAPLINE_HC_PROT1_UNPROT]++;
    flush(vcpu);
    spin_unlock(&guest->lock);
    return 0;

decline:
    spin_unlock(&guest->lock);
    return TRAPLINE_HC_PROT1_UNPROT;
}

/*
 * A list of one range. As in protn.c the list is read once, and no PROTN is in progress that this
 * may be the continuation of. What is not one leaf that loses rights takes a call, which saves
 * nothing more; an error is left to the long way, which finds it again.
 */
VMX_LEAF static uint64_t leaf_protn(uint64_t list, uint64_t count, uint64_t how,
                                    struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;
    struct ept *ept = &guest->ept;
    uint64_t access = how ^ TRAPLINE_LIST_RANGES, page, pages;
    const volatile struct trapline_range *range;

    if (count != 1 || access > EPT_ACCESS_RWX || (list & (sizeof(uint64_t) - 1)) ||
        list >= guest->ram_size || vcpu->protn.active || !spin_try_lock(&guest->lock))
        return TRAPLINE_HC_PROTN;
    if (guest->leaf_barred || !ept_fast_allows(ept, list, sizeof(*range), EPT_ACCESS_R))
        goto decline;
    range = guest_ram(guest, list);
    page = range->page;
    pages = range->pages;
    if (ept_fast_lower_leaf(ept, page, pages, access)) {
        flush(vcpu);
    } else {
        if (pages > LEAF_PAGES_MAX || (ept->converts && raised_by(access)) ||
            ept_protect(ept, page, pages, (unsigned)access) != EPT_OK)
            goto decline;
        if (ept->flush_owed) {
            flush(vcpu);
            ept_fast_flushed(ept);
        }
    }
    vcpu->stats.hypercalls[TRAPLINE_HC_PROTN]++;
    spin_unlock(&guest->lock);
    return 0;

decline:
    /* Looking for table memory may have merged others, though nothing came of it. */
    if (ept->flush_owed)
        guest->leaf_barred |= LEAF_BAR_OWES;
    spin_unlock(&guest->lock);
    return TRAPLINE_HC_PROTN;
}

/*
 * A list at its place behind the trap area, of calls on single pages alone. A list that is declined
 * in its middle begins anew the long way, which comes to the same: each call says what its page is
 * to have, and nobody else sees the EPT meanwhile.
 */
VMX_LEAF static uint64_t leaf_multi(uint64_t list, uint64_t count, uint64_t unused,
                                    struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;
    struct ept *ept = &guest->ept;
    volatile struct trapline_call *call = (void *)((char *)vcpu->trap_area + TRAPLINE_MULTI_AREA);
    bool owed = false;

    (void)unused;
    if (!vcpu->trap_area || list != vcpu->trap_area_at + TRAPLINE_MULTI_AREA ||
        count > TRAPLINE_MULTI_MAX || !spin_try_lock(&guest->lock))
        return TRAPLINE_HC_MULTI;
    if (guest->leaf_barred || ept->tracked_count)
        goto decline;
    for (; count; count--, call++) {
        uint64_t number = call->number, gpa = call->argument[0], second = call->argument[1];

        if (number == TRAPLINE_HC_PROT1) {
            if (second > EPT_ACCESS_RWX || !ept_fast_lower(ept, gpa, second))
                goto decline;
            owed = true;
        } else {
            bool cached;

            if (number != TRAPLINE_HC_UNPROT || second != 1 || !ept_fast_raise(ept, gpa, &cached))
                goto decline;
            owed |= cached;
        }
        call->result = 0;
        call->second = call->argument[2];
    }
    if (owed)
        flush(vcpu);
    spin_unlock(&guest->lock);
    vcpu->stats.hypercalls[TRAPLINE_HC_MULTI]++;
    return 0;

decline:
    if (owed) {
        ept->flush_owed = true;
        guest->leaf_barred |= LEAF_BAR_OWES;
    }
    spin_unlock(&guest->lock);
    return TRAPLINE_HC_MULTI;
}

/* The calls that are never plain. */
#define DECLINE(name, number)                                                                      \
    VMX_LEAF static uint64_t decline_##name(uint64_t rdi, uint64_t rsi, uint64_t rdx,              \
                                            struct vmx_context *context)                           \
    {                                                                                              \
        (void)rdi;                                                                                 \
        (void)rsi;                                                                                 \
        (void)rdx;                                                                                 \
        (void)context;                                                                             \
        return number;                                                                             \
    }

DECLINE(trap, TRAPLINE_HC_TRAP)
DECLINE(dirty, TRAPLINE_HC_DIRTY)
DECLINE(map2, TRAPLINE_HC_MAP2)
DECLINE(unmap2, TRAPLINE_HC_UNMAP2)
DECLINE(track, TRAPLINE_HC_TRACK)
DECLINE(print, TRAPLINE_HC_PRINT)
DECLINE(exit, TRAPLINE_HC_EXIT)
DECLINE(stats, TRAPLINE_HC_STATS)
DECLINE(vcpu_start, TRAPLINE_HC_VCPU_START)
DECLINE(park, TRAPLINE_HC_PARK)
DECLINE(unpark, TRAPLINE_HC_UNPARK)
DECLINE(doorbell, TRAPLINE_HC_DOORBELL)
DECLINE(view_create, TRAPLINE_HC_VIEW_CREATE)
DECLINE(view_destroy, TRAPLINE_HC_VIEW_DESTROY)
DECLINE(view_prot, TRAPLINE_HC_VIEW_PROT)
DECLINE(view_protn, TRAPLINE_HC_VIEW_PROTN)
DECLINE(view_switch, TRAPLINE_HC_VIEW_SWITCH)
DECLINE(offer, TRAPLINE_HC_OFFER)
DECLINE(accept, TRAPLINE_HC_ACCEPT)
DECLINE(withdraw, TRAPLINE_HC_WITHDRAW)
DECLINE(ring, TRAPLINE_HC_RING)
DECLINE(listen, TRAPLINE_HC_LISTEN)
DECLINE(shootdown, TRAPLINE_HC_SHOOTDOWN)

vmx_leaf_function *const vmx_leaf_calls[VMX_LEAF_CALLS] = {
    [TRAPLINE_HC_TRAP] = decline_trap,
    [TRAPLINE_HC_PROT1] = leaf_prot1,
    [TRAPLINE_HC_PROTN] = leaf_protn,
    [TRAPLINE_HC_UNPROT] = leaf_unprot,
    [TRAPLINE_HC_DIRTY] = decline_dirty,
    [TRAPLINE_HC_MAP2] = decline_map2,
    [TRAPLINE_HC_UNMAP2] = decline_unmap2,
    [TRAPLINE_HC_TRACK] = decline_track,
    [TRAPLINE_HC_PRINT] = decline_print,
    [TRAPLINE_HC_EXIT] = decline_exit,
    [TRAPLINE_HC_STATS] = decline_stats,
    [TRAPLINE_HC_VCPU_START] = decline_vcpu_start,
    [TRAPLINE_HC_PARK] = decline_park,
    [TRAPLINE_HC_UNPARK] = decline_unpark,
    [TRAPLINE_HC_DOORBELL] = decline_doorbell,
    [TRAPLINE_HC_MULTI] = leaf_multi,
    [TRAPLINE_HC_VIEW_CREATE] = decline_view_create,
    [TRAPLINE_HC_VIEW_DESTROY] = decline_view_destroy,
    [TRAPLINE_HC_VIEW_PROT] = decline_view_prot,
    [TRAPLINE_HC_VIEW_PROTN] = decline_view_protn,
    [TRAPLINE_HC_VIEW_SWITCH] = decline_view_switch,
    [TRAPLINE_HC_OFFER] = decline_offer,
    [TRAPLINE_HC_ACCEPT] = decline_accept,
    [TRAPLINE_HC_WITHDRAW] = decline_withdraw,
    [TRAPLINE_HC_RING] = decline_ring,
    [TRAPLINE_HC_LISTEN] = decline_listen,
    [TRAPLINE_HC_SHOOTDOWN] = decline_shootdown,
    [TRAPLINE_HC_PROT1_UNPROT] = leaf_prot1_unprot,
};

/*
 * Deliver TRAP as the CPU delivers #VE (SDM 25.5.7.2). With the guest's busy word clear, no event
 * in delivery and no NMI unblocked by IRET, and a leaf that denies the access.
 */
VMX_LEAF uint64_t vmx_leaf_violation(uint64_t rdi, uint64_t rsi, uint64_t rdx,
                                     struct vmx_context *context)
{
    struct vcpu *vcpu = (struct vcpu *)context;
    struct guest *guest = vcpu->guest;
    struct trapline_trap_area *area = vcpu->trap_area;
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
    uint64_t gpa;
    bool denied;

    (void)rdi;
    (void)rsi;
    (void)rdx;
    if (!area || area->busy || (qualification & EPT_VIOLATION_NMI_UNBLOCKING) ||
        (vmread(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID) || !spin_try_lock(&guest->lock))
        return 1;
    gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    denied = ept_fast_denied(&guest->ept, gpa, qualification & EPT_ACCESS_RWX);
    spin_unlock(&guest->lock);
    if (!denied)
        return 1;
    area->reason = EXIT_REASON_EPT_VIOLATION;
    area->busy = UINT32_MAX;
    area->qualification = qualification;
    area->linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);
    area->physical = gpa;
    area->eptp_index = 0;
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, PRIMITIVES_TRAP_EVENT);
    vcpu->stats.traps++;
    vcpu->stats.exits[EXIT_REASON_EPT_VIOLATION]++;
    return 0;
}
