/*
 * How an operation is measured and reported, on any system.
 *
 * Each operation is run and timed round by round; then, in rounds of their own, what the system
 * counts is read before and after it. What is timed holds nothing but the operation: the cost of
 * reading the clock and of calling the operation's function is measured first and taken off.
 */
#ifndef BENCH_HARNESS_H
#define BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>
#include <trapline/time.h>

#include "guest/common/figures.h"

enum {
    PAGE = TRAPLINE_PAGE_SIZE,
    PAGES_2M = 512,
    PAGES_1G = 262144,
    BENCH_ROUNDS_MAX = 10000,
};

struct bench_op {
    const char *name;
    const char *mode;          /* who does it, for the results; NULL = as bench_mode() said */
    const char *per;           /* what one operation is: "op", "call", "page" or "fault" */
    unsigned rounds;           /* how often run() is timed, at most BENCH_ROUNDS_MAX */
    unsigned ops;              /* operations in one run() */
    void (*before)(void *ctx); /* before each round, not timed; NULL = nothing */
    void (*run)(void *ctx);    /* the operation */
    void (*after)(void *ctx);  /* after each round, not timed; NULL = nothing */
    const uint64_t *measured;  /* ticks that run() itself measured, in place of its whole time */
    uint64_t baseline;         /* ticks to take off each round's time */
};

/*
 * Take the program's arguments: quick, only=NAME,..., others=N. Prints what is wrong and returns
 * false when they are not understood.
 */
bool bench_arguments(int argc, char **argv);

/* Whether the program was told to be quick. */
bool bench_quick(void);

/* How many other CPUs are to run in the program meanwhile, less than vcpu_count(). */
unsigned bench_others(void);

/* Is this row asked for: by its name, a family's that it belongs to, or by no only=? */
bool bench_wanted(const char *name);

/*
 * The same of a row that comes only when it is named: only= has its name, or that of a family at
 * least as narrow as family, "protn.sweep" for example; "protn" does not do.
 */
bool bench_named(const char *family, const char *name);

/*
 * From now on a row that comes only when it is named does not come; where it is asked for, a line
 * says why. NULL: all are back again.
 */
void bench_leave_out(const char *name, const char *why);

/* A name made as by printf(). It is kept, as rows refer to it. */
const char *bench_name(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Measure what the clock and an empty function cost; comes first. */
void bench_calibrate(void);

/* Who does the operations that do not say so, from now on; NULL = "exit". */
void bench_mode(const char *mode);

/* Measure an operation when it is wanted, and keep and print its row. */
void bench_run(const struct bench_op *op, void *ctx);

/* The row "add", the unit that the table gives medians in, too. */
void bench_unit(void);

/* Only the median of an operation, in ticks per round; no row. */
uint64_t bench_median(const struct bench_op *op, void *ctx);

/* Add the VM-PUP rating, when its three rows were measured. */
void bench_rate(void);

/* Print the table. Returns false when a name that was asked for is no row. */
bool bench_finish(void);

/* Stop with exit code 1 unless an effect that the row relies on was seen. */
void bench_expect(bool good, const char *row, const char *what);

/* Is a write to (a read of) this address delivered, as what it is, and without effect? */
bool bench_write_traps(void *address);
bool bench_read_traps(void *address);

/*
 * Write a byte; read one. The ..._end are the addresses behind the access, so that a handler can
 * step over it.
 */
void bench_touch(void *address);
void bench_peek(void *address);
extern const char bench_touch_end[], bench_peek_end[];

/* Read the clock before what is timed: everything earlier is done, nothing later has begun. */
static inline uint64_t bench_start(void)
{
    return ticks();
}

/* Read the clock after what is timed. */
static inline uint64_t bench_stop(void)
{
    return ticks();
}

/* What bench_stop() - bench_start() gives for nothing. */
uint64_t bench_clock_cost(void);

/* The next number of a fixed sequence, below limit. */
uint32_t bench_random(uint32_t limit);

/* Fill order[] with 0 to count - 1 in a random sequence. */
void bench_permute(uint32_t *order, size_t count);

#endif
