/* Accesses whose end is known, so that a handler can step over them. */
#include "guest/workloads/bench/harness.h"

__asm__(".text\n"
        ".globl bench_touch, bench_touch_end, bench_peek, bench_peek_end\n"
        "bench_touch:\n\t"
        "movb $1, (%rdi)\n"
        "bench_touch_end:\n\t"
        "ret\n"
        "bench_peek:\n\t"
        "movb (%rdi), %al\n"
        "bench_peek_end:\n\t"
        "ret\n");
