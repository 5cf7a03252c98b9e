/*
 * Static ELF64 executables for x86-64, out of a byte buffer that may hold anything. Pure.
 * Source: System V ABI, chapters 4 and 5, and its AMD64 supplement.
 */
#ifndef TRAPLINE_BOOT_ELF_H
#define TRAPLINE_BOOT_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot/handover.h"

enum elf_error {
    ELF_OK = 0,
    ELF_TOO_SMALL,
    ELF_NOT_ELF,
    ELF_NOT_64_BIT,
    ELF_BAD_VERSION,
    ELF_NOT_X86_64,
    ELF_POSITION_INDEPENDENT,
    ELF_NOT_EXECUTABLE,
    ELF_BAD_PROGRAM_HEADERS,
    ELF_BAD_SECTION_HEADERS,
    ELF_INTERPRETER,
    ELF_DYNAMIC,
    ELF_SEGMENT_OUTSIDE_FILE,
    ELF_SEGMENT_SIZES,
    ELF_SEGMENT_ALIGNMENT,
    ELF_SEGMENT_LOW,
    ELF_SEGMENT_HIGH,
    ELF_SEGMENT_WRITE_EXECUTE,
    ELF_SEGMENTS_OVERLAP,
    ELF_TOO_MANY_SEGMENTS,
    ELF_NO_SEGMENTS,
    ELF_ENTRY_OUTSIDE,
    ELF_BAD_SYMBOLS,
    ELF_ERROR_COUNT
};

enum elf_flag {
    ELF_X = 1,
    ELF_W = 2,
    ELF_R = 4,
};

/* Where an image may lie and what it must keep to. */
struct elf_rules {
    uint64_t low;     /* first address that segments may use */
    uint64_t high;    /* first address above low that they may not use */
    uint64_t granule; /* no two segments share a block of this many bytes; a power of two */
    bool write_xor_execute;
};

struct elf_segment {
    uint64_t address;
    uint64_t offset;    /* of the bytes in the file */
    uint64_t file_size; /* bytes */
    uint64_t mem_size;  /* bytes, at least file_size and at least 1 */
    uint64_t align;     /* a power of two */
    uint32_t flags;     /* enum elf_flag */
};

struct elf_image {
    uint64_t entry;
    uint64_t symtab_offset; /* Elf64_Sym entries in the file; count 0 = no symbols */
    uint64_t symtab_count;
    uint64_t strtab_offset;
    uint64_t strtab_size; /* bytes; the last one is 0 */
    uint32_t segment_count;
    struct elf_segment segments[HANDOVER_MAX_SEGMENTS];
};

/* The rules for a guest with memory bytes of RAM: page 0 and the last 2 MiB stay clear. */
struct elf_rules elf_guest_rules(uint64_t memory);

/* Check size bytes at data against the rules and describe the image. */
enum elf_error elf_parse(const void *data, size_t size, const struct elf_rules *rules,
                         struct elf_image *image);

/* What is wrong, as a phrase, with what to do where that can be said. */
const char *elf_error_text(enum elf_error error);

#endif
