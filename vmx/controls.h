/*
 * The VM-execution, VM-exit and VM-entry control bits, and what of them this CPU can do.
 *
 * Sources: SDM volume 3, 24.6 to 24.8 (the bits), appendix A.2 to A.5 (the capability MSRs),
 * 31.5.1 (the algorithm).
 */
#ifndef TRAPLINE_VMX_CONTROLS_H
#define TRAPLINE_VMX_CONTROLS_H

#include <stdbool.h>
#include <stdint.h>

struct vmx_caps;

/* The control words of 32 bits that are negotiated with a capability MSR each. */
enum vmx_control_field {
    VMX_CONTROL_PIN,
    VMX_CONTROL_PROC,
    VMX_CONTROL_PROC2,
    VMX_CONTROL_EXIT,
    VMX_CONTROL_ENTRY,
    VMX_CONTROL_FIELDS,
};

/* X(enumerator, bit, SDM name) */
#define VMX_PIN_BITS(X)                                                                            \
    X(VMX_PIN_EXTERNAL_INTERRUPT_EXITING, 0, "external-interrupt exiting")                         \
    X(VMX_PIN_NMI_EXITING, 3, "NMI exiting")                                                       \
    X(VMX_PIN_VIRTUAL_NMIS, 5, "virtual NMIs")                                                     \
    X(VMX_PIN_PREEMPTION_TIMER, 6, "activate VMX-preemption timer")                                \
    X(VMX_PIN_POSTED_INTERRUPTS, 7, "process posted interrupts")

#define VMX_PROC_BITS(X)                                                                           \
    X(VMX_PROC_INTERRUPT_WINDOW_EXITING, 2, "interrupt-window exiting")                            \
    X(VMX_PROC_TSC_OFFSETTING, 3, "use TSC offsetting")                                            \
    X(VMX_PROC_HLT_EXITING, 7, "HLT exiting")                                                      \
    X(VMX_PROC_INVLPG_EXITING, 9, "INVLPG exiting")                                                \
    X(VMX_PROC_MWAIT_EXITING, 10, "MWAIT exiting")                                                 \
    X(VMX_PROC_RDPMC_EXITING, 11, "RDPMC exiting")                                                 \
    X(VMX_PROC_RDTSC_EXITING, 12, "RDTSC exiting")                                                 \
    X(VMX_PROC_CR3_LOAD_EXITING, 15, "CR3-load exiting")                                           \
    X(VMX_PROC_CR3_STORE_EXITING, 16, "CR3-store exiting")                                         \
    X(VMX_PROC_TERTIARY_CONTROLS, 17, "activate tertiary controls")                                \
    X(VMX_PROC_CR8_LOAD_EXITING, 19, "CR8-load exiting")                                           \
    X(VMX_PROC_CR8_STORE_EXITING, 20, "CR8-store exiting")                                         \
    X(VMX_PROC_TPR_SHADOW, 21, "use TPR shadow")                                                   \
    X(VMX_PROC_NMI_WINDOW_EXITING, 22, "NMI-window exiting")                                       \
    X(VMX_PROC_MOV_DR_EXITING, 23, "MOV-DR exiting")                                               \
    X(VMX_PROC_UNCONDITIONAL_IO_EXITING, 24, "unconditional I/O exiting")                          \
    X(VMX_PROC_IO_BITMAPS, 25, "use I/O bitmaps")                                                  \
    X(VMX_PROC_MONITOR_TRAP_FLAG, 27, "monitor trap flag")                                         \
    X(VMX_PROC_MSR_BITMAPS, 28, "use MSR bitmaps")                                                 \
    X(VMX_PROC_MONITOR_EXITING, 29, "MONITOR exiting")                                             \
    X(VMX_PROC_PAUSE_EXITING, 30, "PAUSE exiting")                                                 \
    X(VMX_PROC_SECONDARY_CONTROLS, 31, "activate secondary controls")

