#include "guest/common/figures.h"

#include <trapline/stdio.h>

#include "guest/common/statistics.h"

enum {
    NUMBER_LEN = 48,
};

/* At most four decimals, and none that are zeros. */
static const char *decimal(char *text, double value)
{
    int length = snprintf(text, NUMBER_LEN, "%.4f", value);

    while (text[length - 1] == '0')
        length--;
    if (text[length - 1] == '.')
        length--;
    text[length] = '\0';
    return text;
}

void figure_print(const struct figure *figure)
{
    char min[NUMBER_LEN], median[NUMBER_LEN], p99[NUMBER_LEN];
    char exits[NUMBER_LEN], flushes[NUMBER_LEN], ipis[NUMBER_LEN];

    printf("@json {\"name\":\"%s\",\"mode\":\"%s\",\"unit\":\"%s\",\"n\":%u,\"min\":%s,"
           "\"median\":%s,\"p99\":%s,\"exits\":%s,\"flushes\":%s,\"ipis\":%s,\"per\":\"%s\"}\n",
           figure->name, figure->mode ? figure->mode : "exit", figure->unit, figure->n,
           decimal(min, figure->min), decimal(median, figure->median), decimal(p99, figure->p99),
           decimal(exits, figure->exits), decimal(flushes, figure->flushes),
           decimal(ipis, figure->ipis), figure->per);
}

void figure_value(const char *name, const char *mode, const char *unit, const char *per,
                  double value)
{
    figure_print(&(struct figure){.name = name,
                                  .mode = mode,
                                  .unit = unit,
                                  .per = per,
                                  .n = 1,
                                  .min = value,
                                  .median = value,
                                  .p99 = value});
}

void figure_series(const char *name, const char *mode, const char *unit, const char *per,
                   uint64_t *values, size_t count)
{
    sort_values(values, count);
    figure_print(&(struct figure){.name = name,
                                  .mode = mode,
                                  .unit = unit,
                                  .per = per,
                                  .n = (unsigned)count,
                                  .min = (double)values[0],
                                  .median = median_of(values, count),
                                  .p99 = (double)percentile_of(values, count, 99)});
}
