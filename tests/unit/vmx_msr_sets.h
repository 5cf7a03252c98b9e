/*
 * What real CPUs answer to CPUID and to reads of their VMX capability MSRs, one record a
 * generation. A record holds only MSRs that its CPU has: reading another one is #GP there and a
 * failure here.
 *
 * Sources (values only):
 *  - "VBoxCpuReport": reports of the CPU named, as published in VirtualBox's CPU database
 *    (src/VBox/VMM/VMMR3/cpus/).
 *  - "VBox.log": a VirtualBox log posted in public by the CPU's owner; it prints these MSRs and the
 *    host's CPUID. Leaves 80000001H and 80000007H are missing from those excerpts, and 80000008H
 * was made from the log's line on the physical-address width.
 */
#ifndef TESTS_UNIT_VMX_MSR_SETS_H
#define TESTS_UNIT_VMX_MSR_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmx/caps.h"

struct cpuid_record {
    uint32_t leaf, subleaf;
    struct cpuid_regs regs;
};

struct msr_record {
    uint32_t msr;
    uint64_t value;
};

struct cpu_record {
    const char *name;
    const char *source;
    struct cpuid_record cpuid[12];
    struct msr_record msrs[24];
};

/* A reader's context. strays counts reads of MSRs that the record does not have. */
struct cpu_replay {
    const struct cpu_record *record;
    unsigned msr_reads;
    unsigned strays;
    uint32_t first_stray;
};

enum {
    RECORD_PENRYN,
    RECORD_SILVERMONT,
    RECORD_IVY_BRIDGE,
    RECORD_BROADWELL,
    RECORD_COFFEE_LAKE,
    RECORDS,
};

#define INTEL(max)                                                                                 \
    {                                                                                              \
        (max), CPUID_VENDOR_INTEL_EBX, CPUID_VENDOR_INTEL_ECX, CPUID_VENDOR_INTEL_EDX              \
    }

