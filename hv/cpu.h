/*
 * The machine's CPUs: per-CPU data reached through GS, bring-up by INIT-SIPI-SIPI, and kicks.
 */
#ifndef TRAPLINE_HV_CPU_H
#define TRAPLINE_HV_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

#include "boot/handover.h"

struct vcpu;

enum {
    CPU_STACK_PAGES = 4, /* each stack: normal, #DF, NMI, #MC */
};

/* Selectors of the hypervisor's GDT; the same on every CPU. */
enum cpu_selector {
    SEL_NULL = 0x00,
    SEL_CODE = 0x08,
    SEL_DATA = 0x10,
    SEL_TSS = 0x18, /* two slots */
};

struct cpu_gdt {
    uint64_t entry[5];
};

struct cpu_tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t io_map_base;
} __attribute__((packed));

/* What a CPU without work does. Who wakes it moves it on from HALTING or POLLING, once. */
enum cpu_idle {
    CPU_BUSY,
    CPU_HALTING,      /* it is, or is about to be, in HLT */
    CPU_POLLING,      /* it spins: a CPU that takes no interrupts */
    CPU_WOKEN,        /* it was polling and is to look */
    CPU_WOKEN_BY_IPI, /* it was halting, and APIC_WAKE_VECTOR is on its way */
};

struct cpu {
    struct cpu *self; /* at GS:0 */
    void *stack_top;  /* at GS:8, the normal stack */
    uint32_t index;   /* 0 = the bootstrap processor */
    uint32_t apic_id;
    atomic_bool online; /* it runs the hypervisor's code with its own tables */
    struct cpu_gdt gdt;
    struct cpu_tss tss __attribute__((aligned(16)));

    /* Running guests; see vcpu.h. */
    uint64_t vmxon_region;         /* physical; not 0 exactly while in VMX operation */
    struct vcpu *current;          /* whose VMCS is loaded, NULL = none */
    struct vcpu *queue;            /* circular list of the vCPUs pinned here; the tail */
    unsigned vcpu_count;           /* in that list */
    uint64_t served;               /* see sched.h */
    atomic_bool called;            /* the turn of the vCPU that runs is to end: sched_woken() */
    struct vcpu *_Atomic arrivals; /* list of vCPUs that other CPUs want in the queue */
    atomic_uint idle;              /* enum cpu_idle: cpu_wake() */
    bool owned;                    /* a vCPU has its APIC: no interrupt of ours may come here */
    uint64_t wakes;                /* APIC_WAKE_VECTOR taken ... */
    uint64_t wakes_before;         /* ... and those of before it became idle */
    uint64_t nmis;                 /* NMIs taken, in root mode or as exits */
    uint64_t interrupts;           /* external interrupts taken */
    uint64_t ipis_sent;
};

extern struct cpu *cpus[HANDOVER_MAX_CPUS]; /* online ones, dense from 0 */
extern unsigned cpu_count;

/* The CPU that runs this. */
static inline struct cpu *this_cpu(void)
{
    struct cpu *cpu;
    __asm__ volatile("mov %%gs:0, %0" : "=r"(cpu));
    return cpu;
}

/*
 * Give the bootstrap processor its GDT, IDT, per-CPU data and an emergency stack, and learn the
 * TSC's rate: enough for the console and for reporting an exception. Before everything else.
 */
void cpu_init_early(const struct handover *handover);

/* Set up the bootstrap processor: per-CPU data, GDT, IDT, TSS, stacks, control registers, local
 * APIC. */
void cpu_init_bsp(const struct handover *handover);

/*
 * Start all other CPUs of the hand-over (INIT-SIPI-SIPI with the delays of SDM 8.4.4, a time-out
 * each); one that stays silent is reported and left out. Each started CPU calls entry() on its own
 * stack and must not return from it; cpus[] and cpu_count hold all that came up when this returns.
 */
void cpu_start_others(const struct handover *handover, void (*entry)(void));

/* Make another CPU leave guest mode soon: an NMI. Counted in the caller's ipis_sent. */
void cpu_kick(struct cpu *cpu);

/* If that CPU is idle, have it look again for something to run: by an interrupt. */
void cpu_wake(struct cpu *cpu);

/* Have another CPU look at what it runs, be it idle (an interrupt) or in a guest (an NMI). */
void cpu_make_look(struct cpu *cpu);

/*
 * Being idle, in root mode: cpu_begin_idle(), then a look for work; if there was none cpu_wait(),
 * which returns when somebody wakes the CPU or the TSC reaches deadline (0 = no limit); then
 * cpu_end_idle(), which says whether somebody did. The wake's interrupt has come by then.
 */
void cpu_begin_idle(void);
void cpu_wait(uint64_t deadline);
bool cpu_end_idle(void);

/*
 * What this CPU does for an NMI, in root mode (from the IDT) and as a VM exit: count it, and drop
 * the translations of the current vCPU's guest if that is asked for.
 */
void cpu_handle_nmi(void);

/* What this CPU does for a machine check, in root mode or as a VM exit: report the banks and panic.
 */
void cpu_handle_machine_check(void);

/* Acknowledge the external interrupt of this vector at the local APIC. */
void cpu_handle_interrupt(unsigned vector);

/*
 * Let NMIs in again after a VM exit by an NMI, which leaves them blocked, by an IRET. Not for use
 * in an NMI handler.
 */
void cpu_unblock_nmis(void);

/* Wait, busily. us: microseconds. */
void cpu_delay_us(uint64_t us);

/*
 * Stop all other CPUs for good, by an NMI; those that have not stopped after a while are left to
 * themselves. Returns false when this CPU has done so before; does not return on a CPU that comes
 * second.
 */
bool cpu_stop_others(void);

/* Leave VMX operation, if this CPU's vmxon_region says that it is in it. */
void cpu_leave_vmx(void);

/* Ticks of the TSC per millisecond. */
extern uint64_t cpu_tsc_per_ms;

#endif
