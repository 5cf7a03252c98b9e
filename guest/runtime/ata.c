/* General registers only, so that the disk may be used in handlers that save no others. */
#pragma GCC target("general-regs-only")

#include "guest/runtime/ata.h"

#include <stddef.h>

#include <trapline/abi.h>
#include <trapline/disk.h>
#include <trapline/time.h>

#include "guest/runtime/port.h"

/* The command registers, from the channel's first port on. */
enum ata_register {
    ATA_DATA = 0,
    ATA_COUNT = 2,
    ATA_LBA_LOW = 3,
    ATA_LBA_MIDDLE = 4,
    ATA_LBA_HIGH = 5,
    ATA_DEVICE = 6,
    ATA_STATUS = 7,  /* read */
    ATA_COMMAND = 7, /* written */
};

enum ata_status {
    STATUS_ERROR = 1u << 0,
    STATUS_REQUEST = 1u << 3, /* DRQ: it wants or has data */
    STATUS_FAULT = 1u << 5,
    STATUS_READY = 1u << 6,
    STATUS_BUSY = 1u << 7,
    STATUS_NOBODY = 0xff, /* what a port without a device reads as */
};

enum ata_control {
    CONTROL_NO_INTERRUPTS = 1u << 1, /* nIEN */
    CONTROL_RESET = 1u << 2,         /* SRST */
};

enum ata_device {
    DEVICE_LBA = 1u << 6,
    DEVICE_OBSOLETE = 0xa0, /* bits 7 and 5: 1 for old drives */
    DEVICE_NUMBER_SHIFT = 4,
    DEVICE_LBA_SHIFT = 24, /* bits 27 to 24 of a 28-bit address are in the device register */
    DEVICE_LBA_MASK = 0xf,
};

enum ata_command {
    COMMAND_READ = 0x20, /* READ SECTOR(S), 6.35 */
    COMMAND_READ_EXT = 0x24,
    COMMAND_WRITE = 0x30, /* WRITE SECTOR(S), 6.60 */
    COMMAND_WRITE_EXT = 0x34,
    COMMAND_FLUSH = 0xe7, /* FLUSH CACHE, 6.11 */
    COMMAND_FLUSH_EXT = 0xea,
    COMMAND_IDENTIFY = 0xec, /* IDENTIFY DEVICE, 6.17 */
};

enum {
    WORDS_PER_SECTOR = DISK_SECTOR / 2,
};

/* Words of what IDENTIFY DEVICE gives, and bits of them. */
enum ata_identity {
    ID_CAPABILITIES = 49,
    ID_CAPABILITIES_LBA = 1u << 9,
    ID_SECTORS_28 = 60, /* two words */
    ID_COMMANDS = 83,
    ID_COMMANDS_LBA48 = 1u << 10,
    ID_COMMANDS_FLUSH = 1u << 12,
    ID_COMMANDS_FLUSH_EXT = 1u << 13,
    ID_SECTORS_48 = 100, /* four words */
    ID_SECTOR_SIZE = 106,
    ID_SECTOR_SIZE_OTHER = 1u << 12, /* not 256 words */
    ID_VALID_MASK = 3u << 14,        /* words 83 and 106 mean something when this ... */
    ID_VALID = 1u << 14,             /* ... is this */
    ID_WORDS = WORDS_PER_SECTOR,
};

enum ata_limit {
    COUNT_28 = 256, /* sectors of one command: the count register is 0 then */
    COUNT_48 = 65536,
    STATUS_READS = 4, /* of the alternate status, 100 ns each at least: a drive needs 400 ns to set
                         BSY */
    RESET_US = 5,     /* that SRST is held, at least */
    SETTLE_US = 2000, /* behind SRST before the status means something */
    RESET_SECONDS = 31,
    COMMAND_SECONDS = 31, /* a drive may have to spin up */
    FLUSH_SECONDS = 120,  /* may take longer than 30 s: 6.11 */
    US_PER_SECOND = 1000000,
};

#define SECTORS_28 (1ull << 28)

static uint8_t status_of(const struct ata_drive *drive)
{
    return port_read(drive->ports + ATA_STATUS);
}

static void write_register(const struct ata_drive *drive, enum ata_register reg, uint64_t value)
{
    port_write((uint16_t)(drive->ports + reg), (uint8_t)value);
}

static void pause_us(uint64_t us)
{
    const uint64_t end = ticks() + us * tsc_hz() / US_PER_SECOND;

    while (ticks() < end)
        __builtin_ia32_pause();
}

/* Until BSY, by then, has had the time to be set. */
static void pause_for_status(const struct ata_drive *drive)
{
    for (unsigned i = 0; i < STATUS_READS; i++)
        port_read(drive->control);
}

