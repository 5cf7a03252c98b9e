#include "vmx/exits.h"

#include <stddef.h>

#include "vmx/x86.h"

const char *vmx_exit_name(uint32_t reason)
{
    switch (reason & EXIT_REASON_BASIC) {
#define VMX_EXIT_REASON_CASE(name, number, text)                                                   \
    case name: return text;
        VMX_EXIT_REASONS(VMX_EXIT_REASON_CASE)
#undef VMX_EXIT_REASON_CASE
    }
    return NULL;
}

const char *vmx_instruction_error_name(uint32_t error)
{
    static const char *const names[] = {
        [1] = "VMCALL executed in VMX root operation",
        [2] = "VMCLEAR with invalid physical address",
        [3] = "VMCLEAR with VMXON pointer",
        [4] = "VMLAUNCH with non-clear VMCS",
        [5] = "VMRESUME with non-launched VMCS",
        [6] = "VMRESUME after VMXOFF",
        [7] = "VM entry with invalid control field(s)",
        [8] = "VM entry with invalid host-state field(s)",
        [9] = "VMPTRLD with invalid physical address",
        [10] = "VMPTRLD with VMXON pointer",
        [11] = "VMPTRLD with incorrect VMCS revision identifier",
        [12] = "VMREAD or VMWRITE of an unsupported VMCS component",
        [13] = "VMWRITE to a read-only VMCS component",
        [15] = "VMXON executed in VMX root operation",
        [16] = "VM entry with invalid executive-VMCS pointer",
        [17] = "VM entry with non-launched executive VMCS",
        [18] = "VM entry with executive-VMCS pointer not VMXON pointer",
        [19] = "VMCALL with non-clear VMCS",
        [20] = "VMCALL with invalid VM-exit control fields",
        [22] = "VMCALL with incorrect MSEG revision identifier",
        [23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
        [24] = "VMCALL with invalid SMM-monitor features",
        [25] = "VM entry with invalid VM-execution control fields in executive VMCS",
        [26] = "VM entry with events blocked by MOV SS",
        [28] = "invalid operand to INVEPT or INVVPID",
    };
    return error < sizeof names / sizeof names[0] ? names[error] : NULL;
}

struct ept_violation vmx_decode_ept_violation(uint64_t qualification)
{
    return (struct ept_violation){
        .read = qualification & EPT_VIOLATION_READ,
        .write = qualification & EPT_VIOLATION_WRITE,
        .fetch = qualification & EPT_VIOLATION_FETCH,
        .readable = qualification & EPT_VIOLATION_READABLE,
        .writable = qualification & EPT_VIOLATION_WRITABLE,
        .executable = qualification & EPT_VIOLATION_EXECUTABLE,
        .user_executable = qualification & EPT_VIOLATION_USER_EXECUTABLE,
        .linear_valid = qualification & EPT_VIOLATION_LINEAR_VALID,
        .paging_structure = (qualification & EPT_VIOLATION_LINEAR_VALID) &&
                            !(qualification & EPT_VIOLATION_TRANSLATED),
        .nmi_unblocking = qualification & EPT_VIOLATION_NMI_UNBLOCKING,
        .asynchronous = qualification & EPT_VIOLATION_ASYNCHRONOUS,
    };
}

struct cr_access vmx_decode_cr_access(uint64_t qualification)
{
    struct cr_access access = {
        .type = (enum cr_access_type)((qualification >> 4) & 3),
        .cr = qualification & 0xf,
    };
    if (access.type == CR_ACCESS_LMSW) {
        access.lmsw_memory = (qualification >> 6) & 1;
        access.lmsw_source = (uint16_t)(qualification >> 16);
    } else if (access.type != CR_ACCESS_CLTS) {
        access.reg = (qualification >> 8) & 0xf;
    }
    return access;
}

struct dr_access vmx_decode_dr_access(uint64_t qualification)
{
    return (struct dr_access){
        .dr = qualification & 7,
        .reg = (qualification >> 8) & 0xf,
        .from = (qualification >> 4) & 1,
    };
}

struct io_access vmx_decode_io(uint64_t qualification)
{
    return (struct io_access){
        .port = (uint16_t)(qualification >> 16),
        .size = (qualification & 7) + 1,
        .in = (qualification >> 3) & 1,
        .string = (qualification >> 4) & 1,
        .rep = (qualification >> 5) & 1,
        .immediate = (qualification >> 6) & 1,
    };
}

struct task_switch vmx_decode_task_switch(uint64_t qualification)
{
    return (struct task_switch){
        .selector = (uint16_t)qualification,
        .source = (enum task_switch_source)((qualification >> 30) & 3),
    };
}

struct interruption vmx_decode_interruption(uint32_t info)
{
    return (struct interruption){
        .valid = info & INTERRUPTION_VALID,
        .vector = info & INTERRUPTION_VECTOR,
        .type = (enum event_type)((info & INTERRUPTION_TYPE) >> INTERRUPTION_TYPE_SHIFT),
        .has_error_code = info & INTERRUPTION_ERROR_CODE,
        .nmi_unblocking = info & INTERRUPTION_NMI_UNBLOCKING,
    };
}

uint32_t vmx_interruption(enum event_type type, uint8_t vector, bool has_error_code)
{
    return INTERRUPTION_VALID | (uint32_t)type << INTERRUPTION_TYPE_SHIFT | vector |
           (has_error_code ? INTERRUPTION_ERROR_CODE : 0);
}

uint32_t vmx_reinject(uint32_t idt_vectoring_info)
{
    /* Bit 12 is undefined there and reserved in the VM-entry field. */
    return idt_vectoring_info & INTERRUPTION_VALID ? idt_vectoring_info & ~INTERRUPTION_RESERVED
                                                   : 0;
}

bool vmx_exception_has_error_code(unsigned vector)
{
    switch (vector) {
    case VECTOR_DF:
    case VECTOR_TS:
    case VECTOR_NP:
    case VECTOR_SS:
    case VECTOR_GP:
    case VECTOR_PF:
    case VECTOR_AC:
    case VECTOR_CP: return true;
    default: return false;
    }
}

const char *vmx_exception_name(unsigned vector)
{
    static const char *const names[] = {
        [VECTOR_DE] = "#DE", [VECTOR_DB] = "#DB", [VECTOR_NMI] = "NMI", [VECTOR_BP] = "#BP",
        [VECTOR_OF] = "#OF", [VECTOR_BR] = "#BR", [VECTOR_UD] = "#UD",  [VECTOR_NM] = "#NM",
        [VECTOR_DF] = "#DF", [VECTOR_TS] = "#TS", [VECTOR_NP] = "#NP",  [VECTOR_SS] = "#SS",
        [VECTOR_GP] = "#GP", [VECTOR_PF] = "#PF", [VECTOR_MF] = "#MF",  [VECTOR_AC] = "#AC",
        [VECTOR_MC] = "#MC", [VECTOR_XM] = "#XM", [VECTOR_VE] = "#VE",  [VECTOR_CP] = "#CP",
    };
    return vector < sizeof names / sizeof names[0] ? names[vector] : NULL;
}
