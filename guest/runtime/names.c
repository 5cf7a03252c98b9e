/* What results and errors are called. */
#include <trapline/disk.h>
#include <trapline/region.h>

const char *region_mechanism_name(enum region_mechanism mechanism)
{
    static const char *const names[REGION_MECHANISMS] = {"ept", "pt", "key", "mprotect", "uffd"};

    return mechanism < REGION_MECHANISMS ? names[mechanism] : "unknown";
}

const char *trapline_error_name(long error)
{
    switch (-error) {
    case 0: return "no error";
    case TRAPLINE_EPERM: return "EPERM";
    case TRAPLINE_ENOENT: return "ENOENT";
    case TRAPLINE_ENOMEM: return "ENOMEM";
    case TRAPLINE_EAGAIN: return "EAGAIN";
    case TRAPLINE_EFAULT: return "EFAULT";
    case TRAPLINE_EEXIST: return "EEXIST";
    case TRAPLINE_EPIPE: return "EPIPE";
    case TRAPLINE_EINVAL: return "EINVAL";
    case TRAPLINE_ENOSYS: return "ENOSYS";
    case TRAPLINE_EOPNOTSUPP: return "EOPNOTSUPP";
    case DISK_EIO: return "EIO";
    case DISK_ETIMEDOUT: return "ETIMEDOUT";
    default: return "unknown error";
    }
}
