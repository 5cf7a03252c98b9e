/*
 * Views: more sets of protections over the same memory, each vCPU in one of them. docs/ABI.md has
 * the contract.
 *
 * View 0 is what prot1(), protn(), unprot() and dirty() work on. Another view allows at an address
 * what view 0 allows and what its own restriction there, which is nothing at first, leaves of it.
 * Where TRAPLINE_FEATURE_VMFUNC is shown a vCPU changes views by one instruction, without an exit.
 *
 * Mutators may run in a restricted view, and a TRAP handler, or a collector, in view 0:
 *
 *     static void handler(struct trapline_fault *fault)
 *     {
 *         unsigned view = view_enter_full();
 *         ... look at the page and fix it, which nobody else can touch by now ...
 *         view_prot(view, trap_page(fault), 1, TRAPLINE_READ | TRAPLINE_WRITE);
 *         view_leave(view);
 *     }
 *
 * What the CPU needs to get there must be accessible in the restricted view: the runtime and the
 * program (code, data, stacks: all that is not from malloc() or pages_alloc()), and the page
 * tables.
 */
#ifndef TRAPLINE_VIEW_H
#define TRAPLINE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/hypercall.h>

enum {
    VIEW_MAX = 511,    /* the greatest number of a view */
    VIEW_GS_INDEX = 32 /* where the index of a forbidden access's view is, from a vCPU's GS base */
};

/* Whether views are switched by VMFUNC; set by the runtime. */
extern bool view_vmfunc;

/* Make a view that restricts nothing: its number, or -ENOMEM, or -EAGAIN when there are VIEW_MAX.
 */
static inline int view_create(void)
{
    return (int)hypercall2(TRAPLINE_HC_VIEW_CREATE, 0, 0);
}

/* Destroy a view that no vCPU is in. Returns 0, -EINVAL, -ENOENT, or -EAGAIN while one is. */
static inline int view_destroy(unsigned view)
{
    return (int)hypercall2(TRAPLINE_HC_VIEW_DESTROY, view, 0);
}

/*
 * Set a view's restriction of pages pages to access, whatever it was. They need not be there.
 * Returns 0, -EINVAL, -ENOENT, -ENOMEM or -EOPNOTSUPP; then nothing has changed.
 */
static inline int view_prot(unsigned view, const void *page, size_t pages, unsigned access)
{
    return (int)hypercall(TRAPLINE_HC_VIEW_PROT, (uint64_t)page, pages, access, view).rax;
}

/*
 * The same for a list of pages, at most 1024, or of ranges, at most 512: all or nothing; *bad,
 * unless bad is NULL, is the entry at fault. Returns also -EFAULT.
 */
static inline int view_protn(unsigned view, void *const *pages, size_t count, unsigned access,
                             size_t *bad)
{
    struct hypercall_result result = hypercall(TRAPLINE_HC_VIEW_PROTN, (uint64_t)pages, count,
                                               access | TRAPLINE_LIST_PAGES, view);

    if (result.rax < 0 && bad)
        *bad = result.rdx;
    return (int)result.rax;
}

static inline int view_protn_ranges(unsigned view, const struct trapline_range *ranges,
                                    size_t count, unsigned access, size_t *bad)
{
    struct hypercall_result result = hypercall(TRAPLINE_HC_VIEW_PROTN, (uint64_t)ranges, count,
                                               access | TRAPLINE_LIST_RANGES, view);

    if (result.rax < 0 && bad)
        *bad = result.rdx;
    return (int)result.rax;
}

/* VMFUNC 0: a view that there is not raises #GP. Works at every CPL. */
static inline void view_function(unsigned view)
{
    __asm__ volatile("vmfunc" : : "a"(0), "c"(view) : "memory");
}

/* Put the calling vCPU into a view that there is. */
static inline void view_switch(unsigned view)
{
    if (view_vmfunc)
        view_function(view);
    else
        hypercall2(TRAPLINE_HC_VIEW_SWITCH, view, 0);
}

/*
 * In a TRAP handler, before anything in it can fault: go to view 0. Returns the view of the
 * forbidden access, for view_leave() at its end.
 */
static inline unsigned view_enter_full(void)
{
    uint32_t view;

    if (!view_vmfunc)
        return (unsigned)hypercall2(TRAPLINE_HC_VIEW_SWITCH, 0, 0);
    __asm__ volatile("movzwl %%gs:%c1, %0" : "=r"(view) : "i"(VIEW_GS_INDEX));
    if (view)
        view_function(0);
    return view;
}

static inline void view_leave(unsigned view)
{
    if (view)
        view_switch(view);
}

#endif
