#include "hv/view.h"

#include "hv/exit.h"
#include "hv/flush.h"
#include "hv/memory.h"
#include "hv/raised.h"
#include "hv/vmx_setup.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

_Static_assert(sizeof(((struct view_set *)0)->eptps) == PAGE_SIZE, "an EPTP list is one page");

bool view_set_create(struct guest *guest)
{
    uint64_t phys = memory_alloc(sizeof(struct view_set), PAGE_SIZE);

    if (!phys)
        return false;
    guest->views = phys_to_virt(phys);
    guest->views->eptps[0] = ept_pointer(&guest->ept);
    guest->flush_type = vmx_setup.invept_type;
    return true;
}

void view_set_release(struct guest *guest)
{
    if (guest->views)
        memory_free(virt_to_phys(guest->views), sizeof(struct view_set));
    guest->views = NULL;
}

void view_init_vmcs(const struct vcpu *vcpu)
{
    if (!(vmx_setup.features & TRAPLINE_FEATURE_VMFUNC))
        return;
    vmwrite(VMCS_VM_FUNCTION_CONTROLS, VMX_VMFUNC_EPTP_SWITCHING);
    vmwrite(VMCS_EPTP_LIST_ADDRESS, virt_to_phys(vcpu->guest->views->eptps));
}

/* The number of the view that the current vCPU is in. */
static unsigned current_view(struct vcpu *vcpu)
{
    const uint64_t *eptps = vcpu->guest->views->eptps;
    uint64_t eptp = vmread(VMCS_EPT_POINTER);
    unsigned view = vcpu->view_before;

    if (eptp == vcpu->eptp)
        return vcpu->view = 0;
    if (eptps[view] != eptp) {
        for (view = 1; eptps[view] != eptp; view++)
            ;
        vcpu->view_before = (uint16_t)view;
    }
    vcpu->view = (uint16_t)view;
    return view;
}

enum ept_fault view_fault(struct vcpu *vcpu, uint64_t gpa, unsigned access)
{
    struct guest *guest = vcpu->guest;
    unsigned view = current_view(vcpu);

    return view ? ept_view_fault(&guest->views->views[view], gpa, access)
                : ept_fault(&guest->ept, gpa, access);
}

bool view_allows(struct vcpu *vcpu, uint64_t gpa, uint64_t bytes, unsigned access)
{
    struct guest *guest = vcpu->guest;
    unsigned view = current_view(vcpu);

    return view ? ept_view_allows(&guest->views->views[view], gpa, bytes, access)
                : ept_allows(&guest->ept, gpa, bytes, access);
}

/* A view above 0 by its number; NULL = there is none. */
static struct ept_view *find(struct guest *guest, uint64_t number)
{
    if (!number || number >= VIEW_COUNT || !guest->views->eptps[number])
        return NULL;
    return &guest->views->views[number];
}

/* What an argument that names no view deserves. */
static int64_t no_view(uint64_t number)
{
    return !number || number >= VIEW_COUNT ? -TRAPLINE_EINVAL : -TRAPLINE_ENOENT;
}

int64_t view_create(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    struct view_set *set = guest->views;
    unsigned number = 1;
    int error;

    (void)regs;
    guest_lock(vcpu);
    while (number < VIEW_COUNT && set->eptps[number])
        number++;
    if (number == VIEW_COUNT)
        return flush_and_unlock(vcpu, -TRAPLINE_EAGAIN);
    /* From now on translations may be cached under many EPTPs, some of views that are gone. */
    guest->flush_type = INVEPT_ALL_CONTEXTS;
    error = ept_view_create(&guest->ept, &set->views[number]);
    if (error)
        return flush_and_unlock(vcpu, error);
    /* A VMFUNC on another CPU finds it as soon as it is there. */
    __atomic_store_n(&set->eptps[number], ept_view_pointer(&set->views[number]), __ATOMIC_SEQ_CST);
    return flush_and_unlock(vcpu, number);
}

/*
 * Whether any vCPU is in a view that VMFUNC finds no more: one that runs says so when it drops its
 * translations, the others said so when they stopped running or began to wait for the lock.
 */
static bool in_use(struct vcpu *vcpu, uint64_t eptp)
{
    struct guest *guest = vcpu->guest;

    if (vmread(VMCS_EPT_POINTER) == eptp)
        return true;
    if (guest->vcpus_started == 1)
        return false;
    flush_ept(vcpu);
    for (unsigned i = 0; i < guest->vcpu_count; i++) {
        if (guest->vcpus[i] != vcpu && atomic_load(&guest->vcpus[i]->eptp_seen) == eptp)
            return true;
    }
    return false;
}

int64_t view_destroy(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t *eptps = guest->views->eptps;
    uint64_t number = regs->rdi;
    struct ept_view *view;
    uint64_t eptp;

    guest_lock(vcpu);
    view = find(guest, number);
    if (!view)
        return flush_and_unlock(vcpu, no_view(number));
    eptp = eptps[number];
    __atomic_store_n(&eptps[number], 0, __ATOMIC_SEQ_CST);
    if (in_use(vcpu, eptp)) {
        __atomic_store_n(&eptps[number], eptp, __ATOMIC_SEQ_CST);
        return flush_and_unlock(vcpu, -TRAPLINE_EAGAIN);
    }
    ept_view_destroy(view);
    for (unsigned i = 0; !guest->ept.views && i < guest->vcpu_count; i++)
        guest->vcpus[i]->view = 0;
    return flush_and_unlock(vcpu, 0);
}

