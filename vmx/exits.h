/*
 * Why a VM exit happened: basic exit reasons, exit qualifications, event information.
 *
 * Sources: SDM volume 3, appendix C (exit reasons), 27.2.1 (exit qualifications), 24.8.3, 24.9.2
 * and 24.9.3 (event information), 30.4 (VM-instruction errors).
 */
#ifndef TRAPLINE_VMX_EXITS_H
#define TRAPLINE_VMX_EXITS_H

#include <stdbool.h>
#include <stdint.h>

/* X(enumerator, basic exit reason, name) */
#define VMX_EXIT_REASONS(X)                                                                        \
    X(EXIT_REASON_EXCEPTION_OR_NMI, 0, "exception or NMI")                                         \
    X(EXIT_REASON_EXTERNAL_INTERRUPT, 1, "external interrupt")                                     \
    X(EXIT_REASON_TRIPLE_FAULT, 2, "triple fault")                                                 \
    X(EXIT_REASON_INIT, 3, "INIT signal")                                                          \
    X(EXIT_REASON_SIPI, 4, "start-up IPI")                                                         \
    X(EXIT_REASON_IO_SMI, 5, "I/O SMI")                                                            \
    X(EXIT_REASON_OTHER_SMI, 6, "other SMI")                                                       \
    X(EXIT_REASON_INTERRUPT_WINDOW, 7, "interrupt window")                                         \
    X(EXIT_REASON_NMI_WINDOW, 8, "NMI window")                                                     \
    X(EXIT_REASON_TASK_SWITCH, 9, "task switch")                                                   \
    X(EXIT_REASON_CPUID, 10, "CPUID")                                                              \
    X(EXIT_REASON_GETSEC, 11, "GETSEC")                                                            \
    X(EXIT_REASON_HLT, 12, "HLT")                                                                  \
    X(EXIT_REASON_INVD, 13, "INVD")                                                                \
    X(EXIT_REASON_INVLPG, 14, "INVLPG")                                                            \
    X(EXIT_REASON_RDPMC, 15, "RDPMC")                                                              \
    X(EXIT_REASON_RDTSC, 16, "RDTSC")                                                              \
    X(EXIT_REASON_RSM, 17, "RSM")                                                                  \
    X(EXIT_REASON_VMCALL, 18, "VMCALL")                                                            \
    X(EXIT_REASON_VMCLEAR, 19, "VMCLEAR")                                                          \
    X(EXIT_REASON_VMLAUNCH, 20, "VMLAUNCH")                                                        \
    X(EXIT_REASON_VMPTRLD, 21, "VMPTRLD")                                                          \
    X(EXIT_REASON_VMPTRST, 22, "VMPTRST")                                                          \
    X(EXIT_REASON_VMREAD, 23, "VMREAD")                                                            \
    X(EXIT_REASON_VMRESUME, 24, "VMRESUME")                                                        \
    X(EXIT_REASON_VMWRITE, 25, "VMWRITE")                                                          \
    X(EXIT_REASON_VMXOFF, 26, "VMXOFF")                                                            \
    X(EXIT_REASON_VMXON, 27, "VMXON")                                                              \
    X(EXIT_REASON_CR_ACCESS, 28, "control-register access")                                        \
    X(EXIT_REASON_MOV_DR, 29, "MOV DR")                                                            \
    X(EXIT_REASON_IO, 30, "I/O instruction")                                                       \
    X(EXIT_REASON_RDMSR, 31, "RDMSR")                                                              \
    X(EXIT_REASON_WRMSR, 32, "WRMSR")                                                              \
    X(EXIT_REASON_ENTRY_GUEST_STATE, 33, "VM-entry failure: invalid guest state")                  \
    X(EXIT_REASON_ENTRY_MSR_LOADING, 34, "VM-entry failure: MSR loading")                          \
    X(EXIT_REASON_MWAIT, 36, "MWAIT")                                                              \
    X(EXIT_REASON_MONITOR_TRAP_FLAG, 37, "monitor trap flag")                                      \
    X(EXIT_REASON_MONITOR, 39, "MONITOR")                                                          \
    X(EXIT_REASON_PAUSE, 40, "PAUSE")                                                              \
    X(EXIT_REASON_ENTRY_MACHINE_CHECK, 41, "VM-entry failure: machine check")                      \
    X(EXIT_REASON_TPR_BELOW_THRESHOLD, 43, "TPR below threshold")                                  \
    X(EXIT_REASON_APIC_ACCESS, 44, "APIC access")                                                  \
    X(EXIT_REASON_VIRTUALIZED_EOI, 45, "virtualized EOI")                                          \
    X(EXIT_REASON_GDTR_IDTR, 46, "access to GDTR or IDTR")                                         \
    X(EXIT_REASON_LDTR_TR, 47, "access to LDTR or TR")                                             \
    X(EXIT_REASON_EPT_VIOLATION, 48, "EPT violation")                                              \
    X(EXIT_REASON_EPT_MISCONFIGURATION, 49, "EPT misconfiguration")                                \
    X(EXIT_REASON_INVEPT, 50, "INVEPT")                                                            \
    X(EXIT_REASON_RDTSCP, 51, "RDTSCP")                                                            \
    X(EXIT_REASON_PREEMPTION_TIMER, 52, "VMX-preemption timer expired")                            \
    X(EXIT_REASON_INVVPID, 53, "INVVPID")                                                          \
    X(EXIT_REASON_WBINVD, 54, "WBINVD or WBNOINVD")                                                \
    X(EXIT_REASON_XSETBV, 55, "XSETBV")                                                            \
    X(EXIT_REASON_APIC_WRITE, 56, "APIC write")                                                    \
    X(EXIT_REASON_RDRAND, 57, "RDRAND")                                                            \
    X(EXIT_REASON_INVPCID, 58, "INVPCID")                                                          \
    X(EXIT_REASON_VMFUNC, 59, "VMFUNC")                                                            \
    X(EXIT_REASON_ENCLS, 60, "ENCLS")                                                              \
    X(EXIT_REASON_RDSEED, 61, "RDSEED")                                                            \
    X(EXIT_REASON_PML_FULL, 62, "page-modification log full")                                      \
    X(EXIT_REASON_XSAVES, 63, "XSAVES")                                                            \
    X(EXIT_REASON_XRSTORS, 64, "XRSTORS")                                                          \
    X(EXIT_REASON_PCONFIG, 65, "PCONFIG")                                                          \
    X(EXIT_REASON_SPP, 66, "SPP-related event")                                                    \
    X(EXIT_REASON_UMWAIT, 67, "UMWAIT")                                                            \
    X(EXIT_REASON_TPAUSE, 68, "TPAUSE")                                                            \
    X(EXIT_REASON_LOADIWKEY, 69, "LOADIWKEY")                                                      \
    X(EXIT_REASON_ENCLV, 70, "ENCLV")                                                              \
    X(EXIT_REASON_ENQCMD_PASID, 72, "ENQCMD PASID translation failure")                            \
    X(EXIT_REASON_ENQCMDS_PASID, 73, "ENQCMDS PASID translation failure")                          \
    X(EXIT_REASON_BUS_LOCK, 74, "bus lock")                                                        \
    X(EXIT_REASON_INSTRUCTION_TIMEOUT, 75, "instruction timeout")                                  \
    X(EXIT_REASON_SEAMCALL, 76, "SEAMCALL")                                                        \
    X(EXIT_REASON_TDCALL, 77, "TDCALL")                                                            \
    X(EXIT_REASON_RDMSRLIST, 78, "RDMSRLIST")                                                      \
    X(EXIT_REASON_WRMSRLIST, 79, "WRMSRLIST")

