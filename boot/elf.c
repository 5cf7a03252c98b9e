/* ELF executables; see elf.h. */
#include "boot/elf.h"

enum elf_layout {
    /* Elf64_Ehdr */
    EHDR_SIZE = 64,
    EI_CLASS = 4,
    EI_DATA = 5,
    EI_VERSION = 6,
    E_TYPE = 16,
    E_MACHINE = 18,
    E_VERSION = 20,
    E_ENTRY = 24,
    E_PHOFF = 32,
    E_SHOFF = 40,
    E_PHENTSIZE = 54,
    E_PHNUM = 56,
    E_SHENTSIZE = 58,
    E_SHNUM = 60,
    /* Elf64_Phdr */
    PHDR_SIZE = 56,
    P_TYPE = 0,
    P_FLAGS = 4,
    P_OFFSET = 8,
    P_VADDR = 16,
    P_FILESZ = 32,
    P_MEMSZ = 40,
    P_ALIGN = 48,
    /* Elf64_Shdr */
    SHDR_SIZE = 64,
    SH_TYPE = 4,
    SH_OFFSET = 24,
    SH_SIZE = 32,
    SH_LINK = 40,
    SH_ENTSIZE = 56,
    SYM_SIZE = 24, /* Elf64_Sym */
};

enum elf_value {
    CLASS_64 = 2,
    DATA_LITTLE_ENDIAN = 1,
    VERSION_CURRENT = 1,
    TYPE_EXECUTABLE = 2,
    TYPE_SHARED = 3,
    MACHINE_X86_64 = 62,
    SEGMENT_LOAD = 1,
    SEGMENT_DYNAMIC = 2,
    SEGMENT_INTERPRETER = 3,
    SECTION_SYMTAB = 2,
    SECTION_STRTAB = 3,
};

#define GUEST_LOW  0x1000ull    /* page 0 stays clear: a null pointer's page */
#define GUEST_TAIL (2ull << 20) /* room for the boot area at the end of RAM */
#define MAX_ALIGN  (1ull << 30)

struct file {
    const uint8_t *data;
    size_t size;
};

static uint64_t read_le(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << (8 * i);
    return value;
}

static uint16_t read16(const uint8_t *p)
{
    return (uint16_t)read_le(p, sizeof(uint16_t));
}

static uint32_t read32(const uint8_t *p)
{
    return (uint32_t)read_le(p, sizeof(uint32_t));
}

static uint64_t read64(const uint8_t *p)
{
    return read_le(p, sizeof(uint64_t));
}

static bool inside(const struct file *file, uint64_t offset, uint64_t bytes)
{
    return offset <= file->size && bytes <= file->size - offset;
}

static enum elf_error check_header(const struct file *file)
{
    static const uint8_t magic[4] = {0x7f, 'E', 'L', 'F'};

    if (file->size < sizeof(magic))
        return ELF_TOO_SMALL;
    for (size_t i = 0; i < sizeof(magic); i++) {
        if (file->data[i] != magic[i])
            return ELF_NOT_ELF;
    }
    if (file->size < EHDR_SIZE)
        return ELF_TOO_SMALL;
    if (file->data[EI_CLASS] != CLASS_64 || file->data[EI_DATA] != DATA_LITTLE_ENDIAN)
        return ELF_NOT_64_BIT;
    if (file->data[EI_VERSION] != VERSION_CURRENT ||
        read32(file->data + E_VERSION) != VERSION_CURRENT)
        return ELF_BAD_VERSION;
    if (read16(file->data + E_MACHINE) != MACHINE_X86_64)
        return ELF_NOT_X86_64;
    if (read16(file->data + E_TYPE) == TYPE_SHARED)
        return ELF_POSITION_INDEPENDENT;
    if (read16(file->data + E_TYPE) != TYPE_EXECUTABLE)
        return ELF_NOT_EXECUTABLE;
    return ELF_OK;
}

