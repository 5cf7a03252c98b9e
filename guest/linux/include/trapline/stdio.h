/* Output: the C library's. */
#ifndef TRAPLINE_STDIO_H
#define TRAPLINE_STDIO_H

#include <stdarg.h>
#include <stdio.h>

#include <trapline/console.h>

#endif
