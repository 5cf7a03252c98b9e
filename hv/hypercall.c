#include "hv/hypercall.h"

#include "hv/guest.h"
#include "hv/primitives.h"
#include "hv/vcpu.h"
#include "vmx/instructions.h"

enum {
    RIGHTS_DPL_SHIFT = 5, /* of SS: the CPL (SDM 24.4.1) */
    RIGHTS_DPL_MASK = 3,
    PRINT_MAX = 4096, /* bytes a call, so that no guest keeps the console for long */
};

static int64_t hc_nop(struct vcpu *vcpu, struct vmx_regs *regs)
{
    (void)vcpu;
    (void)regs;
    return 0;
}

static int64_t hc_print(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    uint64_t text = regs->rdi, bytes = regs->rsi > PRINT_MAX ? PRINT_MAX : regs->rsi;
    bool readable;

    spin_lock(&guest->lock);
    readable = guest_may_access(guest, text, bytes, EPT_ACCESS_R);
    spin_unlock(&guest->lock);
    if (!readable)
        return -TRAPLINE_EFAULT;
    for (uint64_t at = text, left = bytes; left;) {
        uint64_t piece = GUEST_BLOCK_BYTES - (at & (GUEST_BLOCK_BYTES - 1));

        if (piece > left)
            piece = left;
        guest_print(guest, guest_ram(guest, at), piece);
        at += piece;
        left -= piece;
    }
    return (int64_t)bytes;
}

static int64_t hc_exit(struct vcpu *vcpu, struct vmx_regs *regs)
{
    guest_exit(vcpu->guest, (int64_t)regs->rdi);
    return HYPERCALL_ENDED;
}

static int64_t hc_stats(struct vcpu *vcpu, struct vmx_regs *regs)
{
    struct guest *guest = vcpu->guest;
    struct trapline_stats stats = {0};
    bool writable;

    if (regs->rdi % sizeof(uint64_t))
        return -TRAPLINE_EINVAL;
    for (unsigned i = 0; i < guest->vcpu_count; i++)
        vcpu_sum_stats(guest->vcpus[i], &stats);
    spin_lock(&guest->lock);
    stats.table_pages = guest->pool.used;
    stats.table_budget = guest->pool.pages;
    stats.splits = guest->ept.stats.splits;
    stats.merges = guest->ept.stats.merges;
    writable = guest_may_access(guest, regs->rdi, sizeof(stats), EPT_ACCESS_W);
    if (writable)
        guest_write(guest, regs->rdi, &stats, sizeof(stats));
    spin_unlock(&guest->lock);
    return writable ? 0 : -TRAPLINE_EFAULT;
}

static hypercall_function *const functions[TRAPLINE_HC_COUNT] = {
    [TRAPLINE_HC_NOP] = hc_nop,
    [TRAPLINE_HC_TRAP] = primitive_trap,
    [TRAPLINE_HC_PROT1] = primitive_prot1,
    [TRAPLINE_HC_PROTN] = primitive_protn,
    [TRAPLINE_HC_UNPROT] = primitive_unprot,
    [TRAPLINE_HC_DIRTY] = primitive_dirty,
    [TRAPLINE_HC_MAP2] = primitive_map2,
    [TRAPLINE_HC_UNMAP2] = primitive_unmap2,
    [TRAPLINE_HC_TRACK] = primitive_track,
    [TRAPLINE_HC_PRINT] = hc_print,
    [TRAPLINE_HC_EXIT] = hc_exit,
    [TRAPLINE_HC_STATS] = hc_stats,
};

bool hypercall_exit(struct vcpu *vcpu)
{
    struct vmx_regs *regs = &vcpu->context.regs;
    uint64_t number = regs->rax;
    int64_t result;

    if (vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) >> RIGHTS_DPL_SHIFT & RIGHTS_DPL_MASK) {
        result = -TRAPLINE_EPERM;
    } else if (number >= TRAPLINE_HC_COUNT) {
        vcpu->stats.bad_hypercalls++;
        result = -TRAPLINE_ENOSYS;
    } else {
        vcpu->stats.hypercalls[number]++;
        result = functions[number](vcpu, regs);
    }
    if (result == HYPERCALL_AGAIN)
        return true;
    if (result == HYPERCALL_ENDED)
        return false;
    regs->rax = (uint64_t)result;
    vcpu_skip_instruction();
    return true;
}
