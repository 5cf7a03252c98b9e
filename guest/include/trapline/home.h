/*
 * What differs between the homes of a program: this is a guest of Trapline's; guest/linux has its
 * own, for a process of Linux.
 */
#ifndef TRAPLINE_HOME_H
#define TRAPLINE_HOME_H

/* For who has no opinion. */
#define REGION_DEFAULT REGION_EPT

/* Handlers that use the general registers alone: see enum trap_flags. */
#define TRAP_GENERAL      __attribute__((target("general-regs-only")))
#define TRAP_LEAN_HANDLER __attribute__((target("general-regs-only"), no_caller_saved_registers))

#endif
