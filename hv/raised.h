/*
 * Raised pages and TRAP without exit.
 *
 * A right that is given needs no flush: a translation cached before faults, the fault drops it, and
 * the access is tried again. An exit for it is dealt with here, but a #VE reaches the guest. So the
 * hypervisor tells each vCPU, in raised[] of its trap area, for which pages a fault may be of that
 * sort (docs/ABI.md). Its own translations the vCPU that gives the right drops. A page that CPUs
 * were told of no right for is not cached (SDM 28.3.3.1), so nothing is done for it. Bits are set
 * and cleared under the guest's lock.
 */
#ifndef TRAPLINE_HV_RAISED_H
#define TRAPLINE_HV_RAISED_H

#include <stdint.h>

#include "hv/flush.h"
#include "hv/guest.h"
#include "hv/vcpu.h"

/* raised_note(), where faults are delivered by the CPU. */
void raised_note_converting(struct vcpu *vcpu, uint64_t gpa, uint64_t pages);

/*
 * Rights are given to the pages at gpa: before the tables change. gpa, pages: as the guest gave
 * them; what is misaligned or no page changes nothing but bits.
 */
static inline void raised_note(struct vcpu *vcpu, uint64_t gpa, uint64_t pages)
{
    if (vcpu->guest->ept.converts)
        raised_note_converting(vcpu, gpa, pages);
}

/* The same for pages anywhere. */
static inline void raised_note_all(struct vcpu *vcpu)
{
    raised_note(vcpu, 0, TRAPLINE_RAISED_BITS);
}

/* All vCPUs have dropped what they cached before, or will before they run on. */
void raised_forget(struct guest *guest);

/*
 * Whether giving exactly these rights (enum ept_access) may leave a translation that allows less:
 * one that allows something and loses nothing.
 */
static inline bool raised_by(uint64_t access)
{
    return access & (access - 1);
}

#endif
