/* The configuration file: what is understood, and each thing that can be wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/config.h"

static struct config config;
static char error[CONFIG_ERROR_LEN];

/* From an allocation of just that size, so that reads beyond it are caught. */
static int parse_bytes(const char *data, size_t size)
{
    char *copy = malloc(size ? size : 1);

    memcpy(copy, data, size);
    memset(error, 'x', sizeof(error));
    int result = config_parse(copy, size, &config, error);
    free(copy);
    assert_non_null(memchr(error, '\0', sizeof(error)));
    return result;
}

static int parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void good(const char *text)
{
    if (parse(text) != 0)
        fail_msg("refused: %s", error);
    assert_string_equal(error, "");
}

static void defaults(void **state)
{
    (void)state;
    good("[guest a]\nimage=x.elf\n");
    assert_int_equal(config.on_exit, HANDOVER_SHUTDOWN);
    assert_int_equal(config.disable, 0);
    assert_int_equal(config.selftest, HANDOVER_SELFTEST_NONE);
    assert_int_equal(config.measure, HANDOVER_MEASURE_NONE);
    assert_int_equal(config.serial_port, 0x3f8);
    assert_int_equal(config.serial_baud, 115200);
    assert_int_equal(config.debug_port, CONFIG_DEBUG_PORT_AUTO);
    assert_int_equal(config.guest_count, 1);
    assert_string_equal(config.guests[0].name, "a");
    assert_string_equal(config.guests[0].image, "\\x.elf");
    assert_string_equal(config.guests[0].args, "");
    assert_int_equal(config.guests[0].memory, 64 << 20);
    assert_int_equal(config.guests[0].vcpus, 1);
    assert_int_equal(config.guests[0].time_limit_ms, 0);
    assert_int_equal(config.guests[0].tables, 0);
    assert_int_equal(config.guests[0].interrupts, HANDOVER_INTERRUPTS_AUTO);
    assert_int_equal(config.guests[0].disk, HANDOVER_DISK_NONE);
    assert_int_equal(config.guests[0].repeat, 1);
    assert_int_equal(config.guests[0].cpu_count, 0);
}

static void everything(void **state)
{
    (void)state;
    good("# a comment\n"
         "\n"
         "  on_exit\t=  reset   # another\n"
         "serial = com2\n"
         "baud = 9600\n"
         "debug_port = 0xe9\n"
         "disable = ept-1g, ept-2m,ept-ad , ept-exec-only, invept-single, xsaves, timer-save, "
         "x2apic, nx-huge\n"
         "measure = costs\n"
         "[guest first] # one\n"
         "image = /a/b\\c.elf\n"
         "memory = 0x10 MiB\n"
         "vcpus = 32\n"
         "cpus = 3 ,0x10,255, 3\n"
         "interrupts = Direct\n"
         "disk = ata1\n"
         "repeat = 1000\n"
         "args = -n 5#6 \"q\"  # six\n"
         "time_limit = 250ms\n"
         "tables = 64K\n"
         "  [ guest   second-1._x ]\n"
         "image = \"\\with blank#.elf\" # quoted\n"
         "args = \" # kept \"\n"
         "time_limit = 3\n"
         "interrupts = virtual\n"
         "disk = ATA0\n"
         "cpus = 7\n"
         "copies = 1\n"
         "memory = 1g");
    assert_int_equal(config.on_exit, HANDOVER_RESET);
    assert_int_equal(config.serial_port, 0x2f8);
    assert_int_equal(config.serial_baud, 9600);
    assert_int_equal(config.debug_port, 0xe9);
    assert_int_equal(config.disable, 0x1ff);
    assert_int_equal(config.measure, HANDOVER_MEASURE_COSTS);
    assert_int_equal(config.guest_count, 2);
    assert_string_equal(config.guests[0].name, "first");
    assert_string_equal(config.guests[0].image, "\\a\\b\\c.elf");
    assert_int_equal(config.guests[0].memory, 16 << 20);
    assert_int_equal(config.guests[0].vcpus, 32);
    assert_int_equal(config.guests[0].interrupts, HANDOVER_INTERRUPTS_DIRECT);
    assert_int_equal(config.guests[0].disk, HANDOVER_DISK_ATA1);
    assert_int_equal(config.guests[0].repeat, 1000);
    assert_int_equal(config.guests[0].cpu_count, 4);
    assert_int_equal(config.guests[0].cpus[0], 3);
    assert_int_equal(config.guests[0].cpus[1], 16);
    assert_int_equal(config.guests[0].cpus[2], 255);
    assert_int_equal(config.guests[0].cpus[3], 3);
    assert_string_equal(config.guests[0].args, "-n 5#6 \"q\"");
    assert_int_equal(config.guests[0].time_limit_ms, 250);
    assert_int_equal(config.guests[0].tables, 65536);
    assert_int_equal(config.guests[0].line, 9);
    assert_string_equal(config.guests[1].name, "second-1._x");
    assert_string_equal(config.guests[1].image, "\\with blank#.elf");
    assert_string_equal(config.guests[1].args, " # kept ");
    assert_int_equal(config.guests[1].time_limit_ms, 3000);
    assert_int_equal(config.guests[1].interrupts, HANDOVER_INTERRUPTS_VIRTUAL);
    assert_int_equal(config.guests[1].disk, HANDOVER_DISK_ATA0);
    assert_int_equal(config.guests[1].cpu_count, 1);
    assert_int_equal(config.guests[1].memory, 1 << 30);
}

