#include "hv/primitives.h"

#include <string.h>

#include "ept/fast.h"
#include "hv/channel.h"
#include "hv/dump.h"
#include "hv/exit.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/pml.h"
#include "hv/raised.h"
#include "hv/vcpu.h"
#include "hv/view.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

/* The EPT's errors are the ABI's, so that they pass through. */
_Static_assert((int)EPT_ENOENT == -TRAPLINE_ENOENT, "ABI");
_Static_assert((int)EPT_ENOMEM == -TRAPLINE_ENOMEM, "ABI");
_Static_assert((int)EPT_EEXIST == -TRAPLINE_EEXIST, "ABI");
_Static_assert((int)EPT_EINVAL == -TRAPLINE_EINVAL, "ABI");
_Static_assert((int)EPT_EOPNOTSUPP == -TRAPLINE_EOPNOTSUPP, "ABI");
_Static_assert((int)EPT_ACCESS_W == TRAPLINE_WRITE && (int)EPT_ACCESS_X == TRAPLINE_EXEC, "ABI");

/* Let the CPU deliver to this area what it can (SDM 25.5.7), or leave all to exits (0). */
static void convert_to(uint64_t area)
{
    uint64_t controls = vmread(VMCS_PROC_CONTROLS2);

    if (area)
        vmwrite(VMCS_VE_INFORMATION_ADDRESS, area);
    vmwrite(VMCS_PROC_CONTROLS2, area ? controls | VMX_PROC2_EPT_VIOLATION_VE
                                      : controls & ~(uint64_t)VMX_PROC2_EPT_VIOLATION_VE);
}

int64_t primitive_trap(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t area = regs->rdi;
    void *at = NULL;

    if (area % PAGE_SIZE)
        return -TRAPLINE_EINVAL;
    if (area) {
        if (!guest_in_ram(guest, area, PAGE_SIZE))
            return -TRAPLINE_ENOENT;
        at = guest_ram(guest, area);
    }
    guest_lock(vcpu); /* others note in it what they raise */
    vcpu->trap_area = at;
    vcpu->trap_area_at = area;
    vcpu->raised_words = 0;
    if (guest->ept.converts) {
        if (at) {
            memset(vcpu->trap_area->raised, 0, sizeof(vcpu->trap_area->raised));
            flush_here(vcpu); /* nothing was noted while there was no area */
        }
        convert_to(at ? virt_to_phys(at) : 0);
    }
    guest_unlock(vcpu);
    return 0;
}

int64_t primitive_prot1(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct ept *ept = &vcpu->guest->ept;
    uint64_t page = regs->rdi, access = regs->rsi;

    if (access > EPT_ACCESS_RWX)
        return -TRAPLINE_EINVAL;
    if (__builtin_expect(ept_fast_lower(ept, page, access), 1)) {
        ept->flush_owed = true;
        return 0;
    }
    if (raised_by(access))
        raised_note(vcpu, page, 1);
    return ept_protect(ept, page, 1, (unsigned)access);
}

int64_t primitive_unprot(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct ept *ept = &vcpu->guest->ept;
    bool cached;

    raised_note(vcpu, regs->rdi, regs->rsi);
    if (__builtin_expect(regs->rsi == 1 && ept_fast_raise(ept, regs->rdi, &cached), 1))
        return 0; /* raising owes no flush */
    return ept_unprotect(ept, regs->rdi, regs->rsi);
}

int64_t primitive_prot1_unprot(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct vmx_regs raise = {.rdi = regs->rdx, .rsi = 1};
    struct ept *ept = &vcpu->guest->ept;
    struct ept_translation before;
    int64_t error;

    ept_lookup(ept, regs->rdi, &before);
    error = primitive_prot1(vcpu, regs);
    if (error) {
        regs->rdx = 0;
        return error;
    }
    error = primitive_unprot(vcpu, &raise);
    if (error) {
        raised_note(vcpu, regs->rdi, 1);
        /* Cannot fail: what tables it takes, if they were merged meanwhile, are at hand again. */
        ept_protect(ept, regs->rdi, 1, before.access);
        regs->rdx = 1;
    }
    return error;
}

int64_t primitive_track(struct vcpu *vcpu, struct vmx_regs *regs)
{
    if (regs->rdx > 1)
        return -TRAPLINE_EINVAL;
    if (channel_maps(vcpu->guest, regs->rdi, regs->rsi) ||
        (regs->rdx == 1 && channel_shares_writes(vcpu->guest, regs->rdi, regs->rsi)))
        return -TRAPLINE_EINVAL;
    return ept_track(&vcpu->guest->ept, regs->rdi, regs->rsi, regs->rdx == 1);
}