static const struct cpu_record
    cpu_records[RECORDS] =
        {
            [RECORD_PENRYN] =
                {
                    .name = "Xeon X5482 (Penryn, 2007)",
                    .source = "VBoxCpuReport 2013-12-16",
                    .cpuid =
                        {
                            {0x0, 0, INTEL(0xa)},
                            {0x1, 0, {0x00010676, 0x04040800, 0x000ce3bd, 0xbfebfbff}},
                            {0x80000000, 0, {0x80000008, 0, 0, 0}},
                            {0x80000001, 0, {0, 0, 0x00000001, 0x20100800}},
                            {0x80000007, 0, {0, 0, 0, 0}},
                            {0x80000008, 0, {0x00003026, 0, 0, 0}},
                        },
                    .msrs =
                        {
                            {0x03a, 0x5},
                            {0x480, 0x005a08000000000d},
                            {0x481, 0x0000003f00000016},
                            {0x482, 0xf7f9fffe0401e172},
                            {0x483, 0x0003ffff00036dff},
                            {0x484, 0x00003fff000011ff},
                            {0x485, 0x00000000000403c0},
                            {0x486, 0x0000000080000021},
                            {0x487, 0x00000000ffffffff},
                            {0x488, 0x0000000000002000},
                            {0x489, 0x00000000000027ff},
                            {0x48a, 0x000000000000002c},
                            {0x48b, 0x0000004100000000},
                        },
                },
            [RECORD_SILVERMONT] =
                {
                    .name = "Pentium N3530 (Silvermont, 2014)",
                    .source = "VBoxCpuReport 2016-04-29",
                    .cpuid =
                        {
                            {0x0, 0, INTEL(0xb)},
                            {0x1, 0, {0x00030678, 0x02100800, 0x41d8e3bf, 0xbfebfbff}},
                            {0x7, 0, {0, 0x00002282, 0, 0}},
                            {0x80000000, 0, {0x80000008, 0, 0, 0}},
                            {0x80000001, 0, {0, 0, 0x00000101, 0x28100800}},
                            {0x80000007, 0, {0, 0, 0, 0x00000100}},
                            {0x80000008, 0, {0x00003024, 0, 0, 0}},
                        },
                    .msrs =
                        {
                            {0x03a, 0x5},
                            {0x480, 0x00da040000000002},
                            {0x481, 0x0000007f00000016},
                            {0x482, 0xfff9fffe0401e172},
                            {0x483, 0x007fffff00036dff},
                            {0x484, 0x0000ffff000011ff},
                            {0x485, 0x00000000000481e6},
                            {0x486, 0x0000000080000021},
                            {0x487, 0x00000000ffffffff},
                            {0x488, 0x0000000000002000},
                            {0x489, 0x00000000001027ff},
                            {0x48a, 0x000000000000002e},
                            {0x48b, 0x000028ef00000000},
                            {0x48c, 0x00000f0106114141},
                            {0x48d, 0x0000007f00000016},
                            {0x48e, 0xfff9fffe04006172},
                            {0x48f, 0x007fffff00036dfb},
                            {0x490, 0x0000ffff000011fb},
                            {0x491, 0x0000000000000001},
                        },
                },
            [RECORD_IVY_BRIDGE] =
                {
                    .name = "signature 000306A9 (Ivy Bridge, 2012)",
                    .source =
                        "VBox.log; the MSRs equal those of VBoxCpuReport 2013-12-13, Core i5-3570",
                    .cpuid =
                        {
                            {0x0, 0, INTEL(0xd)},
                            {0x1, 0, {0x000306a9, 0x03100800, 0x7fbae3ff, 0xbfebfbff}},
                            {0x7, 0, {0, 0x00000281, 0, 0x9c000400}},
                            {0xd, 1, {0x00000001, 0, 0, 0}},
                            {0x80000000, 0, {0x80000008, 0, 0, 0}},
                            {0x80000008, 0, {0x00003024, 0, 0, 0}},
                        },
                    .msrs =
                        {
                            {0x03a, 0x5},
                            {0x480, 0x00da040000000010},
                            {0x481, 0x0000007f00000016},
                            {0x482, 0xfff9fffe0401e172},
                            {0x483, 0x007fffff00036dff},
                            {0x484, 0x0000ffff000011ff},
                            {0x485, 0x00000000100401e5},
                            {0x486, 0x0000000080000021},
                            {0x487, 0x00000000ffffffff},
                            {0x488, 0x0000000000002000},
                            {0x489, 0x00000000001767ff},
                            {0x48a, 0x000000000000002a},
                            {0x48b, 0x000008ff00000000},
                            {0x48c, 0x00000f0106114141},
                            {0x48d, 0x0000007f00000016},
                            {0x48e, 0xfff9fffe04006172},
                            {0x48f, 0x007fffff00036dfb},
                            {0x490, 0x0000ffff000011fb},
                        },
                },
            [RECORD_BROADWELL] =
                {
                    .name = "Core i7-5600U (Broadwell, 2015)",
                    .source = "VBoxCpuReport 2015-11-04",
                    .cpuid =
                        {
                            {0x0, 0, INTEL(0x14)},
                            {0x1, 0, {0x000306d4, 0x00100800, 0x7ffafbff, 0xbfebfbff}},
                            {0x7, 0, {0, 0x021c2fbb, 0, 0}},
                            {0xd, 1, {0x00000001, 0, 0, 0}},
                            {0x80000000, 0, {0x80000008, 0, 0, 0}},
                            {0x80000001, 0, {0, 0, 0x00000121, 0x2c100800}},
                            {0x80000007, 0, {0, 0, 0, 0x00000100}},
                            {0x80000008, 0, {0x00003027, 0, 0, 0}},
                        },
                    .msrs =
                        {
                            {0x03a, 0x5},
                            {0x480, 0x00da040000000012},
                            {0x481, 0x0000007f00000016},
                            {0x482, 0xfff9fffe0401e172},
                            {0x483, 0x007fffff00036dff},
                            {0x484, 0x0000ffff000011ff},
                            {0x485, 0x00000000300481e5},
                            {0x486, 0x0000000080000021},
                            {0x487, 0x00000000ffffffff},
                            {0x488, 0x0000000000002000},
                            {0x489, 0x00000000003767ff},
                            {0x48a, 0x000000000000002a},
                            {0x48b, 0x00057cff00000000},
                            {0x48c, 0x00000f0106334141},
                            {0x48d, 0x0000007f00000016},
                            {0x48e, 0xfff9fffe04006172},
                            {0x48f, 0x007fffff00036dfb},
                            {0x490, 0x0000ffff000011fb},
                            {0x491, 0x0000000000000001},
                        },
                },
            [RECORD_COFFEE_LAKE] =
                {
                    .name = "signature 000906EA (Coffee Lake, 2017)",
                    .source = "VBox.log",
                    .cpuid =
                        {
                            {0x0, 0, INTEL(0x16)},
                            {0x1, 0, {0x000906ea, 0x03100800, 0x7ffafbbf, 0xbfebfbff}},
                            {0x7, 0, {0, 0x029c67af, 0x40000000, 0x9c002400}},
                            {0xd, 1, {0x0000000f, 0x00000440, 0x00000100, 0}},
                            {0x80000000, 0, {0x80000008, 0, 0, 0}},
                            {0x80000008, 0, {0x00003027, 0, 0, 0}},
                        },
                    .msrs =
                        {
                            {0x03a, 0x20005},
                            {0x480, 0x00da040000000004},
                            {0x481, 0x0000007f00000016},
                            {0x482, 0xfff9fffe0401e172},
                            {0x483, 0x01ffffff00036dff},
                            {0x484, 0x0003ffff000011ff},
                            {0x485, 0x000000007004c1e7},
                            {0x486, 0x0000000080000021},
                            {0x487, 0x00000000ffffffff},
                            {0x488, 0x0000000000002000},
                            {0x489, 0x00000000003727ff},
                            {0x48a, 0x000000000000002e},
                            {0x48b, 0x005fbcff00000000},
                            {0x48c, 0x00000f0106734141},
                            {0x48d, 0x0000007f00000016},
                            {0x48e, 0xfff9fffe04006172},
                            {0x48f, 0x01ffffff00036dfb},
                            {0x490, 0x0003ffff000011fb},
                            {0x491, 0x0000000000000001},
                        },
                },
};

