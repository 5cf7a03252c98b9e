/* The ELF parser: a good file, each rule broken in turn, every truncation, random damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <elf.h>

#include <cmocka.h>

#include "boot/elf.h"

enum {
    SEGMENTS = 3,
    HEADERS = 5, /* the loadable ones, PT_GNU_STACK, PT_NOTE */
    SECTIONS = 4,
    SYMBOLS = 2,
    STRINGS = 16,
    CODE = 64,
    DATA = 32,
};

#define MEMORY (16ull << 20)

struct sample {
    Elf64_Ehdr header;
    Elf64_Phdr segment[HEADERS];
    uint8_t code[CODE];
    uint8_t data[DATA];
    Elf64_Sym symbol[SYMBOLS];
    char strings[STRINGS];
    Elf64_Shdr section[SECTIONS];
};

static struct sample make(void)
{
    struct sample s = {0};

    memcpy(s.header.e_ident, ELFMAG, SELFMAG);
    s.header.e_ident[EI_CLASS] = ELFCLASS64;
    s.header.e_ident[EI_DATA] = ELFDATA2LSB;
    s.header.e_ident[EI_VERSION] = EV_CURRENT;
    s.header.e_type = ET_EXEC;
    s.header.e_machine = EM_X86_64;
    s.header.e_version = EV_CURRENT;
    s.header.e_entry = 0x200010;
    s.header.e_phoff = offsetof(struct sample, segment);
    s.header.e_shoff = offsetof(struct sample, section);
    s.header.e_phentsize = sizeof(Elf64_Phdr);
    s.header.e_phnum = HEADERS;
    s.header.e_shentsize = sizeof(Elf64_Shdr);
    s.header.e_shnum = SECTIONS;
    s.segment[0] =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_X, offsetof(struct sample, code), 0x200000, 0x200000, CODE,
                     CODE,    0x1000};
    s.segment[1] =
        (Elf64_Phdr){PT_LOAD, PF_R | PF_W, offsetof(struct sample, data), 0x201000, 0x201000, DATA,
                     0x5000,  0x1000};
    s.segment[2] = (Elf64_Phdr){PT_LOAD, PF_R | PF_W, 0, 0x300000, 0x300000, 0, 0x1000, 0};
    s.segment[3] = (Elf64_Phdr){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16};
    s.segment[4] = (Elf64_Phdr){PT_LOAD, PF_R, ~0ull, 0, 0, 0, 0, 3}; /* empty: of no interest */
    s.section[1].sh_type = SHT_PROGBITS;
    s.section[2].sh_type = SHT_SYMTAB;
    s.section[2].sh_offset = offsetof(struct sample, symbol);
    s.section[2].sh_size = sizeof(s.symbol);
    s.section[2].sh_link = 3;
    s.section[2].sh_entsize = sizeof(Elf64_Sym);
    s.section[3].sh_type = SHT_STRTAB;
    s.section[3].sh_offset = offsetof(struct sample, strings);
    s.section[3].sh_size = sizeof(s.strings);
    return s;
}

static struct elf_image image;

/* From an allocation of just that size, so that reads beyond it are caught. */
static enum elf_error parse_bytes(const void *data, size_t size, const struct elf_rules *rules)
{
    uint8_t *copy = malloc(size ? size : 1);

    memcpy(copy, data, size);
    enum elf_error error = elf_parse(copy, size, rules, &image);
    free(copy);
    return error;
}

static enum elf_error parse(const struct sample *s)
{
    struct elf_rules rules = elf_guest_rules(MEMORY);

    return parse_bytes(s, sizeof(*s), &rules);
}

static void a_good_file(void **state)
{
    struct sample s = make();

    (void)state;
    assert_int_equal(parse(&s), ELF_OK);
    assert_int_equal(image.entry, 0x200010);
    assert_int_equal(image.segment_count, SEGMENTS);
    assert_int_equal(image.segments[0].address, 0x200000);
    assert_int_equal(image.segments[0].offset, offsetof(struct sample, code));
    assert_int_equal(image.segments[0].file_size, CODE);
    assert_int_equal(image.segments[0].mem_size, CODE);
    assert_int_equal(image.segments[0].align, 0x1000);
    assert_int_equal(image.segments[0].flags, ELF_R | ELF_X);
    assert_int_equal(image.segments[1].mem_size, 0x5000);
    assert_int_equal(image.segments[1].flags, ELF_R | ELF_W);
    assert_int_equal(image.segments[2].align, 1);
    assert_int_equal(image.symtab_offset, offsetof(struct sample, symbol));
    assert_int_equal(image.symtab_count, SYMBOLS);
    assert_int_equal(image.strtab_offset, offsetof(struct sample, strings));
    assert_int_equal(image.strtab_size, STRINGS);
}

