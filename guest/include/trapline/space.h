/*
 * Spaces: views over the guest's own page tables, each vCPU in one of them. What <trapline/view.h>
 * does with the hypervisor's tables, for the pages of REGION_PT regions, without an exit.
 *
 * Space 0 is what region_prot1(), region_protn(), region_unprot() and region_dirty() work on,
 * whichever space the caller is in. Another space allows at an address what space 0 allows and what
 * its own restriction there, which is nothing at first, leaves of it. A vCPU changes spaces by one
 * MOV to CR3; where the CPU has PCIDs, which tag translations with their space, none are dropped.
 *
 * Mutators may run in a restricted space, and a TRAP handler, or a collector, in space 0:
 *
 *     static void handler(struct trapline_fault *fault)
 *     {
 *         unsigned space = space_enter_full();
 *         ... look at the page and fix it, which nobody else can touch by now ...
 *         space_prot(space, region, trap_page(fault), 1, TRAPLINE_READ | TRAPLINE_WRITE);
 *         space_leave(space);
 *     }
 *
 * A restriction is an address's: an alias of the page is not concerned. While there are spaces, the
 * calls of regions that are inlined otherwise are not, and take longer: they have other spaces'
 * entries and translations to see to. As the calls of regions, those that make, destroy and
 * restrict are not for an interrupt's handler that may have come in the middle of another.
 */
#ifndef TRAPLINE_SPACE_H
#define TRAPLINE_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/region.h>

enum {
    SPACE_MAX = 63,        /* the greatest number of a space */
    SPACE_GS_NUMBER = 240, /* where a vCPU's space is noted, from its GS base */
    SPACE_SLOT = 256, /* the entry of a root that holds twice the space's number: not present */
};

#define SPACE_CR3_ROOT 0x000ffffffffff000ull
#define SPACE_CR3_KEEP (1ull << 63) /* the PCID's translations are kept (SDM 4.10.4.1) */
#define SPACE_CR3_NONE (1ull << 62) /* reserved: raises #GP */

/* What CR3 is in each space, SPACE_CR3_NONE for one that there is not. Set by the runtime. */
extern uint64_t space_cr3[SPACE_MAX + 1];

/* Whether translations are tagged by their space: switching drops none. Set by the runtime. */
extern bool space_tagged;

/* Whether a switch may have to drop some that were marked: PCIDs, but no INVPCID. */
extern bool space_marks;

/*
 * Make a space that restricts nothing: its number, or -ENOMEM, or -EAGAIN when there are SPACE_MAX,
 * or -EOPNOTSUPP where page tables cannot forbid execution. Takes a page of memory.
 */
int space_create(void);

/*
 * Destroy a space that no vCPU is in, and give back the memory that it took. Returns 0, -EINVAL,
 * -ENOENT, or -EAGAIN while a vCPU is in it. Nobody may be about to enter it.
 */
int space_destroy(unsigned space);

/*
 * Set a space's restriction of pages pages, the region's or aliases of them, from page on, to
 * access, whatever it was. With the region, or the alias, its restrictions end; they stay when the
 * alias goes to another page. Returns 0; -EINVAL for the arguments or space 0; -ENOENT for a space
 * that there is not or another's page; -ENOMEM; -EOPNOTSUPP for a region that is not REGION_PT, or
 * TRAPLINE_EXEC alone. Then nothing has changed.
 *
 * The first restriction in an aligned 2 MiB takes up to three pages of memory, which the space
 * keeps, so that it is not for handlers that can interrupt the allocator or that keep to the
 * general registers. All other calls are for handlers of every kind.
 */
TRAP_LEAN_HANDLER int space_prot(unsigned space, struct region *region, void *page, size_t pages,
                                 unsigned access);

/* space_switch() where space_marks. */
TRAP_LEAN_HANDLER void space_switch_marked(unsigned space);

/*
 * Put the calling vCPU into a space that there is; one that there is not raises #GP. The noted
 * number follows CR3, so that space_destroy() never takes a space from under a vCPU that leaves it.
 */
static inline void space_switch(unsigned space)
{
    if (__builtin_expect(space_marks, 0)) {
        space_switch_marked(space);
        return;
    }
    __asm__ volatile("movq %0, %%cr3\n\t"
                     "movl %1, %%gs:%c2"
                     :
                     : "r"(space <= SPACE_MAX ? space_cr3[space] : SPACE_CR3_NONE), "r"(space),
                       "i"(SPACE_GS_NUMBER)
                     : "memory");
}

/* The space whose root is in a value of CR3. */
static inline unsigned space_of(uint64_t cr3)
{
    return (unsigned)(((const volatile uint64_t *)(cr3 & SPACE_CR3_ROOT))[SPACE_SLOT] >> 1);
}

/* The calling vCPU's space: by its root, which is right at every instruction of a switch, too. */
static inline unsigned space_current(void)
{
    uint64_t cr3;

    __asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
    return space_of(cr3);
}

/*
 * In a TRAP handler, before anything in it can fault: go to space 0. Returns the space of the
 * forbidden access, for space_leave() at its end.
 */
static inline unsigned space_enter_full(void)
{
    const unsigned space = space_current();

    if (space)
        space_switch(0);
    return space;
}

static inline void space_leave(unsigned space)
{
    if (space)
        space_switch(space);
}

#endif
