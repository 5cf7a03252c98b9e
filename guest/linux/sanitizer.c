/* What the sanitizers are to know of the home. */
#include "guest/linux/linux.h"

/*
 * The sanitizers leave the signals to fault.c. Memory that is left at the end is no leak: a guest
 * gives nothing back either, and pointers in regions are not looked at.
 */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

const char *__asan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1:detect_leaks=0";
}

const char *__tsan_default_options(void)
{
    return "handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1";
}

#ifdef __SANITIZE_THREAD__
void __tsan_acquire(void *address);
void __tsan_release(void *address);

static char order;

void protection_changed(void)
{
    __tsan_release(&order);
}

void fault_is_over(void)
{
    __tsan_acquire(&order);
}
#else
void protection_changed(void)
{
}

void fault_is_over(void)
{
}
#endif
