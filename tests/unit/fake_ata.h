/*
 * A model of an ATA channel with up to two drives, behind port_read() and its kin. It fails the
 * test when the driver breaks a rule of the protocol: a register written while the drive is busy or
 * transfers data, data moved that nobody asked for, an address outside the drive, interrupts on.
 */
#ifndef TESTS_UNIT_FAKE_ATA_H
#define TESTS_UNIT_FAKE_ATA_H

#include <stdbool.h>
#include <stdint.h>

enum {
    FAKE_PORTS = 0x170,
    FAKE_CONTROL = 0x376,
    FAKE_SECTOR = 512,
    FAKE_ID_WORDS = 256,
};

enum fake_failure {
    FAKE_FINE,
    FAKE_ERROR,   /* the command ends with an error */
    FAKE_FAULT,   /* ... with a device fault */
    FAKE_SILENT,  /* it ends without the data that it is about */
    FAKE_HANGS,   /* it stays busy */
    FAKE_VANISHES /* nothing is there any more */
};

struct fake_drive {
    bool present;
    uint8_t floating; /* of a drive that is not there: what its status reads as */
    uint64_t sectors;
    uint16_t id[FAKE_ID_WORDS];
};

struct fake_ata {
    struct fake_drive drives[2];
    enum fake_failure failure;
    unsigned fail_after; /* sectors that are transferred before */
    unsigned resets, commands, flushes;
    uint8_t last_command;
    uint64_t last_first, last_count;
    uint64_t most_sectors; /* of one command */
};

extern struct fake_ata fake_ata;

/* A channel with one drive of so many sectors as drive 0 or 1, known by 28 or 48 bits. */
void fake_ata_open(unsigned drive, uint64_t sectors, bool lba48);

/* What the drive has in a sector: what was written there last, else fake_ata_initial(). */
void fake_ata_peek(uint64_t sector, uint8_t *bytes);
void fake_ata_initial(uint64_t sector, uint8_t *bytes);

#endif
