/*
 * What the CPU's own events cost: VM exits and entries, INVEPT, INVVPID, VMREAD and VMWRITE, an NMI
 * from CPU to CPU, TLB misses, dirty flags, page-modification logging. Each is measured alone, in
 * root mode and by a guest of the measurement's own that does nothing else, so that no handler's
 * work is in it. docs/PERFORMANCE.md says what each row holds.
 */
#ifndef TRAPLINE_HV_COSTS_H
#define TRAPLINE_HV_COSTS_H

/*
 * Measure and print a row for each, or a line that says why there is none. On a CPU in VMX
 * operation, before any guest exists; the others that are online must take NMIs. Leaves nothing
 * behind.
 */
void costs_measure(void);

#endif
