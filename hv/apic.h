/*
 * The local APIC (SDM volume 3, chapter 10), in x2APIC mode where the CPU has it, and the interrupt
 * controllers before it, which are silenced.
 */
#ifndef TRAPLINE_HV_APIC_H
#define TRAPLINE_HV_APIC_H

#include <stdbool.h>
#include <stdint.h>

enum {
    APIC_SPURIOUS_VECTOR = 0xff,
    APIC_WAKE_VECTOR = 0xfe, /* ends an idle CPU's wait, and nothing else */
    APIC_XAPIC_IDS = 255,    /* xAPIC mode reaches the identifiers below; 255 is the broadcast */
};

/*
 * Choose the mode for all CPUs and map the registers if it needs that; on the bootstrap processor,
 * after memory_init(). allow_x2apic: false = xAPIC mode if at all possible.
 */
void apic_init(bool allow_x2apic);

/* Switch this CPU's APIC to that mode and on, all of its local interrupts masked. */
void apic_enable(void);

/* Whether the APICs are in x2APIC mode. */
bool apic_is_x2apic(void);

/* This CPU's APIC identifier. */
uint32_t apic_id(void);

/* Interprocessor interrupts to one CPU. page: the 4 KiB page below 1 MiB where it starts. */
void apic_send_nmi(uint32_t id);
void apic_send_fixed(uint32_t id, uint8_t vector);
void apic_send_init(uint32_t id);
void apic_send_startup(uint32_t id, uint8_t page);

/* End the interrupt of this vector if the APIC has it in service. */
void apic_end_interrupt(uint8_t vector);

/* Mask all inputs of the two 8259 interrupt controllers and move their vectors off the exceptions.
 */
void pic_disable(void);

#endif
