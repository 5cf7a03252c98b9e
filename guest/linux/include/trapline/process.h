/* The end of the program, and what it was started with. */
#ifndef TRAPLINE_PROCESS_H
#define TRAPLINE_PROCESS_H

#include <assert.h>
#include <stdlib.h>
#include <stdnoreturn.h>

#include <trapline/info.h>

#endif
