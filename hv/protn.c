/* PROTN: a list of pages or ranges, all or nothing, in slices when it is long. */
#include "ept/ept.h"
#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/primitives.h"
#include "hv/raised.h"
#include "hv/vcpu.h"

enum {
    /* Pages that one VMCALL of a long call works on before the guest's timer gets a chance. */
    SLICE_PAGES = 256 * 1024,
    PAGES_PER_CHECK = 512, /* pages whose check costs about as much as the change of one */
};

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
    /* The guest may have changed the list since the slice before. */
    uint64_t left = range->pages > p->within ? range->pages - p->within : 0;
    uint64_t to_boundary;

    *page = range->page + p->within * PAGE_SIZE;
    to_boundary = SLICE_PAGES - (*page >> PAGE_SHIFT) % SLICE_PAGES;
    return left < to_boundary ? left : to_boundary;
}

/*
 * Protect a prepared range. Only what another vCPU unmapped since then, be it mapped again or not,
 * can fail: that is passed over, as if it had happened after the call.
 */
static void apply_range(struct ept *ept, uint64_t page, uint64_t pages, unsigned access)
{
    uint64_t end = page + pages * PAGE_SIZE, next;

    if (__builtin_expect(ept_protect(ept, page, pages, access) == EPT_OK, 1))
        return;
    for (; page < end; page = next) {
        next = (page | (SIZE_2M - 1)) + 1;
        if (next > end)
            next = end;
        if (ept_protect(ept, page, (next - page) / PAGE_SIZE, access) == EPT_OK)
            continue;
        for (uint64_t one = page; one < next; one += PAGE_SIZE)
            ept_protect(ept, one, 1, access);
    }
}

/* The same for a list of pages. */
static void apply_list(struct vcpu *vcpu, uint64_t count, unsigned access)
{
    struct ept *ept = &vcpu->guest->ept;
    struct protn_buffer *b = vcpu->protn_buffer;

    for (uint64_t i = 0; i < count; i++) {
        size_t good = count - i;

        ept_prepare_list(ept, &b->pages[i], count - i, &b->slots[i], &good);
        ept_protect_list(ept, &b->pages[i], &b->slots[i], good, access);
        i += good;
    }
}

/* One slice over a list of ranges; stops behind the entry at fault, or when enough pages were seen.
 */
static int protn_ranges(struct vcpu *vcpu, struct protn_progress *p)
{
    struct ept *ept = &vcpu->guest->ept;
    const struct trapline_range *ranges = vcpu->protn_buffer->ranges;
    uint64_t count = copy_chunk(vcpu, p), seen = 0;

    for (uint64_t i = 0; i < count && seen < SLICE_PAGES;) {
        uint64_t page, pages;

        if (p->phase == PROTN_APPLY) {
            pages = range_piece(p, &ranges[i], &page);
            apply_range(ept, page, pages, p->access);
            p->within += pages;
            seen += pages;
        } else {
            int error = ept_prepare(ept, ranges[i].page, ranges[i].pages);

            if (error != EPT_OK)
                return error;
            p->within = ranges[i].pages;
            seen += ranges[i].pages / PAGES_PER_CHECK + 1;
        }
        if (p->within >= ranges[i].pages) {
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
    struct protn_buffer *b = vcpu->protn_buffer;
    uint64_t count = copy_chunk(vcpu, p);

    if (p->phase == PROTN_APPLY) {
        apply_list(vcpu, count, p->access);
    } else {
        size_t bad = 0;
        int error = ept_prepare_list(&vcpu->guest->ept, b->pages, count, b->slots, &bad);

        if (error != EPT_OK) {
            p->index += bad;
            return error;
        }
    }
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
    uint64_t form = regs->rdx & ~(uint64_t)EPT_ACCESS_RWX;
    uint64_t bytes;
    int error = ept_access_check(&guest->ept, (unsigned)(regs->rdx & EPT_ACCESS_RWX));

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
         !guest_may_access(guest, regs->rdi, bytes, EPT_ACCESS_R)))
        return -TRAPLINE_EFAULT;
    return 0;
}

static void protn_begin(struct vcpu *vcpu, const struct vmx_regs *regs)
{
    vcpu->protn = (struct protn_progress){
        .active = true,
        .phase = PROTN_PREPARE,
        .list = regs->rdi,
        .count = regs->rsi,
        .form = regs->rdx & ~(uint64_t)EPT_ACCESS_RWX,
        .access = (unsigned)(regs->rdx & EPT_ACCESS_RWX),
    };
    ept_hold(&vcpu->guest->ept);
}

/* A call is done, or given up: what it split for nothing may be merged. */
static void protn_end(struct vcpu *vcpu)
{
    struct ept *ept = &vcpu->guest->ept;

    if (vcpu->protn.phase == PROTN_PREPARE)
        ept_relax(ept);
    ept_release(ept);
    vcpu->protn.active = false;
}

