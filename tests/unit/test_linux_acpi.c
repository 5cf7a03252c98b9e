/* The ACPI tables made for a Linux: whole, summed up, and with what the machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "boot/madt.h"
#include "tools/linux/acpi.h"

enum {
    ROOM = 16384,
    FACS_AT = 12288,
    PM_BASE = 0xb000,
    IO_APIC_ID = 5,
    XSDT_AT = 24, /* of its address in the RSDP */
    LENGTH_AT = 4,
    ENTRIES_AT = 36,
    MAX = 256,
};

/* Memory below 4 GiB, where a pointer fits the tables' 32-bit fields. */
static int setup(void **state)
{
    *state =
        mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    return *state == MAP_FAILED ? -1 : 0;
}

static int teardown(void **state)
{
    return munmap(*state, ROOM);
}

static uint64_t read(const uint8_t *at, size_t bytes)
{
    uint64_t value = 0;

    memcpy(&value, at, bytes);
    return value;
}

static uint8_t sum(const uint8_t *bytes, size_t count)
{
    uint8_t total = 0;

    for (size_t i = 0; i < count; i++)
        total = (uint8_t)(total + bytes[i]);
    return total;
}

static const uint8_t *build(void *memory, const struct handover_cpu *cpus, uint32_t count)
{
    struct acpi_machine machine = {
        .cpus = cpus,
        .cpu_count = count,
        .local_apic = 0xfee00000,
        .io_apic = 0xfec00000,
        .io_apic_id = IO_APIC_ID,
        .pm_base = PM_BASE,
    };

    assert_true(acpi_bytes() <= FACS_AT);
    memset(memory, 0, ROOM);
    return (const uint8_t *)acpi_build(&machine, memory, (char *)memory + FACS_AT);
}

/* The table of this signature that the RSDP leads to, checked for its sum. */
static const uint8_t *table(const uint8_t *rsdp, const char *signature)
{
    const uint8_t *xsdt = (const uint8_t *)read(rsdp + XSDT_AT, 8);
    uint32_t length = (uint32_t)read(xsdt + LENGTH_AT, 4);

    assert_memory_equal(xsdt, "XSDT", 4);
    assert_int_equal(sum(xsdt, length), 0);
    for (size_t at = ENTRIES_AT; at < length; at += 8) {
        const uint8_t *found = (const uint8_t *)read(xsdt + at, 8);
        if (memcmp(found, signature, 4) != 0)
            continue;
        assert_int_equal(sum(found, read(found + LENGTH_AT, 4)), 0);
        return found;
    }
    fail_msg("no table %s", signature);
    return NULL;
}

static void test_root(void **state)
{
    const struct handover_cpu cpu = {.apic_id = 0};
    const uint8_t *rsdp = build(*state, &cpu, 1);

    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    assert_int_equal(rsdp[15], 2);
    assert_int_equal((uintptr_t)rsdp % 16, 0);
}

static void test_power_management(void **state)
{
    static const uint8_t s5[] = {8, '_', 'S', '5', '_', 0x12, 6, 4, 0, 0, 0, 0};
    const struct handover_cpu cpu = {.apic_id = 0};
    const uint8_t *fadt = table(build(*state, &cpu, 1), "FACP");
    const uint8_t *facs = (const uint8_t *)read(fadt + 36, 4);
    const uint8_t *dsdt = (const uint8_t *)read(fadt + 40, 4);

    assert_int_equal(read(fadt + 56, 4), PM_BASE);
    assert_int_equal(read(fadt + 64, 4), PM_BASE + 4);
    assert_int_equal(read(fadt + 76, 4), PM_BASE + 8);
    assert_int_equal(fadt[88], 4);
    assert_int_equal(fadt[89], 2);
    assert_int_equal(fadt[91], 4);
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(read(facs + LENGTH_AT, 4), 64);
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(read(dsdt + LENGTH_AT, 4), ENTRIES_AT + sizeof(s5));
    assert_int_equal(sum(dsdt, ENTRIES_AT + sizeof(s5)), 0);
    assert_memory_equal(dsdt + ENTRIES_AT, s5, sizeof(s5));
}

static void test_cpus(void **state)
{
    const struct handover_cpu cpus[] = {
        {.apic_id = 4}, {.apic_id = 300}, {.apic_id = 6}, {.apic_id = 254}};
    const uint8_t *madt = table(build(*state, cpus, 4), "APIC");
    uint32_t ids[MAX];
    size_t found = 0;

    assert_int_equal(read(madt + ENTRIES_AT, 4), 0xfee00000);
    assert_int_equal(madt_processors(madt, read(madt + LENGTH_AT, 4), ids, MAX, &found), 0);
    assert_int_equal(found, 3);
    assert_int_equal(ids[0], 4);
    assert_int_equal(ids[1], 6);
    assert_int_equal(ids[2], 254);
}

static void test_more_cpus_than_fit(void **state)
{
    static struct handover_cpu cpus[MAX];
    uint32_t ids[MAX];
    size_t found = 0;

    for (uint32_t i = 0; i < MAX; i++)
        cpus[i].apic_id = i;
    const uint8_t *madt = table(build(*state, cpus, MAX), "APIC");
    assert_int_equal(madt_processors(madt, read(madt + LENGTH_AT, 4), ids, MAX, &found), 0);
    assert_int_equal(found, ACPI_MAX_CPUS);
}

static void test_interrupts(void **state)
{
    static const uint8_t io_apic[] = {1, 12, IO_APIC_ID, 0, 0, 0, 0xc0, 0xfe, 0, 0, 0, 0};
    static const uint8_t timer[] = {2, 10, 0, 0, 2, 0, 0, 0, 0, 0};
    static const uint8_t sci[] = {2, 10, 0, 9, 9, 0, 0, 0, 13, 0};
    const struct handover_cpu cpu = {.apic_id = 0};
    const uint8_t *entry = table(build(*state, &cpu, 1), "APIC") + 44;

    assert_memory_equal(entry, io_apic, sizeof(io_apic));
    assert_memory_equal(entry + 12, timer, sizeof(timer));
    assert_memory_equal(entry + 22, sci, sizeof(sci));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_root, setup, teardown),
        cmocka_unit_test_setup_teardown(test_power_management, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cpus, setup, teardown),
        cmocka_unit_test_setup_teardown(test_more_cpus_than_fit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
