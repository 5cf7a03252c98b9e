/* The unit of the table. */
#include "guest/workloads/bench/harness.h"

enum {
    ADDS = 1000,
    ROUNDS = 1000,
};

/* Dependent ADDs, a page of code of them and no loop, so that only they are timed. */
static void run_add(void *ctx)
{
    uint64_t value = 0;

    (void)ctx;
    __asm__ volatile(".rept %c1\n\tadd $1, %0\n\t.endr" : "+r"(value) : "i"(ADDS));
}

void bench_unit(void)
{
    static const struct bench_op add = {
        .name = "add", .per = "op", .rounds = ROUNDS, .ops = ADDS, .run = run_add};

    bench_run(&add, NULL);
}