#define VMX_PROC2_BITS(X)                                                                          \
    X(VMX_PROC2_VIRTUALIZE_APIC_ACCESSES, 0, "virtualize APIC accesses")                           \
    X(VMX_PROC2_ENABLE_EPT, 1, "enable EPT")                                                       \
    X(VMX_PROC2_DESCRIPTOR_TABLE_EXITING, 2, "descriptor-table exiting")                           \
    X(VMX_PROC2_ENABLE_RDTSCP, 3, "enable RDTSCP")                                                 \
    X(VMX_PROC2_VIRTUALIZE_X2APIC, 4, "virtualize x2APIC mode")                                    \
    X(VMX_PROC2_ENABLE_VPID, 5, "enable VPID")                                                     \
    X(VMX_PROC2_WBINVD_EXITING, 6, "WBINVD exiting")                                               \
    X(VMX_PROC2_UNRESTRICTED_GUEST, 7, "unrestricted guest")                                       \
    X(VMX_PROC2_APIC_REGISTER_VIRTUALIZATION, 8, "APIC-register virtualization")                   \
    X(VMX_PROC2_VIRTUAL_INTERRUPT_DELIVERY, 9, "virtual-interrupt delivery")                       \
    X(VMX_PROC2_PAUSE_LOOP_EXITING, 10, "PAUSE-loop exiting")                                      \
    X(VMX_PROC2_RDRAND_EXITING, 11, "RDRAND exiting")                                              \
    X(VMX_PROC2_ENABLE_INVPCID, 12, "enable INVPCID")                                              \
    X(VMX_PROC2_ENABLE_VM_FUNCTIONS, 13, "enable VM functions")                                    \
    X(VMX_PROC2_VMCS_SHADOWING, 14, "VMCS shadowing")                                              \
    X(VMX_PROC2_ENCLS_EXITING, 15, "enable ENCLS exiting")                                         \
    X(VMX_PROC2_RDSEED_EXITING, 16, "RDSEED exiting")                                              \
    X(VMX_PROC2_ENABLE_PML, 17, "enable PML")                                                      \
    X(VMX_PROC2_EPT_VIOLATION_VE, 18, "EPT-violation #VE")                                         \
    X(VMX_PROC2_CONCEAL_VMX_FROM_PT, 19, "conceal VMX from PT")                                    \
    X(VMX_PROC2_ENABLE_XSAVES, 20, "enable XSAVES/XRSTORS")                                        \
    X(VMX_PROC2_PASID_TRANSLATION, 21, "PASID translation")                                        \
    X(VMX_PROC2_MODE_BASED_EXECUTE, 22, "mode-based execute control for EPT")                      \
    X(VMX_PROC2_SUB_PAGE_PERMISSIONS, 23, "sub-page write permissions for EPT")                    \
    X(VMX_PROC2_PT_GUEST_PHYSICAL, 24, "Intel PT uses guest physical addresses")                   \
    X(VMX_PROC2_TSC_SCALING, 25, "use TSC scaling")                                                \
    X(VMX_PROC2_USER_WAIT_PAUSE, 26, "enable user wait and pause")                                 \
    X(VMX_PROC2_ENABLE_PCONFIG, 27, "enable PCONFIG")                                              \
    X(VMX_PROC2_ENCLV_EXITING, 28, "enable ENCLV exiting")                                         \
    X(VMX_PROC2_BUS_LOCK_DETECTION, 30, "VMM bus-lock detection")                                  \
    X(VMX_PROC2_INSTRUCTION_TIMEOUT, 31, "instruction timeout")

#define VMX_EXIT_BITS(X)                                                                           \
    X(VMX_EXIT_SAVE_DEBUG_CONTROLS, 2, "save debug controls")                                      \
    X(VMX_EXIT_HOST_ADDRESS_SPACE_SIZE, 9, "host address-space size")                              \
    X(VMX_EXIT_LOAD_PERF_GLOBAL_CTRL, 12, "load IA32_PERF_GLOBAL_CTRL")                            \
    X(VMX_EXIT_ACKNOWLEDGE_INTERRUPT, 15, "acknowledge interrupt on exit")                         \
    X(VMX_EXIT_SAVE_PAT, 18, "save IA32_PAT")                                                      \
    X(VMX_EXIT_LOAD_PAT, 19, "load IA32_PAT")                                                      \
    X(VMX_EXIT_SAVE_EFER, 20, "save IA32_EFER")                                                    \
    X(VMX_EXIT_LOAD_EFER, 21, "load IA32_EFER")                                                    \
    X(VMX_EXIT_SAVE_PREEMPTION_TIMER, 22, "save VMX-preemption timer value")                       \
    X(VMX_EXIT_CLEAR_BNDCFGS, 23, "clear IA32_BNDCFGS")                                            \
    X(VMX_EXIT_CONCEAL_VMX_FROM_PT, 24, "conceal VMX from PT")                                     \
    X(VMX_EXIT_CLEAR_RTIT_CTL, 25, "clear IA32_RTIT_CTL")                                          \
    X(VMX_EXIT_CLEAR_LBR_CTL, 26, "clear IA32_LBR_CTL")                                            \
    X(VMX_EXIT_CLEAR_UINV, 27, "clear UINV")                                                       \
    X(VMX_EXIT_LOAD_CET, 28, "load CET state")                                                     \
    X(VMX_EXIT_LOAD_PKRS, 29, "load PKRS")                                                         \
    X(VMX_EXIT_SAVE_PERF_GLOBAL_CTRL, 30, "save IA32_PERF_GLOBAL_CTRL")                            \
    X(VMX_EXIT_SECONDARY_CONTROLS, 31, "activate secondary VM-exit controls")

