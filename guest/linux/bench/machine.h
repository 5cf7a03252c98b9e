/*
 * The CPUs of the program, and threads that spin on them. vcpu_count() says how many CPUs it may
 * run on.
 */
#ifndef LINUX_BENCH_MACHINE_H
#define LINUX_BENCH_MACHINE_H

/* Pin the calling thread, the one that measures, to the first CPU; comes first. */
void machine_begin(void);

/*
 * Have count more threads of the process spin, each on a CPU of its own; returns when all do. Then
 * the kernel must tell these CPUs of translations that change. count is less than vcpu_count();
 * none runs yet.
 */
void spinners_start(unsigned count);

/* End them. */
void spinners_stop(void);

#endif
