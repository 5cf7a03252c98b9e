#include "tests/unit/fake_ata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "guest/runtime/port.h"

enum {
    DATA = FAKE_PORTS,
    COUNT = FAKE_PORTS + 2,
    DEVICE = FAKE_PORTS + 6,
    STATUS = FAKE_PORTS + 7,
    REGISTERS = 8,
    ERR = 1,
    DRQ = 8,
    DF = 0x20,
    DRDY = 0x40,
    BSY = 0x80,
    SRST = 4,
    NIEN = 2,
    BUSY_LOOKS = 7, /* at the status before a drive is done with anything */
    WRITTEN_MAX = 4096,
};

struct fake_ata fake_ata;

static struct {
    uint8_t now[REGISTERS], before[REGISTERS]; /* each two bytes deep */
    unsigned busy;                             /* looks at the status that still find BSY */
    uint8_t status;                            /* when it is not busy */
    bool in, out;                              /* a sector is being transferred */
    bool hung, reset;
    uint64_t first, count, done;
    uint8_t sector[FAKE_SECTOR];
} state;

static struct {
    uint64_t sector;
    uint8_t bytes[FAKE_SECTOR];
} written[WRITTEN_MAX];
static unsigned written_count;

void fake_ata_open(unsigned drive, uint64_t sectors, bool lba48)
{
    struct fake_drive *d = &fake_ata.drives[drive];

    memset(&fake_ata, 0, sizeof(fake_ata));
    memset(&state, 0, sizeof(state));
    written_count = 0;
    state.status = DRDY;
    d->present = true;
    d->sectors = sectors;
    d->id[49] = 1 << 9;
    d->id[60] = (uint16_t)(sectors < 0xfffffff ? sectors : 0xfffffff);
    d->id[61] = (uint16_t)((sectors < 0xfffffff ? sectors : 0xfffffff) >> 16);
    d->id[83] = 1 << 14 | 1 << 12 | (lba48 ? 1 << 10 | 1 << 13 : 0);
    for (unsigned i = 0; lba48 && i < 4; i++)
        d->id[100 + i] = (uint16_t)(sectors >> 16 * i);
}

static struct fake_drive *selected(void)
{
    return &fake_ata.drives[state.now[6] >> 4 & 1];
}

void fake_ata_initial(uint64_t sector, uint8_t *bytes)
{
    for (unsigned i = 0; i < FAKE_SECTOR; i++)
        bytes[i] = (uint8_t)(sector * 31 + (sector >> 27) + i * 7);
}

void fake_ata_peek(uint64_t sector, uint8_t *bytes)
{
    fake_ata_initial(sector, bytes);
    for (unsigned i = 0; i < written_count; i++) {
        if (written[i].sector == sector)
            memcpy(bytes, written[i].bytes, FAKE_SECTOR);
    }
}

static void keep(uint64_t sector)
{
    unsigned i = 0;

    while (i < written_count && written[i].sector != sector)
        i++;
    assert_true(i < WRITTEN_MAX);
    written_count += i == written_count;
    written[i].sector = sector;
    memcpy(written[i].bytes, state.sector, FAKE_SECTOR);
}

static bool failing(void)
{
    static const uint8_t status[] = {
        [FAKE_ERROR] = DRDY | ERR, [FAKE_FAULT] = DRDY | DF, [FAKE_SILENT] = DRDY};

    if (fake_ata.failure == FAKE_FINE || state.done < fake_ata.fail_after)
        return false;
    state.in = state.out = false;
    if (fake_ata.failure == FAKE_HANGS)
        state.hung = true;
    else if (fake_ata.failure == FAKE_VANISHES)
        *selected() = (struct fake_drive){.floating = 0xff};
    else
        state.status = status[fake_ata.failure];
    return true;
}