enum exit_reason {
#define VMX_EXIT_REASON_ENUMERATOR(name, number, text) name = number,
    VMX_EXIT_REASONS(VMX_EXIT_REASON_ENUMERATOR)
#undef VMX_EXIT_REASON_ENUMERATOR
    EXIT_REASONS /* one more than the greatest */
};

/* The parts of VMCS_EXIT_REASON (24.9.1). */
enum exit_reason_bits {
    EXIT_REASON_BASIC = 0xffff,
    EXIT_REASON_BUS_LOCK_TOO = 1u << 26,
    EXIT_REASON_ENCLAVE = 1u << 27,
    EXIT_REASON_PENDING_MTF = 1u << 28,
    EXIT_REASON_FROM_ROOT = 1u << 29,
    EXIT_REASON_ENTRY_FAILURE = 1u << 31,
};

/* The name of a basic exit reason (bits 15:0 of the field); NULL if the SDM has none. */
const char *vmx_exit_name(uint32_t reason);

/* What a VM-instruction error number means; NULL for a number that the SDM does not have. */
const char *vmx_instruction_error_name(uint32_t error);

/* The part of the state check that failed, from the qualification of a failed VM entry (26.8). */
enum entry_failure {
    ENTRY_FAILURE_OTHER = 0,
    ENTRY_FAILURE_PDPTE = 2,
    ENTRY_FAILURE_NMI_IN_STI_SHADOW = 3,
    ENTRY_FAILURE_LINK_POINTER = 4,
};

