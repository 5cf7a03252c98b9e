/* What differs between the homes of a program: this is a process of Linux. */
#ifndef TRAPLINE_HOME_H
#define TRAPLINE_HOME_H

/* For who has no opinion. */
#define REGION_DEFAULT REGION_MPROTECT

/* The kernel saves all registers around a handler, so that it is a function like any other. */
#define TRAP_GENERAL
#define TRAP_LEAN_HANDLER

#endif
