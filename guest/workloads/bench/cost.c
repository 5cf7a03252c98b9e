/*
 * What an event of the CPU costs that only a guest can cause: #VE, by a handler in the IDT itself
 * that does nothing but release the information area and step over the access. All other events
 * are measured by the hypervisor (`measure = costs`).
 */
#include "guest/workloads/bench/bench.h"

enum {
    ROUNDS = 10000,
};

struct gate {
    uint64_t low; /* offset 15:0 and 31:16 in the bits of GATE_OFFSET */
    uint64_t high;
};
#define GATE_OFFSET 0xffff00000000ffffull

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

/* The area's busy word is the second of struct trapline_trap_area, which is at the GS base. */
__asm__(".text\n"
        "cost_ve_entry:\n\t"
        "movl $0, %gs:4\n\t"
        "movq $bench_touch_end, (%rsp)\n\t"
        "iretq\n");
void cost_ve_entry(void);

static volatile struct gate *trap_gate(void)
{
    struct table_pointer idt;

    __asm__ volatile("sidt %0" : "=m"(idt));
    return (volatile struct gate *)idt.base + TRAPLINE_VECTOR_TRAP;
}

void bench_cost(void)
{
    const struct bench_op op = {.name = "cost.ve",
                                .mode = "ve",
                                .per = "fault",
                                .rounds = ROUNDS,
                                .ops = 1,
                                .run = bench_touch};
    volatile struct gate *const gate = trap_gate();
    const uint64_t low = gate->low, high = gate->high, entry = (uint64_t)cost_ve_entry;
    char *page;

    if (!bench_wanted(op.name))
        return;
    if (!(guest_info()->features & TRAPLINE_FEATURE_VE)) {
        printf("bench: cost.ve: not measured: this CPU raises no #VE\n");
        return;
    }
    page = pages_alloc(1, 1);
    bench_expect(page && prot1(page, TRAPLINE_NONE) == 0, op.name, "a page is protected");
    bench_expect(bench_write_traps(page), op.name, "a write is delivered");
    gate->low = (low & ~GATE_OFFSET) | (entry & 0xffff) | (entry >> 16 & 0xffff) << 48;
    gate->high = entry >> 32;
    bench_run(&op, page);
    gate->low = low;
    gate->high = high;
    bench_expect(unprot(page) == 0 && *page == 0, op.name, "the writes had no effect");
    pages_free(page, 1);
}
