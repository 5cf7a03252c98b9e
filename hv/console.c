#include "hv/console.h"

#include "hv/cpu.h"
#include "hv/format.h"
#include "hv/memory.h"
#include "hv/screen.h"
#include "hv/serial.h"
#include "vmx/x86.h"

enum {
    LOG_BYTES = 64 * 1024,
    LOCK_TIMEOUT_MS = 200,
    BAUD_DEFAULT = 115200,
    BAUD_MIN = 2, /* the divisor has 16 bits */
    PIXEL_BYTES = 4,
    NO_OWNER = -1,
};

/* The last LOG_BYTES bytes that were written, for the screen when it comes up and for a debugger.
 */
static struct {
    char text[LOG_BYTES];
    uint64_t written;
} console_log;

static uint16_t serial_port; /* 0 = none */
static uint16_t debug_port;  /* 0 = none */
static struct screen screen;
static bool screen_on;

/*
 * The CPU that is writing. A CPU that holds the lock itself (an exception or an NMI in the middle
 * of a write) goes on without it; another one waits, but not for ever: its text matters more than
 * order.
 */
static atomic_int owner = NO_OWNER;

/* Returns whether the lock was taken and is to be given back. */
static bool lock_console(void)
{
    int self = (int)this_cpu()->index, expected = NO_OWNER;
    uint64_t begin = rdtsc();

    while (!atomic_compare_exchange_weak_explicit(&owner, &expected, self, memory_order_acquire,
                                                  memory_order_relaxed)) {
        if (expected == self || rdtsc() - begin > LOCK_TIMEOUT_MS * cpu_tsc_per_ms)
            return false;
        expected = NO_OWNER;
        __builtin_ia32_pause();
    }
    return true;
}

static void unlock_console(bool taken)
{
    if (taken)
        atomic_store_explicit(&owner, NO_OWNER, memory_order_release);
}

void console_take_over(void)
{
    atomic_store_explicit(&owner, NO_OWNER, memory_order_release);
}

/* A port that stops taking bytes is given up, so that every line does not wait for it again. */
static void put_serial(char character)
{
    if (character == '\n' && serial_port && !serial_put(serial_port, '\r'))
        serial_port = 0;
    if (serial_port && !serial_put(serial_port, (uint8_t)character))
        serial_port = 0;
}

static void put_character(void *context, char character)
{
    (void)context;
    console_log.text[console_log.written++ % LOG_BYTES] = character;
    put_serial(character);
    if (debug_port)
        outb(debug_port, (uint8_t)character);
    if (screen_on)
        screen_put(&screen, character);
}

void console_init(const struct handover *handover)
{
    uint32_t baud = handover->serial_baud;

    if (baud < BAUD_MIN || baud > BAUD_DEFAULT)
        baud = BAUD_DEFAULT;
    debug_port = (uint16_t)handover->debug_port;
    if (handover->serial_port && serial_init((uint16_t)handover->serial_port, baud))
        serial_port = (uint16_t)handover->serial_port;
}

void console_init_screen(const struct handover *handover)
{
    const struct handover_framebuffer *fb = &handover->framebuffer;
    uint64_t bytes = (uint64_t)fb->stride * fb->height * PIXEL_BYTES;

    if (fb->format == HANDOVER_PIXEL_NONE || bytes == 0 || bytes > fb->size)
        return;
    volatile uint32_t *pixels = memory_map_mmio(fb->base, bytes, true);
    if (!pixels || !screen_init(&screen, pixels, fb->width, fb->height, fb->stride))
        return;

    bool locked = lock_console();
    uint64_t from = console_log.written > LOG_BYTES ? console_log.written - LOG_BYTES : 0;
    for (uint64_t i = from; i < console_log.written; i++)
        screen_put(&screen, console_log.text[i % LOG_BYTES]);
    screen_show(&screen);
    screen_on = true;
    unlock_console(locked);
}

void console_write(const char *text, size_t bytes)
{
    bool locked = lock_console();

    for (size_t i = 0; i < bytes; i++)
        put_character(NULL, text[i]);
    if (screen_on)
        screen_show(&screen);
    unlock_console(locked);
}

void kvprintf(const char *format, va_list args)
{
    bool locked = lock_console();

    format_text(put_character, NULL, format, args);
    if (screen_on)
        screen_show(&screen);
    unlock_console(locked);
}

void kprintf(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    kvprintf(format, args);
    va_end(args);
}

void console_drain(void)
{
    if (serial_port)
        serial_drain(serial_port);
}
