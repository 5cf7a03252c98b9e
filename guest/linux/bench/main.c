/*
 * Microbenchmarks of what Linux has in place of the primitives, done the way that is fastest there.
 *
 * Arguments as those of Trapline's: quick (a tenth of the rounds), only=NAME,... (rows, or families
 * such as protn), others=N (so many threads of the program spin on other CPUs meanwhile). Rows have
 * the names of Trapline's, and who does them as their mode: several ways may be rows of one name.
 * See docs/PERFORMANCE.md, "The Linux side".
 */
#include "guest/linux/bench/bench.h"
#include "guest/linux/bench/dirty.h"
#include "guest/linux/bench/machine.h"
#include "guest/linux/bench/memfd.h"
#include "guest/linux/bench/protection.h"
#include "guest/linux/linux.h"

static void leave_out(const char *const *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        bench_leave_out(rows[i], "a signal for each page takes too long");
}

static void leave_out_slow(const struct dirty_way *way)
{
    static const char *const largest[] = {"dirty.sweep.65536.10", "dirty.sweep.65536.100",
                                          "dirty.sweep.262144.10", "dirty.sweep.262144.100"};
    static const char *const large[] = {"dirty.16384.10", "dirty.16384.100"};

    if (way->is_slow)
        leave_out(largest, sizeof(largest) / sizeof(largest[0]));
    /* It is the slower of the two ways with a signal for each page. */
    if (way == &dirty_mprotect && bench_quick() && bench_others())
        leave_out(large, sizeof(large) / sizeof(large[0]));
}

/* Those of Trapline's program, each way in turn. */
static void run_dirty(void)
{
    static const struct dirty_way *const ways[] = {&dirty_soft, &dirty_scan, &dirty_mprotect,
                                                   &dirty_uffd};

    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        if (!ways[i]->begin()) {
            printf("bench: rows of mode %s left out: the kernel has no %s\n", ways[i]->mode,
                   ways[i]->needed);
            continue;
        }
        dirty_choose(ways[i]);
        bench_mode(ways[i]->mode);
        leave_out_slow(ways[i]);
        bench_dirty();
        bench_dirty_sweep();
        bench_leave_out(NULL, NULL);
        ways[i]->end();
    }
}

static void run_map2(void)
{
    bench_mode("memfd");
    memfd_begin();
    bench_map2();
    memfd_end();
}

int main(int argc, char **argv)
{
    const uint64_t start = ticks();

    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    time_init();
    machine_begin();
    if (!bench_arguments(argc, argv))
        return EXIT_FAILURE;
    spinners_start(bench_others());
    protections_begin();
    bench_calibrate();
    bench_mode("program");
    bench_unit();
    bench_basic();
    bench_protn();
    bench_sweep();
    run_dirty();
    run_map2();
    bench_vmpup();
    spinners_stop();
    bench_shootdown();
    if (!bench_finish())
        return EXIT_FAILURE;
    printf("bench: done in %lu ms\n", ticks_to_ns(ticks() - start) / 1000000);
    return EXIT_SUCCESS;
}