/* Wait until the drive is not busy; its status then. */
static int wait_idle(const struct ata_drive *drive, unsigned seconds, uint8_t *status)
{
    const uint64_t end = ticks() + seconds * tsc_hz();

    while ((*status = status_of(drive)) & STATUS_BUSY) {
        if (*status == STATUS_NOBODY)
            return -TRAPLINE_ENOENT;
        if (ticks() > end)
            return -DISK_ETIMEDOUT;
        __builtin_ia32_pause();
    }
    return 0;
}

/* Software reset of both drives of the channel (SRST): ends whatever was under way. */
static void reset(const struct ata_drive *drive)
{
    uint8_t status;

    port_write(drive->control, CONTROL_NO_INTERRUPTS | CONTROL_RESET);
    pause_us(RESET_US);
    port_write(drive->control, CONTROL_NO_INTERRUPTS);
    pause_us(SETTLE_US);
    wait_idle(drive, RESET_SECONDS, &status); /* what comes next finds out about a failure */
}

/* A sector through the data port; behind it the drive may take a port's cycle to set BSY. */
static void read_sector(const struct ata_drive *drive, void *words)
{
    port_read_words(drive->ports + ATA_DATA, words, WORDS_PER_SECTOR);
    port_read(drive->control);
}

static void write_sector(const struct ata_drive *drive, const void *words)
{
    port_write_words(drive->ports + ATA_DATA, words, WORDS_PER_SECTOR);
    port_read(drive->control);
}

/* Make the drive the one that takes the next command. high: bits 27 to 24 of its address. */
static int select_drive(const struct ata_drive *drive, unsigned high)
{
    uint8_t status;

    write_register(drive, ATA_DEVICE,
                   DEVICE_OBSOLETE | DEVICE_LBA | drive->number << DEVICE_NUMBER_SHIFT | high);
    pause_for_status(drive);
    return wait_idle(drive, COMMAND_SECONDS, &status);
}

static void start_command(const struct ata_drive *drive, enum ata_command command)
{
    write_register(drive, ATA_COMMAND, command);
    pause_for_status(drive);
}

/* Wait for the drive to ask for a sector's transfer. */
static int wait_request(const struct ata_drive *drive)
{
    uint8_t status;
    const int result = wait_idle(drive, COMMAND_SECONDS, &status);

    if (result != 0)
        return result;
    if ((status & (STATUS_ERROR | STATUS_FAULT)) || !(status & STATUS_REQUEST))
        return -DISK_EIO;
    return 0;
}

/* Wait for the end of a command. */
static int wait_end(const struct ata_drive *drive, unsigned seconds)
{
    uint8_t status;
    const int result = wait_idle(drive, seconds, &status);

    if (result != 0)
        return result;
    return status & (STATUS_ERROR | STATUS_FAULT | STATUS_REQUEST) ? -DISK_EIO : 0;
}

/* What a command came to. A drive that failed is left as if nothing had been asked of it. */
static int finish(const struct ata_drive *drive, int result)
{
    if (result == 0)
        return 0;
    reset(drive);
    return result == -TRAPLINE_ENOENT ? -DISK_EIO : result; /* it was there before */
}

static bool is_valid(uint16_t word)
{
    return (word & ID_VALID_MASK) == ID_VALID;
}

/* Take from the drive's identity what matters here. */
static int read_identity(struct ata_drive *drive, const uint16_t *id)
{
    const uint16_t commands = is_valid(id[ID_COMMANDS]) ? id[ID_COMMANDS] : 0;

    if (!(id[ID_CAPABILITIES] & ID_CAPABILITIES_LBA))
        return -TRAPLINE_EOPNOTSUPP;
    if (is_valid(id[ID_SECTOR_SIZE]) && (id[ID_SECTOR_SIZE] & ID_SECTOR_SIZE_OTHER))
        return -TRAPLINE_EOPNOTSUPP;
    drive->lba48 = commands & ID_COMMANDS_LBA48;
    drive->flush = commands & ID_COMMANDS_FLUSH;
    drive->flush_ext = drive->lba48 && (commands & ID_COMMANDS_FLUSH_EXT);
    drive->sectors = id[ID_SECTORS_28] | (uint64_t)id[ID_SECTORS_28 + 1] << 16;
    if (drive->lba48) {
        drive->sectors = 0;
        for (unsigned i = 0; i < 4; i++)
            drive->sectors |= (uint64_t)id[ID_SECTORS_48 + i] << (16 * i);
    }
    return drive->sectors ? 0 : -TRAPLINE_ENOENT;
}

