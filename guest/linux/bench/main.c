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

static void leave_out_largest(void)
{
    static const char *const rows[] = {"dirty.sweep.65536.100", "dirty.sweep.262144.100"};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        bench_leave_out(rows[i], "a signal for each page takes too long");
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
        if (ways[i]->is_slow)
            leave_out_largest();
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