#define VMX_ENTRY_BITS(X)                                                                          \
    X(VMX_ENTRY_LOAD_DEBUG_CONTROLS, 2, "load debug controls")                                     \
    X(VMX_ENTRY_IA32E_MODE_GUEST, 9, "IA-32e mode guest")                                          \
    X(VMX_ENTRY_TO_SMM, 10, "entry to SMM")                                                        \
    X(VMX_ENTRY_DEACTIVATE_DUAL_MONITOR, 11, "deactivate dual-monitor treatment")                  \
    X(VMX_ENTRY_LOAD_PERF_GLOBAL_CTRL, 13, "load IA32_PERF_GLOBAL_CTRL")                           \
    X(VMX_ENTRY_LOAD_PAT, 14, "load IA32_PAT")                                                     \
    X(VMX_ENTRY_LOAD_EFER, 15, "load IA32_EFER")                                                   \
    X(VMX_ENTRY_LOAD_BNDCFGS, 16, "load IA32_BNDCFGS")                                             \
    X(VMX_ENTRY_CONCEAL_VMX_FROM_PT, 17, "conceal VMX from PT")                                    \
    X(VMX_ENTRY_LOAD_RTIT_CTL, 18, "load IA32_RTIT_CTL")                                           \
    X(VMX_ENTRY_LOAD_UINV, 19, "load UINV")                                                        \
    X(VMX_ENTRY_LOAD_CET, 20, "load CET state")                                                    \
    X(VMX_ENTRY_LOAD_LBR_CTL, 21, "load guest IA32_LBR_CTL")                                       \
    X(VMX_ENTRY_LOAD_PKRS, 22, "load PKRS")

#define VMX_CONTROL_ENUMERATOR(name, bit, text) name = 1u << (bit),
enum vmx_pin {
    VMX_PIN_BITS(VMX_CONTROL_ENUMERATOR)
};
enum vmx_proc {
    VMX_PROC_BITS(VMX_CONTROL_ENUMERATOR)
};
enum vmx_proc2 {
    VMX_PROC2_BITS(VMX_CONTROL_ENUMERATOR)
};
enum vmx_exit_control {
    VMX_EXIT_BITS(VMX_CONTROL_ENUMERATOR)
};
enum vmx_entry_control {
    VMX_ENTRY_BITS(VMX_CONTROL_ENUMERATOR)
};
#undef VMX_CONTROL_ENUMERATOR

/* Tertiary processor-based controls: a word of 64 bits whose MSR gives the allowed 1s alone. */
enum vmx_proc3 {
    VMX_PROC3_LOADIWKEY_EXITING = 1u << 0,
    VMX_PROC3_ENABLE_HLAT = 1u << 1,
    VMX_PROC3_EPT_PAGING_WRITE = 1u << 2,
    VMX_PROC3_GUEST_PAGING_VERIFICATION = 1u << 3,
    VMX_PROC3_IPI_VIRTUALIZATION = 1u << 4,
    VMX_PROC3_VIRTUALIZE_SPEC_CTRL = 1u << 7,
};

/* What the caller wants of one control word. */
struct vmx_control_request {
    uint32_t required; /* an error if one cannot be 1 */
    uint32_t optional; /* 1 where it can be */
};

struct vmx_control_result {
    uint32_t value;   /* for the VMCS; within what the CPU allows even if something is missing */
    uint32_t missing; /* required bits that cannot be 1 */
    uint32_t forced;  /* bits that must be 1 and were neither required nor optional */
};

/*
 * The value of one control word: what must be 1, what is required, and what is optional and
 * possible. The TRUE capability MSRs decide where IA32_VMX_BASIC[55] announces them. Secondary
 * controls on a CPU without them: every required bit is missing. 0, or -1 if result->missing is not
 * 0.
 */
int vmx_negotiate(enum vmx_control_field field, const struct vmx_caps *caps,
                  const struct vmx_control_request *request, struct vmx_control_result *result);

/* The bits of a control word that must be 1, and those that may be. */
uint32_t vmx_control_must_be_1(enum vmx_control_field field, const struct vmx_caps *caps);
uint32_t vmx_control_may_be_1(enum vmx_control_field field, const struct vmx_caps *caps);

/* The SDM's name of bit number bit (0 to 31) of a control word; NULL if the SDM defines none. */
const char *vmx_control_name(enum vmx_control_field field, unsigned bit);

/* "pin-based", "primary processor-based", ...; NULL beyond the last. */
const char *vmx_control_field_name(enum vmx_control_field field);

#endif
