/*
 * Figures of a workload: each is a JSON object on a line of its own that begins with "@json ", as
 * the runner collects them into results.json.
 */
#ifndef GUEST_COMMON_FIGURES_H
#define GUEST_COMMON_FIGURES_H

#include <stddef.h>
#include <stdint.h>

struct figure {
    const char *name; /* "gc.pause": the workload's name first */
    const char *mode; /* who does it: the mechanism's name, "baseline", ...; NULL = "exit" */
    const char *unit; /* "tsc" (ticks), "percent", "bytes", "1/s", ... */
    const char *per;  /* what one value is of: "op", "page", "fault", "run", ... */
    unsigned n;       /* how many values there are */
    double min, median, p99;
    double exits, flushes, ipis; /* for one of per; 0 where nothing was counted */
};

void figure_print(const struct figure *figure);

/* A single value. */
void figure_value(const char *name, const char *mode, const char *unit, const char *per,
                  double value);

/* Of count values, which are sorted by it; at least 1. */
void figure_series(const char *name, const char *mode, const char *unit, const char *per,
                   uint64_t *values, size_t count);

#endif
