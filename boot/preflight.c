/* The preflight; see preflight.h. */
#include "boot/preflight.h"

#include <stddef.h>

#include "boot/text.h"

#define OTHER_CPU "use a machine with an Intel CPU that has it"
#define FIRMWARE_SETTING                                                                           \
    "turn on \"Intel Virtualization Technology\" (VT-x, Vanderpool) in the firmware's setup and "  \
    "switch the machine off and on"

/* What must be known before a question makes sense. */
enum basis {
    BASIS_CPU,   /* CPUID alone answers */
    BASIS_INTEL, /* an Intel CPU */
    BASIS_VMX,   /* VMX in CPUID: the MSRs are there */
    BASIS_EPT,   /* EPT among the secondary controls */
};

struct check {
    const char *name;
    bool (*has)(const struct vmx_caps *caps);
    const char *advice;
    enum basis basis;
    bool required;
};

static bool is_intel(const struct vmx_caps *caps)
{
    return caps->intel;
}

static bool has_long_mode(const struct vmx_caps *caps)
{
    return caps->leaf_80000001_edx & CPUID_80000001_EDX_LONG_MODE;
}

static bool has_nx(const struct vmx_caps *caps)
{
    return caps->leaf_80000001_edx & CPUID_80000001_EDX_NX;
}

static bool has_page_1g(const struct vmx_caps *caps)
{
    return caps->leaf_80000001_edx & CPUID_80000001_EDX_PAGE_1G;
}

static bool has_apic(const struct vmx_caps *caps)
{
    return caps->leaf_1_edx & CPUID_1_EDX_APIC;
}

static bool has_mtrr_and_pat(const struct vmx_caps *caps)
{
    const uint32_t both = CPUID_1_EDX_MTRR | CPUID_1_EDX_PAT;

    return (caps->leaf_1_edx & both) == both;
}

static bool has_secondary_controls(const struct vmx_caps *caps)
{
    return vmx_caps_may(caps, VMX_CONTROL_PROC, VMX_PROC_SECONDARY_CONTROLS);
}

/* VMX may be used outside SMX operation, or nobody has decided yet (SDM 23.7). */
static bool feature_control_allows(const struct vmx_caps *caps)
{
    return !(caps->feature_control & FEATURE_CONTROL_LOCK) ||
           (caps->feature_control & FEATURE_CONTROL_VMX);
}

static const char *feature_control_note(const struct vmx_caps *caps)
{
    return caps->feature_control & FEATURE_CONTROL_LOCK
               ? "locked, VMX on"
               : "not locked: will be set and locked on every CPU";
}

/* In the order in which they are asked: what a check's basis needs stands above it. */
static const struct check checks[] = {
    {"Intel CPU", is_intel, "use a machine with an Intel CPU", BASIS_CPU, true},
    {"64-bit mode", has_long_mode, OTHER_CPU, BASIS_CPU, true},
    {"no-execute pages", has_nx, "turn on \"Execute Disable Bit\" (XD, NX) in the firmware's setup",
     BASIS_CPU, true},
    {"local APIC", has_apic, "turn the local APIC on in the firmware's setup", BASIS_CPU, true},
    {"MTRRs and PAT", has_mtrr_and_pat, OTHER_CPU, BASIS_CPU, true},
    {"VMX", vmx_caps_has_vmx,
     "turn VT-x on in the firmware's setup (in a virtual machine: nested VMX), or use an Intel CPU "
     "that has it",
     BASIS_INTEL, true},
    {"VMX allowed by firmware", feature_control_allows, FIRMWARE_SETTING, BASIS_VMX, true},
    {"true VMX controls", vmx_caps_has_true_controls, OTHER_CPU, BASIS_VMX, true},
    {"secondary controls", has_secondary_controls, OTHER_CPU, BASIS_VMX, true},
    {"MSR bitmaps", vmx_caps_has_msr_bitmaps, OTHER_CPU, BASIS_VMX, true},
    {"EPT", vmx_caps_has_ept, OTHER_CPU, BASIS_VMX, true},
    {"EPT 4-level walk, write-back", vmx_caps_has_ept_4level_wb, OTHER_CPU, BASIS_EPT, true},
    {"INVEPT all-context", vmx_caps_has_invept_all, OTHER_CPU, BASIS_EPT, true},
    {"VPID", vmx_caps_has_vpid, OTHER_CPU, BASIS_VMX, true},
    {"unrestricted guest", vmx_caps_has_unrestricted_guest, OTHER_CPU, BASIS_VMX, true},
    {"VMX-preemption timer", vmx_caps_has_preemption_timer, OTHER_CPU, BASIS_VMX, true},
    {"INVEPT single-context", vmx_caps_has_invept_single, NULL, BASIS_EPT, false},
    {"INVVPID all-context", vmx_caps_has_invvpid_all, NULL, BASIS_VMX, false},
    {"EPT 2 MiB pages", vmx_caps_has_ept_2m, NULL, BASIS_EPT, false},
    {"EPT 1 GiB pages", vmx_caps_has_ept_1g, NULL, BASIS_EPT, false},
    {"EPT accessed and dirty flags", vmx_caps_has_ept_ad, NULL, BASIS_EPT, false},
    {"EPT execute-only pages", vmx_caps_has_ept_exec_only, NULL, BASIS_EPT, false},
    {"page-modification logging", vmx_caps_has_pml, NULL, BASIS_EPT, false},
    {"virtualization exceptions", vmx_caps_has_ve, NULL, BASIS_EPT, false},
    {"EPTP switching by VMFUNC", vmx_caps_has_eptp_switching, NULL, BASIS_EPT, false},
    {"sub-page write permissions", vmx_caps_has_spp, NULL, BASIS_EPT, false},
    {"preemption timer saved", vmx_caps_has_save_preemption_timer, NULL, BASIS_VMX, false},
    {"posted interrupts", vmx_caps_has_posted_interrupts, NULL, BASIS_VMX, false},
    {"RDTSCP control", vmx_caps_has_rdtscp_control, NULL, BASIS_VMX, false},
    {"INVPCID control", vmx_caps_has_invpcid_control, NULL, BASIS_VMX, false},
    {"XSAVES control", vmx_caps_has_xsaves_control, NULL, BASIS_VMX, false},
    {"XSAVE", vmx_caps_has_xsave, NULL, BASIS_CPU, false},
    {"x2APIC", vmx_caps_has_x2apic, NULL, BASIS_CPU, false},
    {"invariant TSC", vmx_caps_has_invariant_tsc, NULL, BASIS_CPU, false},
    {"1 GiB pages", has_page_1g, NULL, BASIS_CPU, false},
};

