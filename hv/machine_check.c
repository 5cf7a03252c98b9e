#include "hv/machine_check.h"

#include <stdint.h>

#include "hv/console.h"
#include "hv/cpu.h"
#include "hv/machine.h"
#include "vmx/x86.h"

enum mcg {
    MSR_IA32_MCG_CTL = 0x17b,
    MCG_CAP_COUNT = 0xff,
    MCG_CAP_CTL = 1u << 8,
    BANK_MSRS = 4, /* MSRs from one bank to the next */
};

#define MC_STATUS_VALID (1ull << 63)
#define MC_STATUS_ADDRV (1ull << 58)
#define MC_REPORT_ALL   (~0ull)

enum cpuid_machine_check {
    CPUID_FEATURES = 1,
    CPUID_FEATURES_MCE = 1u << 7, /* EDX */
    CPUID_FEATURES_MCA = 1u << 14,
};

static unsigned bank_count(void)
{
    const uint32_t need = CPUID_FEATURES_MCE | CPUID_FEATURES_MCA;

    if ((cpuid(CPUID_FEATURES, 0).edx & need) != need)
        return 0;
    return rdmsr(MSR_IA32_MCG_CAP) & MCG_CAP_COUNT;
}

void machine_check_enable(void)
{
    unsigned banks = bank_count();

    if (banks == 0)
        return;
    if (rdmsr(MSR_IA32_MCG_CAP) & MCG_CAP_CTL)
        wrmsr(MSR_IA32_MCG_CTL, MC_REPORT_ALL);
    for (unsigned bank = 0; bank < banks; bank++) {
        wrmsr(MSR_IA32_MC0_CTL + bank * BANK_MSRS, MC_REPORT_ALL);
        wrmsr(MSR_IA32_MC0_STATUS + bank * BANK_MSRS, 0);
    }
}

void cpu_handle_machine_check(void)
{
    unsigned banks = bank_count();

    cpu_stop_others();
    kprintf("\ntrapline: machine check on CPU %u (APIC id %u), status %lx\n", this_cpu()->index,
            this_cpu()->apic_id, rdmsr(MSR_IA32_MCG_STATUS));
    for (unsigned bank = 0; bank < banks; bank++) {
        uint64_t status = rdmsr(MSR_IA32_MC0_STATUS + bank * BANK_MSRS);
        if (!(status & MC_STATUS_VALID))
            continue;
        kprintf("  bank %u: status %016lx", bank, status);
        if (status & MC_STATUS_ADDRV)
            kprintf(", address %lx", rdmsr(MSR_IA32_MC0_ADDR + bank * BANK_MSRS));
        kprintf("\n");
    }
    machine_stop(1);
}
