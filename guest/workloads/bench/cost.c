/*
 * What an event of the CPU costs that only a guest can cause: #VE, by a gate that leads straight to
 * cost.asm. All other events are measured by the hypervisor (`measure = costs`).
 */
#include "guest/runtime/runtime.h"
#include "guest/workloads/bench/bench.h"

enum {
    ROUNDS = 10000,
};

/* cost.asm; leaves all registers as they were. */
void cost_step_over(void);

void bench_cost(void)
{
    static const struct bench_op op = {.name = "cost.ve",
                                       .mode = "ve",
                                       .per = "fault",
                                       .rounds = ROUNDS,
                                       .ops = 1,
                                       .run = bench_touch};
    char *page;

    if (!bench_wanted(op.name))
        return;
    if (!(guest_info()->features & TRAPLINE_FEATURE_VE)) {
        printf("bench: cost.ve: not measured: this CPU raises no #VE\n");
        return;
    }
    page = pages_alloc(1, 1);
    bench_expect(page && prot1(page, TRAPLINE_NONE) == 0, op.name, "a page is protected");
    cpu_borrow_trap_gate(cost_step_over);
    bench_run(&op, page);
    cpu_borrow_trap_gate(NULL);
    bench_expect(bench_write_traps(page), op.name, "the runtime has the faults again");
    bench_expect(unprot(page) == 0 && *page == 0, op.name, "the stopped writes had no effect");
    pages_free(page, 1);
}
