/* Names for addresses, from an ELF symbol table in memory whose contents are not trusted. */
#ifndef TRAPLINE_HV_SYMBOLS_H
#define TRAPLINE_HV_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_symbol {
    uint32_t name; /* offset in the string table */
    uint8_t info;  /* type in the low 4 bits */
    uint8_t other;
    uint16_t section;
    uint64_t value;
    uint64_t size;
};

struct symbols {
    const struct elf_symbol *table;
    uint64_t count;
    const char *strings;
    uint64_t strings_size;
};

/*
 * The function, or the label of assembly code, that address lies in; NULL = none. *offset becomes
 * the distance from its beginning, in bytes.
 */
const char *symbols_find(const struct symbols *symbols, uint64_t address, uint64_t *offset);

#endif
