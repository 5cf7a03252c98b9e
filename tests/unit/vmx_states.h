/*
 * VMCS contents that VM entry accepts on the Coffee Lake record, as lists of fields, and a reader
 * over them: what the tests of the VM-entry check start from. Include cmocka.h first.
 */
#ifndef TESTS_UNIT_VMX_STATES_H
#define TESTS_UNIT_VMX_STATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/vmx_msr_sets.h"
#include "vmx/check.h"
#include "vmx/exits.h"
#include "vmx/segments.h"

enum {
    MAX_FIELDS = 256,
    MAX_CHANGES = 5,
    TABLE = 0x00100000, /* some page below 4 GiB */
};

#define CANONICAL_HOST 0xffffffff80000000ull
#define NOT_CANONICAL  0x0000800000000000ull
#define TOO_HIGH       0x0000008000000000ull /* 39 physical bits: the first address beyond */

struct field_value {
    enum vmcs_field field;
    uint64_t value;
};

struct fake_vmcs {
    struct field_value fields[MAX_FIELDS];
    size_t count;
    const char *unknown; /* a field that was read and never set */
};

static inline void fake_write(struct fake_vmcs *vmcs, enum vmcs_field field, uint64_t value)
{
    for (size_t i = 0; i < vmcs->count; i++) {
        if (vmcs->fields[i].field == field) {
            vmcs->fields[i].value = value;
            return;
        }
    }
    if (vmcs->count == MAX_FIELDS) {
        abort();
    }
    vmcs->fields[vmcs->count++] = (struct field_value){field, value};
}

static inline uint64_t fake_read(void *ctx, enum vmcs_field field)
{
    struct fake_vmcs *vmcs = ctx;
    for (size_t i = 0; i < vmcs->count; i++) {
        if (vmcs->fields[i].field == field) {
            return vmcs->fields[i].value;
        }
    }
    vmcs->unknown = vmcs_field_name(field);
    return 0;
}

static inline void fake_write_all(struct fake_vmcs *vmcs, const struct field_value *fields)
{
    for (; fields->field != 0 || fields->value != 0; fields++) {
        fake_write(vmcs, fields->field, fields->value);
    }
}

/* Access rights of a usable segment: S, P, type and DPL. */
#define RIGHTS(type, dpl)                                                                          \
    (SEGMENT_PRESENT | SEGMENT_NOT_SYSTEM | (type) | (dpl) << SEGMENT_DPL_SHIFT)
#define FLAT_DATA (RIGHTS(3, 0) | SEGMENT_DEFAULT_BIG | SEGMENT_GRANULARITY)
#define CODE_64   (RIGHTS(11, 0) | SEGMENT_LONG | SEGMENT_GRANULARITY)
#define CODE_32   (RIGHTS(11, 0) | SEGMENT_DEFAULT_BIG | SEGMENT_GRANULARITY)

enum {
    GOOD_PIN = 0x16 | VMX_PIN_EXTERNAL_INTERRUPT_EXITING | VMX_PIN_NMI_EXITING |
               VMX_PIN_VIRTUAL_NMIS | VMX_PIN_PREEMPTION_TIMER,
    GOOD_PROC = 0x04006172 | VMX_PROC_HLT_EXITING | VMX_PROC_IO_BITMAPS | VMX_PROC_MSR_BITMAPS,
    GOOD_PROC2 = VMX_PROC2_ENABLE_EPT | VMX_PROC2_ENABLE_VPID | VMX_PROC2_UNRESTRICTED_GUEST |
                 VMX_PROC2_ENABLE_PML,
    GOOD_EXIT = 0x00036dfb | VMX_EXIT_SAVE_DEBUG_CONTROLS | VMX_EXIT_HOST_ADDRESS_SPACE_SIZE |
                VMX_EXIT_ACKNOWLEDGE_INTERRUPT | VMX_EXIT_LOAD_PAT | VMX_EXIT_LOAD_EFER |
                VMX_EXIT_SAVE_EFER | VMX_EXIT_SAVE_PREEMPTION_TIMER,
    GOOD_ENTRY =
        0x000011fb | VMX_ENTRY_LOAD_DEBUG_CONTROLS | VMX_ENTRY_LOAD_PAT | VMX_ENTRY_LOAD_EFER,
    GOOD_ENTRY_64 = GOOD_ENTRY | VMX_ENTRY_IA32E_MODE_GUEST,
};
#define GOOD_PROC_SECONDARY (GOOD_PROC | VMX_PROC_SECONDARY_CONTROLS)
#define GOOD_PAT            0x0007040600070406ull

