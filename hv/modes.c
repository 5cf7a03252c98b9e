#include "hv/modes.h"

#include "guest/include/trapline/abi.h"
#include "hv/apic.h"
#include "hv/console.h"
#include "hv/vmx_setup.h"
#include "vmx/x86.h"

static bool has(enum trapline_feature feature)
{
    return vmx_setup.features & feature;
}

static void print_features(void)
{
    const struct {
        const char *name;
        bool used;
    } features[] = {
        {"ept-exec-only", has(TRAPLINE_FEATURE_EXEC_ONLY)},
        {"ept-ad", has(TRAPLINE_FEATURE_AD)},
        {"ept-2m", has(TRAPLINE_FEATURE_EPT_2M)},
        {"ept-1g", has(TRAPLINE_FEATURE_EPT_1G)},
        {"invept-single", vmx_setup.invept_type == INVEPT_SINGLE_CONTEXT},
        {"ve", has(TRAPLINE_FEATURE_VE)},
        {"vmfunc", has(TRAPLINE_FEATURE_VMFUNC)},
        {"pml", has(TRAPLINE_FEATURE_PML)},
        {"apicv", has(TRAPLINE_FEATURE_APICV)},
        {"direct-interrupts", vmx_setup.direct},
        {"timer-save", vmx_setup.timer_save},
        {"x2apic", apic_is_x2apic()},
        {"xsaves", vmx_setup.xsaves},
        {"tsc-deadline", vmx_setup.tsc_deadline},
        {"pku", vmx_setup.cr4_allowed & CR4_PKE},
        {"pcid", vmx_setup.cr4_allowed & CR4_PCIDE},
        {"invpcid", vmx_setup.invpcid},
    };

    kprintf("trapline: features:");
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (features[i].used)
            kprintf(" %s", features[i].name);
    }
    kprintf("\n");
}

static const char *dirty_mode(void)
{
    if (has(TRAPLINE_FEATURE_PML))
        return "PML";
    return has(TRAPLINE_FEATURE_AD) ? "dirty-flags" : "write-protection";
}

void modes_print(void)
{
    print_features();
    kprintf("trapline: modes: TRAP=%s DIRTY=%s views=%s interrupts=%s%s INVEPT=%s pages=4K%s%s\n",
            has(TRAPLINE_FEATURE_VE) ? "#VE" : "exit", dirty_mode(),
            has(TRAPLINE_FEATURE_VMFUNC) ? "VMFUNC" : "hypercall",
            vmx_setup.direct ? "direct," : "", has(TRAPLINE_FEATURE_APICV) ? "APICv" : "injection",
            vmx_setup.invept_type == INVEPT_SINGLE_CONTEXT ? "single" : "all",
            has(TRAPLINE_FEATURE_EPT_2M) ? ",2M" : "", has(TRAPLINE_FEATURE_EPT_1G) ? ",1G" : "");
}
