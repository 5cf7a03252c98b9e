/* What comes before main(), and what a program may ask about itself. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <trapline/console.h>
#include <trapline/info.h>
#include <trapline/pages.h>
#include <trapline/thread.h>
#include <trapline/time.h>

#include "guest/linux/linux.h"

/* A line reaches the console when it ends, as a guest's does. */
__attribute__((constructor)) static void start(void)
{
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    time_init();
    vcpu_init();
    fault_init();
}

void console_write(const char *text, size_t bytes)
{
    fwrite(text, 1, bytes, stdout);
    fflush(stdout);
}

const struct trapline_info *guest_info(void)
{
    static struct trapline_info info;

    info = (struct trapline_info){.magic = TRAPLINE_INFO_MAGIC,
                                  .version = TRAPLINE_ABI_VERSION,
                                  .ram_size = ram_size(),
                                  .tsc_hz = tsc_hz(),
                                  .vcpus = vcpu_count()};
    snprintf(info.name, sizeof(info.name), "%s", program_invocation_short_name);
    return &info;
}

/* There is no hypervisor that could have counted anything. */
int stats(struct trapline_stats *counts)
{
    memset(counts, 0, sizeof(*counts));
    return 0;
}
