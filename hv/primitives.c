#include "hv/primitives.h"

#include "ept/fast.h"
#include "hv/dump.h"
#include "hv/exit.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/vcpu.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

enum {
    ACCESS_MASK = 7,
    /* Pages that one VMCALL of a long call works on before the guest's timer gets a chance. */
    SLICE_PAGES = 256 * 1024,
    PAGES_PER_CHECK = 512, /* pages whose check costs about as much as the change of one */
};

/* Vector 20 as a hardware exception without error code, for VMCS_ENTRY_INTERRUPTION_INFO. */
#define TRAP_EVENT                                                                                 \
    (INTERRUPTION_VALID | EVENT_HARDWARE_EXCEPTION << INTERRUPTION_TYPE_SHIFT |                    \
     TRAPLINE_VECTOR_TRAP)

/* The EPT's errors are the ABI's, so that they pass through. */
_Static_assert((int)EPT_ENOENT == -TRAPLINE_ENOENT, "ABI");
_Static_assert((int)EPT_ENOMEM == -TRAPLINE_ENOMEM, "ABI");
_Static_assert((int)EPT_EEXIST == -TRAPLINE_EEXIST, "ABI");
_Static_assert((int)EPT_EINVAL == -TRAPLINE_EINVAL, "ABI");
_Static_assert((int)EPT_EOPNOTSUPP == -TRAPLINE_EOPNOTSUPP, "ABI");
_Static_assert((int)EPT_ACCESS_W == TRAPLINE_WRITE && (int)EPT_ACCESS_X == TRAPLINE_EXEC, "ABI");

/* End a call that changed the EPT: no vCPU may go on with what it cached of the old state. */
static int64_t finish(struct vcpu *vcpu, int64_t result)
{
    struct guest *guest = vcpu->guest;

    if (guest->ept.flush_owed)
        flush_ept(vcpu);
    spin_unlock(&guest->lock);
    return result;
}

int64_t primitive_trap(struct vcpu *vcpu, struct vmx_regs *regs)
{
    uint64_t area = regs->rdi;

    if (area == 0) {
        vcpu->trap_area = NULL;
        return 0;
    }
    if (area % PAGE_SIZE)
        return -TRAPLINE_EINVAL;
    if (!guest_in_ram(vcpu->guest, area, PAGE_SIZE))
        return -TRAPLINE_ENOENT;
    vcpu->trap_area = guest_ram(vcpu->guest, area);
    return 0;
}

int64_t primitive_prot1(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct ept *ept = &vcpu->guest->ept;
    uint64_t page = regs->rdi, access = regs->rsi;

    if (access > ACCESS_MASK)
        return -TRAPLINE_EINVAL;
    spin_lock(&vcpu->guest->lock);
    if (__builtin_expect(ept_fast_lower(ept, page, (unsigned)access), 1))
        return finish(vcpu, 0);
    return finish(vcpu, ept_protect(ept, page, 1, (unsigned)access));
}

int64_t primitive_unprot(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct ept *ept = &vcpu->guest->ept;

    spin_lock(&vcpu->guest->lock);
    if (__builtin_expect(regs->rsi == 1 && ept_fast_raise(ept, regs->rdi), 1)) {
        spin_unlock(&vcpu->guest->lock); /* raising owes no flush */
        return 0;
    }
    return finish(vcpu, ept_unprotect(ept, regs->rdi, regs->rsi));
}

int64_t primitive_track(struct vcpu *vcpu, struct vmx_regs *regs)
{
    if (regs->rdx > 1)
        return -TRAPLINE_EINVAL;
    spin_lock(&vcpu->guest->lock);
    return finish(vcpu, ept_track(&vcpu->guest->ept, regs->rdi, regs->rsi, regs->rdx == 1));
}

int64_t primitive_map2(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t pages = regs->rsi, alias = regs->rdx;

    if (regs->r10 > ACCESS_MASK)
        return -TRAPLINE_EINVAL;
    if (alias < guest->alias_base || alias - guest->alias_base >= guest->alias_size ||
        pages > (guest->alias_size - (alias - guest->alias_base)) >> PAGE_SHIFT)
        return -TRAPLINE_EINVAL;
    spin_lock(&guest->lock);
    return finish(vcpu, ept_alias(&guest->ept, regs->rdi, pages, alias, (unsigned)regs->r10));
}