/* A 64-bit guest. */
static const struct field_value state_long[] = {
    {VMCS_PIN_CONTROLS, GOOD_PIN},
    {VMCS_PROC_CONTROLS, GOOD_PROC_SECONDARY},
    {VMCS_PROC_CONTROLS2, GOOD_PROC2},
    {VMCS_EXIT_CONTROLS, GOOD_EXIT},
    {VMCS_ENTRY_CONTROLS, GOOD_ENTRY_64},
    {VMCS_CR3_TARGET_COUNT, 0},
    {VMCS_IO_BITMAP_A, TABLE},
    {VMCS_IO_BITMAP_B, TABLE},
    {VMCS_MSR_BITMAP, TABLE},
    {VMCS_VPID, 1},
    {VMCS_EPT_POINTER, TABLE | 0x5e},
    {VMCS_PML_ADDRESS, TABLE},
    {VMCS_EXIT_MSR_STORE_COUNT, 0},
    {VMCS_EXIT_MSR_LOAD_COUNT, 0},
    {VMCS_ENTRY_MSR_LOAD_COUNT, 0},
    {VMCS_ENTRY_INTERRUPTION_INFO, 0},

    {VMCS_HOST_CR0, 0x80010033},
    {VMCS_HOST_CR3, TABLE},
    {VMCS_HOST_CR4, 0x2020},
    {VMCS_HOST_SYSENTER_ESP, CANONICAL_HOST},
    {VMCS_HOST_SYSENTER_EIP, CANONICAL_HOST},
    {VMCS_HOST_PAT, GOOD_PAT},
    {VMCS_HOST_EFER, EFER_LME | EFER_LMA | EFER_NXE},
    {VMCS_HOST_CS_SELECTOR, 0x08},
    {VMCS_HOST_SS_SELECTOR, 0},
    {VMCS_HOST_DS_SELECTOR, 0},
    {VMCS_HOST_ES_SELECTOR, 0},
    {VMCS_HOST_FS_SELECTOR, 0},
    {VMCS_HOST_GS_SELECTOR, 0},
    {VMCS_HOST_TR_SELECTOR, 0x18},
    {VMCS_HOST_FS_BASE, 0},
    {VMCS_HOST_GS_BASE, CANONICAL_HOST},
    {VMCS_HOST_TR_BASE, CANONICAL_HOST},
    {VMCS_HOST_GDTR_BASE, CANONICAL_HOST},
    {VMCS_HOST_IDTR_BASE, CANONICAL_HOST},
    {VMCS_HOST_RIP, CANONICAL_HOST},

    {VMCS_GUEST_CR0, 0x80010033},
    {VMCS_GUEST_CR3, 0x1000},
    {VMCS_GUEST_CR4, 0x2020},
    {VMCS_GUEST_DEBUGCTL, 0},
    {VMCS_GUEST_DR7, 0x400},
    {VMCS_GUEST_SYSENTER_ESP, 0},
    {VMCS_GUEST_SYSENTER_EIP, 0},
    {VMCS_GUEST_PAT, GOOD_PAT},
    {VMCS_GUEST_EFER, EFER_LME | EFER_LMA},
    {VMCS_GUEST_ES_SELECTOR, 0x10},
    {VMCS_GUEST_CS_SELECTOR, 0x08},
    {VMCS_GUEST_SS_SELECTOR, 0x10},
    {VMCS_GUEST_DS_SELECTOR, 0x10},
    {VMCS_GUEST_FS_SELECTOR, 0},
    {VMCS_GUEST_GS_SELECTOR, 0},
    {VMCS_GUEST_LDTR_SELECTOR, 0},
    {VMCS_GUEST_TR_SELECTOR, 0x18},
    {VMCS_GUEST_ES_BASE, 0},
    {VMCS_GUEST_CS_BASE, 0},
    {VMCS_GUEST_SS_BASE, 0},
    {VMCS_GUEST_DS_BASE, 0},
    {VMCS_GUEST_FS_BASE, CANONICAL_HOST},
    {VMCS_GUEST_GS_BASE, 0},
    {VMCS_GUEST_LDTR_BASE, 0},
    {VMCS_GUEST_TR_BASE, 0x2000},
    {VMCS_GUEST_ES_LIMIT, 0xffffffff},
    {VMCS_GUEST_CS_LIMIT, 0xffffffff},
    {VMCS_GUEST_SS_LIMIT, 0xffffffff},
    {VMCS_GUEST_DS_LIMIT, 0xffffffff},
    {VMCS_GUEST_FS_LIMIT, 0},
    {VMCS_GUEST_GS_LIMIT, 0},
    {VMCS_GUEST_LDTR_LIMIT, 0},
    {VMCS_GUEST_TR_LIMIT, 0x67},
    {VMCS_GUEST_ES_ACCESS_RIGHTS, FLAT_DATA},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, CODE_64},
    {VMCS_GUEST_SS_ACCESS_RIGHTS, FLAT_DATA},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, FLAT_DATA},
    {VMCS_GUEST_FS_ACCESS_RIGHTS, SEGMENT_UNUSABLE},
    {VMCS_GUEST_GS_ACCESS_RIGHTS, SEGMENT_UNUSABLE},
    {VMCS_GUEST_LDTR_ACCESS_RIGHTS, SEGMENT_UNUSABLE},
    {VMCS_GUEST_TR_ACCESS_RIGHTS, SEGMENT_PRESENT | SEGMENT_TYPE_BUSY_TSS},
    {VMCS_GUEST_GDTR_BASE, 0x3000},
    {VMCS_GUEST_IDTR_BASE, CANONICAL_HOST},
    {VMCS_GUEST_GDTR_LIMIT, 0x27},
    {VMCS_GUEST_IDTR_LIMIT, 0xfff},
    {VMCS_GUEST_RIP, CANONICAL_HOST},
    {VMCS_GUEST_RFLAGS, 0x202},
    {VMCS_GUEST_ACTIVITY, ACTIVITY_ACTIVE},
    {VMCS_GUEST_INTERRUPTIBILITY, 0},
    {VMCS_GUEST_PENDING_DEBUG, 0},
    {VMCS_LINK_POINTER, UINT64_MAX},
    {0, 0},
};

