/* The collector's log of pauses: the utilisation against all intervals, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "guest/workloads/gc/pauses.h"

enum {
    RUN = 120, /* ticks of a run that is made up */
    START = 1000,
    PAUSES_MOST = 24,
    RUNS = 400,
};

/* Pauses that do not overlap, at random; some touch one another or the run's ends. */
static size_t make_up(struct gc_pause *pause)
{
    uint64_t at = START + (uint64_t)rand() % 4;
    size_t count = 0;

    while (count < PAUSES_MOST) {
        const uint64_t end = at + 1 + (uint64_t)rand() % 9;

        if (end > START + RUN)
            break;
        pause[count++] = (struct gc_pause){.start = at, .end = end, .kind = GC_PAUSE_TRAP};
        at = end + (uint64_t)rand() % 12;
    }
    return count;
}

/* Of the interval that begins at from, the ticks that are in no pause. */
static uint64_t running(const struct gc_pauses *pauses, uint64_t from, uint64_t length)
{
    uint64_t ticks = 0;

    for (uint64_t at = from; at < from + length; at++) {
        bool paused = false;

        for (size_t i = 0; i < pauses->count; i++)
            paused |= at >= pauses->pause[i].start && at < pauses->pause[i].end;
        ticks += !paused;
    }
    return ticks;
}

static void test_utilisation(void **state)
{
    struct gc_pause pause[PAUSES_MOST];
    struct gc_pauses pauses = {.pause = pause, .capacity = PAUSES_MOST};

    (void)state;
    srand(5);
    for (unsigned run = 0; run < RUNS; run++) {
        const uint64_t window = 1 + (uint64_t)rand() % RUN;
        uint64_t least = window;
        double ours;

        pauses.count = make_up(pause);
        for (uint64_t from = START; from + window <= START + RUN; from++) {
            const uint64_t one = running(&pauses, from, window);

            least = one < least ? one : least;
        }
        ours = gc_pauses_utilisation(&pauses, START, START + RUN, window);
        assert_int_equal((uint64_t)(ours * (double)window / 100 + 0.5), least);
    }
}

static void test_longer_than_the_run(void **state)
{
    struct gc_pause pause[] = {{.start = START, .end = START + RUN / 4}};
    struct gc_pauses pauses = {.pause = pause, .count = 1, .capacity = 1};

    (void)state;
    assert_int_equal(gc_pauses_utilisation(&pauses, START, START + RUN, 10 * RUN), 75);
    pauses.count = 0;
    assert_int_equal(gc_pauses_utilisation(&pauses, START, START + RUN, 10), 100);
}

static void test_log(void **state)
{
    struct gc_pauses pauses;
    uint64_t ticks[2];

    (void)state;
    assert_true(gc_pauses_create(&pauses, 2));
    assert_int_equal(gc_pauses_longest(&pauses), 0);
    gc_pauses_add(&pauses, GC_PAUSE_STOP, 0);
    gc_pauses_add(&pauses, GC_PAUSE_TRAP, 0);
    gc_pauses_add(&pauses, GC_PAUSE_STALL, 0);
    assert_int_equal(pauses.count, 2);
    assert_int_equal(pauses.lost, 1);
    assert_int_equal(gc_pauses_of(&pauses, GC_PAUSE_TRAP, ticks), 1);
    assert_int_equal(ticks[0], pauses.pause[1].end);
    assert_int_equal(gc_pauses_longest(&pauses), pauses.pause[1].end);
    gc_pauses_destroy(&pauses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utilisation),
        cmocka_unit_test(test_longer_than_the_run),
        cmocka_unit_test(test_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
