/* The ACPI MADT; see madt.h. */
#include "boot/madt.h"

#include <stdbool.h>

enum madt_layout {
    MADT_LENGTH = 4,   /* offset of the table's length */
    MADT_ENTRIES = 44, /* offset of the first entry */
    ENTRY_TYPE = 0,
    ENTRY_LENGTH = 1,
    ENTRY_HEADER = 2,
    LOCAL_APIC = 0, /* type 0: one byte of APIC id */
    LOCAL_APIC_ID = 3,
    LOCAL_APIC_FLAGS = 4,
    LOCAL_APIC_SIZE = 8,
    LOCAL_X2APIC = 9, /* type 9: four bytes of APIC id */
    LOCAL_X2APIC_ID = 4,
    LOCAL_X2APIC_FLAGS = 8,
    LOCAL_X2APIC_SIZE = 16,
    FLAG_ENABLED = 1,
};

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool well_formed(const uint8_t *table, size_t size)
{
    static const char signature[4] = {'A', 'P', 'I', 'C'};
    uint8_t sum = 0;

    if (size < MADT_ENTRIES)
        return false;
    for (size_t i = 0; i < sizeof(signature); i++) {
        if (table[i] != (uint8_t)signature[i])
            return false;
    }
    if (read32(table + MADT_LENGTH) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + table[i]);
    return sum == 0;
}

static void add(uint32_t apic_id, uint32_t *apic_ids, size_t max, size_t *found)
{
    for (size_t i = 0; i < *found && i < max; i++) {
        if (apic_ids[i] == apic_id)
            return;
    }
    if (*found < max)
        apic_ids[*found] = apic_id;
    (*found)++;
}

int madt_processors(const void *table, size_t size, uint32_t *apic_ids, size_t max, size_t *found)
{
    const uint8_t *bytes = table;

    *found = 0;
    if (!well_formed(bytes, size))
        return -1;
    for (size_t at = MADT_ENTRIES; at < size;) {
        const uint8_t *entry = bytes + at;
        size_t left = size - at;
        if (left < ENTRY_HEADER || entry[ENTRY_LENGTH] < ENTRY_HEADER || entry[ENTRY_LENGTH] > left)
            return -1;
        size_t length = entry[ENTRY_LENGTH];
        if (entry[ENTRY_TYPE] == LOCAL_APIC && length >= LOCAL_APIC_SIZE) {
            if (read32(entry + LOCAL_APIC_FLAGS) & FLAG_ENABLED)
                add(entry[LOCAL_APIC_ID], apic_ids, max, found);
        } else if (entry[ENTRY_TYPE] == LOCAL_X2APIC && length >= LOCAL_X2APIC_SIZE) {
            if (read32(entry + LOCAL_X2APIC_FLAGS) & FLAG_ENABLED)
                add(read32(entry + LOCAL_X2APIC_ID), apic_ids, max, found);
        }
        at += length;
    }
    return 0;
}
