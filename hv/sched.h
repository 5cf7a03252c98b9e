/*
 * Which vCPU runs: of those that are pinned to a CPU and can run the one that was served least, for
 * a slice, or less where a sleeper is to wake up before. So who sleeps much has the CPU soon after
 * it wakes, whoever else computes, and who computes has what the others leave, in equal shares. Who
 * slept for long is taken to be one slice behind the one that is served now, no more: nobody saves
 * up. The CPU on which the last guest ends prints the summary and stops the machine.
 */
#ifndef TRAPLINE_HV_SCHED_H
#define TRAPLINE_HV_SCHED_H

#include <stdbool.h>
#include <stdint.h>
#include <stdnoreturn.h>

struct cpu;
struct vcpu;

enum {
    SCHED_SLICE_MS = 10,
    SCHED_LEAD_US = 500, /* how far ahead of one that wakes up the running vCPU may get */
};

/* Pin a vCPU to a CPU; before the CPUs run guests, or on that CPU itself. */
void sched_add(struct cpu *cpu, struct vcpu *vcpu);

/* Queue a vCPU that no CPU has in its queue on the one that it is pinned to, from any CPU. */
void sched_hand_over(struct vcpu *vcpu);

/* Run this CPU's vCPUs for ever. */
noreturn void sched_run(void);

/* The current vCPU's slice is over or it ended: load and return the next one; does not return when
 * there is none. */
struct vcpu *sched_next(void);

/* When the first of a CPU's sleepers is to wake up by itself, a TSC value; 0 = none is. On that
 * CPU.
 */
uint64_t sched_next_deadline(const struct cpu *cpu);

/*
 * A sleeping vCPU has something to do, from any CPU: see to it that its CPU looks, be it that it is
 * idle or that it runs a vCPU that was served more, whose turn then ends.
 */
void sched_woken(struct vcpu *vcpu);

/* Whether the current vCPU's turn is to end for one that has woken up; it is charged then. */
bool sched_is_called(struct vcpu *vcpu);

/* Charge the current vCPU for its time since the last charge; stops a guest that used up its limit.
 */
void sched_charge(struct vcpu *vcpu);

#endif
