/*
 * The guest that has the disk. A copy of the disk in memory says what must be read. What a boot
 * leaves is computed from the number of the boot, so that the next one can check all of it.
 * Arguments: "absent" when nothing is connected to the guest's channel.
 */
#include "ports.h"

enum {
    SECTORS = 2 << 11, /* 2 MiB: test.ini */
    WORDS = DISK_SECTOR / sizeof(uint64_t),
    TRANSFERS = 150,
    LONGEST = 700, /* sectors: more than a command with a 28-bit address takes */
    HALF_WRITTEN = 5,
    TIMED = 64, /* sectors */
    THREAD_ROUNDS = 20,
    THREAD_SECTORS = 24,
};

/* Sector 0. */
struct head {
    uint64_t magic;
    uint64_t boots;
};
#define MAGIC 0x6b7369642074736full

static struct disk *disk;
static uint64_t (*copy)[WORDS]; /* of the whole disk */
static uint64_t (*buffer)[WORDS];
static uint64_t boot = 1;

/* What this boot, or thread, writes into a sector the round-th time. */
static void fill(uint64_t sector[WORDS], uint64_t number, uint64_t round)
{
    uint64_t x = (boot << 48 | round << 32 | number) * 0x9e3779b97f4a7c15;

    for (unsigned i = 0; i < WORDS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        sector[i] = x;
    }
}

