/*
 * The VMX instructions (SDM volume 3, chapter 30). Those used at set-up report VMfail; the plain
 * vmread and vmwrite are for the exit path, where the field is known to exist and a VMCS is
 * current.
 */
#ifndef TRAPLINE_VMX_INSTRUCTIONS_H
#define TRAPLINE_VMX_INSTRUCTIONS_H

#include <stdint.h>

#include "vmx/fields.h"

/* The conventions of 30.2. */
enum vmx_outcome {
    VMX_SUCCEED = 0,
    VMX_FAIL_INVALID = 1, /* CF: no current VMCS */
    VMX_FAIL_VALID = 2,   /* ZF: the number is in VMCS_INSTRUCTION_ERROR */
};

enum invept_type {
    INVEPT_SINGLE_CONTEXT = 1,
    INVEPT_ALL_CONTEXTS = 2,
};

enum invvpid_type {
    INVVPID_ADDRESS = 0,
    INVVPID_SINGLE_CONTEXT = 1,
    INVVPID_ALL_CONTEXTS = 2,
    INVVPID_RETAIN_GLOBALS = 3,
};

#define VMX_OUTCOME(carry, zero)                                                                   \
    ((carry) ? VMX_FAIL_INVALID : (zero) ? VMX_FAIL_VALID : VMX_SUCCEED)

/* Enter VMX operation; region: physical address of a VMXON region with the revision identifier. */
static inline enum vmx_outcome vmxon(uint64_t region)
{
    int carry, zero;
    __asm__ volatile("vmxon %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(region) : "memory");
    return VMX_OUTCOME(carry, zero);
}

static inline enum vmx_outcome vmxoff(void)
{
    int carry, zero;
    __asm__ volatile("vmxoff" : "=@ccc"(carry), "=@ccz"(zero) : : "memory");
    return VMX_OUTCOME(carry, zero);
}

/* Write the VMCS at this physical address back and make it clear and not current. */
static inline enum vmx_outcome vmclear(uint64_t vmcs)
{
    int carry, zero;
    __asm__ volatile("vmclear %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs) : "memory");
    return VMX_OUTCOME(carry, zero);
}

/* Make the VMCS at this physical address current. */
static inline enum vmx_outcome vmptrld(uint64_t vmcs)
{
    int carry, zero;
    __asm__ volatile("vmptrld %2" : "=@ccc"(carry), "=@ccz"(zero) : "m"(vmcs) : "memory");
    return VMX_OUTCOME(carry, zero);
}

/* A field of the current VMCS; the field must exist. */
static inline uint64_t vmread(enum vmcs_field field)
{
    uint64_t value;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"((uint64_t)field) : "cc");
    return value;
}

/* Write a field of the current VMCS; the field must exist and be writable. */
static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
    __asm__ volatile("vmwrite %1, %0" : : "r"((uint64_t)field), "r"(value) : "cc", "memory");
}

/* The same with the outcome: VMX_FAIL_VALID for a field that this CPU lacks; *value is then 0. */
static inline enum vmx_outcome vmread_checked(enum vmcs_field field, uint64_t *value)
{
    int carry, zero;
    uint64_t read = 0;
    __asm__ volatile("vmread %3, %2"
                     : "=@ccc"(carry), "=@ccz"(zero), "+r"(read)
                     : "r"((uint64_t)field));
    *value = read;
    return VMX_OUTCOME(carry, zero);
}

static inline enum vmx_outcome vmwrite_checked(enum vmcs_field field, uint64_t value)
{
    int carry, zero;
    __asm__ volatile("vmwrite %3, %2"
                     : "=@ccc"(carry), "=@ccz"(zero)
                     : "r"((uint64_t)field), "r"(value)
                     : "memory");
    return VMX_OUTCOME(carry, zero);
}

/* The operand of INVEPT. */
struct invept_descriptor {
    uint64_t eptp;
    uint64_t reserved; /* 0 */
};

/* INVEPT by a descriptor that is at hand; it is known to succeed. */
static inline void invept_by(enum invept_type type, const struct invept_descriptor *descriptor)
{
    __asm__ volatile("invept %0, %1" : : "m"(*descriptor), "r"((uint64_t)type) : "cc", "memory");
}

/* Drop this CPU's guest-physical and combined mappings of one EPTP, or (eptp 0) of all. */
static inline enum vmx_outcome invept(enum invept_type type, uint64_t eptp)
{
    struct invept_descriptor descriptor = {eptp, 0};
    int carry, zero;
    __asm__ volatile("invept %2, %3"
                     : "=@ccc"(carry), "=@ccz"(zero)
                     : "m"(descriptor), "r"((uint64_t)type)
                     : "memory");
    return VMX_OUTCOME(carry, zero);
}

/* Drop this CPU's linear and combined mappings: of an address (canonical) or all of a VPID, or all.
 */
static inline enum vmx_outcome invvpid(enum invvpid_type type, uint16_t vpid, uint64_t linear)
{
    struct {
        uint64_t vpid, linear;
    } descriptor = {vpid, linear};
    int carry, zero;
    __asm__ volatile("invvpid %2, %3"
                     : "=@ccc"(carry), "=@ccz"(zero)
                     : "m"(descriptor), "r"((uint64_t)type)
                     : "memory");
    return VMX_OUTCOME(carry, zero);
}

#endif
