#include "hv/backtrace.h"

#include <stdbool.h>
#include <stddef.h>

#include "hv/address_space.h"
#include "hv/console.h"
#include "hv/memory.h"
#include "hv/symbols.h"

enum {
    MAX_FRAMES = 32,
};

/* What a frame pointer points at. */
struct frame {
    uint64_t caller_rbp;
    uint64_t return_address;
};

extern char hv_text_start[], hv_text_end[];

static struct symbols symbols;

void backtrace_init(const struct handover *handover)
{
    if (handover->symtab == 0 || handover->strtab == 0)
        return;
    symbols.table = phys_to_virt(handover->symtab);
    symbols.count = handover->symtab_count;
    symbols.strings = phys_to_virt(handover->strtab);
    symbols.strings_size = handover->strtab_size;
}

static bool in_text(uint64_t address)
{
    return address >= (uint64_t)hv_text_start && address < (uint64_t)hv_text_end;
}

/* back: bytes to step back for the look-up, as a return address may lie beyond its function's end.
 */
static void print_address(uint64_t address, uint64_t back)
{
    uint64_t offset;
    const char *name =
        in_text(address - back) ? symbols_find(&symbols, address - back, &offset) : NULL;

    if (name)
        kprintf("  %016lx %s+0x%lx\n", address, name, offset + back);
    else
        kprintf("  %016lx\n", address);
}

static bool frame_is_sound(uint64_t rbp, uint64_t below)
{
    return rbp > below && rbp % sizeof(uint64_t) == 0 && address_space_mapped(rbp) &&
           address_space_mapped(rbp + sizeof(struct frame) - 1);
}

void backtrace_print(uint64_t rip, uint64_t rbp)
{
    uint64_t below = 0;

    kprintf("backtrace:\n");
    print_address(rip, 0);
    for (unsigned i = 0; i < MAX_FRAMES && frame_is_sound(rbp, below); i++) {
        const struct frame *frame = (const struct frame *)rbp;
        if (!in_text(frame->return_address))
            break;
        print_address(frame->return_address, 1);
        below = rbp;
        rbp = frame->caller_rbp;
    }
}