static uint64_t random_number(void)
{
    static uint64_t x = 88172645463325252;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

/* Read all of the disk by one call and compare it with the copy. */
static void expect_copy(void)
{
    EXPECT_EQ(disk_read(disk, 0, SECTORS, buffer), 0);
    for (unsigned i = 0; i < SECTORS && check_good(); i++) {
        check_at("sector %u", i);
        EXPECT_EQ(memcmp(buffer[i], copy[i], DISK_SECTOR), 0);
    }
    check_at("%s", "");
}

/* Leave the drive in the middle of a write, as a guest does that is stopped there. */
static void begin_a_write(void)
{
    const uint16_t ports = guest_info()->disk_ports;
    static const uint8_t registers[] = {0, 0, 2, HALF_WRITTEN, 0, 0, 0xe0, 0x30};

    for (uint16_t i = 2; i < COUNT(registers); i++)
        __asm__ volatile("outb %0, %1" : : "a"(registers[i]), "d"((uint16_t)(ports + i)));
    for (unsigned i = 0; i < 100; i++)
        __asm__ volatile("outw %0, %1" : : "a"((uint16_t)~i), "d"(ports));
}

static void check_open(void)
{
    struct disk *again = NULL;

    EXPECT_EQ(guest_info()->disk_ports, ATA1_PORTS);
    EXPECT_EQ(guest_info()->disk_control, ATA1_CONTROL);
    begin_a_write();
    EXPECT_EQ(disk_open(&disk), 0);
    EXPECT_EQ(disk_open(&again), 0);
    EXPECT(disk == again);
    EXPECT_EQ(disk_sectors(disk), SECTORS);
}

/* The first boot finds zeros; the next one what the first has left. */
static void check_kept(void)
{
    const struct head *head = (const struct head *)copy[0];

    EXPECT_EQ(disk_read(disk, 0, 1, buffer), 0);
    if (((struct head *)buffer)->magic == MAGIC) {
        for (uint64_t i = 1; i < SECTORS; i++)
            fill(copy[i], i, 0);
        *(struct head *)copy[0] = (struct head){MAGIC, boot};
        boot = ((struct head *)buffer)->boots + 1;
    }
    EXPECT_EQ(head->boots, boot - 1);
    expect_copy();
    printf("boot %lu\n", boot);
}

/* Sectors anywhere, one and many, overlapping, at the end of the disk. */
static void check_transfers(void)
{
    for (uint64_t round = 1; round <= TRANSFERS && check_good(); round++) {
        const uint64_t first = round % 10 == 0 ? SECTORS - 1 : random_number() % SECTORS;
        const uint64_t most = round % 10 == 1 ? LONGEST : 8, left = SECTORS - first;
        uint64_t count = random_number() % most + 1;

        count = count < left ? count : left;
        check_at("sectors %lu and %lu more", first, count - 1);
        for (uint64_t i = 0; i < count; i++)
            fill(copy[first + i], first + i, round);
        EXPECT_EQ(disk_write(disk, first, count, copy[first]), 0);
        memset(buffer, 0, count * DISK_SECTOR);
        EXPECT_EQ(disk_read(disk, first, count, buffer), 0);
        EXPECT_EQ(memcmp(buffer, copy[first], count * DISK_SECTOR), 0);
    }
    check_at("%s", "");
    EXPECT_EQ(disk_flush(disk), 0);
    expect_copy();
}

static void check_range(void)
{
    static const struct {
        uint64_t first, count;
    } rows[] = {
        {SECTORS, 1},     {SECTORS - 1, 2},      {0, SECTORS + 1},      {UINT64_MAX, 1},
        {UINT64_MAX, 2},  {1, UINT64_MAX},       {1ull << 28, 1},       {1ull << 48, 1},
        {SECTORS + 1, 0}, {1, UINT64_MAX / 512}, {SECTORS, UINT64_MAX},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        check_at("sector %lu and %lu in all", rows[i].first, rows[i].count);
        EXPECT_EQ(disk_read(disk, rows[i].first, rows[i].count, buffer), -TRAPLINE_EINVAL);
        EXPECT_EQ(disk_write(disk, rows[i].first, rows[i].count, buffer), -TRAPLINE_EINVAL);
    }
    check_at("no sectors");
    EXPECT_EQ(disk_read(disk, 0, 0, buffer), 0);
    EXPECT_EQ(disk_write(disk, SECTORS, 0, buffer), 0);
    check_at("%s", "");
    expect_copy();
}

static volatile unsigned faults;

static void allow(struct trapline_fault *fault)
{
    faults++;
    unprot(trap_page(fault));
}

/* The CPU's own accesses to the buffer trap like any other, in the middle of a transfer. */
static void check_protected_buffer(void)
{
    char *pages = need_pages(2, 1);

    EXPECT_EQ(trap(allow, TRAP_GENERAL_REGS), 0);
    EXPECT_EQ(protn_range(pages, 2, TRAPLINE_NONE), 0);
    faults = 0;
    EXPECT_EQ(disk_read(disk, 100, 2 * PAGE / DISK_SECTOR, pages), 0);
    EXPECT_EQ(faults, 2);
    EXPECT_EQ(memcmp(pages, copy[100], 2 * PAGE), 0);
    EXPECT_EQ(protn_range(pages, 2, TRAPLINE_NONE), 0);
    faults = 0;
    EXPECT_EQ(disk_write(disk, 200, 2 * PAGE / DISK_SECTOR, pages), 0);
    EXPECT_EQ(faults, 2);
    memcpy(copy[200], copy[100], 2 * PAGE);
    trap(NULL, 0);
    expect_copy();
    pages_free(pages, 2);
}

static char *lazy;

static void load(struct trapline_fault *fault)
{
    char *page = trap_page(fault);

    faults++;
    unprot(page);
    if (disk_read(disk, (uint64_t)(page - lazy) / DISK_SECTOR, PAGE / DISK_SECTOR, page) != 0)
        fault->rip = 0; /* which is an exception that ends the test */
}

/* A handler that fills the page from the disk. */
static void check_handler(void)
{
    enum {
        PAGES = 8
    };

    lazy = need_pages(PAGES, 1);
    EXPECT_EQ(trap(load, TRAP_GENERAL_REGS), 0);
    EXPECT_EQ(protn_range(lazy, PAGES, TRAPLINE_NONE), 0);
    faults = 0;
    EXPECT_EQ(memcmp(lazy, copy, PAGES * PAGE), 0);
    EXPECT_EQ(faults, PAGES);
    trap(NULL, 0);
    pages_free(lazy, PAGES);
}

static atomic_uint thread_errors;

/* Each thread's sectors are its own; they lie between one another's. */
static void transfer(void *argument)
{
    static uint64_t own[32][WORDS], back[32][WORDS];
    const unsigned me = vcpu_index();

    (void)argument;
    for (uint64_t round = 1; round <= THREAD_ROUNDS; round++) {
        for (uint64_t i = 0; i < THREAD_SECTORS; i++) {
            const uint64_t sector = 1000 + i * vcpu_count() + me;

            fill(own[me], sector, round);
            if (disk_write(disk, sector, 1, own[me]) != 0 ||
                disk_read(disk, sector, 1, back[me]) != 0 ||
                memcmp(own[me], back[me], DISK_SECTOR) != 0)
                atomic_fetch_add(&thread_errors, 1);
            memcpy(copy[sector], own[me], DISK_SECTOR);
        }
    }
}

static void check_threads(void)
{
    for (unsigned i = 1; i < vcpu_count(); i++)
        EXPECT_EQ(thread_start(i, transfer, NULL), 0);
    transfer(NULL);
    for (unsigned i = 1; i < vcpu_count(); i++)
        EXPECT_EQ(thread_join(i), 0);
    EXPECT_EQ(atomic_load(&thread_errors), 0);
    expect_copy();
}

/* The nine ports, and nothing beside them: no other channel, no bus mastering, no PCI. */
static void check_ports(void)
{
    check_at("what it has");
    EXPECT_EQ(port_in(ATA1_PORTS + CHANNEL_PORTS - 1, 1), VECTOR_NONE);
    EXPECT_EQ(port_in(ATA1_CONTROL, 1), VECTOR_NONE);
    check_at("an access that only begins there");
    EXPECT_EQ(port_in(ATA1_PORTS + CHANNEL_PORTS - 1, 2), VECTOR_GP);
    EXPECT_EQ(port_in(ATA1_CONTROL, 2), VECTOR_GP);
    EXPECT_EQ(port_in(ATA1_PORTS - 1, 2), VECTOR_GP);
    expect_denied(ATA1_PORTS - 1);
    expect_denied(ATA1_PORTS + CHANNEL_PORTS);
    expect_denied(ATA1_CONTROL - 1);
    expect_denied(ATA1_CONTROL + 1);
    expect_channel_denied(ATA0_PORTS, ATA0_CONTROL);
    expect_denied(PCI_ADDRESS);
    expect_denied(PCI_DATA);
}

/* The drive may raise its interrupt as it likes: one that came would end the guest. */
static void check_interrupts(void)
{
    const uint16_t control = guest_info()->disk_control;
    static const uint8_t on = 0, off = 2; /* nIEN */

    __asm__ volatile("outb %0, %1" : : "a"(on), "d"(control));
    interrupts_on();
    EXPECT_EQ(disk_read(disk, SECTORS - 1, 1, buffer), 0);
    EXPECT_EQ(disk_read(disk, 0, 2, buffer), 0);
    EXPECT_EQ(disk_write(disk, 0, 2, copy[0]), 0);
    EXPECT_EQ(disk_flush(disk), 0);
    interrupts_off();
    __asm__ volatile("outb %0, %1" : : "a"(off), "d"(control));
}

static void show_times(void)
{
    uint64_t start = ticks(), one, many;

    disk_read(disk, 1, 1, buffer);
    one = ticks() - start;
    start = ticks();
    disk_read(disk, 1, TIMED, buffer);
    many = ticks() - start;
    printf("read: a sector %lu ticks, of %d at once each %lu\n", one, TIMED, many / TIMED);
    start = ticks();
    disk_write(disk, 1, 1, copy[1]);
    one = ticks() - start;
    start = ticks();
    disk_write(disk, 1, TIMED, copy[1]);
    many = ticks() - start;
    start = ticks();
    disk_flush(disk);
    printf("write: a sector %lu ticks, of %d at once each %lu; flush %lu\n", one, TIMED,
           many / TIMED, ticks() - start);
}

/* What the next boot is to find. */
static void check_leave(void)
{
    for (uint64_t i = 1; i < SECTORS; i++)
        fill(copy[i], i, 0);
    *(struct head *)copy[0] = (struct head){MAGIC, boot};
    EXPECT_EQ(disk_write(disk, 0, SECTORS, copy), 0);
    EXPECT_EQ(disk_flush(disk), 0);
    expect_copy();
}

static void check_absent(void)
{
    EXPECT_EQ(guest_info()->disk_ports, ATA1_PORTS);
    EXPECT_EQ(disk_open(&disk), -TRAPLINE_ENOENT);
}

static const struct check checks[] = {
    {"disk: open", check_open},
    {"disk: what is there at the start", check_kept},
    {"disk: transfers", check_transfers},
    {"disk: range", check_range},
    {"disk: a buffer that is protected", check_protected_buffer},
    {"disk: a handler that reads it", check_handler},
    {"disk: threads", check_threads},
    {"disk: ports", check_ports},
    {"disk: interrupts", check_interrupts},
    {"disk: what is there at the end", check_leave},
};

static const struct check absent_checks[] = {
    {"disk: nothing connected", check_absent},
};

int main(int argc, char **argv)
{
    int code;

    except_init();
    if (argc > 1 && strcmp(argv[1], "absent") == 0)
        return RUN_CHECKS(absent_checks);
    copy = calloc(SECTORS, DISK_SECTOR);
    buffer = calloc(SECTORS, DISK_SECTOR);
    if (!copy || !buffer)
        return EXIT_FAILURE;
    code = RUN_CHECKS(checks);
    if (code == EXIT_SUCCESS)
        show_times();
    return code;
}
