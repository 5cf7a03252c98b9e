#include "hv/apic.h"

#include <stddef.h>

#include "hv/cpu.h"
#include "hv/machine.h"
#include "hv/memory.h"
#include "vmx/x86.h"

/* Registers by their x2APIC number: MSR 0x800 + number, or byte offset 16 * number in xAPIC mode.
 */
enum apic_register {
    APIC_ID = 0x02,
    APIC_VERSION = 0x03,
    APIC_TPR = 0x08,
    APIC_EOI = 0x0b,
    APIC_SPURIOUS = 0x0f,
    APIC_ISR = 0x10, /* eight of 32 bits */
    APIC_IRR = 0x20,
    APIC_ESR = 0x28,
    APIC_LVT_CMCI = 0x2f,
    APIC_ICR = 0x30,
    APIC_ICR_HIGH = 0x31, /* xAPIC only */
    APIC_LVT_TIMER = 0x32,
    APIC_LVT_THERMAL = 0x33,
    APIC_LVT_PERFORMANCE = 0x34,
    APIC_LVT_LINT0 = 0x35,
    APIC_LVT_LINT1 = 0x36,
    APIC_LVT_ERROR = 0x37,
    APIC_INITIAL_COUNT = 0x38,
    APIC_CURRENT_COUNT = 0x39,
    APIC_DIVIDE = 0x3e,
    APIC_SELF_IPI = 0x3f, /* x2APIC only */
};

enum apic_base {
    APIC_BASE_X2APIC = 1u << 10,
    APIC_BASE_ENABLE = 1u << 11,
};
#define APIC_BASE_ADDRESS 0x000ffffffffff000ull

enum apic_bits {
    SPURIOUS_ENABLE = 1u << 8,
    LVT_MASKED = 1u << 16,
    LVT_TSC_DEADLINE = 2u << 17,
    DIVIDE_BY_1 = 0xb,
    ICR_NMI = 4u << 8,
    ICR_INIT = 5u << 8,
    ICR_STARTUP = 6u << 8,
    ICR_BUSY = 1u << 12,
    ICR_ASSERT = 1u << 14,
    VERSION_MAX_LVT_SHIFT = 16,
    VERSION_MAX_LVT_MASK = 0xff,
    XAPIC_ID_SHIFT = 24,
    XAPIC_REGISTER_BYTES = 16,
    X2APIC_ID_SHIFT = 32, /* in the ICR */
    ICR_TO_SELF = 1u << 18,
    ISR_BITS = 32,
    ISR_WORDS = 8,
};

enum cpuid_apic {
    CPUID_FEATURES = 1,
    CPUID_FEATURES_X2APIC = 1u << 21, /* ECX */
    CPUID_FEATURES_TSC_DEADLINE = 1u << 24,
    CPUID_STRUCTURED = 7,
    CPUID_STRUCTURED_ARCH_CAPABILITIES = 1u << 29, /* EDX */
};

/* A CPU may refuse to leave x2APIC mode (SDM volume 4, IA32_XAPIC_DISABLE_STATUS). */
enum xapic_disable {
    MSR_IA32_XAPIC_DISABLE_STATUS = 0xbd,
    XAPIC_DISABLED = 1u << 0,
    ARCH_CAPABILITIES_XAPIC_DISABLE = 1u << 21,
};

enum pic {
    PIC_MASTER = 0x20,
    PIC_SLAVE = 0xa0,
    PIC_DATA = 1, /* offset of the data port */
    PIC_ICW1_INIT_ICW4 = 0x11,
    PIC_ICW4_8086 = 0x01,
    PIC_CASCADE = 2,
    PIC_VECTORS = 0x20,
    PIC_INPUTS = 8,
    PIC_MASK_ALL = 0xff,
};

enum {
    CALIBRATION_MS = 2,
};

static bool x2apic;
static bool tsc_deadline;
static uint64_t counts_per_ms;   /* of the timer, undivided */
static volatile uint32_t *xapic; /* its registers, in xAPIC mode */

static uint32_t read_register(enum apic_register reg)
{
    if (x2apic)
        return (uint32_t)rdmsr(MSR_X2APIC_BASE + reg);
    return xapic[reg * XAPIC_REGISTER_BYTES / sizeof(*xapic)];
}

static void write_register(enum apic_register reg, uint32_t value)
{
    if (x2apic)
        wrmsr(MSR_X2APIC_BASE + reg, value);
    else
        xapic[reg * XAPIC_REGISTER_BYTES / sizeof(*xapic)] = value;
}

