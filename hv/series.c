#include "hv/series.h"

#include "hv/console.h"

enum {
    PERCENTILE = 99,
    DECIMALS_SCALE = 10000, /* four decimals, as guests' figures have */
    NUMBER_LEN = 32,
};

/* By insertion: measured values are alike and few. */
static void sort(struct series *series)
{
    for (unsigned i = 1; i < series->count; i++) {
        uint64_t value = series->values[i];
        unsigned at = i;

        for (; at > 0 && series->values[at - 1] > value; at--)
            series->values[at] = series->values[at - 1];
        series->values[at] = value;
    }
}

uint64_t series_median(struct series *series)
{
    sort(series);
    return series->values[(series->count - 1) / 2];
}

struct number {
    char text[NUMBER_LEN];
};

/* sum / parts, as a decimal number without zeros at its end. */
static struct number decimal(uint64_t sum, uint64_t parts)
{
    struct number number;
    uint64_t rest = sum % parts * DECIMALS_SCALE / parts;
    int length = ksnprintf(number.text, sizeof(number.text), "%lu.%04lu", sum / parts, rest);

    while (number.text[length - 1] == '0')
        length--;
    if (number.text[length - 1] == '.')
        length--;
    number.text[length] = '\0';
    return number;
}

static uint64_t reduced(uint64_t value, uint64_t less)
{
    return value > less ? value - less : 0;
}

void series_print(struct series *series, const struct series_row *row, uint64_t less)
{
    const uint64_t *values = series->values;
    unsigned count = series->count;
    uint64_t middles, last;

    sort(series);
    middles = reduced(values[(count - 1) / 2], less) + reduced(values[count / 2], less);
    last = reduced(values[(count * PERCENTILE + 99) / 100 - 1], less);
    kprintf("@json {\"name\":\"%s\",\"mode\":\"root\",\"unit\":\"tsc\",\"n\":%u,\"min\":%s,"
            "\"median\":%s,\"p99\":%s,\"exits\":%u,\"flushes\":%u,\"ipis\":%u,\"per\":\"%s\"}\n",
            row->name, count, decimal(reduced(values[0], less), row->ops).text,
            decimal(middles, 2 * row->ops).text, decimal(last, row->ops).text, row->exits,
            row->flushes, row->ipis, row->per);
}
