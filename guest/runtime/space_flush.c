/*
 * What the calling vCPU has cached of spaces. Translations are tagged with the space's number, its
 * PCID (SDM 4.10.1), and dropped by INVPCID where the CPU has it; else the space is marked, and
 * the vCPU drops everything that has the tag when it goes there next. Without PCIDs every MOV to
 * CR3 drops everything, so that there is nothing of a space that the vCPU is not in.
 */
/* These calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/space.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/page_tables.h"
#include "guest/runtime/space.h"
#include "guest/runtime/vcpu.h"

static void mark(unsigned space)
{
    __atomic_or_fetch(&vcpu_self()->space_stale, 1ull << space, __ATOMIC_RELAXED);
}

uint64_t space_take_mark(unsigned space)
{
    struct vcpu_local *const self = vcpu_self();

    if (!(self->space_stale >> space & 1))
        return space_cr3[space];
    self->space_stale &= ~(1ull << space);
    return space_cr3[space] & ~SPACE_CR3_KEEP;
}

void space_flush(unsigned space)
{
    if (space == space_of(read_cr3()))
        write_cr3(read_cr3());
    else if (space_marks)
        mark(space);
    else if (space_tagged)
        invpcid(INVPCID_PCID, space, 0);
}

/* The same of pages; the vCPU is not in the space. */
static void flush_elsewhere(unsigned space, uint64_t address, size_t pages)
{
    if (space_marks)
        mark(space);
    else if (space_tagged && pages >= page_tables_flush_all_from)
        invpcid(INVPCID_PCID, space, 0);
    else if (space_tagged)
        for (size_t i = 0; i < pages; i++)
            invpcid(INVPCID_ADDRESS, space, address + i * TRAPLINE_PAGE_SIZE);
}

void space_flush_pages(unsigned space, uint64_t address, size_t pages)
{
    if (space != space_of(read_cr3())) {
        flush_elsewhere(space, address, pages);
    } else if (pages >= page_tables_flush_all_from) {
        write_cr3(read_cr3());
    } else {
        for (size_t i = 0; i < pages; i++)
            invlpg(address + i * TRAPLINE_PAGE_SIZE);
    }
}

void space_flush_others_pages(uint64_t address, size_t pages)
{
    const unsigned here = space_of(read_cr3());

    if (!space_tagged)
        return;
    for (unsigned space = 0; space <= space_last; space++)
        if (space != here && space_root(space))
            flush_elsewhere(space, address, pages);
}

void space_flush_others(void)
{
    const unsigned here = space_of(read_cr3());

    if (space_marks)
        __atomic_store_n(&vcpu_self()->space_stale, ~(1ull << here), __ATOMIC_RELAXED);
    else if (space_tagged)
        invpcid(INVPCID_ALL, 0, 0);
}
