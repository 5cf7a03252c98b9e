/* A 16550 UART, polled. */
#ifndef TRAPLINE_HV_SERIAL_H
#define TRAPLINE_HV_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Find and set up the UART: 8 data bits, no parity, 1 stop bit, FIFO on.
 *
 * port: its first I/O port. baud: bits per second, 2 to 115200. Returns false when nothing answers
 * there.
 */
bool serial_init(uint16_t port, uint32_t baud);

/* Send one byte; false when the transmitter stayed busy for too long (nothing was sent). */
bool serial_put(uint16_t port, uint8_t byte);

/* Wait until the last bit has left, or for too long. */
void serial_drain(uint16_t port);

#endif