/* Exit qualification of an EPT violation (table 27-7). */
enum ept_violation_bits {
    EPT_VIOLATION_READ = 1u << 0,
    EPT_VIOLATION_WRITE = 1u << 1,
    EPT_VIOLATION_FETCH = 1u << 2,
    EPT_VIOLATION_READABLE = 1u << 3,
    EPT_VIOLATION_WRITABLE = 1u << 4,
    EPT_VIOLATION_EXECUTABLE = 1u << 5,
    EPT_VIOLATION_USER_EXECUTABLE = 1u << 6,
    EPT_VIOLATION_LINEAR_VALID = 1u << 7,
    EPT_VIOLATION_TRANSLATED =
        1u << 8, /* the access itself; 0: to a paging structure or its flags */
    EPT_VIOLATION_USER_PAGE = 1u << 9, /* 9 to 11: with advanced information only */
    EPT_VIOLATION_WRITABLE_PAGE = 1u << 10,
    EPT_VIOLATION_NX_PAGE = 1u << 11,
    EPT_VIOLATION_NMI_UNBLOCKING = 1u << 12,
    EPT_VIOLATION_SHADOW_STACK = 1u << 13,
    EPT_VIOLATION_SUPERVISOR_SHADOW = 1u << 14,
    EPT_VIOLATION_GUEST_PAGING_VERIFICATION = 1u << 15,
    EPT_VIOLATION_ASYNCHRONOUS = 1u << 16, /* not by an instruction or event delivery */
};

struct ept_violation {
    bool read, write, fetch;             /* what was tried; a read-modify-write may show both */
    bool readable, writable, executable; /* what all the entries together allow */
    bool user_executable;                /* with mode-based execute control */
    bool linear_valid;                   /* VMCS_GUEST_LINEAR_ADDRESS is valid */
    bool paging_structure; /* linear_valid, and the access was to a paging structure */
    bool nmi_unblocking;   /* IRET had unblocked NMIs: block them again (27.2.3) */
    bool asynchronous;
};

/* Exit qualification of a control-register access (table 27-3). */
enum cr_access_type {
    CR_ACCESS_MOV_TO = 0,
    CR_ACCESS_MOV_FROM = 1,
    CR_ACCESS_CLTS = 2,
    CR_ACCESS_LMSW = 3,
};

struct cr_access {
    enum cr_access_type type;
    unsigned cr;          /* 0, 3, 4 or 8; 0 for CLTS and LMSW */
    unsigned reg;         /* MOV: the general register, 0 to 15, for vmx_reg() */
    bool lmsw_memory;     /* LMSW with a memory operand */
    uint16_t lmsw_source; /* LMSW's operand */
};

/* Exit qualification of MOV DR (table 27-4). */
struct dr_access {
    unsigned dr;  /* 0 to 7 */
    unsigned reg; /* the general register, 0 to 15 */
    bool from;    /* MOV from the debug register */
};

/* Exit qualification of an I/O instruction (table 27-5). */
struct io_access {
    uint16_t port;
    unsigned size; /* bytes: 1, 2 or 4 */
    bool in;
    bool string; /* INS or OUTS */
    bool rep;
    bool immediate; /* the port was an immediate operand, not DX */
};

/* Exit qualification of a task switch (table 27-2). */
enum task_switch_source {
    TASK_SWITCH_CALL = 0,
    TASK_SWITCH_IRET = 1,
    TASK_SWITCH_JMP = 2,
    TASK_SWITCH_TASK_GATE = 3,
};