static void without_symbols(void **state)
{
    struct sample s = make();

    (void)state;
    s.header.e_shoff = 0;
    assert_int_equal(parse(&s), ELF_OK);
    assert_int_equal(image.symtab_count, 0);
    s = make();
    s.header.e_shnum = 0;
    assert_int_equal(parse(&s), ELF_OK);
    s = make();
    s.section[2].sh_type = SHT_PROGBITS;
    assert_int_equal(parse(&s), ELF_OK);
    assert_int_equal(image.symtab_count, 0);
}

/* One field of the sample set to another value, and what must come of it. */
struct change {
    size_t offset;
    size_t size;
    uint64_t value;
    enum elf_error error;
};

#define FIELD(name, value, error)                                                                  \
    {                                                                                              \
        offsetof(struct sample, name), sizeof(((struct sample *)0)->name), (value), (error)        \
    }

static const struct change changes[] = {
    FIELD(header.e_ident[0], 'X', ELF_NOT_ELF),
    FIELD(header.e_ident[3], 'X', ELF_NOT_ELF),
    FIELD(header.e_ident[EI_CLASS], ELFCLASS32, ELF_NOT_64_BIT),
    FIELD(header.e_ident[EI_DATA], ELFDATA2MSB, ELF_NOT_64_BIT),
    FIELD(header.e_ident[EI_VERSION], 0, ELF_BAD_VERSION),
    FIELD(header.e_version, 2, ELF_BAD_VERSION),
    FIELD(header.e_machine, EM_386, ELF_NOT_X86_64),
    FIELD(header.e_type, ET_DYN, ELF_POSITION_INDEPENDENT),
    FIELD(header.e_type, ET_REL, ELF_NOT_EXECUTABLE),
    FIELD(header.e_type, ET_CORE, ELF_NOT_EXECUTABLE),
    FIELD(header.e_phnum, 0, ELF_NO_SEGMENTS),
    FIELD(header.e_phnum, 0xffff, ELF_BAD_PROGRAM_HEADERS),
    FIELD(header.e_phentsize, 55, ELF_BAD_PROGRAM_HEADERS),
    FIELD(header.e_phoff, sizeof(struct sample), ELF_BAD_PROGRAM_HEADERS),
    FIELD(header.e_phoff, ~0ull, ELF_BAD_PROGRAM_HEADERS),
    FIELD(header.e_phoff, ~0ull - 5 * sizeof(Elf64_Phdr) + 1, ELF_BAD_PROGRAM_HEADERS),
    FIELD(segment[3].p_type, PT_INTERP, ELF_INTERPRETER),
    FIELD(segment[3].p_type, PT_DYNAMIC, ELF_DYNAMIC),
    FIELD(segment[0].p_offset, sizeof(struct sample), ELF_SEGMENT_OUTSIDE_FILE),
    FIELD(segment[0].p_offset, ~0ull, ELF_SEGMENT_OUTSIDE_FILE),
    FIELD(segment[0].p_filesz, ~0ull, ELF_SEGMENT_OUTSIDE_FILE),
    FIELD(segment[0].p_filesz, sizeof(struct sample), ELF_SEGMENT_OUTSIDE_FILE),
    FIELD(segment[0].p_memsz, CODE - 1, ELF_SEGMENT_SIZES),
    FIELD(segment[0].p_memsz, 0, ELF_SEGMENT_SIZES),
    FIELD(segment[0].p_align, 3, ELF_SEGMENT_ALIGNMENT),
    FIELD(segment[0].p_align, 1ull << 31, ELF_SEGMENT_ALIGNMENT),
    FIELD(segment[0].p_vaddr, 0, ELF_SEGMENT_LOW),
    FIELD(segment[0].p_vaddr, 0xfff, ELF_SEGMENT_LOW),
    FIELD(segment[2].p_vaddr, 0x1000, ELF_OK),
    FIELD(segment[2].p_vaddr, MEMORY - (2 << 20) - 0x1000, ELF_OK),
    FIELD(segment[2].p_vaddr, MEMORY - (2 << 20) - 0xfff, ELF_SEGMENT_HIGH),
    FIELD(segment[2].p_vaddr, MEMORY, ELF_SEGMENT_HIGH),
    FIELD(segment[2].p_vaddr, ~0ull, ELF_SEGMENT_HIGH),
    FIELD(segment[2].p_memsz, ~0ull, ELF_SEGMENT_HIGH),
    FIELD(segment[2].p_memsz, ~0ull - 0x300000 + 1, ELF_SEGMENT_HIGH),
    FIELD(segment[2].p_flags, PF_R | PF_W | PF_X, ELF_OK),
    FIELD(segment[1].p_vaddr, 0x20003f, ELF_SEGMENTS_OVERLAP),
    FIELD(segment[1].p_vaddr, 0x200040, ELF_OK),
    FIELD(segment[1].p_vaddr, 0x200000 - 0x4fff, ELF_SEGMENTS_OVERLAP),
    FIELD(segment[1].p_vaddr, 0x200000 - 0x5000, ELF_OK),
    FIELD(segment[2].p_vaddr, 0x204000, ELF_SEGMENTS_OVERLAP),
    FIELD(header.e_entry, 0x200000, ELF_OK),
    FIELD(header.e_entry, 0x20003f, ELF_OK),
    FIELD(header.e_entry, 0x200040, ELF_ENTRY_OUTSIDE),
    FIELD(header.e_entry, 0x1fffff, ELF_ENTRY_OUTSIDE),
    FIELD(header.e_entry, 0x201000, ELF_ENTRY_OUTSIDE), /* not executable */
    FIELD(header.e_entry, 0, ELF_ENTRY_OUTSIDE),
    FIELD(segment[0].p_flags, PF_R, ELF_ENTRY_OUTSIDE),
    FIELD(header.e_shentsize, 63, ELF_BAD_SECTION_HEADERS),
    FIELD(header.e_shoff, sizeof(struct sample) - 1, ELF_BAD_SECTION_HEADERS),
    FIELD(header.e_shoff, ~0ull, ELF_BAD_SECTION_HEADERS),
    FIELD(header.e_shnum, 0xffff, ELF_BAD_SECTION_HEADERS),
    FIELD(section[2].sh_link, SECTIONS, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_link, 0xffffffff, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_link, 1, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_entsize, 0, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_size, sizeof(Elf64_Sym) + 1, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_size, 24ull << 40, ELF_BAD_SYMBOLS),
    FIELD(section[2].sh_offset, ~0ull, ELF_BAD_SYMBOLS),
    FIELD(section[3].sh_size, 0, ELF_BAD_SYMBOLS),
    FIELD(section[3].sh_size, ~0ull, ELF_BAD_SYMBOLS),
    FIELD(section[3].sh_offset, ~0ull, ELF_BAD_SYMBOLS),
    FIELD(strings[STRINGS - 1], 'x', ELF_BAD_SYMBOLS), /* unterminated */
};

