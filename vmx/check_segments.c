/* The guest's segment registers: SDM volume 3, 26.3.1.2. */
#include "vmx/check_state.h"

#include "vmx/controls.h"
#include "vmx/segments.h"
#include "vmx/x86.h"

enum {
    V86_LIMIT = 0xffff,
    V86_ACCESS_RIGHTS = 0xf3,
    V86_BASE_SHIFT = 4,
    LIMIT_LOW = 0xfff,
    LIMIT_HIGH = 0xfff00000u,
};

struct segment {
    enum vmcs_field selector_field, base_field, limit_field, rights_field;
    uint64_t selector, base, limit, rights;
    bool usable;
};

static struct segment read_segment(const struct vmx_check *c, enum vmx_segment which)
{
    struct segment s = {
        .selector_field = vmx_segment_selector(which),
        .base_field = vmx_segment_base(which),
        .limit_field = vmx_segment_limit(which),
        .rights_field = vmx_segment_access_rights(which),
    };
    s.selector = vmx_check_read(c, s.selector_field);
    s.base = vmx_check_read(c, s.base_field);
    s.limit = vmx_check_read(c, s.limit_field);
    s.rights = vmx_check_read(c, s.rights_field);
    s.usable = !(s.rights & SEGMENT_UNUSABLE);
    return s;
}

static unsigned dpl(const struct segment *s)
{
    return (s->rights >> SEGMENT_DPL_SHIFT) & SEGMENT_DPL;
}

static unsigned type(const struct segment *s)
{
    return s->rights & SEGMENT_TYPE;
}

/* What every usable segment owes: presence, reserved bits, granularity. */
static void check_common(struct vmx_check *c, const struct segment *s)
{
    vmx_check_require(c, s->rights & SEGMENT_PRESENT, s->rights_field, "P must be 1");
    vmx_check_require(c, !(s->rights & SEGMENT_RESERVED), s->rights_field,
                      "reserved bits must be 0");
    if (s->rights & SEGMENT_GRANULARITY) {
        vmx_check_require(c, (s->limit & LIMIT_LOW) == LIMIT_LOW, s->rights_field,
                          "G must be 0 while a bit of limit 11:0 is 0");
    } else {
        vmx_check_require(c, !(s->limit & LIMIT_HIGH), s->rights_field,
                          "G must be 1 while a bit of limit 31:20 is 1");
    }
}

static void check_virtual_8086(struct vmx_check *c)
{
    for (enum vmx_segment i = VMX_SEGMENT_ES; i <= VMX_SEGMENT_GS; i++) {
        struct segment s = read_segment(c, i);
        vmx_check_require(c, s.base == s.selector << V86_BASE_SHIFT, s.base_field,
                          "must be the selector times 16 in virtual-8086 mode");
        vmx_check_require(c, s.limit == V86_LIMIT, s.limit_field,
                          "must be FFFFH in virtual-8086 mode");
        vmx_check_require(c, s.rights == V86_ACCESS_RIGHTS, s.rights_field,
                          "must be F3H in virtual-8086 mode");
    }
}

static void check_code(struct vmx_check *c, const struct segment *cs, const struct segment *ss,
                       bool unrestricted)
{
    enum vmcs_field field = cs->rights_field;
    unsigned t = type(cs);
    bool data = unrestricted && t == SEGMENT_TYPE_DATA_RW_ACCESSED;
    bool code = (t & SEGMENT_TYPE_CODE) && (t & SEGMENT_TYPE_ACCESSED);

    vmx_check_require(c, data || code, field,
                      unrestricted ? "type must be 3, 9, 11, 13 or 15"
                                   : "type must be 9, 11, 13 or 15");
    vmx_check_require(c, cs->rights & SEGMENT_NOT_SYSTEM, field, "S must be 1");
    if (data) {
        vmx_check_require(c, dpl(cs) == 0, field, "DPL must be 0 with type 3");
    } else if (code && (t & SEGMENT_TYPE_CONFORMING)) {
        vmx_check_require(c, dpl(cs) <= dpl(ss), field, "DPL must not exceed that of SS");
    } else if (code) {
        vmx_check_require(c, dpl(cs) == dpl(ss), field, "DPL must equal that of SS");
    }
    check_common(c, cs);
    if ((c->entry & VMX_ENTRY_IA32E_MODE_GUEST) && (cs->rights & SEGMENT_LONG)) {
        vmx_check_require(c, !(cs->rights & SEGMENT_DEFAULT_BIG), field,
                          "D/B must be 0 with L in IA-32e mode");
    }
    vmx_check_require(c, cs->base >> 32 == 0, cs->base_field, "bits 63:32 must be 0");
}

