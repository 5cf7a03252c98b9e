/* Channels: the calls that name another guest. */
#include <stdbool.h>

#include <trapline/channel.h>
#include <trapline/string.h>

/* The name as the hypervisor wants it; false: no guest has one so long. */
static bool copy_name(char *buffer, const char *name)
{
    if (strlen(name) >= TRAPLINE_NAME_LEN)
        return false;
    memcpy(buffer, name, strlen(name));
    return true;
}

int channel_offer(const char *name, void *page, size_t pages, unsigned access)
{
    char buffer[TRAPLINE_NAME_LEN] = {0};

    if (!copy_name(buffer, name))
        return -TRAPLINE_ENOENT;
    return (int)hypercall(TRAPLINE_HC_OFFER, (uint64_t)buffer, (uint64_t)page, pages, access).rax;
}

int channel_accept(const char *name, void *address, size_t pages, size_t *got, unsigned *access)
{
    char buffer[TRAPLINE_NAME_LEN] = {0};
    struct hypercall_result result;

    if (!copy_name(buffer, name))
        return -TRAPLINE_ENOENT;
    result = hypercall(TRAPLINE_HC_ACCEPT, (uint64_t)buffer, (uint64_t)address, pages, 0);
    if (result.rax >= 0 && got)
        *got = result.rdx >> TRAPLINE_PAGE_SHIFT;
    if (result.rax >= 0 && access)
        *access = result.rdx & (TRAPLINE_READ | TRAPLINE_WRITE | TRAPLINE_EXEC);
    return (int)result.rax;
}