/* Over state_long: real-address mode, as after reset, by unrestricted guest. */
static const struct field_value state_real[] = {
    {VMCS_ENTRY_CONTROLS, GOOD_ENTRY},
    {VMCS_GUEST_CR0, CR0_NE | CR0_ET},
    {VMCS_GUEST_CR4, CR4_VMXE},
    {VMCS_GUEST_EFER, 0},
    {VMCS_GUEST_CS_SELECTOR, 0xf000},
    {VMCS_GUEST_CS_BASE, 0xffff0000},
    {VMCS_GUEST_CS_LIMIT, 0xffff},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, RIGHTS(11, 0)},
    {VMCS_GUEST_SS_SELECTOR, 0},
    {VMCS_GUEST_SS_LIMIT, 0xffff},
    {VMCS_GUEST_SS_ACCESS_RIGHTS, RIGHTS(3, 0)},
    {VMCS_GUEST_RIP, 0xfff0},
    {VMCS_GUEST_RFLAGS, 0x2},
    {VMCS_GUEST_IDTR_BASE, 0},
    {0, 0},
};

/* Over state_long: 32-bit protected mode with PAE paging. */
static const struct field_value state_pae[] = {
    {VMCS_ENTRY_CONTROLS, GOOD_ENTRY},
    {VMCS_GUEST_EFER, 0},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, CODE_32},
    {VMCS_GUEST_RIP, 0x401000},
    {VMCS_GUEST_PDPTE0, 0x5001},
    {VMCS_GUEST_PDPTE1, 0},
    {VMCS_GUEST_PDPTE2, 0x1e6},
    {VMCS_GUEST_PDPTE3, 0x6001},
    {0, 0},
};

/* Over state_long: no unrestricted guest. */
static const struct field_value state_restricted[] = {
    {VMCS_PROC_CONTROLS2, GOOD_PROC2 & ~VMX_PROC2_UNRESTRICTED_GUEST},
    {0, 0},
};

