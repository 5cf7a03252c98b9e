/*
 * The VMX instructions for unit tests of the hypervisor: found before the real vmx/instructions.h,
 * they work on one VMCS that is an array and count what was flushed.
 */
#ifndef TRAPLINE_VMX_INSTRUCTIONS_H
#define TRAPLINE_VMX_INSTRUCTIONS_H

#include <stdint.h>

#include "vmx/fields.h"

enum vmx_outcome {
    VMX_SUCCEED = 0,
};

enum invept_type {
    INVEPT_SINGLE_CONTEXT = 1,
    INVEPT_ALL_CONTEXTS = 2,
};

enum invvpid_type {
    INVVPID_SINGLE_CONTEXT = 1,
    INVVPID_ALL_CONTEXTS = 2,
};

enum {
    FAKE_VMCS_FIELDS = 0x8000, /* more than the greatest encoding */
};

extern uint64_t fake_vmcs[FAKE_VMCS_FIELDS];
extern unsigned fake_vmwrites; /* how many there were */

/* Told of each INVEPT and INVVPID. */
void fake_invept(enum invept_type type, uint64_t eptp);
void fake_invvpid(enum invvpid_type type, uint16_t vpid);

static inline uint64_t vmread(enum vmcs_field field)
{
    return fake_vmcs[field];
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
    fake_vmwrites++;
    fake_vmcs[field] = value;
}

static inline enum vmx_outcome vmclear(uint64_t vmcs)
{
    (void)vmcs;
    return VMX_SUCCEED;
}

static inline enum vmx_outcome vmptrld(uint64_t vmcs)
{
    (void)vmcs;
    return VMX_SUCCEED;
}

struct invept_descriptor {
    uint64_t eptp;
    uint64_t reserved;
};

static inline void invept_by(enum invept_type type, const struct invept_descriptor *descriptor)
{
    fake_invept(type, descriptor->reserved ? 0 : descriptor->eptp);
}

static inline enum vmx_outcome invept(enum invept_type type, uint64_t eptp)
{
    fake_invept(type, eptp);
    return VMX_SUCCEED;
}

static inline enum vmx_outcome invvpid(enum invvpid_type type, uint16_t vpid, uint64_t linear)
{
    (void)linear;
    fake_invvpid(type, vpid);
    return VMX_SUCCEED;
}

#endif