static void line_ends(void **state)
{
    (void)state;
    good("\xef\xbb\xbfserial = none\r\n[guest a]\r\nimage = x\r\nargs =\r\n");
    assert_int_equal(config.serial_port, 0);
    assert_string_equal(config.guests[0].args, "");
    assert_string_equal(config.guests[0].image, "\\x");
    good("[guest a]\nimage = x\nargs = \"\"\n\n\n");
    assert_string_equal(config.guests[0].args, "");
    good("[guest a]\nimage = x\nargs = # nothing\n");
    assert_string_equal(config.guests[0].args, "");
}

static void words(void **state)
{
    static const struct {
        const char *line;
        uint32_t on_exit, serial;
        int32_t debug;
    } cases[] = {
        {"on_exit = halt", HANDOVER_HALT, 0x3f8, -1},
        {"ON_EXIT = Shutdown", HANDOVER_SHUTDOWN, 0x3f8, -1},
        {"serial = 0x2e8", 0, 0x2e8, -1},
        {"serial = 1016", 0, 0x3f8, -1},
        {"serial = COM3", 0, 0x3e8, -1},
        {"serial = com4", 0, 0x2e8, -1},
        {"serial = 0xfff8", 0, 0xfff8, -1},
        {"debug_port = none", 0, 0x3f8, 0},
        {"debug_port = 233", 0, 0x3f8, 0xe9},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "%s\n[guest a]\nimage = x\n", cases[i].line);
        good(text);
        assert_int_equal(config.on_exit, cases[i].on_exit);
        assert_int_equal(config.serial_port, cases[i].serial);
        assert_int_equal(config.debug_port, cases[i].debug);
    }
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } cases[] = {
        {"8", 8ull << 20},       {"8M", 8ull << 20},         {"8192K", 8ull << 20},
        {"8192kib", 8ull << 20}, {"10 m", 10ull << 20},      {"1GiB", 1ull << 30},
        {"3g", 3ull << 30},      {"65536G", 65536ull << 30}, {"0x20", 32ull << 20},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), "[guest a]\nimage = x\nmemory = %s\n", cases[i].text);
        good(text);
        assert_int_equal(config.guests[0].memory, cases[i].bytes);
    }
}

/* G: two good lines of a guest, so that only the line before or after them is wrong. */
#define G "[guest a]\nimage = x\n"