struct task_switch {
    uint16_t selector;
    enum task_switch_source source;
};

/* Exit qualification of a debug exception (table 27-1): the format of DR6 with its bits active
 * high. */
enum debug_qualification_bits {
    DEBUG_EXIT_BREAKPOINTS = 0xf,
    DEBUG_EXIT_BUS_LOCK = 1u << 11,
    DEBUG_EXIT_DR_ACCESS = 1u << 13,
    DEBUG_EXIT_SINGLE_STEP = 1u << 14,
    DEBUG_EXIT_RTM = 1u << 16,
};

struct ept_violation vmx_decode_ept_violation(uint64_t qualification);
struct cr_access vmx_decode_cr_access(uint64_t qualification);
struct dr_access vmx_decode_dr_access(uint64_t qualification);
struct io_access vmx_decode_io(uint64_t qualification);
struct task_switch vmx_decode_task_switch(uint64_t qualification);

/* Event type, bits 10:8 of the interruption information (24.8.3, 24.9.2, 24.9.3). */
enum event_type {
    EVENT_EXTERNAL_INTERRUPT = 0,
    EVENT_NMI = 2,
    EVENT_HARDWARE_EXCEPTION = 3,
    EVENT_SOFTWARE_INTERRUPT = 4,
    EVENT_PRIVILEGED_SOFTWARE_EXCEPTION = 5, /* INT1 */
    EVENT_SOFTWARE_EXCEPTION = 6,            /* INT3, INTO */
    EVENT_OTHER = 7,
};

enum interruption_bits {
    INTERRUPTION_VECTOR = 0xff,
    INTERRUPTION_TYPE_SHIFT = 8,
    INTERRUPTION_TYPE = 7u << 8,
    INTERRUPTION_ERROR_CODE = 1u << 11,
    INTERRUPTION_NMI_UNBLOCKING = 1u << 12, /* VM-exit information only */
    INTERRUPTION_RESERVED = 0x7ffff000,     /* of the VM-entry field */
    INTERRUPTION_VALID = 1u << 31,
};

struct interruption {
    bool valid;
    uint8_t vector;
    enum event_type type;
    bool has_error_code;
    bool nmi_unblocking;
};

struct interruption vmx_decode_interruption(uint32_t info);

/* A value for VMCS_ENTRY_INTERRUPTION_INFO. */
uint32_t vmx_interruption(enum event_type type, uint8_t vector, bool has_error_code);

/*
 * The same for the event that VMCS_IDT_VECTORING_INFO describes, to deliver it again; 0 if it is
 * not valid (27.2.4). The error code and, for software events, the instruction length are the
 * caller's.
 */
uint32_t vmx_reinject(uint32_t idt_vectoring_info);

/* Does the exception with this vector push an error code outside real-address mode (6.3.1)? */
bool vmx_exception_has_error_code(unsigned vector);

/* "#UD", "#PF", ...; NULL for a vector that is no exception. */
const char *vmx_exception_name(unsigned vector);

/* VMCS_GUEST_INTERRUPTIBILITY (table 24-3) */
enum interruptibility_bits {
    INTERRUPTIBILITY_STI = 1u << 0,
    INTERRUPTIBILITY_MOV_SS = 1u << 1,
    INTERRUPTIBILITY_SMI = 1u << 2,
    INTERRUPTIBILITY_NMI = 1u << 3,
    INTERRUPTIBILITY_ENCLAVE = 1u << 4,
};

/* VMCS_GUEST_ACTIVITY (24.4.2) */
enum activity_state {
    ACTIVITY_ACTIVE = 0,
    ACTIVITY_HLT = 1,
    ACTIVITY_SHUTDOWN = 2,
    ACTIVITY_WAIT_FOR_SIPI = 3,
};

/* VMCS_GUEST_PENDING_DEBUG (table 24-4) */
enum pending_debug_bits {
    PENDING_DEBUG_BREAKPOINTS = 0xf,
    PENDING_DEBUG_BUS_LOCK = 1u << 11,
    PENDING_DEBUG_ENABLED = 1u << 12,
    PENDING_DEBUG_SINGLE_STEP = 1u << 14,
    PENDING_DEBUG_RTM = 1u << 16,
};

#endif
