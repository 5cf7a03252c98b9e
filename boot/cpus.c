/* Processors; see cpus.h. */
#include "boot/cpus.h"

#include <string.h>

#include "boot/madt.h"
#include "vmx/cpuid.h"
#include "vmx/x86.h"

enum {
    APIC_ID_SHIFT = 24, /* in CPUID.1:EBX */
    MEASURE_US = 20000, /* how long the TSC is watched, microseconds */
    MEASURE_TIMES = 3,
    US_PER_SECOND = 1000000,
};

enum mp_status {
    MP_BSP = 1u << 0,
    MP_ENABLED = 1u << 1,
    MP_HEALTHY = 1u << 2,
};

/* EFI_PROCESSOR_INFORMATION, with room for what later versions append. */
struct mp_processor {
    uint64_t apic_id;
    uint32_t status; /* enum mp_status */
    uint32_t location[3];
    uint64_t later[8];
};

/* EFI_MP_SERVICES_PROTOCOL: only what is used of it. */
struct mp_services {
    EFI_STATUS(EFIAPI *count)(struct mp_services *this, UINTN *all, UINTN *enabled);
    EFI_STATUS(EFIAPI *info)(struct mp_services *this, UINTN index, struct mp_processor *processor);
};

static EFI_GUID mp_services_guid = {
    0x3fdda605, 0xa76e, 0x4f46, {0xad, 0x29, 0x12, 0xf4, 0x53, 0x1b, 0x3d, 0x08}};

/* RSDP, RSDT and XSDT (ACPI specification 6.5, 5.2.5 to 5.2.8). */
enum acpi_layout {
    RSDP_REVISION = 15,
    RSDP_RSDT = 16,
    RSDP_XSDT = 24,
    RSDP_REVISION_2 = 2, /* the first with an XSDT */
    TABLE_LENGTH = 4,
    TABLE_ENTRIES = 36,
};

static uint32_t own_apic_id(void)
{
    if (cpuid(CPUID_LEAF_VENDOR, 0).eax >= CPUID_LEAF_TOPOLOGY) {
        struct cpuid_regs topology = cpuid(CPUID_LEAF_TOPOLOGY, 0);
        if (topology.ebx != 0)
            return topology.edx;
    }
    return cpuid(CPUID_LEAF_FEATURES, 0).ebx >> APIC_ID_SHIFT;
}

static void add(struct handover *handover, uint32_t apic_id)
{
    if (apic_id == handover->cpus[0].apic_id || handover->cpu_count == HANDOVER_MAX_CPUS)
        return;
    handover->cpus[handover->cpu_count++].apic_id = apic_id;
}

static bool from_mp_services(const struct firmware *firmware, struct handover *handover)
{
    struct mp_services *mp = firmware_protocol(firmware, mp_services_guid);
    UINTN all = 0, enabled = 0;

    if (mp == NULL || EFI_ERROR(mp->count(mp, &all, &enabled)))
        return false;
    for (UINTN i = 0; i < all; i++) {
        struct mp_processor processor = {0};
        if (EFI_ERROR(mp->info(mp, i, &processor)))
            continue;
        if ((processor.status & MP_ENABLED) && (processor.status & MP_HEALTHY))
            add(handover, (uint32_t)processor.apic_id);
    }
    return true;
}

static uint64_t read_pointer(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return value;
}

/* The MADT below a root table whose entries are pointers of pointer_size bytes. */
static const uint8_t *find_madt(const uint8_t *root, size_t pointer_size)
{
    uint32_t length = (uint32_t)read_pointer(root + TABLE_LENGTH, sizeof(uint32_t));

    for (size_t at = TABLE_ENTRIES; at + pointer_size <= length; at += pointer_size) {
        const uint8_t *table = (const uint8_t *)read_pointer(root + at, pointer_size);
        if (table != NULL && memcmp(table, "APIC", 4) == 0)
            return table;
    }
    return NULL;
}

static bool from_madt(const struct firmware *firmware, struct handover *handover)
{
    static uint32_t apic_ids[HANDOVER_MAX_CPUS];
    EFI_GUID acpi_2_guid = ACPI_20_TABLE_GUID;
    EFI_GUID acpi_1_guid = ACPI_TABLE_GUID;
    const uint8_t *rsdp = firmware_table(firmware, acpi_2_guid);
    const uint8_t *madt = NULL;
    size_t found = 0;

    if (rsdp == NULL)
        rsdp = firmware_table(firmware, acpi_1_guid);
    if (rsdp == NULL || memcmp(rsdp, "RSD PTR ", 8) != 0)
        return false;
    const uint8_t *xsdt = NULL;
    if (rsdp[RSDP_REVISION] >= RSDP_REVISION_2)
        xsdt = (const uint8_t *)read_pointer(rsdp + RSDP_XSDT, sizeof(uint64_t));
    const uint8_t *rsdt = (const uint8_t *)read_pointer(rsdp + RSDP_RSDT, sizeof(uint32_t));
    if (xsdt != NULL)
        madt = find_madt(xsdt, sizeof(uint64_t));
    if (madt == NULL && rsdt != NULL)
        madt = find_madt(rsdt, sizeof(uint32_t));
    if (madt == NULL)
        return false;
    uint32_t length = (uint32_t)read_pointer(madt + TABLE_LENGTH, sizeof(uint32_t));
    if (madt_processors(madt, length, apic_ids, HANDOVER_MAX_CPUS, &found) != 0)
        return false;
    for (size_t i = 0; i < found && i < HANDOVER_MAX_CPUS; i++)
        add(handover, apic_ids[i]);
    return true;
}

const char *cpus_enumerate(const struct firmware *firmware, struct handover *handover)
{
    handover->cpus[0] = (struct handover_cpu){.apic_id = own_apic_id(), .bsp = 1};
    handover->cpu_count = 1;
    if (from_mp_services(firmware, handover))
        return "the firmware's MP services";
    if (from_madt(firmware, handover))
        return "the ACPI tables";
    return "nothing but this one: neither MP services nor ACPI tables";
}

uint64_t cpus_tsc_hz(const struct firmware *firmware)
{
    uint64_t least = UINT64_MAX;

    /* Stall() takes at least its time; the shortest of a few tries is the nearest. */
    for (unsigned i = 0; i < MEASURE_TIMES; i++) {
        uint64_t before = rdtsc();
        firmware->boot->Stall(MEASURE_US);
        uint64_t ticks = rdtsc() - before;
        if (ticks < least)
            least = ticks;
    }
    return least * (US_PER_SECOND / MEASURE_US);
}