static bool xapic_is_disabled(void)
{
    if (!(cpuid(CPUID_STRUCTURED, 0).edx & CPUID_STRUCTURED_ARCH_CAPABILITIES))
        return false;
    return (rdmsr(MSR_IA32_ARCH_CAPABILITIES) & ARCH_CAPABILITIES_XAPIC_DISABLE) &&
           (rdmsr(MSR_IA32_XAPIC_DISABLE_STATUS) & XAPIC_DISABLED);
}

void apic_init(bool allow_x2apic, bool allow_tsc_deadline)
{
    uint32_t features = cpuid(CPUID_FEATURES, 0).ecx;
    bool has_x2apic = features & CPUID_FEATURES_X2APIC;

    tsc_deadline = allow_tsc_deadline && (features & CPUID_FEATURES_TSC_DEADLINE);
    x2apic = has_x2apic && (allow_x2apic || xapic_is_disabled());
    if (x2apic)
        return;
    xapic = memory_map_mmio(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS, PAGE_SIZE, false);
    if (!xapic)
        panic("local APIC: cannot map its registers");
}

/* The only ways between the modes are off -> xAPIC -> x2APIC -> off (SDM 10.12.5). */
static void switch_mode(void)
{
    uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

    if (!x2apic && (base & APIC_BASE_X2APIC)) {
        base &= ~(uint64_t)(APIC_BASE_ENABLE | APIC_BASE_X2APIC);
        wrmsr(MSR_IA32_APIC_BASE, base);
    }
    if (!(base & APIC_BASE_ENABLE)) {
        base |= APIC_BASE_ENABLE;
        wrmsr(MSR_IA32_APIC_BASE, base);
    }
    if (x2apic && !(base & APIC_BASE_X2APIC))
        wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_X2APIC);
}

static void mask_all(void)
{
    /* In the order of the version register's count; the first three are always there. */
    static const enum apic_register lvt[] = {
        APIC_LVT_TIMER,       APIC_LVT_LINT0,   APIC_LVT_LINT1, APIC_LVT_ERROR,
        APIC_LVT_PERFORMANCE, APIC_LVT_THERMAL, APIC_LVT_CMCI,
    };

    uint32_t max = read_register(APIC_VERSION) >> VERSION_MAX_LVT_SHIFT & VERSION_MAX_LVT_MASK;
    for (size_t i = 0; i < sizeof(lvt) / sizeof(lvt[0]) && i <= max; i++)
        write_register(lvt[i], LVT_MASKED);
}

/* How fast the timer counts, where it cannot be told a TSC value. */
static void calibrate(void)
{
    write_register(APIC_DIVIDE, DIVIDE_BY_1);
    write_register(APIC_INITIAL_COUNT, UINT32_MAX);
    cpu_delay_us(CALIBRATION_MS * 1000);
    counts_per_ms = (UINT32_MAX - read_register(APIC_CURRENT_COUNT)) / CALIBRATION_MS;
    write_register(APIC_INITIAL_COUNT, 0);
}

void apic_enable(void)
{
    switch_mode();
    /* While the APIC is disabled by software, its mask bits cannot be cleared. */
    write_register(APIC_SPURIOUS, SPURIOUS_ENABLE | APIC_SPURIOUS_VECTOR);
    mask_all();
    write_register(APIC_TPR, 0);
    write_register(APIC_ESR, 0);
    if (!tsc_deadline && !counts_per_ms)
        calibrate();
}

void apic_timer_start(uint64_t deadline)
{
    uint64_t now = rdtsc(), count;

    if (tsc_deadline) {
        write_register(APIC_LVT_TIMER, LVT_TSC_DEADLINE | APIC_TIMER_VECTOR);
        /* In xAPIC mode nothing else orders the two (SDM 10.5.4.1). */
        __asm__ volatile("mfence" : : : "memory");
        wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
        return;
    }
    count = deadline > now ? (deadline - now) / cpu_tsc_per_ms : 0;
    count = count > UINT32_MAX / (counts_per_ms + 1)
                ? UINT32_MAX
                : count * counts_per_ms + (deadline > now ? (deadline - now) % cpu_tsc_per_ms : 0) *
                                              counts_per_ms / cpu_tsc_per_ms;
    write_register(APIC_DIVIDE, DIVIDE_BY_1);
    write_register(APIC_LVT_TIMER, APIC_TIMER_VECTOR);
    write_register(APIC_INITIAL_COUNT, count ? (uint32_t)count : 1);
}

void apic_timer_stop(void)
{
    if (tsc_deadline)
        wrmsr(MSR_IA32_TSC_DEADLINE, 0);
    else
        write_register(APIC_INITIAL_COUNT, 0);
    write_register(APIC_LVT_TIMER, LVT_MASKED);
}