/* Over state_long: virtual-8086 mode. */
static const struct field_value state_v86[] = {
    {VMCS_PROC_CONTROLS2, GOOD_PROC2 & ~VMX_PROC2_UNRESTRICTED_GUEST},
    {VMCS_ENTRY_CONTROLS, GOOD_ENTRY},
    {VMCS_GUEST_EFER, 0},
    {VMCS_GUEST_CR4, CR4_VMXE},
    {VMCS_GUEST_RIP, 0x100},
    {VMCS_GUEST_RFLAGS, RFLAGS_FIXED | RFLAGS_VM},
    {VMCS_GUEST_ES_SELECTOR, 0x1000},
    {VMCS_GUEST_ES_BASE, 0x10000},
    {VMCS_GUEST_ES_LIMIT, 0xffff},
    {VMCS_GUEST_ES_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_CS_SELECTOR, 0x2000},
    {VMCS_GUEST_CS_BASE, 0x20000},
    {VMCS_GUEST_CS_LIMIT, 0xffff},
    {VMCS_GUEST_CS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_SS_SELECTOR, 0},
    {VMCS_GUEST_SS_LIMIT, 0xffff},
    {VMCS_GUEST_SS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_DS_SELECTOR, 0},
    {VMCS_GUEST_DS_LIMIT, 0xffff},
    {VMCS_GUEST_DS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_FS_BASE, 0},
    {VMCS_GUEST_FS_LIMIT, 0xffff},
    {VMCS_GUEST_FS_ACCESS_RIGHTS, 0xf3},
    {VMCS_GUEST_GS_LIMIT, 0xffff},
    {VMCS_GUEST_GS_ACCESS_RIGHTS, 0xf3},
    {0, 0},
};

/* A broken rule. A zero pair ends a list of changes, so that VPID (0) cannot be one of them with 0.
 */
struct row {
    const struct field_value *over; /* on top of state_long; NULL = that itself */
    struct field_value
        broken[MAX_CHANGES]; /* one change breaks the rule; the others make it apply */
    enum vmcs_field field;   /* at fault */
    const char *rule;        /* a part of the rule's text */
};

#define INJECT(type, vector, code) (0x80000000u | (type) << 8 | (vector) | (code) << 11)

/* Made up: the Coffee Lake record with every control allowed, CET and RTM. */
static inline struct vmx_caps everything_caps(void)
{
    struct vmx_caps caps = record_caps(RECORD_COFFEE_LAKE);
    for (unsigned i = 0; i < VMX_CONTROL_FIELDS; i++) {
        caps.control[i] |= 0xffffffffull << 32;
        caps.true_control[i] |= 0xffffffffull << 32;
    }
    caps.cr4_fixed1 |= CR4_CET;
    caps.leaf_7_ebx |= CPUID_7_EBX_RTM;
    caps.leaf_7_ebx &= ~(uint32_t)CPUID_7_EBX_SGX;
    return caps;
}

typedef unsigned part(const struct vmx_check_input *, vmx_check_report *, void *);

static inline void build(struct fake_vmcs *vmcs, const struct field_value *over)
{
    *vmcs = (struct fake_vmcs){.count = 0};
    fake_write_all(vmcs, state_long);
    if (over != NULL) {
        fake_write_all(vmcs, over);
    }
}

static inline void keep_first(void *ctx, const struct vmx_violation *violation)
{
    struct vmx_violation *first = ctx;
    if (first->name == NULL) {
        *first = *violation;
    }
}

/* Each row's first violation must be the row's. */
static inline void run_rows(part *check, const struct vmx_caps *caps, const struct row *rows,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct fake_vmcs vmcs;
        struct vmx_violation first = {.name = NULL};
        struct vmx_check_input input = {fake_read, &vmcs, caps};

        build(&vmcs, rows[i].over);
        for (size_t b = 0;
             b < MAX_CHANGES && (rows[i].broken[b].field | rows[i].broken[b].value) != 0; b++) {
            fake_write(&vmcs, rows[i].broken[b].field, rows[i].broken[b].value);
        }
        unsigned found = check(&input, keep_first, &first);
        if (found == 0) {
            fail_msg("row %zu: %s (%s) not found", i, vmcs_field_name(rows[i].field), rows[i].rule);
        }
        if (first.field != rows[i].field || strstr(first.rule, rows[i].rule) == NULL) {
            fail_msg("row %zu: want %s (%s), got %s (%s)", i, vmcs_field_name(rows[i].field),
                     rows[i].rule, first.name, first.rule);
        }
        assert_string_equal(first.name, vmcs_field_name(first.field));
        assert_int_equal(first.value, fake_read(&vmcs, first.field));
    }
}

#endif