int ata_identify(struct ata_drive *drive)
{
    uint16_t id[ID_WORDS];
    uint8_t status;
    int result;

    if (status_of(drive) == STATUS_NOBODY)
        return -TRAPLINE_ENOENT;
    reset(drive);
    result = select_drive(drive, 0);
    if (result != 0)
        return result;
    start_command(drive, COMMAND_IDENTIFY);
    if (status_of(drive) == 0) /* nobody took the command */
        return -TRAPLINE_ENOENT;
    result = wait_idle(drive, COMMAND_SECONDS, &status);
    if (result != 0)
        return result;
    if ((status & (STATUS_ERROR | STATUS_FAULT)) || !(status & STATUS_REQUEST))
        return -TRAPLINE_ENOENT; /* a drive of another kind, which aborts this command */
    read_sector(drive, id);
    result = wait_end(drive, COMMAND_SECONDS);
    return result != 0 ? result : read_identity(drive, id);
}

/* Begin a command about count sectors. ext: the command takes 48 bits. */
static int start_transfer(const struct ata_drive *drive, enum ata_command command, bool ext,
                          uint64_t first, uint64_t count)
{
    const unsigned high = ext ? 0 : first >> DEVICE_LBA_SHIFT & DEVICE_LBA_MASK;
    const int result = select_drive(drive, high);

    if (result != 0)
        return result;
    if (ext) { /* each register is two bytes deep; the upper ones come first */
        write_register(drive, ATA_COUNT, count >> 8);
        write_register(drive, ATA_LBA_LOW, first >> 24);
        write_register(drive, ATA_LBA_MIDDLE, first >> 32);
        write_register(drive, ATA_LBA_HIGH, first >> 40);
    }
    write_register(drive, ATA_COUNT, count);
    write_register(drive, ATA_LBA_LOW, first);
    write_register(drive, ATA_LBA_MIDDLE, first >> 8);
    write_register(drive, ATA_LBA_HIGH, first >> 16);
    start_command(drive, command);
    return 0;
}

/* Whether a command about these sectors has to be one of 48 bits. */
static bool is_beyond_28(uint64_t first, uint64_t count)
{
    return first + count > SECTORS_28;
}

/* How many of count sectors from first on one command transfers. */
static uint64_t most_at_once(const struct ata_drive *drive, uint64_t count)
{
    const uint64_t most = drive->lba48 ? COUNT_48 : COUNT_28;

    return count < most ? count : most;
}

static int read_some(const struct ata_drive *drive, uint64_t first, uint64_t count, uint8_t *to)
{
    const bool ext = count > COUNT_28 || is_beyond_28(first, count);
    int result = start_transfer(drive, ext ? COMMAND_READ_EXT : COMMAND_READ, ext, first, count);

    for (uint64_t i = 0; result == 0 && i < count; i++) {
        result = wait_request(drive);
        if (result == 0)
            read_sector(drive, to + i * DISK_SECTOR);
    }
    return result != 0 ? result : wait_end(drive, COMMAND_SECONDS);
}

static int write_some(const struct ata_drive *drive, uint64_t first, uint64_t count,
                      const uint8_t *from)
{
    const bool ext = count > COUNT_28 || is_beyond_28(first, count);
    int result = start_transfer(drive, ext ? COMMAND_WRITE_EXT : COMMAND_WRITE, ext, first, count);

    for (uint64_t i = 0; result == 0 && i < count; i++) {
        result = wait_request(drive);
        if (result == 0)
            write_sector(drive, from + i * DISK_SECTOR);
    }
    return result != 0 ? result : wait_end(drive, COMMAND_SECONDS);
}

int ata_read(const struct ata_drive *drive, uint64_t first, uint64_t count, void *buffer)
{
    uint8_t *to = buffer;

    while (count > 0) {
        const uint64_t some = most_at_once(drive, count);
        const int result = finish(drive, read_some(drive, first, some, to));

        if (result != 0)
            return result;
        first += some;
        count -= some;
        to += some * DISK_SECTOR;
    }
    return 0;
}

int ata_write(const struct ata_drive *drive, uint64_t first, uint64_t count, const void *buffer)
{
    const uint8_t *from = buffer;

    while (count > 0) {
        const uint64_t some = most_at_once(drive, count);
        const int result = finish(drive, write_some(drive, first, some, from));

        if (result != 0)
            return result;
        first += some;
        count -= some;
        from += some * DISK_SECTOR;
    }
    return 0;
}

int ata_flush(const struct ata_drive *drive)
{
    int result;

    if (!drive->flush && !drive->flush_ext) /* older than the command: it has no write cache */
        return 0;
    result = select_drive(drive, 0);
    if (result == 0) {
        start_command(drive, drive->flush_ext ? COMMAND_FLUSH_EXT : COMMAND_FLUSH);
        result = wait_end(drive, FLUSH_SECONDS);
    }
    return finish(drive, result);
}