int64_t primitive_unmap2(struct vcpu *vcpu, struct vmx_regs *regs)
{
    spin_lock(&vcpu->guest->lock);
    return finish(vcpu, ept_unalias(&vcpu->guest->ept, regs->rdi, regs->rsi));
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
    spin_lock(&guest->lock);
    if (capacity > guest->ram_size / sizeof(uint64_t) || buffer >= guest->ram_size ||
        !guest_may_access(guest, buffer, capacity * sizeof(uint64_t), EPT_ACCESS_W))
        return finish(vcpu, -TRAPLINE_EFAULT);
    count = harvest(guest, page, pages, buffer, capacity, &remaining);
    if (count > 0)
        ept_mark_dirty(&guest->ept, buffer, (uint64_t)count * sizeof(uint64_t));
    if (count >= 0)
        regs->rdx = remaining;
    return finish(vcpu, count);
}

static uint64_t entry_bytes(uint64_t form)
{
    return form == TRAPLINE_LIST_RANGES ? sizeof(struct trapline_range) : sizeof(uint64_t);
}

/* Take over the next entries of the guest's list, so that nobody changes them between check and
 * use. */
static uint64_t copy_chunk(struct vcpu *vcpu, struct protn_progress *p)
{
    uint64_t most = sizeof(vcpu->protn_buffer->pages) / entry_bytes(p->form);
    uint64_t count = p->count - p->index > most ? most : p->count - p->index;

    guest_read(vcpu->guest, p->list + p->index * entry_bytes(p->form), vcpu->protn_buffer->pages,
               count * entry_bytes(p->form));
    return count;
}

/* The pages of ranges[i] that one slice takes, in whole GiB so that large leaves stay whole. */
static uint64_t range_piece(const struct protn_progress *p, const struct trapline_range *range,
                            uint64_t *page)
{
    uint64_t left = range->pages - p->within;
    uint64_t to_boundary;

    *page = range->page + p->within * PAGE_SIZE;
    to_boundary = SLICE_PAGES - (*page >> PAGE_SHIFT) % SLICE_PAGES;
    return left < to_boundary ? left : to_boundary;
}

/* One slice over a list of ranges; stops behind the entry at fault, or when enough pages were seen.
 */
static int protn_ranges(struct vcpu *vcpu, struct protn_progress *p)
{
    struct ept *ept = &vcpu->guest->ept;
    const struct trapline_range *ranges = vcpu->protn_buffer->ranges;
    uint64_t count = copy_chunk(vcpu, p), seen = 0;
    int error = EPT_OK;

    for (uint64_t i = 0; i < count && seen < SLICE_PAGES;) {
        uint64_t page, pages;

        if (p->phase == PROTN_APPLY) {
            pages = range_piece(p, &ranges[i], &page);
            error = ept_protect(ept, page, pages, p->access);
            p->within += pages;
        } else {
            pages = ranges[i].pages;
            if (p->phase == PROTN_RELAX)
                ept_relax(ept, ranges[i].page, pages);
            else
                error = ept_prepare(ept, ranges[i].page, pages);
            p->within = pages;
        }
        if (error != EPT_OK)
            return error;
        seen += p->phase == PROTN_APPLY ? pages : pages / PAGES_PER_CHECK + 1;
        if (p->within == ranges[i].pages) {
            p->within = 0;
            p->index++;
            i++;
        }
    }
    p->pause = seen >= SLICE_PAGES;
    return EPT_OK;
}

/* One slice over a list of pages. */
static int protn_pages(struct vcpu *vcpu, struct protn_progress *p)
{
    struct ept *ept = &vcpu->guest->ept;
    struct protn_buffer *b = vcpu->protn_buffer;
    uint64_t count = copy_chunk(vcpu, p);
    size_t bad = 0;
    int error;

    if (p->phase == PROTN_RELAX) {
        for (uint64_t i = 0; i < count; i++)
            ept_relax(ept, b->pages[i], 1);
        p->index += count;
        return EPT_OK;
    }
    error = ept_prepare_list(ept, b->pages, count, b->slots, &bad);
    if (error != EPT_OK) {
        p->index += bad;
        return error;
    }
    if (p->phase == PROTN_APPLY)
        ept_protect_list(ept, b->pages, b->slots, count, p->access);
    p->index += count;
    return EPT_OK;
}

