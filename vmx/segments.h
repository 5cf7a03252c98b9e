/*
 * The guest's segment registers in the VMCS (SDM volume 3, 24.4.1).
 */
#ifndef TRAPLINE_VMX_SEGMENTS_H
#define TRAPLINE_VMX_SEGMENTS_H

#include "vmx/fields.h"

/* In the order of their fields; ES to GS is also the order of instruction encodings. */
enum vmx_segment {
    VMX_SEGMENT_ES,
    VMX_SEGMENT_CS,
    VMX_SEGMENT_SS,
    VMX_SEGMENT_DS,
    VMX_SEGMENT_FS,
    VMX_SEGMENT_GS,
    VMX_SEGMENT_LDTR,
    VMX_SEGMENT_TR,
};

static inline enum vmcs_field vmx_segment_selector(enum vmx_segment segment)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_SELECTOR + 2 * segment);
}

static inline enum vmcs_field vmx_segment_limit(enum vmx_segment segment)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_LIMIT + 2 * segment);
}

static inline enum vmcs_field vmx_segment_access_rights(enum vmx_segment segment)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_ACCESS_RIGHTS + 2 * segment);
}

static inline enum vmcs_field vmx_segment_base(enum vmx_segment segment)
{
    return (enum vmcs_field)(VMCS_GUEST_ES_BASE + 2 * segment);
}

/* Access rights (table 24-2). */
enum segment_rights {
    SEGMENT_TYPE = 0xf,
    SEGMENT_NOT_SYSTEM = 1u << 4,
    SEGMENT_DPL_SHIFT = 5,
    SEGMENT_DPL = 3, /* after the shift */
    SEGMENT_PRESENT = 1u << 7,
    SEGMENT_LONG = 1u << 13,
    SEGMENT_DEFAULT_BIG = 1u << 14,
    SEGMENT_GRANULARITY = 1u << 15,
    SEGMENT_UNUSABLE = 1u << 16,
    SEGMENT_RESERVED = 0xfffe0f00u,
};

/* The type field: bits of a code or data segment's, and whole values. */
enum segment_type {
    SEGMENT_TYPE_ACCESSED = 1,
    SEGMENT_TYPE_READABLE = 2,   /* code */
    SEGMENT_TYPE_CONFORMING = 4, /* code */
    SEGMENT_TYPE_CODE = 8,
    SEGMENT_TYPE_DATA_RW_ACCESSED = 3,
    SEGMENT_TYPE_DATA_RW_DOWN_ACCESSED = 7,
    SEGMENT_TYPE_CODE_RX_ACCESSED = 11,
    SEGMENT_TYPE_LDT = 2,
    SEGMENT_TYPE_BUSY_TSS_16 = 3,
    SEGMENT_TYPE_BUSY_TSS = 11,
};

enum selector_bits {
    SELECTOR_RPL = 3,
    SELECTOR_TI = 4,
};

#endif
