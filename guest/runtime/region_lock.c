/* These calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/region_lock.h"

#include <stdatomic.h>

#include <trapline/thread.h>

#include "guest/runtime/park.h"

enum {
    NOBODY = UINT32_MAX,
    SPINS = 1000,     /* looks at the lock before giving way ... */
    NAP_TICKS = 3000, /* ... for so long: its owner may want this CPU */
};

bool region_shared;

void region_lock_init(void)
{
    region_shared = vcpu_count() > 1;
}

static atomic_uint owner = NOBODY;
static unsigned depth; /* of the owner's taking it again */

/* A token of UNPARK that a nap took may have been for a thread that this call interrupted. */
static void wait_for_lock(unsigned self)
{
    unsigned spins = 0, expected = NOBODY;
    bool napped = false;

    while (!atomic_compare_exchange_weak(&owner, &expected, self)) {
        __builtin_ia32_pause();
        if (++spins % SPINS == 0)
            napped |= vcpu_park(NAP_TICKS);
        expected = NOBODY;
    }
    if (napped)
        vcpu_unpark(self);
}

TRAP_LEAN_HANDLER void region_lock_shared(void)
{
    const unsigned self = own_index();

    if (atomic_load(&owner) == self)
        depth++;
    else
        wait_for_lock(self);
}

TRAP_LEAN_HANDLER void region_unlock_shared(void)
{
    if (depth)
        depth--;
    else
        atomic_store(&owner, NOBODY);
}
