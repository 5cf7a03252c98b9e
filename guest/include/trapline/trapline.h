/* Everything that a guest program needs. */
#ifndef TRAPLINE_TRAPLINE_H
#define TRAPLINE_TRAPLINE_H

#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <trapline/abi.h>
#include <trapline/channel.h>
#include <trapline/disk.h>
#include <trapline/hypercall.h>
#include <trapline/interrupt.h>
#include <trapline/memory.h>
#include <trapline/process.h>
#include <trapline/region.h>
#include <trapline/stdio.h>
#include <trapline/string.h>
#include <trapline/thread.h>
#include <trapline/time.h>
#include <trapline/vm.h>

#endif