int64_t primitive_map2(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t pages = regs->rsi, alias = regs->rdx;

    if (regs->r10 > EPT_ACCESS_RWX)
        return -TRAPLINE_EINVAL;
    if (alias < guest->alias_base || alias - guest->alias_base >= guest->alias_size ||
        pages > (guest->alias_size - (alias - guest->alias_base)) >> PAGE_SHIFT)
        return -TRAPLINE_EINVAL;
    if (regs->rdi >= guest->alias_base && channel_maps(guest, regs->rdi, pages))
        return -TRAPLINE_EINVAL;
    return ept_alias(&guest->ept, regs->rdi, pages, alias, (unsigned)regs->r10);
}

int64_t primitive_unmap2(struct vcpu *vcpu, struct vmx_regs *regs)
{
    return ept_unalias(&vcpu->guest->ept, regs->rdi, regs->rsi);
}

/*
 * Harvest into the guest's buffer, which is contiguous in host memory only up to the end of its 2
 * MiB block: a piece at a time, going on behind the last page that the piece before reported.
 */
static int64_t harvest(struct guest *guest, uint64_t page, uint64_t pages, uint64_t buffer,
                       uint64_t capacity, uint64_t *remaining)
{
    uint64_t end = page + pages * PAGE_SIZE, count = 0;

    for (;;) {
        uint64_t piece =
            (GUEST_BLOCK_BYTES - (buffer & (GUEST_BLOCK_BYTES - 1))) / sizeof(uint64_t);
        uint64_t *entries = guest_ram(guest, buffer);
        int64_t got;

        if (piece > capacity)
            piece = capacity;
        got = ept_dirty(&guest->ept, page, pages, entries, piece, remaining);
        if (got < 0)
            return got;
        count += (uint64_t)got;
        capacity -= (uint64_t)got;
        if (*remaining == 0 || capacity == 0 || got == 0)
            return (int64_t)count;
        buffer += (uint64_t)got * sizeof(uint64_t);
        page = entries[got - 1] + PAGE_SIZE;
        pages = (end - page) / PAGE_SIZE;
    }
}

int64_t primitive_dirty(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t page = regs->rdi, pages = regs->rsi, buffer = regs->rdx, capacity = regs->r10;
    uint64_t remaining = 0;
    int64_t count;

    if (buffer % sizeof(uint64_t))
        return -TRAPLINE_EINVAL;
    if (capacity > pages)
        capacity = pages; /* there cannot be more */
    if (capacity > guest->ram_size / sizeof(uint64_t) || buffer >= guest->ram_size ||
        !guest_may_access(guest, buffer, capacity * sizeof(uint64_t), EPT_ACCESS_W))
        return -TRAPLINE_EFAULT;
    guest->ept.log_complete = pml_collect(vcpu);
    count = harvest(guest, page, pages, buffer, capacity, &remaining);
    if (count > 0)
        ept_mark_dirty(&guest->ept, buffer, (uint64_t)count * sizeof(uint64_t));
    if (count >= 0)
        regs->rdx = remaining;
    return count;
}

/*
 * Whether the event whose delivery met the forbidden page happens again when the guest goes back to
 * its instruction after the trap. An interrupt is made pending again, and a trap cannot wait for
 * itself.
 */
static bool comes_again(uint32_t vectoring_info)
{
    struct interruption event = vmx_decode_interruption(vectoring_info);

    return event.type == EVENT_EXTERNAL_INTERRUPT ||
           (event.type != EVENT_NMI && event.vector != TRAPLINE_VECTOR_TRAP &&
            event.vector != VECTOR_DF);
}

/* Deliver TRAP as the CPU delivers #VE (SDM 25.5.7.2): fill the information area, then vector 20.
 */
static inline void deliver_trap(struct vcpu *vcpu, uint64_t qualification, uint64_t gpa)
{
    struct trapline_trap_area *area = vcpu->trap_area;

    area->reason = EXIT_REASON_EPT_VIOLATION;
    area->busy = UINT32_MAX;
    area->qualification = qualification;
    area->linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);
    area->physical = gpa;
    area->eptp_index = vcpu->view;
    vcpu->stats.traps++;
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, PRIMITIVES_TRAP_EVENT);
}

/*
 * There is no table page for a violation. While a PROTN is in progress no table is merged: this
 * vCPU's own is given up, for another's the guest tries again until it is done.
 */
