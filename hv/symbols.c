#include "hv/symbols.h"

enum {
    SECTION_UNDEFINED = 0,
    SECTION_RESERVED = 0xff00, /* from here on: absolute values and the like */
    TYPE_MASK = 0xf,
    TYPE_NONE = 0,
    TYPE_FUNCTION = 2,
};

static const char *name_of(const struct symbols *symbols, const struct elf_symbol *symbol)
{
    const char *name = symbols->strings + symbol->name;

    for (uint64_t i = symbol->name; i < symbols->strings_size; i++) {
        if (symbols->strings[i] == '\0')
            return i > symbol->name ? name : NULL;
    }
    return NULL;
}

const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset)
{
    const char *best_name = NULL;
    uint64_t best = 0;

    for (uint64_t i = 0; i < symbols->count; i++) {
        const struct elf_symbol *s = &symbols->table[i];
        unsigned type = s->info & TYPE_MASK;

        if (s->section == SECTION_UNDEFINED || s->section >= SECTION_RESERVED)
            continue;
        if (type != TYPE_FUNCTION && type != TYPE_NONE)
            continue;
        if (s->value > address || (s->size && address - s->value >= s->size))
            continue;
        if (best_name && s->value <= best)
            continue;
        const char *name = name_of(symbols, s);
        if (!name)
            continue;
        best_name = name;
        best = s->value;
    }
    if (best_name)
        *offset = address - best;
    return best_name;
}