static const struct {
    const char *text;
    const char *error; /* how the message starts after "trapline.conf:" */
} bad[] = {
    {"", "1: no guest"},
    {"\n\n# x\n", "3: no guest"},
    {"serial = none\n", "1: no guest"},
    {"[guest a]\n", "1: guest 'a' has no image (needed: image = PATH)"},
    {"[guest a]\nmemory = 8\n[guest b]\nimage = x\n", "1: guest 'a' has no image"},
    {"hello\n" G, "1: neither 'key = value' nor '[guest NAME]': 'hello'"},
    {"\n\nspeed = 3\n" G,
     "3: unknown key 'speed' (allowed: on_exit, serial, baud, debug_port, disable, selftest, "
     "measure)"},
    {"= 3\n" G, "1: unknown key ''"},
    {"serialx = 3\n" G, "1: unknown key 'serialx'"},
    {G "colour = red\n",
     "3: unknown key of a guest 'colour' (allowed: image, memory, vcpus, cpus, args, "
     "time_limit, tables, interrupts, disk, repeat, copies)"},
    {G "serial = none\n", "3: must come before the first [guest NAME]: 'serial'"},
    {"memory = 8\n" G, "1: must come after a [guest NAME]: 'memory'"},
    {"serial = none\nserial = com1\n" G, "2: a second 'serial'"},
    {G "image = y\n", "3: a second 'image'"},
    {G "args = 1\nargs = 2\n", "4: a second 'args'"},
    {"serial =\n" G, "1: no value for 'serial'"},
    {"serial = # com1\n" G, "1: no value for 'serial'"},
    {"serial = \"\"\n" G, "1: no value for 'serial'"},
    {"[guest a]\nimage =\n", "2: no value for 'image'"},
    {"[guest a]\nimage = /\n", "2: image names no file"},
    {"[guest a]\nimage = \"x\n", "2: a quoted value lacks its closing quote"},
    {"[guest a]\nimage = \"x\" y\n", "2: text after the closing quote: 'y'"},
    {"on_exit = explode\n" G, "1: bad on_exit 'explode' (allowed: shutdown, reset, halt)"},
    {"serial = com5\n" G, "1: bad serial port 'com5' (allowed: com1, com2, com3, com4, none, an"},
    {"serial = 0\n" G, "1: bad serial port '0'"},
    {"serial = 0xfff9\n" G, "1: bad serial port '0xfff9'"},
    {"serial = 0x\n" G, "1: bad serial port '0x'"},
    {"serial = 0x3f8 9\n" G, "1: bad serial port '0x3f8 9'"},
    {"serial = 0x100000000000003f8\n" G, "1: bad serial port '0x100000000000003f8'"},
    {"serial = -1\n" G, "1: bad serial port '-1'"},
    {"baud = 0\n" G, "1: bad baud rate '0' (allowed: what divides 115200"},
    {"baud = 7\n" G, "1: bad baud rate '7'"},
    {"baud = 1\n" G, "1: bad baud rate '1'"},
    {"baud = 230400\n" G, "1: bad baud rate '230400'"},
    {"baud = fast\n" G, "1: bad baud rate 'fast'"},
    {"debug_port = 0x402\n" G, "1: bad debug_port '0x402' (allowed: 0xe9, none)"},
    {"debug_port = yes\n" G, "1: bad debug_port 'yes'"},
    {"selftest = maybe\n" G,
     "1: bad selftest 'maybe' (allowed: none, exception, stack, entry, silent-cpu, nmi)"},
    {"measure = cost\n" G, "1: bad measure 'cost' (allowed: none, costs)"},
    {"measure = none\nmeasure = costs\n" G, "2: a second 'measure'"},
    {"disable = warp\n" G, "1: unknown feature to disable 'warp' (allowed: ept-1g, ept-2m, ept-ad"},
    {"disable = ept-1g,,ept-2m\n" G, "1: unknown feature to disable ''"},
    {"disable = ept-1g,\n" G, "1: unknown feature to disable ''"},
    {"disable = ept-1g ept-2m\n" G, "1: unknown feature to disable 'ept-1g ept-2m'"},
    {G "memory = 6\n", "3: bad memory size '6' (allowed: a multiple of 2M from 8M on"},
    {G "memory = 9\n", "3: bad memory size '9'"},
    {G "memory = 0\n", "3: bad memory size '0'"},
    {G "memory = 8388608K1\n", "3: bad memory size '8388608K1'"},
    {G "memory = 8T\n", "3: bad memory size '8T'"},
    {G "memory = M\n", "3: bad memory size 'M'"},
    {G "memory = 8.5M\n", "3: bad memory size '8.5M'"},
    {G "memory = -8M\n", "3: bad memory size '-8M'"},
    {G "memory = 65538G\n", "3: bad memory size '65538G'"},
    {G "memory = 17179869184G\n", "3: bad memory size '17179869184G'"}, /* 2^64 bytes */
    {G "memory = 18446744073709551616\n", "3: bad memory size '18446744073709551616'"},
    {G "memory = 99999999999999999999999999999999999999999\n",
     "3: bad memory size '9999999999999999999999999999999999999999...'"},
    {G "vcpus = 0\n", "3: bad number of vcpus '0' (allowed: 1 to 32)"},
    {G "vcpus = 33\n", "3: bad number of vcpus '33'"},
    {G "vcpus = two\n", "3: bad number of vcpus 'two'"},
    {G "cpus = 0,256\n", "3: bad CPU '256' (allowed: numbers from 0 to 255, separated by commas)"},
    {G "cpus = 0,\n", "3: bad CPU ''"},
    {G "cpus = 0 1\n", "3: bad CPU '0 1'"},
    {G "cpus = -1\n", "3: bad CPU '-1'"},
    {G "cpus = all\n", "3: bad CPU 'all'"},
    {G "cpus = 0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0\n",
     "3: too many CPUs (allowed: 32)"},
    {G "interrupts = none\n", "3: bad interrupts 'none' (allowed: auto, direct, virtual)"},
    {G "disk = ata2\n", "3: bad disk 'ata2' (allowed: none, ata0, ata1)"},
    {G "disk = ata1-slave\n", "3: bad disk 'ata1-slave'"},
    {G "disk = ata1\n[guest b]\nimage = x\ndisk = none\n[guest c]\nimage = x\ndisk = ata1\n",
     "9: disk ata1 is that of guest 'a' (line 1) already"},
    {G "disk = ata1\ncopies = 2\n", "1: guest 'a' has a disk and so no copies"},
    {G "repeat = 0\n", "3: bad repeat '0' (allowed: 1 to 1000000)"},
    {G "repeat = 1000001\n", "3: bad repeat '1000001'"},
    {G "repeat = often\n", "3: bad repeat 'often'"},
    {G "copies = 0\n", "3: bad number of copies '0' (allowed: 1 to 64)"},
    {G "copies = 65\n", "3: bad number of copies '65'"},
    {G "copies = 4294967297\n", "3: bad number of copies '4294967297'"},
    {"[guest b]\nimage = x\n" G "copies = 64\n", "3: too many guests (allowed: 64)"},
    {G "copies = 64\n[guest b]\nimage = x\n", "4: too many guests (allowed: 64)"},
    {"[guest a-2]\nimage = x\n" G "copies = 2\n",
     "3: a second guest 'a-2' (the first is in line 1)"},
    {G "copies = 2\n[guest a-2]\nimage = x\n", "4: a second guest 'a-2' (the first is in line 1)"},
    {"[guest 123456789012345678901234567890]\nimage = x\ncopies = 2\n",
     "1: the name of copy '123456789012345678901234567890-2' is too long (allowed: 31 characters)"},
    {"[guest 12345678901234567890123456789]\nimage = x\ncopies = 10\n", "1: the name of copy"},
    {G "time_limit = 5m\n", "3: bad time_limit '5m' (allowed: seconds, or with ms or s; 0 = none)"},
    {G "time_limit = 18446744073709551615\n", "3: bad time_limit '18446744073709551615'"},
    {G "tables = 6000K1\n", "3: bad size of tables '6000K1'"},
    {G "tables = 5K\n", "3: bad size of tables '5K'"},
    {G "tables = 99999999G\n", "3: bad size of tables '99999999G'"},
    {G G, "3: a second guest 'a' (the first is in line 1)"},
    {"[guest]\nimage = x\n", "1: a guest without a name (allowed: [guest NAME])"},
    {"[guest  ]\nimage = x\n", "1: a guest without a name"},
    {"[]\n", "1: unknown section '' (allowed: [guest NAME])"},
    {"[host a]\n", "1: unknown section 'host a'"},
    {"[guesta]\n", "1: unknown section 'guesta'"},
    {"[guest a\n", "1: a section's heading lacks its ']': '[guest a'"},
    {"[guest a] image = x\n", "1: text after the section's heading: 'image = x'"},
    {"[guest a b]\n", "1: bad name (allowed: letters, digits, '-', '_', '.'): 'a b'"},
    {"[guest a/b]\n", "1: bad name"},
    {"[guest 12345678901234567890123456789012]\n", "1: name too long (allowed: 31 characters)"},
    {G "args = caf\xc3\xa9\n", "3: column 11 holds byte 0xc3 (allowed: ASCII text)"},
    {G "args = a\x01\n", "3: column 9 holds byte 0x1 (allowed: ASCII text)"},
    {G "args = a\rb\n", "3: column 9 holds byte 0xd (allowed: ASCII text)"},
    {"\xef\xbb" G, "1: column 1 holds byte 0xef"},
    {"\xff\xfe[\n", "1: column 1 holds byte 0xff"}, /* UTF-16 */
};