/* The next sector of the command, or its end. */
static void next_sector(bool in)
{
    state.busy = BUSY_LOOKS;
    state.status = DRDY;
    state.in = state.out = false;
    if (failing() || state.done == state.count)
        return;
    state.status |= DRQ;
    state.in = in;
    state.out = !in;
    if (in)
        fake_ata_peek(state.first + state.done, state.sector);
}

static void transfer(bool ext, bool in)
{
    const uint8_t *now = state.now, *before = state.before;

    assert_true(now[6] & 0x40);
    state.first = now[3] | now[4] << 8 | (uint64_t)now[5] << 16;
    state.count = now[2];
    if (ext) {
        state.first |=
            (uint64_t)before[3] << 24 | (uint64_t)before[4] << 32 | (uint64_t)before[5] << 40;
        state.count |= before[2] << 8;
        assert_int_equal(now[6] & 0xf, 0);
        assert_true(selected()->id[83] & 1 << 10);
    } else {
        state.first |= (uint64_t)(now[6] & 0xf) << 24;
    }
    if (state.count == 0)
        state.count = ext ? 65536 : 256;
    assert_true(state.first + state.count <= selected()->sectors);
    state.done = 0;
    fake_ata.last_first = state.first;
    fake_ata.last_count = state.count;
    if (state.count > fake_ata.most_sectors)
        fake_ata.most_sectors = state.count;
    next_sector(in);
}

static void flush(void)
{
    fake_ata.flushes++;
    state.busy = BUSY_LOOKS;
    state.status = DRDY;
    state.done = 0;
    failing();
}

static void command(uint8_t code)
{
    if (!selected()->present)
        return;
    fake_ata.commands++;
    fake_ata.last_command = code;
    switch (code) {
    case 0x20: transfer(false, true); break;
    case 0x24: transfer(true, true); break;
    case 0x30: transfer(false, false); break;
    case 0x34: transfer(true, false); break;
    case 0xe7: flush(); break;
    case 0xea: flush(); break;
    case 0xec:
        state.count = 1;
        state.done = 0;
        next_sector(true);
        memcpy(state.sector, selected()->id, FAKE_SECTOR);
        break;
    default: fail_msg("command %x", code);
    }
}

static void control(uint8_t value)
{
    assert_true(value & NIEN);
    if (state.reset && !(value & SRST)) {
        fake_ata.resets++;
        memset(&state, 0, sizeof(state));
        state.status = DRDY;
        state.busy = BUSY_LOOKS;
    }
    state.reset = value & SRST;
}

void port_write(uint16_t port, uint8_t value)
{
    unsigned reg = port - FAKE_PORTS;

    if (port == FAKE_CONTROL) {
        control(value);
        return;
    }
    assert_true(reg >= COUNT - FAKE_PORTS && reg < REGISTERS);
    if (selected()->present) {
        assert_int_equal(state.busy, 0);
        assert_false(state.hung || state.in || state.out || state.reset);
    }
    state.before[reg] = state.now[reg];
    state.now[reg] = value;
    if (port == STATUS)
        command(value);
}

uint8_t port_read(uint16_t port)
{
    assert_true(port == STATUS || port == FAKE_CONTROL);
    if (!selected()->present)
        return selected()->floating;
    if (state.hung || state.reset)
        return BSY;
    if (state.busy > 0) {
        state.busy--;
        return BSY;
    }
    return state.status;
}

void port_read_words(uint16_t port, void *words, size_t count)
{
    assert_int_equal(port, DATA);
    assert_int_equal(count, FAKE_SECTOR / 2);
    assert_true(state.in && state.busy == 0);
    memcpy(words, state.sector, FAKE_SECTOR);
    state.done++;
    next_sector(true);
}

void port_write_words(uint16_t port, const void *words, size_t count)
{
    assert_int_equal(port, DATA);
    assert_int_equal(count, FAKE_SECTOR / 2);
    assert_true(state.out && state.busy == 0);
    memcpy(state.sector, words, FAKE_SECTOR);
    keep(state.first + state.done);
    state.done++;
    next_sector(false);
}
