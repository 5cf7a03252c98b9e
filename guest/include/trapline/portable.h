/*
 * What a program may use that is to run anywhere: regions, threads, memory, time, a disk, and what
 * C itself has. Hypercalls, channels, views and interrupts are Trapline's own: see trapline.h.
 */
#ifndef TRAPLINE_PORTABLE_H
#define TRAPLINE_PORTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/disk.h>
#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/region.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>
#include <trapline/time.h>

#endif
