/*
 * The console: serial port, the firmware's framebuffer, the emulators' debug port and a log in
 * memory, all at once. Safe on every CPU and in every context, NMI included (a lock that gives up
 * after a bounded wait).
 */
#ifndef TRAPLINE_HV_CONSOLE_H
#define TRAPLINE_HV_CONSOLE_H

#include <stdarg.h>
#include <stddef.h>

#include "boot/handover.h"

/* Set up serial port and debug port; usable before memory_init(). */
void console_init(const struct handover *handover);

/* Set up the framebuffer; after memory_init(), since it maps device memory. */
void console_init_screen(const struct handover *handover);

/* Write bytes as they are; "\n" becomes what each device needs. */
void console_write(const char *text, size_t bytes);

/* Wait until the serial port has sent everything; bounded. */
void console_drain(void);

/* Take the console from whoever is writing; for the one CPU that still runs when the machine stops.
 */
void console_take_over(void);

/*
 * Formatted output: %s %c %d %i %u %x %X %p %% with flags 0 and -, width, precision for %s, and
 * the length modifiers l, ll, z. No floating point.
 */
void kprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));

void kvprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* The same into a buffer; returns what C99's vsnprintf returns. */
int kvsnprintf(char *buffer, size_t size, const char *format, va_list args);
int ksnprintf(char *buffer, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
