/*
 * Short words for the tests of the EPT's contract. After the headers that cmocka needs.
 */
#ifndef TRAPLINE_TESTS_EPT_HELPERS_H
#define TRAPLINE_TESTS_EPT_HELPERS_H

#include "ept_world.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static const struct ept_features modern = {true, true, true, true, false, false};
static const struct ept_features no_dirty = {true, true, false, true, false, false};
static const struct ept_features small_only = {false, false, true, true, false, false};
static const struct ept_features nx_huge = {true, true, true, true, true, false};
static const struct ept_features plain = {true, false, true, false, false, false};

static const struct ept_features converting = {true, true, true, true, false, true};
static const struct ept_features converting_nx = {true, true, true, true, true, true};

#define EPT (&world->ept)

static inline void ok(int error)
{
    assert_int_equal(error, EPT_OK);
}

static inline struct ept_translation at(uint64_t gpa)
{
    struct ept_translation t;

    ept_lookup(EPT, gpa, &t);
    return t;
}

/* Pay the flush if it is owed; whether it was. The judge of stores must agree. */
static inline bool owed(void)
{
    bool was = EPT->flush_owed;

    world_check_owed();
    if (was)
        world_flush();
    return was;
}

static inline void map_ram(const struct ept_features *features, uint64_t bytes)
{
    world_open(features, 4 * GIB);
    ok(ept_map(EPT, 0, 8 * GIB, bytes, EPT_ACCESS_RWX, EPT_MEMTYPE_WB));
    assert_false(owed());
}

#endif