bool apic_is_x2apic(void)
{
    return x2apic;
}

uint32_t apic_id(void)
{
    uint32_t id = read_register(APIC_ID);

    return x2apic ? id : id >> XAPIC_ID_SHIFT;
}

static void send(uint32_t id, uint32_t command)
{
    if (x2apic) {
        /* Unlike the xAPIC's, this write does not order the stores before it (SDM 10.12.3). */
        __asm__ volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC_BASE + APIC_ICR, (uint64_t)id << X2APIC_ID_SHIFT | command);
        return;
    }
    while (read_register(APIC_ICR) & ICR_BUSY)
        __builtin_ia32_pause();
    write_register(APIC_ICR_HIGH, id << XAPIC_ID_SHIFT);
    write_register(APIC_ICR, command);
}

void apic_send_nmi(uint32_t id)
{
    send(id, ICR_NMI | ICR_ASSERT);
}

void apic_send_fixed(uint32_t id, uint8_t vector)
{
    send(id, ICR_ASSERT | vector);
}

void apic_send_init(uint32_t id)
{
    send(id, ICR_INIT | ICR_ASSERT);
}

void apic_send_startup(uint32_t id, uint8_t page)
{
    send(id, ICR_STARTUP | ICR_ASSERT | page);
}

void apic_send_self(uint8_t vector)
{
    if (x2apic)
        wrmsr(MSR_X2APIC_BASE + APIC_SELF_IPI, vector);
    else
        send(0, ICR_TO_SELF | ICR_ASSERT | vector);
}

bool apic_in_service(uint8_t vector)
{
    return read_register(APIC_ISR + vector / ISR_BITS) & 1u << vector % ISR_BITS;
}

void apic_eoi(void)
{
    write_register(APIC_EOI, 0);
}

void apic_end_interrupt(uint8_t vector)
{
    if (apic_in_service(vector))
        apic_eoi();
}

void apic_set_spurious(uint32_t value)
{
    write_register(APIC_SPURIOUS, value);
}

uint32_t apic_take_errors(void)
{
    write_register(APIC_ESR, 0);
    return read_register(APIC_ESR);
}

static bool any_of(enum apic_register set)
{
    for (unsigned i = 0; i < ISR_WORDS; i++) {
        if (read_register(set + i))
            return true;
    }
    return false;
}

bool apic_pending(void)
{
    return any_of(APIC_IRR);
}

bool apic_timer_armed(void)
{
    uint32_t lvt = read_register(APIC_LVT_TIMER);

    if (lvt & LVT_MASKED)
        return false;
    if (lvt & LVT_TSC_DEADLINE)
        return rdmsr(MSR_IA32_TSC_DEADLINE) != 0;
    return read_register(APIC_CURRENT_COUNT) != 0;
}

/*
 * End all that is in service. An EOI for a vector that is the spurious one as well may be taken for
 * nothing (Bochs does): another one is set meanwhile.
 */
static void end_all(void)
{
    while (any_of(APIC_ISR)) {
        bool clash = apic_in_service(APIC_SPURIOUS_VECTOR);

        write_register(APIC_SPURIOUS, SPURIOUS_ENABLE | (APIC_SPURIOUS_VECTOR - (clash ? 1 : 0)));
        apic_eoi();
    }
    write_register(APIC_SPURIOUS, SPURIOUS_ENABLE | APIC_SPURIOUS_VECTOR);
}

void apic_quiesce(void)
{
    write_register(APIC_SPURIOUS, SPURIOUS_ENABLE | APIC_SPURIOUS_VECTOR);
    mask_all();
    write_register(APIC_INITIAL_COUNT, 0);
    write_register(APIC_TPR, 0);
    end_all();
    while (any_of(APIC_IRR)) { /* each is taken by the IDT's handler, which ends it */
        __asm__ volatile("sti; nop; cli" : : : "memory");
        end_all();
    }
    apic_take_errors();
}

void pic_disable(void)
{
    static const uint16_t pics[] = {PIC_MASTER, PIC_SLAVE};

    for (unsigned i = 0; i < 2; i++) {
        outb(pics[i], PIC_ICW1_INIT_ICW4);
        outb(pics[i] + PIC_DATA, (uint8_t)(PIC_VECTORS + PIC_INPUTS * i));
        outb(pics[i] + PIC_DATA, i == 0 ? 1u << PIC_CASCADE : PIC_CASCADE);
        outb(pics[i] + PIC_DATA, PIC_ICW4_8086);
        outb(pics[i] + PIC_DATA, PIC_MASK_ALL);
    }
}
