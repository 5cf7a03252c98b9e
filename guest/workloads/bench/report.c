/* Which rows are wanted, and how they are shown. */
#include "guest/workloads/bench/measure.h"

#include <stdarg.h>

enum {
    ROWS_MAX = 256,
    NAME_BYTES = 32,
    ONLY_MAX = 32,
    LEFT_OUT_MAX = 8,
    QUICK_DIVISOR = 10,
    QUICK_LEAST = 5,
    RATING_US = 3000, /* the paper's scale: a Sun 3/60 is 1.00 */
};

static struct figure rows[ROWS_MAX];
static unsigned row_count;

static bool quick;
static unsigned others;
static const char *mode;
static struct {
    const char *name;
    size_t length;
    bool used;
} only[ONLY_MAX];
static unsigned only_count;
static struct {
    const char *name, *why;
    bool said;
} left_out[LEFT_OUT_MAX];
static unsigned left_out_count;

static const char rating_name[] = "vmpup.rating";

static bool add_only(const char *list)
{
    while (*list) {
        const char *const comma = strchr(list, ',');
        const size_t length = comma ? (size_t)(comma - list) : strlen(list);

        if (only_count == ONLY_MAX || length == 0) {
            printf("bench: only= takes 1 to %d names\n", ONLY_MAX);
            return false;
        }
        only[only_count].name = list;
        only[only_count++].length = length;
        list += length + (comma ? 1 : 0);
    }
    return true;
}

static bool read_others(const char *text)
{
    const unsigned most = vcpu_count() - 1;
    char *end;
    const unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value > most) {
        printf("bench: others=%s: it takes 0 to %u, one less than the CPUs that the program has\n",
               text, most);
        return false;
    }
    others = (unsigned)value;
    return true;
}

bool bench_arguments(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "quick") == 0) {
            quick = true;
        } else if (strncmp(argv[i], "only=", 5) == 0) {
            if (!add_only(argv[i] + 5))
                return false;
        } else if (strncmp(argv[i], "others=", 7) == 0) {
            if (!read_others(argv[i] + 7))
                return false;
        } else {
            printf("bench: unknown argument \"%s\"; known are: quick, only=NAME,..., others=N\n",
                   argv[i]);
            return false;
        }
    }
    return true;
}

unsigned bench_others(void)
{
    return others;
}

/* A name stands for its row and for all whose names go on with a dot; the rating for what it needs.
 */
static bool selects(const char *name, size_t length, const char *row)
{
    if (length == sizeof(rating_name) - 1 && strncmp(name, rating_name, length) == 0)
        length = strlen("vmpup");
    return strncmp(name, row, length) == 0 && (row[length] == '\0' || row[length] == '.');
}

/* Does an only= name of at least so many characters stand for the row? */
static bool selected(const char *row, size_t least)
{
    bool found = false;

    for (unsigned i = 0; i < only_count; i++) {
        if (only[i].length >= least && selects(only[i].name, only[i].length, row)) {
            only[i].used = true;
            found = true;
        }
    }
    return found;
}

/* Says so, once. */
static bool is_left_out(const char *name)
{
    for (unsigned i = 0; i < left_out_count; i++) {
        if (strcmp(left_out[i].name, name) == 0) {
            if (!left_out[i].said)
                printf("bench: %s%s%s left out: %s\n", name, mode ? " by " : "", mode ? mode : "",
                       left_out[i].why);
            left_out[i].said = true;
            return true;
        }
    }
    return false;
}

bool bench_wanted(const char *name)
{
    return (only_count == 0 || selected(name, 0)) && !is_left_out(name);
}

bool bench_named(const char *family, const char *name)
{
    return selected(name, strlen(family)) && !is_left_out(name);
}

bool bench_quick(void)
{
    return quick;
}

void bench_leave_out(const char *name, const char *why)
{
    assert(left_out_count < LEFT_OUT_MAX);
    if (name) {
        left_out[left_out_count].name = name;
        left_out[left_out_count].said = false;
        left_out[left_out_count++].why = why;
    } else {
        left_out_count = 0;
    }
}

const char *bench_name(const char *format, ...)
{
    char *const name = malloc(NAME_BYTES);
    va_list args;
    int length;

    bench_expect(name, format, "there is memory");
    va_start(args, format);
    length = vsnprintf(name, NAME_BYTES, format, args);
    va_end(args);
    assert(length >= 0 && length < NAME_BYTES);
    return name;
}

static void add_row(const struct figure *row)
{
    assert(row_count < ROWS_MAX);
    rows[row_count++] = *row;
    figure_print(row);
}

static const struct figure *find_row(const char *name)
{
    for (unsigned i = 0; i < row_count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

void bench_mode(const char *name)
{
    mode = name;
}

void bench_run(const struct bench_op *op, void *ctx)
{
    const char *const by = op->mode ? op->mode : mode;
    unsigned rounds = op->rounds;
    struct figure row;

    if (!bench_wanted(op->name))
        return;
    if (quick && rounds > QUICK_LEAST)
        rounds = rounds / QUICK_DIVISOR > QUICK_LEAST ? rounds / QUICK_DIVISOR : QUICK_LEAST;
    printf("bench: %s%s%s\n", op->name, by ? " by " : "", by ? by : "");
    bench_measure(op, ctx, rounds, &row);
    row.mode = by;
    add_row(&row);
}

void bench_rate(void)
{
    const struct figure *const trap_row = find_row("vmpup.trap");
    const struct figure *const appel1 = find_row("vmpup.appel1");
    const struct figure *const appel2 = find_row("vmpup.appel2");
    struct figure rating = {.name = rating_name, .per = "op", .unit = "rating", .n = 1};
    double us;

    if (!trap_row || !appel1 || !appel2 || !bench_wanted(rating_name))
        return;
    us = (trap_row->median + appel1->median + appel2->median) * 1e6 / (double)tsc_hz();
    rating.min = rating.median = rating.p99 = RATING_US / us;
    add_row(&rating);
}

bool bench_finish(void)
{
    const struct figure *const add = find_row("add");
    const double unit = add && add->median > 0 ? add->median : 1;
    bool good = true;

    printf("\n%-20s %-13s %-5s %10s %10s %10s %10s %9s %9s %9s\n", "name", "mode", "per", "median",
           "min", "p99", "ADDs", "exits", "flushes", "ipis");
    for (unsigned i = 0; i < row_count; i++) {
        const struct figure *const row = &rows[i];
        const char *const by = row->mode ? row->mode : "";

        if (strcmp(row->unit, "tsc") != 0) {
            printf("%-20s %-13s %-5s %10.2f\n", row->name, by, row->per, row->median);
            continue;
        }
        printf("%-20s %-13s %-5s %10.2f %10.2f %10.2f %10.1f %9.3f %9.3f %9.3f\n", row->name, by,
               row->per, row->median, row->min, row->p99, row->median / unit, row->exits,
               row->flushes, row->ipis);
    }
    printf(
        "median, min, p99: TSC ticks; ADDs: median in dependent ADD instructions of %.2f ticks\n",
        unit);
    for (unsigned i = 0; i < only_count; i++) {
        if (!only[i].used) {
            printf("bench: no row is named \"%.*s\"\n", (int)only[i].length, only[i].name);
            good = false;
        }
    }
    return good;
}

void bench_expect(bool good, const char *row, const char *what)
{
    if (good)
        return;
    printf("bench: %s: FAILED: %s\n", row, what);
    exit(EXIT_FAILURE);
}
