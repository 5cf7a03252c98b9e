/*
 * A breakpoint on the stack of #DB's handler: the delivery of each one raises the next, for ever,
 * and no instruction comes in between (CVE-2015-8104). The guest must not take the CPU from others.
 * A CPU that does not look for breakpoints during a delivery reports the INT3 instead.
 */
#include "except.h"

extern char exception_stack_top[];

int main(void)
{
    except_init();
    __asm__ volatile("mov %0, %%dr0" : : "r"((uint64_t)exception_stack_top - 8));
    __asm__ volatile("mov %0, %%dr7" : : "r"(0x400ul | 1 | 9ul << 16)); /* writes, 8 bytes wide */
    __asm__ volatile("int3");
    return EXIT_SUCCESS;
}
