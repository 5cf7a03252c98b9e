/* The ACPI tables; see acpi.h. */
#include "tools/linux/acpi.h"

#include <string.h>

enum {
    RSDP_REVISION_2 = 2,
    FADT_REVISION_1 = 1,
    DSDT_REVISION_1 = 1,
    MADT_REVISION = 4,
    XSDT_REVISION = 1,
    TABLE_ALIGN = 16,
};

enum madt_type {
    MADT_LOCAL_APIC = 0,
    MADT_IO_APIC = 1,
    MADT_OVERRIDE = 2,
};

enum {
    LOCAL_APIC_ENABLED = 1u << 0,
    MADT_PC_AT = 1u << 0, /* the two 8259 are there too */
    APIC_ID_LAST = 254,
    IRQ_TIMER = 0,
    PIN_TIMER = 2, /* of the I/O APIC: the PC's timer is wired to it */
    IRQ_SCI = 9,   /* fixed in the PIIX4 */
    AS_THE_BUS = 0,
    ACTIVE_HIGH_LEVEL = 1u << 0 | 3u << 2,
};

/* The PIIX4's registers from its base (82371AB data sheet, 7.2), and their lengths in bytes. */
enum {
    PIIX4_PM1_EVENT = 0x0,
    PIIX4_PM1_CONTROL = 0x4,
    PIIX4_PM_TIMER = 0x8,
    PM1_EVENT_LENGTH = 4,
    PM1_CONTROL_LENGTH = 2,
    PM_TIMER_LENGTH = 4,
};

enum fadt_flags {
    FADT_WBINVD = 1u << 0,
    FADT_PROC_C1 = 1u << 2,
    FADT_NO_POWER_BUTTON = 1u << 4, /* as a register of its own */
    FADT_NO_SLEEP_BUTTON = 1u << 5,
};

enum {
    LATENCY_NO_C2 = 101, /* microseconds: one more than a C2 state may take */
    LATENCY_NO_C3 = 1001,
};

struct header {
    char signature[4];
    uint32_t length;
    uint8_t revision;
    uint8_t checksum;
    char oem[6];
    char oem_table[8];
    uint32_t oem_revision;
    char creator[4];
    uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
    char signature[8];
    uint8_t checksum; /* of the first 20 bytes */
    char oem[6];
    uint8_t revision;
    uint32_t rsdt;
    uint32_t length;
    uint64_t xsdt;
    uint8_t extended_checksum;
    uint8_t reserved[3];
} __attribute__((packed));

enum {
    RSDP_FIRST_PART = 20,
};

struct xsdt {
    struct header header;
    uint64_t tables[2]; /* FADT, MADT */
} __attribute__((packed));

struct fadt {
    struct header header;
    uint32_t facs;
    uint32_t dsdt;
    uint8_t reserved[2];
    uint16_t sci;
    uint32_t smi_command; /* 0: the machine is always in ACPI mode */
    uint8_t smi_values[4];
    uint32_t pm1a_event, pm1b_event;
    uint32_t pm1a_control, pm1b_control, pm2_control;
    uint32_t pm_timer;
    uint32_t gpe[2];
    uint8_t pm1_event_length, pm1_control_length, pm2_control_length, pm_timer_length;
    uint8_t gpe_lengths[4];
    uint16_t c2_latency, c3_latency;
    uint8_t unused[12];
    uint32_t flags; /* enum fadt_flags */
} __attribute__((packed));

struct facs {
    char signature[4];
    uint32_t length;
    uint8_t zero[56];
} __attribute__((packed));

struct dsdt {
    struct header header;
    uint8_t code[12];
} __attribute__((packed));

struct local_apic {
    uint8_t type, length;
    uint8_t processor;
    uint8_t id;
    uint32_t flags;
} __attribute__((packed));

struct io_apic {
    uint8_t type, length;
    uint8_t id;
    uint8_t reserved;
    uint32_t address;
    uint32_t first_interrupt;
} __attribute__((packed));

struct override {
    uint8_t type, length;
    uint8_t bus;
    uint8_t irq;
    uint32_t interrupt;
    uint16_t flags;
} __attribute__((packed));

struct madt {
    struct header header;
    uint32_t local_apic;
    uint32_t flags;
    struct io_apic io_apic;
    struct override timer;
    struct override sci;
    struct local_apic cpus[ACPI_MAX_CPUS];
} __attribute__((packed));

struct tables {
    struct rsdp rsdp __attribute__((aligned(TABLE_ALIGN)));
    struct xsdt xsdt __attribute__((aligned(TABLE_ALIGN)));
    struct fadt fadt __attribute__((aligned(TABLE_ALIGN)));
    struct dsdt dsdt __attribute__((aligned(TABLE_ALIGN)));
    struct madt madt __attribute__((aligned(TABLE_ALIGN)));
};

_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct fadt) == 116, "ACPI 1.0, 5.2.5");
_Static_assert(sizeof(struct facs) == 64, "ACPI 5.2.10");

