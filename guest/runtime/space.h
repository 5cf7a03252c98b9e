/*
 * What the rest of the runtime has to do with spaces (trapline/space.h): their tables and their
 * translations follow space 0. All but space_entry_here() with the regions' lock held.
 */
#ifndef GUEST_RUNTIME_SPACE_H
#define GUEST_RUNTIME_SPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/space.h>

/* How many spaces there are beside space 0. */
extern uint32_t spaces_made;

/* Space 0's tables are loaded: find out what the CPU has for spaces. Once, on vCPU 0. */
void space_init(void);

/* Put the calling vCPU, whatever it began with, into space 0, and switch PCIDs on. */
void space_enter_vcpu(void);

/* The root of a space, up to SPACE_MAX; NULL where there is none. */
static inline uint64_t *space_root(unsigned space)
{
    return (uint64_t *)(space_cr3[space] & SPACE_CR3_ROOT);
}

/* The greatest number of a space. */
extern unsigned space_last;

/* The leaf entry of address, below PAGE_TABLES_SPAN, in the calling vCPU's space. */
TRAP_LEAN_HANDLER uint64_t space_entry_here(uint64_t address);

/* The entries of pages changed in space 0: those that spaces have of their own follow. */
void space_follow_each(uint64_t address, size_t pages);

static inline void space_follow_pages(uint64_t address, size_t pages)
{
    if (__builtin_expect(spaces_made, 0))
        space_follow_each(address, pages);
}

/* Upper levels changed in space 0. */
void space_follow_tables(void);

/* The pages are not a region's any more: nothing restricts them. Their entries follow later. */
void space_forget_pages(uint64_t address, size_t pages);

/* Bring what spaces know of writes to tracked pages into space 0's entries. */
void space_collect_dirty(void);

/*
 * On the calling vCPU, drop the translations of pages, or all of them, that are tagged with a space
 * other than its own.
 */
void space_flush_others_pages(uint64_t address, size_t pages);
void space_flush_others(void);

/* On the calling vCPU, drop the translations of pages, or all of them, that are tagged with a
 * space. */
void space_flush_pages(unsigned space, uint64_t address, size_t pages);
void space_flush(unsigned space);

/*
 * What CR3 is to be for going to a space, up to SPACE_MAX, where space_marks. The vCPU goes there
 * at once, with interrupts off, so that no mark comes between.
 */
uint64_t space_take_mark(unsigned space);

#endif