static enum elf_error check_segment(const struct file *file, const struct elf_rules *rules,
                                    const struct elf_segment *segment)
{
    if (!inside(file, segment->offset, segment->file_size))
        return ELF_SEGMENT_OUTSIDE_FILE;
    if (segment->file_size > segment->mem_size)
        return ELF_SEGMENT_SIZES;
    if (segment->align == 0 || (segment->align & (segment->align - 1)) != 0 ||
        segment->align > MAX_ALIGN)
        return ELF_SEGMENT_ALIGNMENT;
    if (segment->address < rules->low)
        return ELF_SEGMENT_LOW;
    if (segment->address >= rules->high || segment->mem_size > rules->high - segment->address)
        return ELF_SEGMENT_HIGH;
    if (rules->write_xor_execute && (segment->flags & ELF_W) && (segment->flags & ELF_X))
        return ELF_SEGMENT_WRITE_EXECUTE;
    return ELF_OK;
}

static bool overlap(const struct elf_rules *rules, const struct elf_segment *a,
                    const struct elf_segment *b)
{
    /* Last bytes, not ends: an image may reach up to 2^64. */
    uint64_t a_first = a->address / rules->granule;
    uint64_t a_last = (a->address + (a->mem_size - 1)) / rules->granule;
    uint64_t b_first = b->address / rules->granule;
    uint64_t b_last = (b->address + (b->mem_size - 1)) / rules->granule;

    return a_first <= b_last && b_first <= a_last;
}

static enum elf_error read_segments(const struct file *file, const struct elf_rules *rules,
                                    struct elf_image *image)
{
    uint64_t offset = read64(file->data + E_PHOFF);
    uint64_t count = read16(file->data + E_PHNUM);

    if (count == 0)
        return ELF_NO_SEGMENTS;
    if (read16(file->data + E_PHENTSIZE) != PHDR_SIZE || !inside(file, offset, count * PHDR_SIZE))
        return ELF_BAD_PROGRAM_HEADERS;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *header = file->data + offset + i * PHDR_SIZE;
        uint32_t type = read32(header + P_TYPE);
        if (type == SEGMENT_INTERPRETER)
            return ELF_INTERPRETER;
        if (type == SEGMENT_DYNAMIC)
            return ELF_DYNAMIC;
        if (type != SEGMENT_LOAD)
            continue;
        struct elf_segment segment = {
            .address = read64(header + P_VADDR),
            .offset = read64(header + P_OFFSET),
            .file_size = read64(header + P_FILESZ),
            .mem_size = read64(header + P_MEMSZ),
            .align = read64(header + P_ALIGN),
            .flags = read32(header + P_FLAGS) & (ELF_R | ELF_W | ELF_X),
        };
        if (segment.align == 0)
            segment.align = 1; /* both mean: none */
        if (segment.mem_size == 0 && segment.file_size == 0)
            continue;
        enum elf_error error = check_segment(file, rules, &segment);
        if (error != ELF_OK)
            return error;
        if (image->segment_count == HANDOVER_MAX_SEGMENTS)
            return ELF_TOO_MANY_SEGMENTS;
        for (uint32_t j = 0; j < image->segment_count; j++) {
            if (overlap(rules, &segment, &image->segments[j]))
                return ELF_SEGMENTS_OVERLAP;
        }
        image->segments[image->segment_count++] = segment;
    }
    return image->segment_count == 0 ? ELF_NO_SEGMENTS : ELF_OK;
}

static enum elf_error check_entry(const struct elf_image *image)
{
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if ((segment->flags & ELF_X) && image->entry >= segment->address &&
            image->entry - segment->address < segment->file_size)
            return ELF_OK;
    }
    return ELF_ENTRY_OUTSIDE;
}

static enum elf_error read_symbols(const struct file *file, struct elf_image *image)
{
    uint64_t offset = read64(file->data + E_SHOFF);
    uint64_t count = read16(file->data + E_SHNUM);

