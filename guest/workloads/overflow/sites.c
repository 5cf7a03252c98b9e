#if !__STDC_HOSTED__
/* It is called by TRAP_LEAN handlers. */
#pragma GCC target("general-regs-only")
#endif

#include "guest/workloads/overflow/sites.h"

struct note {
    int32_t access, recovery; /* from their own addresses on */
};

/* The linker makes these. */
extern const struct note __start_overflow_sites[], __stop_overflow_sites[];

static struct site {
    uint64_t access, recovery;
} * sites; /* by access, ascending */

static size_t count;

static uint64_t address_of(const int32_t *part)
{
    return (uint64_t)part + (uint64_t)(int64_t)*part;
}

int sites_init(void)
{
    count = (size_t)(__stop_overflow_sites - __start_overflow_sites);
    free(sites);
    sites = calloc(count, sizeof(*sites));
    if (!sites)
        return -TRAPLINE_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const struct note *const note = &__start_overflow_sites[i];
        const struct site site = {address_of(&note->access), address_of(&note->recovery)};
        size_t at = i;

        for (; at > 0 && sites[at - 1].access > site.access; at--)
            sites[at] = sites[at - 1];
        sites[at] = site;
    }
    return 0;
}

uint64_t site_recovery(uint64_t rip)
{
    size_t low = 0, high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (sites[middle].access < rip)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && sites[low].access == rip ? sites[low].recovery : 0;
}
