/* What the tests of views have in common. After probe.h. */
#ifndef TRAPLINE_TESTS_VIEWS_H
#define TRAPLINE_TESTS_VIEWS_H

#include <trapline/view.h>

#include "probe.h"

enum {
    NO_SUCH_VIEW = 400, /* no check makes so many at once, but the one that makes all */
    TABLES_KEPT = 16,   /* free tables that the hypervisor keeps at hand for a guest */
};

static const unsigned accesses[] = {TRAPLINE_NONE, TRAPLINE_READ, ACCESS_RW,
                                    ACCESS_RX,     ACCESS_ALL,    TRAPLINE_EXEC};

/* How many of these this CPU can do. */
static inline size_t access_count(void)
{
    return COUNT(accesses) - !has_feature(TRAPLINE_FEATURE_EXEC_ONLY);
}

/* What a page allows in a view; the caller is in view 0. */
static inline unsigned allowed_in(unsigned view, void *page)
{
    unsigned access;

    view_switch(view);
    access = allowed(page);
    view_switch(0);
    return access;
}

static inline unsigned need_view(void)
{
    const int view = view_create();

    if (view < 1) {
        printf("not ok views: none could be made: %s\n", trapline_error_name(view));
        exit(EXIT_FAILURE);
    }
    return (unsigned)view;
}

static inline struct trapline_stats counters(void)
{
    struct trapline_stats stats;

    hypercall2(TRAPLINE_HC_STATS, (uint64_t)&stats, 0);
    return stats;
}

#endif
