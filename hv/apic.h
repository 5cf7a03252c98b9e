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
    APIC_WAKE_VECTOR = 0xfe,  /* ends an idle CPU's wait, and nothing else */
    APIC_TIMER_VECTOR = 0xfd, /* likewise, by its own timer */
    APIC_XAPIC_IDS = 255,     /* xAPIC mode reaches the identifiers below; 255 is the broadcast */
};

/*
 * Choose the mode for all CPUs and map the registers if it needs that; on the bootstrap processor,
 * after memory_init(). allow_x2apic: false = xAPIC mode if at all possible. allow_tsc_deadline:
 * false = that mode of the timer is not used.
 */
void apic_init(bool allow_x2apic, bool allow_tsc_deadline);

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

/* An interrupt for the CPU itself, pending from when this returns. */
void apic_send_self(uint8_t vector);

/* Have APIC_TIMER_VECTOR come when the TSC reaches deadline, or somewhat earlier; and have it not.
 */
void apic_timer_start(uint64_t deadline);
void apic_timer_stop(void);

/* Whether the APIC has this vector in service. */
bool apic_in_service(uint8_t vector);

/* End the interrupt with the highest priority. */
void apic_eoi(void);

/* Whether the timer is unmasked and running; whether an interrupt is pending (x2APIC mode only). */
bool apic_timer_armed(void);
bool apic_pending(void);

/* The registers that a guest with this APIC may set beside the timer's (x2APIC mode only). */
void apic_set_spurious(uint32_t value);
uint32_t apic_take_errors(void);

/*
 * Leave nothing behind of who used this CPU's APIC: local interrupts masked, the timer off, no
 * priority held, and what is in service or pending taken and dropped. With interrupts off; they are
 * on in between.
 */
void apic_quiesce(void);

/* End the interrupt of this vector if the APIC has it in service. */
void apic_end_interrupt(uint8_t vector);

/* Mask all inputs of the two 8259 interrupt controllers and move their vectors off the exceptions.
 */
void pic_disable(void);

#endif
