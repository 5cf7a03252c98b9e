/*
 * What the calling vCPU has cached of spaces. Translations are tagged with the space's number, its
 * PCID (SDM 4.10.1), and dropped by INVPCID where the CPU has it; else the space is marked, and
 * the vCPU drops everything that has the tag when it goes there next. Without PCIDs every MOV to
 * CR3 drops everything, so that there is nothing of a space that the vCPU is not in.
 */
/* These calls are made in handlers that keep to the general registers: see TRAP_LEAN. */
#pragma GCC target("general-regs-only")

#include <trapline/interrupt.h>
#include <trapline/space.h>

#include "guest/runtime/cpu.h"
#include "guest/runtime/page_tables.h"
#include "guest/runtime/space.h"
#include "guest/runtime/vcpu.h"

static void mark(unsigned space)
{
    __atomic_or_fetch(&vcpu_self()->space_stale, 1ull << space, __ATOMIC_RELAXED);
}

/* A mark that an interrupt's handler sets on the way would come too late: it waits. */
void space_switch_marked(unsigned space)
{
    struct vcpu_local *const self = vcpu_self();
    const bool interrupts = interrupts_save();
    uint64_t cr3 = space <= SPACE_MAX ? space_cr3[space] : SPACE_CR3_NONE;

    if (space <= SPACE_MAX && (self->space_stale >> space & 1)) {
        self->space_stale &= ~(1ull << space);
        cr3 &= ~SPACE_CR3_KEEP;
    }
    write_cr3(cr3);
    self->space = space;
    interrupts_restore(interrupts);
}

void space_flush(unsigned space)
{
    if (space == space_current())
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
    if (space != space_current()) {
        flush_elsewhere(space, address, pages);
    } else if (pages >= page_tables_flush_all_from) {
        write_cr3(read_cr3());
    } else {
        for (size_t i = 0; i < pages; i++)
            flush_page_here(address + i * TRAPLINE_PAGE_SIZE);
    }
}

void space_flush_others_pages(uint64_t address, size_t pages)
{
    const unsigned here = space_current();

    if (!space_tagged)
        return;
    for (unsigned space = 0; space <= space_last; space++)
        if (space != here && space_root(space))
            flush_elsewhere(space, address, pages);
}

void space_flush_others(void)
{
    const unsigned here = space_current();

    if (space_marks)
        __atomic_store_n(&vcpu_self()->space_stale, ~(1ull << here), __ATOMIC_RELAXED);
    else if (space_tagged)
        invpcid(INVPCID_ALL, 0, 0);
}
