#include "guest/linux/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <trapline/abi.h>

int uffd_open(uint64_t features)
{
    struct uffdio_api api = {.api = UFFD_API, .features = features};
    int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

    /* Without privileges: no faults of the kernel's own accesses, which do not matter here. */
    if (uffd < 0)
        uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
    if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &api) != 0) {
        close(uffd);
        return -1;
    }
    return uffd;
}

bool uffd_register(int uffd, uint64_t address, size_t bytes, uint64_t modes)
{
    struct uffdio_register registration = {.range = {address, bytes}, .mode = modes};

    return ioctl(uffd, UFFDIO_REGISTER, &registration) == 0;
}

bool uffd_write_protect(int uffd, uint64_t address, size_t bytes, bool forbid)
{
    struct uffdio_writeprotect protection = {.range = {address, bytes},
                                             .mode = forbid ? UFFDIO_WRITEPROTECT_MODE_WP
                                                            : UFFDIO_WRITEPROTECT_MODE_DONTWAKE};
    int result;

    do
        result = ioctl(uffd, UFFDIO_WRITEPROTECT, &protection);
    while (result != 0 && errno == EAGAIN);
    return result == 0;
}

bool uffd_continue(int uffd, uint64_t address, size_t bytes, bool forbid_writing)
{
    const uint64_t end = address + bytes;

    while (address < end) {
        struct uffdio_continue request = {.range = {address, end - address},
                                          .mode = UFFDIO_CONTINUE_MODE_DONTWAKE |
                                                  (forbid_writing ? UFFDIO_CONTINUE_MODE_WP : 0)};
        const int result = ioctl(uffd, UFFDIO_CONTINUE, &request);

        if (request.mapped > 0)
            address += (uint64_t)request.mapped;
        else if (result != 0 && errno == EEXIST)
            address += TRAPLINE_PAGE_SIZE; /* it is mapped already */
        else if (result != 0 && errno != EAGAIN)
            return false;
    }
    return true;
}