static int protn_slice(struct vcpu *vcpu, struct protn_progress *p)
{
    return p->form == TRAPLINE_LIST_RANGES ? protn_ranges(vcpu, p) : protn_pages(vcpu, p);
}

/* What PROTN checks before it looks at any entry. */
static int64_t protn_check(const struct vcpu *vcpu, const struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t form = regs->rdx & ~(uint64_t)ACCESS_MASK;
    uint64_t bytes;
    int error = ept_access_check(&guest->ept, (unsigned)(regs->rdx & ACCESS_MASK));

    if (form != TRAPLINE_LIST_PAGES && form != TRAPLINE_LIST_RANGES)
        return -TRAPLINE_EINVAL;
    if (error != EPT_OK)
        return error;
    if (regs->rdi % sizeof(uint64_t))
        return -TRAPLINE_EINVAL;
    if (regs->rsi > guest->ram_size / entry_bytes(form))
        return -TRAPLINE_EFAULT;
    bytes = regs->rsi * entry_bytes(form);
    if (!guest_in_ram(guest, regs->rdi, bytes) ||
        (!ept_fast_allows(&guest->ept, regs->rdi, bytes, EPT_ACCESS_R) &&
         !ept_allows(&guest->ept, regs->rdi, bytes, EPT_ACCESS_R)))
        return -TRAPLINE_EFAULT;
    return 0;
}

static void protn_begin(struct vcpu *vcpu, const struct vmx_regs *regs)
{
    vcpu->protn = (struct protn_progress){
        .active = true,
        .phase = PROTN_PREPARE,
        .list = regs->rdi,
        .asked = regs->rsi,
        .count = regs->rsi,
        .form = regs->rdx & ~(uint64_t)ACCESS_MASK,
        .access = (unsigned)(regs->rdx & ACCESS_MASK),
    };
}

/* A list of pages that fits the buffer. Where tables are short, those that only wait are merged. */
static int64_t protn_few(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct ept *ept = &vcpu->guest->ept;
    struct protn_buffer *b = vcpu->protn_buffer;
    size_t bad = 0;
    int error;

    guest_read(vcpu->guest, regs->rdi, b->pages, regs->rsi * sizeof(uint64_t));
    error = ept_prepare_list(ept, b->pages, regs->rsi, b->slots, &bad);
    if (error == EPT_ENOMEM && ept_reclaim(ept))
        error = ept_prepare_list(ept, b->pages, regs->rsi, b->slots, &bad);
    if (error != EPT_OK)
        regs->rdx = bad;
    else
        ept_protect_list(ept, b->pages, b->slots, regs->rsi, (unsigned)(regs->rdx & ACCESS_MASK));
    return error;
}

/* One range, which the EPT protects all or not at all by itself; HYPERCALL_AGAIN if it is long. */
static int64_t protn_one(struct vcpu *vcpu, struct vmx_regs *regs)
{
    /* Each is read once, and may lie in a block of its own. */
    uint64_t page = *(const volatile uint64_t *)guest_ram(vcpu->guest, regs->rdi);
    uint64_t pages =
        *(const volatile uint64_t *)guest_ram(vcpu->guest, regs->rdi + sizeof(uint64_t));
    int error;

    if (pages > SLICE_PAGES - (page >> PAGE_SHIFT) % SLICE_PAGES)
        return HYPERCALL_AGAIN;
    error = ept_protect(&vcpu->guest->ept, page, pages, (unsigned)(regs->rdx & ACCESS_MASK));
    if (error != EPT_OK)
        regs->rdx = 0;
    return error;
}

/*
 * Whether this VMCALL goes on with what is in progress. If the change has met the VMCALL's own
 * page, a TRAP handler ran in between and may make calls of its own; the call that it interrupted
 * then begins anew, which comes to the same.
 */
static bool goes_on(const struct protn_progress *p, const struct vmx_regs *regs)
{
    return p->active && regs->rdi == p->list && regs->rsi == p->asked &&
           regs->rdx == (p->form | p->access);
}

/*
 * All splits are taken back. Where there were too few tables for them, once, merge the tables that
 * only wait for it, and begin anew if that gave any.
 */
