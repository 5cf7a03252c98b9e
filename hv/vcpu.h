/*
 * A virtual CPU: its VMCS, the state the VMCS does not hold, and what was counted for it.
 */
#ifndef TRAPLINE_HV_VCPU_H
#define TRAPLINE_HV_VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "guest/include/trapline/abi.h"
#include "ept/ept.h"
#include "hv/interrupt.h"
#include "hv/vapic.h"
#include "vmx/entry.h"
#include "vmx/exits.h"
#include "vmx/instructions.h"
#include "vmx/x86.h"

struct cpu;
struct guest;

/* MSRs that neither the VMCS nor an exit switches; the hypervisor does not use them. */
enum switched_msr {
    SWITCHED_STAR,
    SWITCHED_LSTAR,
    SWITCHED_CSTAR,
    SWITCHED_FMASK,
    SWITCHED_KERNEL_GS_BASE,
    SWITCHED_TSC_AUX, /* last: only where RDTSCP or RDPID is shown */
    SWITCHED_COUNT
};

struct vcpu_stats {
    uint64_t exits[EXIT_REASONS];           /* but VMCALLs: those that are to come again */
    uint64_t hypercalls[TRAPLINE_HC_COUNT]; /* see vcpu_hypercalls() */
    uint64_t refused_hypercalls;            /* numbers that do not exist, and calls above CPL 0 */
    uint64_t flushes;
    uint64_t ipis;
    uint64_t traps;
    uint64_t spurious;
    uint64_t tracked;
};

enum protn_phase {
    PROTN_PREPARE, /* check the entries and split what has to be split */
    PROTN_APPLY,   /* change the protections; cannot fail */
};

/* PROTN over a long list goes on at its next VMCALL where it left off; see protn.c. */
struct protn_progress {
    bool active; /* and holds the EPT */
    enum protn_phase phase;
    uint64_t list, count, form; /* the call's arguments; count: entries */
    unsigned access;
    uint64_t index;  /* the next entry */
    uint64_t within; /* pages of that entry, a range, that are done */
    bool pause;      /* the last slice saw enough pages: let the timer in */
    bool reclaimed;  /* waiting tables were merged for this call already */
};

enum {
    PROTN_CHUNK = 1024, /* list entries taken over from the guest at a time */
};

/* PROTN's working memory: the guest's list is copied before it is checked. */
struct protn_buffer {
    union {
        uint64_t pages[PROTN_CHUNK];
        struct trapline_range ranges[PROTN_CHUNK / 2];
    };
    ept_slot slots[PROTN_CHUNK];
};

enum vcpu_state {
    VCPU_OFF,      /* VCPU_START has not come */
    VCPU_STARTING, /* its start is being written */
    VCPU_RUNNABLE,
    VCPU_SLEEPING, /* until vcpu_wake() or wake_at */
};

/* What VCPU_START takes over from its caller, and its arguments. */
struct vcpu_start {
    uint64_t entry, stack, argument;
    uint64_t cr0, cr0_shadow, cr3, cr4, cr4_shadow, efer, pat;
    uint64_t gdtr_base, gdtr_limit, idtr_base, idtr_limit;
};

struct vcpu {
    struct vmx_context context; /* first: the stub works on it */
    struct guest *guest;
    struct cpu *cpu;   /* where it is pinned */
    struct vcpu *next; /* circular, all vCPUs of that CPU */
    unsigned index;    /* within the guest */
    uint16_t vpid;
    uint64_t vmcs; /* physical */
    uint64_t eptp;
    uint64_t log;                   /* physical: its page-modification log; 0 = none, see pml.h */
    struct invept_descriptor flush; /* of eptp */
    uint16_t view;        /* the one that a violation, or a buffer's check, found it in last */
    uint16_t view_before; /* the last of these above 0 */
    atomic_uint_fast64_t eptp_seen; /* what its VMCS had when the CPU last said so; see view.h */
    uint64_t info;                  /* guest-physical address of its struct trapline_info */
    bool started;                   /* its VMCS has been filled in */
    atomic_uint state;              /* enum vcpu_state */
    atomic_bool loaded;             /* its VMCS is current on its CPU; see flush.h */
    atomic_bool waiting;            /* it spins for the guest's lock */
    atomic_uint_fast64_t seen_gen;  /* its translations are no older than this flush_gen */
    atomic_bool wake;               /* vcpu_wake() has come */
    atomic_bool unparked;           /* UNPARK has come, and no PARK has taken it */
    bool parked;                    /* it sleeps in PARK, whose result it is owed */
    uint64_t wake_at;               /* TSC value; 0 = no limit */
    struct vcpu_start start;        /* of a vCPU that another one started */

    struct vapic vapic;
    enum interrupt_path path;
    uint32_t proc;        /* its primary controls but for windows */
    bool window;          /* interrupt-window exiting is on */
    bool timer_event;     /* the preemption timer is for the APIC's timer, not for the slice */
    atomic_bool halted;   /* it sleeps in HLT; with direct interrupts: for good, as it seems */
    atomic_bool attached; /* it has its CPU's APIC; see direct.h */
    atomic_uint senders;  /* CPUs that look at attached to send it an interrupt */