static void each_rule_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct sample s = make();
        memcpy((char *)&s + changes[i].offset, &changes[i].value, changes[i].size);
        enum elf_error error = parse(&s);
        if (error != changes[i].error)
            fail_msg("change %zu: '%s' instead of '%s'", i, elf_error_text(error),
                     elf_error_text(changes[i].error));
    }
}

static void too_many_segments(void **state)
{
    enum {
        COUNT = HANDOVER_MAX_SEGMENTS + 1
    };
    struct {
        struct sample s;
        Elf64_Phdr segment[COUNT];
    } file = {.s = make()};
    struct elf_rules rules = elf_guest_rules(MEMORY);

    (void)state;
    file.s.header.e_phoff = sizeof(struct sample);
    file.s.header.e_phnum = HANDOVER_MAX_SEGMENTS;
    for (int i = 0; i < COUNT; i++) {
        file.segment[i] = file.s.segment[0];
        file.segment[i].p_vaddr += (uint64_t)i * 0x1000;
    }
    assert_int_equal(parse_bytes(&file, sizeof(file), &rules), ELF_OK);
    assert_int_equal(image.segment_count, HANDOVER_MAX_SEGMENTS);
    file.s.header.e_phnum = COUNT;
    assert_int_equal(parse_bytes(&file, sizeof(file), &rules), ELF_TOO_MANY_SEGMENTS);
}

static void only_empty_segments(void **state)
{
    struct sample s = make();

    (void)state;
    for (int i = 0; i < SEGMENTS; i++) {
        s.segment[i].p_filesz = 0;
        s.segment[i].p_memsz = 0;
    }
    assert_int_equal(parse(&s), ELF_NO_SEGMENTS);
}

static void the_hypervisors_rules(void **state)
{
    const struct elf_rules rules = {
        .low = 0xffffffff80000000ull,
        .high = 0xfffffffffffff000ull,
        .granule = 4096,
        .write_xor_execute = true,
    };
    struct sample s = make();

    (void)state;
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_SEGMENT_LOW);
    s.header.e_entry += rules.low;
    for (int i = 0; i < SEGMENTS; i++)
        s.segment[i].p_vaddr += rules.low;
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_OK);
    s.segment[1].p_flags = PF_R | PF_W | PF_X;
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_SEGMENT_WRITE_EXECUTE);
    s.segment[1].p_flags = PF_R | PF_W;
    s.segment[1].p_vaddr -= 0x800; /* shares a page with the code */
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_SEGMENTS_OVERLAP);
    s.segment[1].p_vaddr = 0xfffffffffffff000ull - 0x5000;
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_OK);
    s.segment[1].p_vaddr++;
    assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_SEGMENT_HIGH);
}

