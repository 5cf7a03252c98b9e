/* The end of the guest, and what it was started with. */
#ifndef TRAPLINE_PROCESS_H
#define TRAPLINE_PROCESS_H

#include <stdnoreturn.h>

#include <trapline/info.h>

enum {
    EXIT_SUCCESS = 0,
    EXIT_FAILURE = 1,
    EXIT_ARGS = 122,      /* the configured arguments cannot be split: a quote is not closed */
    EXIT_START = 123,     /* the hypervisor's start structure is not one the runtime knows */
    EXIT_ABORT = 124,     /* abort(), a failed assert() */
    EXIT_EXCEPTION = 128, /* plus the vector: an exception of the CPU */
};

/* End the guest; code is what the hypervisor reports. */
noreturn void exit(int code);
noreturn void abort(void);

/* Print a failed assertion and abort. */
noreturn void assert_failed(const char *condition, const char *file, int line);

#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : assert_failed(#condition, __FILE__, __LINE__))
#endif

#endif
