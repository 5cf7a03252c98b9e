/* From the entry to main(), and from there to the end. */
#include <trapline/abi.h>
#include <trapline/hypercall.h>
#include <trapline/process.h>
#include <trapline/stdio.h>
#include <trapline/thread.h>
#include <trapline/time.h>

#include "guest/runtime/args.h"
#include "guest/runtime/runtime.h"
#include "guest/runtime/space.h"
#include "guest/runtime/vcpu.h"

int main(int argc, char **argv);

struct trapline_info runtime_info;

static char arguments[TRAPLINE_ARGS_LEN];
static char *argument_list[ARGS_MAX + 1];

noreturn void runtime_start(const struct trapline_info *info)
{
    uint64_t first_free;
    int argc;

    runtime_info = *info;
    if (info->magic != TRAPLINE_INFO_MAGIC || info->version != TRAPLINE_ABI_VERSION)
        exit(EXIT_START);
    runtime_info.name[TRAPLINE_NAME_LEN - 1] = '\0';
    runtime_info.args[TRAPLINE_ARGS_LEN - 1] = '\0';

    vcpu_init(0);
    vcpu_enter(vcpu_local(0));
    cpu_init_tables();
    cpu_find_vectors();
    cpu_init_vectors();
    first_free = vcpu_place(&runtime_info, (uint64_t)image_end);
    memory_init(&runtime_info, paging_init(&runtime_info, first_free));
    space_init();
    space_enter_vcpu();
    for (unsigned i = 1; i < vcpu_count(); i++)
        vcpu_init(i);
    interrupt_init();
    trap_init();
    trap_register();

    argument_list[0] = runtime_info.name;
    argc = args_split(runtime_info.args, arguments, &argument_list[1]);
    if (argc < 0) {
        printf("guest: a quote in the arguments is not closed: %s\n", runtime_info.args);
        exit(EXIT_ARGS);
    }
    exit(main(argc + 1, argument_list));
}

noreturn void exit(int code)
{
    for (;;)
        hypercall2(TRAPLINE_HC_EXIT, (uint64_t)(uint32_t)code, 0);
}

noreturn void abort(void)
{
    exit(EXIT_ABORT);
}

noreturn void assert_failed(const char *condition, const char *file, int line)
{
    printf("guest: assertion failed at %s:%d: %s\n", file, line, condition);
    abort();
}

const struct trapline_info *guest_info(void)
{
    return &runtime_info;
}

int stats(struct trapline_stats *counts)
{
    return (int)hypercall2(TRAPLINE_HC_STATS, (uint64_t)counts, 0);
}

uint64_t tsc_hz(void)
{
    return runtime_info.tsc_hz;
}