enum {
    CHECKS = sizeof(checks) / sizeof(checks[0]),
};

/* And one that is not the CPU's capability but the firmware's choice. */
_Static_assert(CHECKS + 1 <= PREFLIGHT_MAX_ITEMS, "room for every check");

static bool basis_holds(const struct vmx_caps *caps, enum basis basis)
{
    switch (basis) {
    case BASIS_CPU: return true;
    case BASIS_INTEL: return caps->intel;
    case BASIS_VMX: return caps->intel && vmx_caps_has_vmx(caps);
    case BASIS_EPT: return caps->intel && vmx_caps_has_vmx(caps) && vmx_caps_has_ept(caps);
    }
    return false;
}

static const char *unknown_note(const struct vmx_caps *caps)
{
    if (!caps->intel)
        return "not asked: not an Intel CPU";
    return vmx_caps_has_vmx(caps) ? "not asked: no EPT" : "not asked: no VMX";
}

static struct preflight_item run_check(const struct check *check, const struct vmx_caps *caps)
{
    struct preflight_item item = {.name = check->name, .required = check->required};

    if (!basis_holds(caps, check->basis)) {
        item.state = PREFLIGHT_UNKNOWN;
        item.note = unknown_note(caps);
    } else if (!check->has(caps)) {
        item.state = PREFLIGHT_MISSING;
        item.note = check->advice;
    } else {
        item.state = PREFLIGHT_PRESENT;
        if (check->has == feature_control_allows)
            item.note = feature_control_note(caps);
    }
    return item;
}

void preflight_check(struct preflight *preflight, const struct vmx_cpu_reader *reader, uint64_t cr4)
{
    preflight->count = 0;
    vmx_caps_read(&preflight->caps, reader);
    for (size_t i = 0; i < CHECKS; i++)
        preflight->items[preflight->count++] = run_check(&checks[i], &preflight->caps);
    preflight->items[preflight->count++] = (struct preflight_item){
        .name = "firmware's 4-level paging",
        .state = cr4 & CR4_LA57 ? PREFLIGHT_MISSING : PREFLIGHT_PRESENT,
        .note = cr4 & CR4_LA57 ? "turn 5-level paging (LA57) off in the firmware's setup" : NULL,
        .required = true,
    };
}

const struct preflight_item *preflight_missing(const struct preflight *preflight)
{
    for (uint32_t i = 0; i < preflight->count; i++) {
        const struct preflight_item *item = &preflight->items[i];
        if (item->required && item->state != PREFLIGHT_PRESENT)
            return item;
    }
    return NULL;
}

void preflight_line(const struct preflight_item *item, char *line)
{
    static const char *const words[] = {
        [PREFLIGHT_PRESENT] = "present",
        [PREFLIGHT_MISSING] = "missing",
        [PREFLIGHT_UNKNOWN] = "unknown",
    };
    struct text text;

    text_start(&text, line, PREFLIGHT_LINE_LEN);
    text_add(&text, "  %-9s %-28s %s", item->required ? "required" : "optional", item->name,
             words[item->state]);
    if (item->note != NULL)
        text_add(&text, "%s%s", item->state == PREFLIGHT_MISSING ? "; " : ", ", item->note);
}