bool protn_abandon(struct vcpu *vcpu)
{
    if (!vcpu->protn.active)
        return false;
    protn_end(vcpu);
    return true;
}

/* A list of pages that fits the buffer. */
static int protn_few_once(struct vcpu *vcpu, struct vmx_regs *regs, size_t *bad)
{
    struct ept *ept = &vcpu->guest->ept;
    struct protn_buffer *b = vcpu->protn_buffer;
    int error;

    ept_hold(ept);
    error = ept_prepare_list(ept, b->pages, regs->rsi, b->slots, bad);
    if (error == EPT_OK)
        ept_protect_list(ept, b->pages, b->slots, regs->rsi,
                         (unsigned)(regs->rdx & EPT_ACCESS_RWX));
    else
        ept_relax(ept);
    ept_release(ept);
    return error;
}

/* The same; where tables are short, those that only wait are merged. */
static int64_t protn_few(struct vcpu *vcpu, struct vmx_regs *regs)
{
    size_t bad = 0;
    int error;

    guest_read(vcpu->guest, regs->rdi, vcpu->protn_buffer->pages, regs->rsi * sizeof(uint64_t));
    error = protn_few_once(vcpu, regs, &bad);
    if (error == EPT_ENOMEM && ept_reclaim(&vcpu->guest->ept))
        error = protn_few_once(vcpu, regs, &bad);
    if (error != EPT_OK)
        regs->rdx = bad;
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
    error = ept_protect(&vcpu->guest->ept, page, pages, (unsigned)(regs->rdx & EPT_ACCESS_RWX));
    if (error != EPT_OK)
        regs->rdx = 0;
    return error;
}

/*
 * Whether this VMCALL goes on with what is in progress. Between two of them an interrupt or TRAP
 * handler may run and make calls of its own. A short PROTN among them leaves the interrupted one
 * alone, a long one takes its place: then that begins anew, which comes to the same.
 */
static bool goes_on(const struct protn_progress *p, const struct vmx_regs *regs)
{
    return p->active && regs->rdi == p->list && regs->rsi == p->count &&
           regs->rdx == (p->form | p->access);
}

/*
 * An entry is bad, or tables are short: take back what was split. Where that is why, merge the
 * tables that only wait for it, once, and begin anew if that gave any.
 */
static bool try_again(struct vcpu *vcpu, struct vmx_regs *regs, int64_t error)
{
    struct protn_progress *p = &vcpu->protn;

    protn_end(vcpu);
    if (error != EPT_ENOMEM || p->reclaimed || !ept_reclaim(&vcpu->guest->ept))
        return false;
    protn_begin(vcpu, regs);
    p->reclaimed = true;
    return true;
}

/*
 * One VMCALL of a long PROTN takes one chunk of the list and, while there are more, leaves RIP
 * where it is, so that the guest comes back at once unless its slice is over. First every entry is
 * checked and everything split that has to be; then nothing can fail any more and the protections
 * change. The EPT is held from the first slice to the last, so that calls of other vCPUs in between
 * merge nothing that was split for this one.
 */
static __attribute__((noinline)) int64_t protn_long(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct protn_progress *p = &vcpu->protn;

    for (;;) {
        int64_t error = protn_slice(vcpu, p);

        if (error) {
            uint64_t bad = p->index;

            if (!try_again(vcpu, regs, error)) {
                regs->rdx = bad;
                return error;
            }
        } else if (p->index == p->count && p->phase == PROTN_APPLY) {
            protn_end(vcpu);
            return 0;
        } else if (p->index == p->count) {
            p->phase = PROTN_APPLY;
            p->index = 0;
        }
        /* A short list is done in one exit; a long one lets the timer in after each chunk. */
        if (p->pause || p->count * entry_bytes(p->form) > sizeof(vcpu->protn_buffer->pages))
            return HYPERCALL_AGAIN;
    }
}

int64_t protn_short(struct vcpu *vcpu, struct vmx_regs *regs)
{
    int64_t error = protn_check(vcpu, regs);

    if (error)
        regs->rdx = 0;
    if (error || !regs->rsi)
        return error;
    if (raised_by(regs->rdx & EPT_ACCESS_RWX))
        raised_note_all(vcpu);
    if (regs->rdx & TRAPLINE_LIST_RANGES)
        return regs->rsi == 1 ? protn_one(vcpu, regs) : HYPERCALL_AGAIN;
    return regs->rsi <= PROTN_CHUNK ? protn_few(vcpu, regs) : HYPERCALL_AGAIN;
}

int64_t primitive_protn(struct vcpu *vcpu, struct vmx_regs *regs)
{
    int64_t error;

    if (goes_on(&vcpu->protn, regs)) {
        if (raised_by(vcpu->protn.access))
            raised_note_all(vcpu);
        return protn_long(vcpu, regs);
    }
    error = protn_short(vcpu, regs);
    if (error != HYPERCALL_AGAIN)
        return error;
    protn_abandon(vcpu);
    protn_begin(vcpu, regs);
    return protn_long(vcpu, regs);
}