static __attribute__((noinline)) enum ept_fault short_of_tables(struct vcpu *vcpu, uint64_t gpa,
                                                                unsigned access)
{
    struct ept *ept = &vcpu->guest->ept;
    enum ept_fault fault = EPT_FAULT_NOMEM;

    if (protn_abandon(vcpu))
        fault = ept_fault(ept, gpa, access);
    return fault == EPT_FAULT_NOMEM && ept->holds ? EPT_FAULT_SPURIOUS : fault;
}

/* What the EPT says to a violation; a flush that its decision owes is paid. */
static inline enum ept_fault decide(struct vcpu *vcpu, uint64_t qualification, uint64_t gpa)
{
    struct guest *guest = vcpu->guest;
    enum ept_fault fault;

    unsigned access = qualification & EPT_ACCESS_RWX;

    guest_lock(vcpu);
    if (__builtin_expect(ept_fast_denied(&guest->ept, gpa, access), 1)) {
        guest_unlock(vcpu);
        return EPT_FAULT_DENIED;
    }
    fault = guest->ept.views ? view_fault(vcpu, gpa, access) : ept_fault(&guest->ept, gpa, access);
    if (__builtin_expect(fault == EPT_FAULT_NOMEM, 0))
        fault = short_of_tables(vcpu, gpa, access);
    if (guest->ept.flush_owed)
        flush_ept(vcpu);
    guest_unlock(vcpu);
    return fault;
}

uintptr_t primitives_fast_violation(struct vcpu *vcpu)
{
    const struct trapline_trap_area *area = vcpu->trap_area;
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
    uint64_t gpa;

    if (__builtin_expect(!area || area->busy || (qualification & EPT_VIOLATION_NMI_UNBLOCKING) ||
                             (vmread(VMCS_IDT_VECTORING_INFO) & INTERRUPTION_VALID),
                         0))
        return (uintptr_t)&vcpu->context | VMX_EXIT_SLOW;
    gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    switch (decide(vcpu, qualification, gpa)) {
    case EPT_FAULT_DENIED: deliver_trap(vcpu, qualification, gpa); break;
    case EPT_FAULT_SPURIOUS: vcpu->stats.spurious++; break;
    case EPT_FAULT_RESOLVED: vcpu->stats.tracked++; break;
    default: return (uintptr_t)&vcpu->context | VMX_EXIT_SLOW;
    }
    vcpu->stats.exits[EXIT_REASON_EPT_VIOLATION]++;
    return (uintptr_t)&vcpu->context;
}

/* Whether there was a channel at gpa that the other side has withdrawn from. */
static bool is_gone(struct vcpu *vcpu, uint64_t gpa)
{
    bool gone;

    guest_lock(vcpu);
    gone = channel_gone(vcpu->guest, gpa);
    guest_unlock(vcpu);
    return gone;
}

bool primitives_ept_violation(struct vcpu *vcpu)
{
    uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
    uint64_t gpa = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);
    uint32_t vectoring = (uint32_t)vmread(VMCS_IDT_VECTORING_INFO);

    /* IRET had unblocked NMIs before it met the page (SDM 27.2.3). */
    if ((qualification & EPT_VIOLATION_NMI_UNBLOCKING) && !(vectoring & INTERRUPTION_VALID))
        vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
                vmread(VMCS_GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
    switch (decide(vcpu, qualification, gpa)) {
    case EPT_FAULT_UNMAPPED:
        if (!is_gone(vcpu, gpa))
            return exit_stop(vcpu, "access to an address where it has no memory");
        qualification |= TRAPLINE_Q_GONE;
        break;
    case EPT_FAULT_NOMEM: return exit_stop(vcpu, "its table budget is used up: raise 'tables'");
    case EPT_FAULT_DENIED: break;
    case EPT_FAULT_SPURIOUS:
        vcpu->stats.spurious++;
        exit_redeliver();
        return true;
    case EPT_FAULT_RESOLVED:
        vcpu->stats.tracked++;
        exit_redeliver();
        return true;
    }
    if (!vcpu->trap_area)
        return exit_stop(vcpu, "access to a protected page, and no TRAP handler is registered");
    if (vcpu->trap_area->busy)
        return exit_stop(vcpu, "access to a protected page while the TRAP area is busy");
    if ((vectoring & INTERRUPTION_VALID) && !comes_again(vectoring))
        return exit_stop(vcpu, "access to a protected page during the delivery of an event");
    if ((vectoring & INTERRUPTION_VALID) &&
        vmx_decode_interruption(vectoring).type == EVENT_EXTERNAL_INTERRUPT)
        interrupt_put_back(vcpu, vectoring & INTERRUPTION_VECTOR);
    deliver_trap(vcpu, qualification, gpa);
    return true;
}