static void check_stack(struct vmx_check *c, const struct segment *cs, const struct segment *ss,
                        bool unrestricted)
{
    bool real_mode = !(vmx_check_read(c, VMCS_GUEST_CR0) & CR0_PE);

    if (!unrestricted) {
        vmx_check_require(c, (ss->selector & SELECTOR_RPL) == (cs->selector & SELECTOR_RPL),
                          ss->selector_field, "RPL must equal that of CS");
        vmx_check_require(c, dpl(ss) == (ss->selector & SELECTOR_RPL), ss->rights_field,
                          "DPL must equal the selector's RPL");
    }
    if (type(cs) == SEGMENT_TYPE_DATA_RW_ACCESSED || real_mode) {
        vmx_check_require(c, dpl(ss) == 0, ss->rights_field,
                          "DPL must be 0 with CS type 3 or CR0.PE 0");
    }
    if (ss->usable) {
        vmx_check_require(c,
                          type(ss) == SEGMENT_TYPE_DATA_RW_ACCESSED ||
                              type(ss) == SEGMENT_TYPE_DATA_RW_DOWN_ACCESSED,
                          ss->rights_field, "type must be 3 or 7");
        vmx_check_require(c, ss->rights & SEGMENT_NOT_SYSTEM, ss->rights_field, "S must be 1");
        check_common(c, ss);
        vmx_check_require(c, ss->base >> 32 == 0, ss->base_field, "bits 63:32 must be 0");
    }
}

static void check_data(struct vmx_check *c, enum vmx_segment which, bool unrestricted)
{
    struct segment s = read_segment(c, which);
    bool long_base = which == VMX_SEGMENT_FS || which == VMX_SEGMENT_GS;
    if (!s.usable) {
        return;
    }
    unsigned t = type(&s);
    bool code = t & SEGMENT_TYPE_CODE;
    vmx_check_require(c, t & SEGMENT_TYPE_ACCESSED, s.rights_field, "type must be accessed");
    vmx_check_require(c, !code || (t & SEGMENT_TYPE_READABLE), s.rights_field,
                      "a code segment must be readable");
    vmx_check_require(c, s.rights & SEGMENT_NOT_SYSTEM, s.rights_field, "S must be 1");
    if (!unrestricted && !(code && (t & SEGMENT_TYPE_CONFORMING))) {
        vmx_check_require(c, dpl(&s) >= (s.selector & SELECTOR_RPL), s.rights_field,
                          "DPL must not be below the selector's RPL");
    }
    check_common(c, &s);
    if (!long_base) {
        vmx_check_require(c, s.base >> 32 == 0, s.base_field, "bits 63:32 must be 0");
    }
}

static void check_task_register(struct vmx_check *c)
{
    struct segment tr = read_segment(c, VMX_SEGMENT_TR);
    unsigned t = type(&tr);
    bool ia32e = c->entry & VMX_ENTRY_IA32E_MODE_GUEST;

    vmx_check_require(c, !(tr.selector & SELECTOR_TI), tr.selector_field, "TI must be 0");
    vmx_check_canonical(c, tr.base_field);
    vmx_check_require(
        c, t == SEGMENT_TYPE_BUSY_TSS || (!ia32e && t == SEGMENT_TYPE_BUSY_TSS_16), tr.rights_field,
        ia32e ? "type must be 11 (busy 64-bit TSS)" : "type must be 3 or 11 (busy TSS)");
    vmx_check_require(c, !(tr.rights & SEGMENT_NOT_SYSTEM), tr.rights_field, "S must be 0");
    vmx_check_require(c, tr.usable, tr.rights_field, "must not be unusable");
    check_common(c, &tr);
}

static void check_ldtr(struct vmx_check *c)
{
    struct segment ldtr = read_segment(c, VMX_SEGMENT_LDTR);
    if (!ldtr.usable) {
        return;
    }
    vmx_check_require(c, !(ldtr.selector & SELECTOR_TI), ldtr.selector_field, "TI must be 0");
    vmx_check_canonical(c, ldtr.base_field);
    vmx_check_require(c, type(&ldtr) == SEGMENT_TYPE_LDT, ldtr.rights_field, "type must be 2");
    vmx_check_require(c, !(ldtr.rights & SEGMENT_NOT_SYSTEM), ldtr.rights_field, "S must be 0");
    check_common(c, &ldtr);
}

void vmx_check_segments(struct vmx_check *c)
{
    bool unrestricted = c->proc2 & VMX_PROC2_UNRESTRICTED_GUEST;

    if (vmx_check_read(c, VMCS_GUEST_RFLAGS) & RFLAGS_VM) {
        check_virtual_8086(c);
    } else {
        struct segment cs = read_segment(c, VMX_SEGMENT_CS);
        struct segment ss = read_segment(c, VMX_SEGMENT_SS);
        check_code(c, &cs, &ss, unrestricted);
        check_stack(c, &cs, &ss, unrestricted);
        check_data(c, VMX_SEGMENT_DS, unrestricted);
        check_data(c, VMX_SEGMENT_ES, unrestricted);
        check_data(c, VMX_SEGMENT_FS, unrestricted);
        check_data(c, VMX_SEGMENT_GS, unrestricted);
    }
    vmx_check_canonical(c, VMCS_GUEST_FS_BASE);
    vmx_check_canonical(c, VMCS_GUEST_GS_BASE);
    check_task_register(c);
    check_ldtr(c);
}
