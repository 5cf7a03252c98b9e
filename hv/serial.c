#include "hv/serial.h"

#include "hv/cpu.h"
#include "vmx/x86.h"

enum uart_register {
    UART_DATA = 0, /* the divisor's low byte when LCR_DLAB is set */
    UART_IER = 1,  /* its high byte then */
    UART_FCR = 2,
    UART_LCR = 3,
    UART_MCR = 4,
    UART_LSR = 5,
    UART_SCRATCH = 7,
};

enum uart_bits {
    FCR_ENABLE = 1u << 0,
    FCR_CLEAR_RECEIVER = 1u << 1,
    FCR_CLEAR_TRANSMITTER = 1u << 2,
    LCR_8N1 = 3,
    LCR_DLAB = 1u << 7,
    MCR_DTR = 1u << 0,
    MCR_RTS = 1u << 1,
    LSR_HOLDING_EMPTY = 1u << 5,
    LSR_TRANSMITTER_EMPTY = 1u << 6,
};

enum {
    UART_CLOCK = 115200,  /* bits per second at divisor 1 */
    UART_TIMEOUT_MS = 50, /* a full FIFO at 4800 bits per second leaves in 33 ms */
    SCRATCH_A = 0x5a,
    SCRATCH_B = 0xa5,
};

static bool scratch_holds(uint16_t port, uint8_t value)
{
    outb(port + UART_SCRATCH, value);
    return inb(port + UART_SCRATCH) == value;
}

static bool wait_status(uint16_t port, uint8_t bit)
{
    uint64_t begin = rdtsc();

    while (!(inb(port + UART_LSR) & bit)) {
        if (rdtsc() - begin > UART_TIMEOUT_MS * cpu_tsc_per_ms)
            return false;
        __builtin_ia32_pause();
    }
    return true;
}

bool serial_init(uint16_t port, uint32_t baud)
{
    if (!scratch_holds(port, SCRATCH_A) || !scratch_holds(port, SCRATCH_B))
        return false;

    uint32_t divisor = UART_CLOCK / baud;
    outb(port + UART_IER, 0);
    outb(port + UART_LCR, LCR_DLAB);
    outb(port + UART_DATA, (uint8_t)divisor);
    outb(port + UART_IER, (uint8_t)(divisor >> 8));
    outb(port + UART_LCR, LCR_8N1);
    outb(port + UART_FCR, FCR_ENABLE | FCR_CLEAR_RECEIVER | FCR_CLEAR_TRANSMITTER);
    outb(port + UART_MCR, MCR_DTR | MCR_RTS);
    return true;
}

bool serial_put(uint16_t port, uint8_t byte)
{
    if (!wait_status(port, LSR_HOLDING_EMPTY))
        return false;
    outb(port + UART_DATA, byte);
    return true;
}

void serial_drain(uint16_t port)
{
    wait_status(port, LSR_TRANSMITTER_EMPTY);
}