static bool try_again(struct vcpu *vcpu, struct protn_progress *p)
{
    if (p->error != EPT_ENOMEM || p->reclaimed || !ept_reclaim(&vcpu->guest->ept))
        return false;
    p->reclaimed = true;
    p->error = 0;
    p->count = p->asked;
    return true;
}

/*
 * One VMCALL of a long PROTN takes one chunk of the list and, while there are more, leaves RIP
 * where it is, so that the guest comes back at once unless its slice is over. First every entry is
 * checked and everything split that has to be; then nothing can fail any more and the protections
 * change. An entry that fails the check takes back the splits of those before it.
 */
static __attribute__((noinline)) int64_t protn_long(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct protn_progress *p = &vcpu->protn;
    int64_t error;

    for (;;) {
        error = protn_slice(vcpu, p);
        if (error) { /* only the check can fail */
            p->error = error;
            p->bad = p->index;
            p->phase = PROTN_RELAX;
            p->count = p->index;
            p->index = 0;
            p->within = 0;
        }
        if (p->index == p->count) {
            if (p->phase == PROTN_APPLY || (p->phase == PROTN_RELAX && !try_again(vcpu, p)))
                break;
            if (p->phase == PROTN_PREPARE)
                p->phase = PROTN_APPLY;
            else
                p->phase = PROTN_PREPARE;
            p->index = 0;
        }
        /* A short list is done in one exit; a long one lets the timer in after each chunk. */
        if (p->pause || p->count * entry_bytes(p->form) > sizeof(vcpu->protn_buffer->pages)) {
            spin_unlock(&vcpu->guest->lock);
            return HYPERCALL_AGAIN;
        }
    }
    p->active = false;
    if (p->error)
        regs->rdx = p->bad;
    return finish(vcpu, p->error);
}

int64_t primitive_protn(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct protn_progress *p = &vcpu->protn;
    int64_t error;

    spin_lock(&vcpu->guest->lock);
    if (goes_on(p, regs))
        return protn_long(vcpu, regs);
    p->active = false;
    error = protn_check(vcpu, regs);
    if (error)
        regs->rdx = 0;
    if (error || !regs->rsi)
        return finish(vcpu, error);
    if (regs->rdx & TRAPLINE_LIST_RANGES)
        error = regs->rsi == 1 ? protn_one(vcpu, regs) : HYPERCALL_AGAIN;
    else
        error = regs->rsi <= PROTN_CHUNK ? protn_few(vcpu, regs) : HYPERCALL_AGAIN;
    if (error != HYPERCALL_AGAIN)
        return finish(vcpu, error);
    protn_begin(vcpu, regs);
    return protn_long(vcpu, regs);
}

/*
 * Whether the event whose delivery met the forbidden page happens again when the guest goes back to
 * its instruction after the trap. Interrupts do not, and a trap cannot wait for itself.
 */
static bool comes_again(uint32_t vectoring_info)
{
    struct interruption event = vmx_decode_interruption(vectoring_info);

    return event.type != EVENT_EXTERNAL_INTERRUPT && event.type != EVENT_NMI &&
           event.vector != TRAPLINE_VECTOR_TRAP && event.vector != VECTOR_DF;
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
    area->eptp_index = 0;
    vcpu->stats.traps++;
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, TRAP_EVENT);
}

/* What the EPT says to a violation; a flush that its decision owes is paid. */
static inline enum ept_fault decide(struct vcpu *vcpu, uint64_t qualification, uint64_t gpa)
{
    struct guest *guest = vcpu->guest;
    enum ept_fault fault;

    unsigned access = qualification & ACCESS_MASK;

    spin_lock(&guest->lock);
    if (__builtin_expect(ept_fast_denied(&guest->ept, gpa, access), 1)) {
        spin_unlock(&guest->lock);
        return EPT_FAULT_DENIED;
    }
    fault = ept_fault(&guest->ept, gpa, access);
    if (guest->ept.flush_owed)
        flush_ept(vcpu);
    spin_unlock(&guest->lock);
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
    case EPT_FAULT_UNMAPPED: return exit_stop(vcpu, "access to an address where it has no memory");
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
    deliver_trap(vcpu, qualification, gpa);
    return true;
}
