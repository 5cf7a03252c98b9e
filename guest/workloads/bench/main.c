/*
 * Microbenchmarks of the primitives.
 *
 * Arguments: quick (a tenth of the rounds), only=NAME,... (rows, or families such as protn),
 * others=N (so many other vCPUs run in the guest meanwhile). Each row is a JSON object on a line of
 * its own that begins with "@json ", and a line of the table at the end.
 */
#include "guest/workloads/bench/bench.h"
#include "guest/workloads/bench/others.h"

int main(int argc, char **argv)
{
    const uint64_t start = ns();

    if (!bench_arguments(argc, argv))
        return EXIT_FAILURE;
    if (bench_others())
        others_start(bench_others(), others_spin);
    bench_calibrate();
    bench_basic();
    bench_protn();
    bench_dirty();
    bench_map2();
    bench_vmpup();
    bench_view();
    bench_space();
    bench_regions();
    bench_user();
    bench_cost();
    bench_limit();
    bench_sweep();
    bench_dirty_sweep();
    others_stop(bench_others());
    bench_smp();
    if (!bench_finish())
        return EXIT_FAILURE;
    printf("bench: done in %lu ms of guest time\n", (ns() - start) / 1000000);
    return EXIT_SUCCESS;
}
