/* What a program may know of the machine that it has. */
#ifndef TRAPLINE_INFO_H
#define TRAPLINE_INFO_H

#include <trapline/abi.h>

/* What the hypervisor told the guest at its start. */
const struct trapline_info *guest_info(void);

/* Fill in what the hypervisor counted for this guest so far. Returns 0 or -EFAULT. */
int stats(struct trapline_stats *counts);

#endif