static void little_memory(void **state)
{
    struct sample s = make();

    (void)state;
    for (uint64_t memory = 0; memory <= 4ull << 20; memory += 1ull << 20) {
        struct elf_rules rules = elf_guest_rules(memory);
        assert_int_equal(parse_bytes(&s, sizeof(s), &rules), ELF_SEGMENT_HIGH);
    }
}

static void every_truncation(void **state)
{
    struct sample s = make();
    struct elf_rules rules = elf_guest_rules(MEMORY);

    (void)state;
    for (size_t size = 0; size < sizeof(s); size++)
        assert_int_not_equal(parse_bytes(&s, size, &rules), ELF_OK);
    assert_int_equal(parse_bytes(&s, 3, &rules), ELF_TOO_SMALL);
    assert_int_equal(parse_bytes(&s, 63, &rules), ELF_TOO_SMALL);
    assert_int_equal(elf_parse(NULL, 0, &rules, &image), ELF_TOO_SMALL);
}

/* What an accepted image promises. */
static void check_promises(size_t size, const struct elf_rules *rules)
{
    bool entry_inside = false;

    assert_true(image.segment_count >= 1 && image.segment_count <= HANDOVER_MAX_SEGMENTS);
    for (uint32_t i = 0; i < image.segment_count; i++) {
        const struct elf_segment *a = &image.segments[i];
        assert_true(a->offset <= size && a->file_size <= size - a->offset);
        assert_true(a->mem_size >= 1 && a->file_size <= a->mem_size);
        assert_true(a->address >= rules->low && a->address < rules->high);
        assert_true(a->mem_size <= rules->high - a->address);
        entry_inside |= (a->flags & ELF_X) && image.entry >= a->address &&
                        image.entry < a->address + a->file_size;
        for (uint32_t j = 0; j < i; j++) {
            const struct elf_segment *b = &image.segments[j];
            assert_true(a->address + a->mem_size <= b->address ||
                        b->address + b->mem_size <= a->address);
        }
    }
    assert_true(entry_inside);
    if (image.symtab_count == 0)
        return;
    assert_true(image.symtab_offset <= size &&
                image.symtab_count * sizeof(Elf64_Sym) <= size - image.symtab_offset);
    assert_true(image.strtab_offset <= size && image.strtab_size >= 1 &&
                image.strtab_size <= size - image.strtab_offset);
}

static void random_damage(void **state)
{
    enum {
        ROUNDS = 200000,
        CHANGES = 4
    };
    static const uint8_t likely[] = {0, 1, 2, 3, 6, 0x10, 0x7f, 0x80, 0xff};
    struct elf_rules rules = elf_guest_rules(MEMORY);
    int accepted = 0, refused = 0;

    (void)state;
    srand(3);
    for (int round = 0; round < ROUNDS; round++) {
        struct sample s = make();
        for (int change = rand() % CHANGES; change >= 0; change--) {
            /* Leave the identification alone mostly: behind it is what there is to test. */
            size_t from = rand() % 16 ? offsetof(Elf64_Ehdr, e_entry) : 0;
            size_t at = from + (size_t)rand() % (sizeof(s) - from);
            ((uint8_t *)&s)[at] = rand() % 2 ? likely[(size_t)rand() % sizeof(likely)] : rand();
        }
        if (parse_bytes(&s, sizeof(s), &rules) != ELF_OK) {
            refused++;
            continue;
        }
        accepted++;
        check_promises(sizeof(s), &rules);
    }
    assert_true(accepted > 1000 && refused > 1000);
}

static void every_error_has_a_text(void **state)
{
    (void)state;
    for (int error = ELF_OK; error < ELF_ERROR_COUNT; error++) {
        assert_non_null(elf_error_text((enum elf_error)error));
        assert_string_not_equal(elf_error_text((enum elf_error)error), "unknown error");
    }
    assert_string_equal(elf_error_text(ELF_ERROR_COUNT), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file),         cmocka_unit_test(without_symbols),
        cmocka_unit_test(each_rule_broken),    cmocka_unit_test(too_many_segments),
        cmocka_unit_test(only_empty_segments), cmocka_unit_test(the_hypervisors_rules),
        cmocka_unit_test(little_memory),       cmocka_unit_test(every_truncation),
        cmocka_unit_test(random_damage),       cmocka_unit_test(every_error_has_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