/* Before a restriction is set that may give rights: see raised.h. */
static void note_raise(struct vcpu *vcpu, const struct ept_view *view, uint64_t gpa, uint64_t pages,
                       uint64_t access)
{
    struct ept_view_translation translation;

    if (!raised_by(access))
        return;
    if (pages == 1 && (ept_view_lookup(view, gpa, &translation) || !translation.hardware))
        return;
    raised_note(vcpu, gpa, pages);
}

int64_t view_prot(struct vcpu *vcpu, struct vmx_regs *regs)
{
    uint64_t access = regs->rdx, number = regs->r10;
    struct ept_view *view;

    if (access > EPT_ACCESS_RWX)
        return -TRAPLINE_EINVAL;
    view = find(vcpu->guest, number);
    if (!view)
        return no_view(number);
    note_raise(vcpu, view, regs->rdi, regs->rsi, access);
    return ept_view_protect(view, regs->rdi, regs->rsi, (unsigned)access);
}

/* The ranges of a VIEW_PROTN, whichever form the list has. */
struct view_list {
    const struct protn_buffer *buffer;
    bool ranges;
    uint64_t count;
};

static struct trapline_range range_of(const struct view_list *list, uint64_t i)
{
    if (list->ranges)
        return list->buffer->ranges[i];
    return (struct trapline_range){list->buffer->pages[i], 1};
}

/* All or none of the list; *bad = the entry at fault. */
static int restrict_list(struct ept_view *view, const struct view_list *list, unsigned access,
                         uint64_t *bad)
{
    int error = EPT_OK;
    uint64_t done = 0;

    while (done < list->count) {
        struct trapline_range range = range_of(list, done);

        error = ept_view_prepare(view, range.page, range.pages);
        if (error)
            break;
        done++;
    }
    for (uint64_t i = 0; !error && i < done; i++) {
        struct trapline_range range = range_of(list, i);

        ept_view_apply(view, range.page, range.pages, access);
    }
    for (uint64_t i = 0; i < done; i++) {
        struct trapline_range range = range_of(list, i);

        ept_view_relax(view, range.page, range.pages);
    }
    *bad = error ? done : 0;
    return error;
}

/* What VIEW_PROTN checks before it looks at any entry. */
static int64_t check_list(struct vcpu *vcpu, const struct vmx_regs *regs)
{
    uint64_t form = regs->rdx & ~(uint64_t)EPT_ACCESS_RWX;
    bool ranges = form == TRAPLINE_LIST_RANGES;
    uint64_t entry = ranges ? sizeof(struct trapline_range) : sizeof(uint64_t);
    int error = ept_access_check(&vcpu->guest->ept, (unsigned)(regs->rdx & EPT_ACCESS_RWX));

    if (!ranges && form != TRAPLINE_LIST_PAGES)
        return -TRAPLINE_EINVAL;
    if (error)
        return error;
    if (regs->rdi % sizeof(uint64_t) ||
        regs->rsi > (uint64_t)(ranges ? VIEW_LIST_RANGES : VIEW_LIST_PAGES))
        return -TRAPLINE_EINVAL;
    return guest_may_access(vcpu->guest, regs->rdi, regs->rsi * entry, EPT_ACCESS_R)
               ? 0
               : -TRAPLINE_EFAULT;
}

int64_t view_protn(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    struct view_list list = {.buffer = vcpu->protn_buffer, .count = regs->rsi};
    unsigned access = (unsigned)(regs->rdx & EPT_ACCESS_RWX);
    uint64_t number = regs->r10, bad = 0;
    struct ept_view *view;
    int64_t error;

    view = find(guest, number);
    error = view ? check_list(vcpu, regs) : no_view(number);
    if (!error) {
        list.ranges = regs->rdx & TRAPLINE_LIST_RANGES;
        guest_read(guest, regs->rdi, vcpu->protn_buffer->pages,
                   list.count * (list.ranges ? sizeof(struct trapline_range) : sizeof(uint64_t)));
        if (raised_by(access))
            raised_note_all(vcpu);
        error = restrict_list(view, &list, access, &bad);
        /* Tables that only wait to be given back may be all that is missing. */
        if (error == EPT_ENOMEM && ept_reclaim(&guest->ept))
            error = restrict_list(view, &list, access, &bad);
    }
    if (error)
        regs->rdx = bad;
    return error;
}

int64_t view_switch(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t number = regs->rdi;
    unsigned before;

    guest_lock(vcpu);
    if (number && !find(guest, number))
        return flush_and_unlock(vcpu, number < VIEW_COUNT ? -TRAPLINE_ENOENT : -TRAPLINE_EINVAL);
    before = current_view(vcpu);
    vmwrite(VMCS_EPT_POINTER, guest->views->eptps[number]);
    if (vmx_setup.ept.ve)
        vmwrite(VMCS_EPTP_INDEX, number);
    return flush_and_unlock(vcpu, before);
}

bool view_vmfunc_exit(struct vcpu *vcpu)
{
    const struct vmx_regs *regs = &vcpu->context.regs;
    uint32_t function = (uint32_t)regs->rax, number = (uint32_t)regs->rcx;
    bool exists;

    if (function) {
        vcpu_inject(VECTOR_UD, 0);
        return true;
    }
    guest_lock(vcpu);
    exists = number < VIEW_COUNT && vcpu->guest->views->eptps[number];
    guest_unlock(vcpu);
    /* It may have been there again before the lock was: then VMFUNC finds it now. */
    return exists || exit_deny(vcpu, DENIAL_VMX, "VMFUNC to view", number);
}