    struct trapline_trap_area *trap_area; /* in guest RAM; NULL = no handler registered */
    uint64_t trap_area_at;                /* its guest-physical address */
    uint32_t raised_words;                /* bit n: word n of its raised[] is not 0 */
    struct protn_progress protn;
    struct protn_buffer *protn_buffer;
    struct vcpu_stats stats;
    struct vcpu_stats past; /* of the guest's runs before this one */

    /* Scheduling, in ticks of the TSC. */
    uint64_t slice_start;
    uint64_t served; /* how long it ran, and what it is taken to have: see sched.h */
    uint64_t slice_end;
    uint64_t time_limit; /* 0 = none */

    /* State that only a switch to another vCPU on the same CPU touches. */
    uint64_t msrs[SWITCHED_COUNT];
    uint64_t cr2;
    uint64_t dr[4];
    uint64_t dr6;
    uint64_t xcr0;
    uint32_t pkru; /* only where protection keys are shown */
    void *fpu;     /* XSAVE or FXSAVE area */
};

/* Make a vCPU; NULL = no memory. vcpu_begin() makes it ready to run. */
struct vcpu *vcpu_create(struct guest *guest, unsigned index);

/*
 * Make it ready for a run of its guest, whose EPT exists: everything as at its creation but the CPU
 * that it is pinned to and the counts of runs before. The guest's first one is going to start at
 * the guest's entry with RDI = info (guest-physical). False = no memory; then release it.
 */
bool vcpu_begin(struct vcpu *vcpu, uint64_t info);

/* Add what was counted in this run to what was counted in those before it. */
void vcpu_keep_stats(struct vcpu *vcpu);

/*
 * Take it off the CPU that it is pinned to, which runs this: clear its VMCS and leave nothing
 * cached under its EPTP and VPID, which another guest may get.
 */
void vcpu_unload(struct vcpu *vcpu);

/* Give back what it had for its run. No CPU uses it any more. */
void vcpu_release(struct vcpu *vcpu);

/* Give back the rest. */
void vcpu_destroy(struct vcpu *vcpu);

/*
 * Put the current vCPU, whose turn is then over, to sleep: until vcpu_wake(), which may have come
 * already since it last woke up, or the TSC value wake_at (0 = no limit).
 */
void vcpu_sleep(struct vcpu *vcpu, uint64_t wake_at);

/* Wake a vCPU up, from any CPU: it runs again, or its next vcpu_sleep() ends at once. */
void vcpu_wake(struct vcpu *vcpu);

/* Whether a vCPU can run now; one whose sleep is over is awake from then on. On its own CPU. */
bool vcpu_is_runnable(struct vcpu *vcpu, uint64_t now);

/* Take from the current vCPU what one that it starts begins with, but for its arguments. */
void vcpu_read_start(struct vcpu_start *start);

/* How many VMCALLs with this number it made; the exit stub counts those with number 0. */
static inline uint64_t vcpu_hypercalls(const struct vcpu *vcpu, unsigned number)
{
    return vcpu->stats.hypercalls[number] +
           (number == TRAPLINE_HC_NOP ? vmx_context_null_calls(&vcpu->context) : 0);
}

/* How many VMCALLs it made. */
uint64_t vcpu_vmcalls(const struct vcpu *vcpu);

/* Add what was counted for this vCPU to the guest's sums. */
void vcpu_sum_stats(const struct vcpu *vcpu, struct trapline_stats *stats);

/* Make its VMCS current and its unswitched state live on this CPU, after saving the previous one's.
 */
void vcpu_load(struct vcpu *vcpu);

/*
 * Drop the linear and combined translations of this vCPU's VPID: owed after the emulation of an
 * instruction that does so by itself, such as MOV to CR0 and CR4 (SDM 4.10.4.1, 28.3.3.1).
 */
void vcpu_flush_linear(struct vcpu *vcpu);

/* Inject a hardware exception at the current vCPU's next entry; error_code is ignored for vectors
 * without. */
static inline void vcpu_inject(unsigned vector, uint32_t error_code)
{
    bool with_code = vmx_exception_has_error_code(vector);

    if (with_code)
        vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, error_code);
    vmwrite(VMCS_ENTRY_INTERRUPTION_INFO,
            vmx_interruption(EVENT_HARDWARE_EXCEPTION, (uint8_t)vector, with_code));
}

/*
 * What retiring an instruction does besides, with interrupts on or single-stepping: it ends the
 * shadow of STI and MOV SS and raises the single-step trap (SDM 24.4.2). rflags: the guest's.
 */
void vcpu_end_shadow(uint64_t rflags);

/* Step the current vCPU over the instruction that caused its exit: what a finished emulation owes
 * the guest. */
static inline void vcpu_skip_instruction(void)
{
    uint64_t rflags = vmread(VMCS_GUEST_RFLAGS);

    vmwrite(VMCS_GUEST_RIP, vmread(VMCS_GUEST_RIP) + vmread(VMCS_EXIT_INSTRUCTION_LENGTH));
    if (__builtin_expect(rflags & (RFLAGS_IF | RFLAGS_TF), 0))
        vcpu_end_shadow(rflags);
}

/* Give the current vCPU a whole slice, or what is left to the first sleeper's time on its CPU. */
void vcpu_arm_timer(struct vcpu *vcpu);

/* Whether every entry of the current vCPU sets the preemption timer, by timer_deadline. */
void vcpu_time_entries(struct vcpu *vcpu, bool on);

/* Arm the preemption timer for the slice's end. */
void vcpu_arm_slice(struct vcpu *vcpu);

#endif
