#include "hv/multi.h"

#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/memory.h"
#include "hv/primitives.h"
#include "hv/view.h"

/* What a call gives, its number and arguments, and what it gets, its two results behind them. */
enum {
    CALL_WORDS = offsetof(struct trapline_call, result) / sizeof(uint64_t),
    RESULT_WORDS = 2,
};

static int64_t call_nop(struct vcpu *vcpu, struct vmx_regs *regs)
{
    (void)vcpu;
    (void)regs;
    return 0;
}

/* A list that takes more than one slice has no place here: the calls before it would not be paid.
 */
static int64_t call_protn(struct vcpu *vcpu, struct vmx_regs *regs)
{
    int64_t error = protn_short(vcpu, regs);

    return error == HYPERCALL_AGAIN ? -TRAPLINE_EINVAL : error;
}

static hypercall_function *const functions[TRAPLINE_HC_COUNT] = {
    [TRAPLINE_HC_NOP] = call_nop,
    [TRAPLINE_HC_PROT1] = primitive_prot1,
    [TRAPLINE_HC_PROTN] = call_protn,
    [TRAPLINE_HC_UNPROT] = primitive_unprot,
    [TRAPLINE_HC_DIRTY] = primitive_dirty,
    [TRAPLINE_HC_MAP2] = primitive_map2,
    [TRAPLINE_HC_UNMAP2] = primitive_unmap2,
    [TRAPLINE_HC_TRACK] = primitive_track,
    [TRAPLINE_HC_VIEW_PROT] = view_prot,
    [TRAPLINE_HC_VIEW_PROTN] = view_protn,
};

/* What a call has in RDX afterwards, unless it says something else. */
static int64_t execute(struct vcpu *vcpu, const uint64_t *call, uint64_t *second)
{
    struct vmx_regs regs = {.rdi = call[1], .rsi = call[2], .rdx = call[3], .r10 = call[4]};
    int64_t result = -TRAPLINE_EINVAL;

    if (call[0] < TRAPLINE_HC_COUNT && functions[call[0]])
        result = functions[call[0]](vcpu, &regs);
    *second = regs.rdx;
    return result;
}

bool multi_in_area(const struct vcpu *vcpu, uint64_t list, uint64_t bytes)
{
    uint64_t at = list - vcpu->trap_area_at;

    return vcpu->trap_area && at >= sizeof(struct trapline_trap_area) && at < PAGE_SIZE &&
           bytes <= PAGE_SIZE - at;
}

static bool may_use(struct vcpu *vcpu, uint64_t list, uint64_t bytes)
{
    struct guest *guest = vcpu->guest;

    return multi_in_area(vcpu, list, bytes) ||
           (guest_may_access(guest, list, bytes, EPT_ACCESS_R) &&
            guest_may_access(guest, list, bytes, EPT_ACCESS_W));
}

int64_t multi_call(struct vcpu *vcpu, struct vmx_regs *regs)
{
    uint64_t list = regs->rdi, count = regs->rsi, error = 0;

    if (list % sizeof(uint64_t) || count > TRAPLINE_MULTI_MAX)
        error = TRAPLINE_EINVAL;
    else if (!may_use(vcpu, list, count * sizeof(struct trapline_call)))
        error = TRAPLINE_EFAULT;
    if (error) {
        regs->rdx = count; /* none of the calls */
        return -(int64_t)error;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = list + i * sizeof(struct trapline_call);
        uint64_t call[CALL_WORDS], results[RESULT_WORDS];

        /* Each is read once, and what was read is what is checked. */
        guest_read(vcpu->guest, at, call, sizeof(call));
        results[0] = (uint64_t)execute(vcpu, call, &results[1]);
        guest_write(vcpu->guest, at + sizeof(call), results, sizeof(results));
        if ((int64_t)results[0] < 0) {
            regs->rdx = i;
            return (int64_t)results[0];
        }
    }
    return 0;
}
