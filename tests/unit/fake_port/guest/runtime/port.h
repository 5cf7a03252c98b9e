/* I/O ports for unit tests of the guest's runtime: found before the real header, they are calls of
 * the test's model of what is behind them. */
#ifndef GUEST_RUNTIME_PORT_H
#define GUEST_RUNTIME_PORT_H

#include <stddef.h>
#include <stdint.h>

void port_write(uint16_t port, uint8_t value);
uint8_t port_read(uint16_t port);
void port_write_words(uint16_t port, const void *words, size_t count);
void port_read_words(uint16_t port, void *words, size_t count);

#endif
