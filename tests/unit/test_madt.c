/* The MADT's processors: every entry type, every kind of damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/madt.h"

enum {
    HEADER = 44,
    ROOM = 512,
    MAX = 4,
};

struct table {
    uint8_t bytes[ROOM];
    size_t size;
};

static void start(struct table *table)
{
    memset(table, 0, sizeof(*table));
    memcpy(table->bytes, "APIC", 4);
    table->size = HEADER;
}

static void append(struct table *table, const uint8_t *entry, size_t size)
{
    memcpy(table->bytes + table->size, entry, size);
    table->size += size;
}

static void append_apic(struct table *table, uint8_t id, uint8_t flags)
{
    append(table, (const uint8_t[]){0, 8, 1, id, flags, 0, 0, 0}, 8);
}

static void append_x2apic(struct table *table, uint16_t id, uint8_t flags)
{
    append(table,
           (const uint8_t[]){9, 16, 0, 0, (uint8_t)id, (uint8_t)(id >> 8), 0, 0, flags, 0, 0, 0, 0,
                             0, 0, 0},
           16);
}

static void finish(struct table *table)
{
    uint8_t sum = 0;

    memcpy(table->bytes + 4, &(uint32_t){(uint32_t)table->size}, 4);
    table->bytes[9] = 0;
    for (size_t i = 0; i < table->size; i++)
        sum = (uint8_t)(sum + table->bytes[i]);
    table->bytes[9] = (uint8_t)-sum;
}

/* From an allocation of just that size, so that reads beyond it are caught. */
static int parse(const struct table *table, uint32_t *ids, size_t *found)
{
    uint8_t *copy = malloc(table->size ? table->size : 1);

    memcpy(copy, table->bytes, table->size);
    int result = madt_processors(copy, table->size, ids, MAX, found);
    free(copy);
    return result;
}

static void finds_enabled_processors(void **state)
{
    struct table table;
    uint32_t ids[MAX];
    size_t found;

    (void)state;
    start(&table);
    append_apic(&table, 0, 1);
    append(&table, (const uint8_t[]){1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 12); /* I/O APIC */
    append_apic(&table, 2, 1);
    append_apic(&table, 3, 0); /* disabled */
    append_apic(&table, 4, 2); /* could be plugged in */
    append_x2apic(&table, 0x1234, 1);
    append_x2apic(&table, 0x4321, 0);
    append_x2apic(&table, 2, 1); /* the same as above */
    finish(&table);
    assert_int_equal(parse(&table, ids, &found), 0);
    assert_int_equal(found, 3);
    assert_int_equal(ids[0], 0);
    assert_int_equal(ids[1], 2);
    assert_int_equal(ids[2], 0x1234);
}

static void counts_beyond_the_room(void **state)
{
    struct table table;
    uint32_t ids[MAX];
    size_t found;

    (void)state;
    start(&table);
    for (uint8_t id = 0; id < MAX + 3; id++)
        append_apic(&table, id, 1);
    finish(&table);
    assert_int_equal(parse(&table, ids, &found), 0);
    assert_int_equal(found, MAX + 3);
    assert_int_equal(ids[MAX - 1], MAX - 1);
}

static void refuses_damage(void **state)
{
    struct table good, table;
    uint32_t ids[MAX];
    size_t found;

    (void)state;
    start(&good);
    append_apic(&good, 0, 1);
    append_x2apic(&good, 300, 1);
    finish(&good);

    for (size_t size = 0; size < good.size; size++) {
        table = good;
        table.size = size;
        assert_int_equal(parse(&table, ids, &found), -1);
        assert_int_equal(found, 0);
    }
    table = good;
    table.bytes[0] = 'X';
    finish(&table);
    assert_int_equal(parse(&table, ids, &found), -1);
    table = good;
    table.bytes[table.size - 1]++; /* the checksum no longer fits */
    assert_int_equal(parse(&table, ids, &found), -1);

    static const uint8_t lengths[] = {0, 1, 200};
    for (size_t i = 0; i < sizeof(lengths); i++) {
        table = good;
        table.bytes[HEADER + 1] = lengths[i];
        finish(&table);
        assert_int_equal(parse(&table, ids, &found), -1);
    }
    /* A lone byte at the end is no entry. */
    table = good;
    table.size++;
    finish(&table);
    assert_int_equal(parse(&table, ids, &found), -1);
}

static void ignores_short_entries(void **state)
{
    struct table table;
    uint32_t ids[MAX];
    size_t found;

    (void)state;
    start(&table);
    append(&table, (const uint8_t[]){0, 4, 1, 7}, 4);
    append(&table, (const uint8_t[]){9, 8, 0, 0, 1, 0, 0, 0}, 8);
    finish(&table);
    assert_int_equal(parse(&table, ids, &found), 0);
    assert_int_equal(found, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_enabled_processors),
        cmocka_unit_test(counts_beyond_the_room),
        cmocka_unit_test(refuses_damage),
        cmocka_unit_test(ignores_short_entries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