static void errors(void **state)
{
    static const char start[] = "trapline.conf:";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i].text) == 0)
            fail_msg("accepted: %s", bad[i].text);
        if (strncmp(error, start, strlen(start)) != 0 ||
            strncmp(error + strlen(start), bad[i].error, strlen(bad[i].error)) != 0)
            fail_msg("'%s' instead of '%s'", error, bad[i].error);
    }
}

static void a_zero_byte_is_an_error(void **state)
{
    static const char text[] = "[guest a]\nimage = x\0y\n";

    (void)state;
    assert_int_equal(parse_bytes(text, sizeof(text) - 1), -1);
    assert_string_equal(error, "trapline.conf:2: column 10 holds byte 0x0 (allowed: ASCII text)");
}

static void long_values(void **state)
{
    char text[1024];

    (void)state;
    snprintf(text, sizeof(text), "[guest %.31s]\nimage = %.126s\nargs = %.255s\n",
             "abcdefghijabcdefghijabcdefghij1",
             "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp"
             "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp",
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
             "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    good(text);
    assert_int_equal(strlen(config.guests[0].name), HANDOVER_NAME_LEN - 1);
    assert_int_equal(strlen(config.guests[0].image), CONFIG_PATH_LEN - 1);
    assert_int_equal(strlen(config.guests[0].args), HANDOVER_ARGS_LEN - 1);

    char *args = strstr(text, "args = ");
    strcpy(args + 7 + 255, "a\n");
    assert_int_equal(parse(text), -1);
    assert_string_equal(error, "trapline.conf:3: args too long (allowed: 255 characters)");
    memset(text, 'p', sizeof(text));
    memcpy(text, "[guest a]\nimage = ", 18);
    text[18 + 127] = '\0';
    assert_int_equal(parse(text), -1);
    assert_string_equal(error, "trapline.conf:2: image path too long (allowed: 126 characters)");
    text[18] = '/';
    good(text);
}

static void too_many_guests(void **state)
{
    static char text[65 * 64];
    size_t used = 0;

    (void)state;
    for (int i = 0; i < HANDOVER_MAX_GUESTS; i++)
        used += (size_t)sprintf(text + used, "[guest g%d]\nimage = x\n", i);
    good(text);
    assert_int_equal(config.guest_count, HANDOVER_MAX_GUESTS);
    sprintf(text + used, "[guest more]\nimage = x\n");
    assert_int_equal(parse(text), -1);
    assert_string_equal(error, "trapline.conf:129: too many guests (allowed: 64)");
}

static void copies(void **state)
{
    (void)state;
    good("[guest first]\nimage = x\n"
         "[guest w]\nimage = y\nmemory = 16\nvcpus = 2\ncpus = 1,2,3\nargs = go\nrepeat = 5\n"
         "copies = 12\n"
         "[guest 12345678901234567890123456789]\nimage = z\ncopies = 2\n");
    assert_int_equal(config.guest_count, 15);
    assert_string_equal(config.guests[0].name, "first");
    assert_string_equal(config.guests[14].name, "12345678901234567890123456789-2");
    assert_string_equal(config.guests[14].image, "\\z");
    for (unsigned i = 0; i < 12; i++) {
        const struct config_guest *guest = &config.guests[1 + i];
        char name[HANDOVER_NAME_LEN];

        snprintf(name, sizeof(name), "w-%u", i + 1);
        assert_string_equal(guest->name, name);
        assert_string_equal(guest->image, "\\y");
        assert_string_equal(guest->args, "go");
        assert_int_equal(guest->memory, 16 << 20);
        assert_int_equal(guest->vcpus, 2);
        assert_int_equal(guest->repeat, 5);
        assert_int_equal(guest->line, 3);
        assert_int_equal(guest->cpu_count, 3);
        for (unsigned v = 0; v < 2; v++) /* all copies' vCPUs go through the list in turn */
            assert_int_equal(guest->cpus[v], 1 + (2 * i + v) % 3);
    }
    good("[guest a]\nimage = x\ncopies = 64\n");
    assert_int_equal(config.guest_count, HANDOVER_MAX_GUESTS);
    assert_string_equal(config.guests[63].name, "a-64");
}

static const char sample[] = "\xef\xbb\xbf# c\r\non_exit = halt\nserial = 0x2f8\nbaud = 9600\n"
                             "disable = ept-1g, nx-huge\n[guest a] # c\nimage = \"\\a b\"\n"
                             "cpus = 1, 2\ncopies = 2\nrepeat = 3\n"
                             "memory = 64 MiB\nvcpus = 2\nargs = x y # z\ntime_limit = 5 ms\n"
                             "tables = 1M\n[guest b]\nimage = /y";

static void every_truncation(void **state)
{
    (void)state;
    for (size_t size = 0; size < sizeof(sample); size++) {
        if (parse_bytes(sample, size) != 0)
            assert_int_equal(strncmp(error, "trapline.conf:", 14), 0);
        else
            assert_true(config.guest_count > 0);
    }
}

static void random_mutations(void **state)
{
    enum {
        ROUNDS = 50000,
        CHANGES = 6
    };
    static const char likely[] = "\n\r\t =[]\"#,/\\0xGMK9guest";
    int accepted = 0, refused = 0;

    (void)state;
    srand(2);
    for (int round = 0; round < ROUNDS; round++) {
        char text[sizeof(sample) - 1];
        memcpy(text, sample, sizeof(text));
        for (int change = rand() % CHANGES; change >= 0; change--) {
            size_t at = (size_t)rand() % sizeof(text);
            text[at] = rand() % 4 ? likely[(size_t)rand() % (sizeof(likely) - 1)] : (char)rand();
        }
        if (parse_bytes(text, sizeof(text)) != 0) {
            assert_int_equal(strncmp(error, "trapline.conf:", 14), 0);
            refused++;
            continue;
        }
        accepted++;
        for (uint32_t i = 0; i < config.guest_count; i++) {
            const struct config_guest *guest = &config.guests[i];
            assert_true(guest->memory >= 8 << 20 && guest->memory % (2 << 20) == 0);
            assert_true(guest->vcpus >= 1 && guest->vcpus <= HANDOVER_MAX_VCPUS);
            assert_true(guest->repeat >= 1 && guest->repeat <= CONFIG_MAX_REPEAT);
            assert_true(guest->cpu_count <= HANDOVER_MAX_VCPUS);
            assert_true(guest->image[0] == '\\' && guest->image[1] != '\0');
        }
    }
    assert_true(accepted > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(everything),
        cmocka_unit_test(line_ends),
        cmocka_unit_test(words),
        cmocka_unit_test(sizes),
        cmocka_unit_test(errors),
        cmocka_unit_test(a_zero_byte_is_an_error),
        cmocka_unit_test(long_values),
        cmocka_unit_test(too_many_guests),
        cmocka_unit_test(copies),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(random_mutations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