    if (offset == 0 || count == 0)
        return ELF_OK;
    if (read16(file->data + E_SHENTSIZE) != SHDR_SIZE || !inside(file, offset, count * SHDR_SIZE))
        return ELF_BAD_SECTION_HEADERS;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *section = file->data + offset + i * SHDR_SIZE;
        if (read32(section + SH_TYPE) != SECTION_SYMTAB)
            continue;
        uint32_t link = read32(section + SH_LINK);
        if (link >= count)
            return ELF_BAD_SYMBOLS;
        const uint8_t *strings = file->data + offset + (uint64_t)link * SHDR_SIZE;
        uint64_t symbols_size = read64(section + SH_SIZE);
        uint64_t strings_size = read64(strings + SH_SIZE);
        image->symtab_offset = read64(section + SH_OFFSET);
        image->strtab_offset = read64(strings + SH_OFFSET);
        if (read64(section + SH_ENTSIZE) != SYM_SIZE || symbols_size % SYM_SIZE != 0 ||
            read32(strings + SH_TYPE) != SECTION_STRTAB || strings_size == 0 ||
            !inside(file, image->symtab_offset, symbols_size) ||
            !inside(file, image->strtab_offset, strings_size) ||
            file->data[image->strtab_offset + strings_size - 1] != 0)
            return ELF_BAD_SYMBOLS;
        image->symtab_count = symbols_size / SYM_SIZE;
        image->strtab_size = strings_size;
        break;
    }
    return ELF_OK;
}

struct elf_rules elf_guest_rules(uint64_t memory)
{
    return (struct elf_rules){
        .low = GUEST_LOW,
        .high = memory > GUEST_TAIL ? memory - GUEST_TAIL : 0,
        .granule = 1,
    };
}

enum elf_error elf_parse(const void *data, size_t size, const struct elf_rules *rules,
                         struct elf_image *image)
{
    struct file file = {.data = data, .size = size};
    enum elf_error error = check_header(&file);

    *image = (struct elf_image){0};
    if (error == ELF_OK)
        error = read_segments(&file, rules, image);
    if (error != ELF_OK)
        return error;
    image->entry = read64(file.data + E_ENTRY);
    error = check_entry(image);
    if (error != ELF_OK)
        return error;
    return read_symbols(&file, image);
}

const char *elf_error_text(enum elf_error error)
{
    static const char *const texts[ELF_ERROR_COUNT] = {
        [ELF_OK] = "no error",
        [ELF_TOO_SMALL] = "the file is too small for an ELF header",
        [ELF_NOT_ELF] = "not an ELF file",
        [ELF_NOT_64_BIT] = "not a 64-bit little-endian ELF file; build it with -m64",
        [ELF_BAD_VERSION] = "unknown ELF version",
        [ELF_NOT_X86_64] = "not for x86-64",
        [ELF_POSITION_INDEPENDENT] =
            "position-independent or a shared object; link it with -static -no-pie",
        [ELF_NOT_EXECUTABLE] = "not an executable; link it (an object file will not do)",
        [ELF_BAD_PROGRAM_HEADERS] = "the program headers are damaged or lie outside the file",
        [ELF_BAD_SECTION_HEADERS] = "the section headers are damaged or lie outside the file",
        [ELF_INTERPRETER] = "wants a program interpreter; link it with -static -no-pie",
        [ELF_DYNAMIC] = "is dynamically linked; link it with -static -no-pie",
        [ELF_SEGMENT_OUTSIDE_FILE] = "a segment's bytes lie outside the file (is it cut off?)",
        [ELF_SEGMENT_SIZES] = "a segment has more bytes in the file than in memory",
        [ELF_SEGMENT_ALIGNMENT] = "a segment's alignment is not a power of two up to 1 GiB",
        [ELF_SEGMENT_LOW] = "a segment starts below the lowest address it may use (for a guest: "
                            "0x1000; page 0 stays clear)",
        [ELF_SEGMENT_HIGH] = "a segment does not fit in memory (for a guest: its RAM without the "
                             "last 2 MiB); give the guest more memory or link it lower",
        [ELF_SEGMENT_WRITE_EXECUTE] = "a segment is both writable and executable",
        [ELF_SEGMENTS_OVERLAP] = "two segments overlap",
        [ELF_TOO_MANY_SEGMENTS] = "more than 8 loadable segments",
        [ELF_NO_SEGMENTS] = "no loadable segment",
        [ELF_ENTRY_OUTSIDE] = "the entry point is not in the bytes of an executable segment",
        [ELF_BAD_SYMBOLS] = "the symbol table is damaged",
    };

    return (unsigned)error < ELF_ERROR_COUNT ? texts[error] : "unknown error";
}