/*
 * Name (_S5_, Package () {0, 0, 0, 0}): the sleep type of "off", which in the PIIX4 is 0 for both
 * control registers.
 */
static const uint8_t dsdt_code[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x04, 0, 0, 0, 0};

static uint8_t negative_sum(const void *bytes, size_t count)
{
    const uint8_t *byte = bytes;
    uint8_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum = (uint8_t)(sum + byte[i]);
    return (uint8_t)-sum;
}

static uint32_t address(const void *table)
{
    return (uint32_t)(uintptr_t)table;
}

/* Everything behind the header must be final. */
static void finish(struct header *header, const char *signature, size_t length, uint8_t revision)
{
    memcpy(header->signature, signature, sizeof(header->signature));
    memcpy(header->oem, "TRAPLN", sizeof(header->oem));
    memcpy(header->oem_table, "TRAPLINE", sizeof(header->oem_table));
    memcpy(header->creator, "TRPL", sizeof(header->creator));
    header->length = (uint32_t)length;
    header->revision = revision;
    header->checksum = negative_sum(header, length);
}

static void build_fadt(const struct acpi_machine *machine, struct tables *tables, const void *facs)
{
    struct fadt *fadt = &tables->fadt;

    fadt->facs = address(facs);
    fadt->dsdt = address(&tables->dsdt);
    fadt->sci = IRQ_SCI;
    fadt->pm1a_event = machine->pm_base + PIIX4_PM1_EVENT;
    fadt->pm1a_control = machine->pm_base + PIIX4_PM1_CONTROL;
    fadt->pm_timer = machine->pm_base + PIIX4_PM_TIMER;
    fadt->pm1_event_length = PM1_EVENT_LENGTH;
    fadt->pm1_control_length = PM1_CONTROL_LENGTH;
    fadt->pm_timer_length = PM_TIMER_LENGTH;
    fadt->c2_latency = LATENCY_NO_C2;
    fadt->c3_latency = LATENCY_NO_C3;
    fadt->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON;
    finish(&fadt->header, "FACP", sizeof(*fadt), FADT_REVISION_1);
}

static struct override override(uint8_t irq, uint32_t interrupt, uint16_t flags)
{
    return (struct override){
        .type = MADT_OVERRIDE,
        .length = sizeof(struct override),
        .irq = irq,
        .interrupt = interrupt,
        .flags = flags,
    };
}

static void build_madt(const struct acpi_machine *machine, struct madt *madt)
{
    uint8_t count = 0;

    madt->local_apic = machine->local_apic;
    madt->flags = MADT_PC_AT;
    madt->io_apic = (struct io_apic){
        .type = MADT_IO_APIC,
        .length = sizeof(madt->io_apic),
        .id = machine->io_apic_id,
        .address = machine->io_apic,
    };
    madt->timer = override(IRQ_TIMER, PIN_TIMER, AS_THE_BUS);
    madt->sci = override(IRQ_SCI, IRQ_SCI, ACTIVE_HIGH_LEVEL);
    for (uint32_t i = 0; i < machine->cpu_count && count < ACPI_MAX_CPUS; i++) {
        if (machine->cpus[i].apic_id > APIC_ID_LAST)
            continue;
        madt->cpus[count] = (struct local_apic){
            .type = MADT_LOCAL_APIC,
            .length = sizeof(madt->cpus[count]),
            .processor = count,
            .id = (uint8_t)machine->cpus[i].apic_id,
            .flags = LOCAL_APIC_ENABLED,
        };
        count++;
    }
    finish(&madt->header, "APIC", offsetof(struct madt, cpus) + count * sizeof(madt->cpus[0]),
           MADT_REVISION);
}

size_t acpi_bytes(void)
{
    return sizeof(struct tables);
}

uint64_t acpi_build(const struct acpi_machine *machine, void *memory, void *facs)
{
    struct tables *tables = memory;
    struct rsdp *rsdp = &tables->rsdp;

    *(struct facs *)facs =
        (struct facs){.signature = {'F', 'A', 'C', 'S'}, .length = sizeof(struct facs)};
    memcpy(tables->dsdt.code, dsdt_code, sizeof(dsdt_code));
    finish(&tables->dsdt.header, "DSDT", sizeof(tables->dsdt), DSDT_REVISION_1);
    build_fadt(machine, tables, facs);
    build_madt(machine, &tables->madt);
    tables->xsdt.tables[0] = (uintptr_t)&tables->fadt;
    tables->xsdt.tables[1] = (uintptr_t)&tables->madt;
    finish(&tables->xsdt.header, "XSDT", sizeof(tables->xsdt), XSDT_REVISION);

    memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
    memcpy(rsdp->oem, "TRAPLN", sizeof(rsdp->oem));
    rsdp->revision = RSDP_REVISION_2;
    rsdp->length = sizeof(*rsdp);
    rsdp->xsdt = (uintptr_t)&tables->xsdt;
    rsdp->checksum = negative_sum(rsdp, RSDP_FIRST_PART);
    rsdp->extended_checksum = negative_sum(rsdp, sizeof(*rsdp));
    return (uintptr_t)rsdp;
}