static inline struct cpuid_regs replay_cpuid(void *ctx, uint32_t leaf, uint32_t subleaf)
{
    const struct cpu_replay *replay = ctx;
    for (size_t i = 0; i < sizeof replay->record->cpuid / sizeof replay->record->cpuid[0]; i++) {
        const struct cpuid_record *r = &replay->record->cpuid[i];
        if (r->leaf == leaf && r->subleaf == subleaf) {
            return r->regs;
        }
    }
    return (struct cpuid_regs){0, 0, 0, 0};
}

static inline uint64_t replay_rdmsr(void *ctx, uint32_t msr)
{
    struct cpu_replay *replay = ctx;
    replay->msr_reads++;
    for (size_t i = 0; i < sizeof replay->record->msrs / sizeof replay->record->msrs[0]; i++) {
        if (replay->record->msrs[i].msr == msr && msr != 0) {
            return replay->record->msrs[i].value;
        }
    }
    if (replay->strays++ == 0) {
        replay->first_stray = msr;
    }
    return 0;
}

/* Read a record's capabilities; what was read on the way is left in *replay. */
static inline struct vmx_caps replay_caps(const struct cpu_record *record,
                                          struct cpu_replay *replay)
{
    struct vmx_caps caps;
    *replay = (struct cpu_replay){.record = record};
    struct vmx_cpu_reader reader = {replay_cpuid, replay_rdmsr, replay};
    vmx_caps_read(&caps, &reader);
    return caps;
}

static inline struct vmx_caps record_caps(unsigned record)
{
    struct cpu_replay replay;
    return replay_caps(&cpu_records[record], &replay);
}

#endif
