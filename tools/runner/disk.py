"""The disk that a guest has for itself, beside the one that the machine boots from."""

import fcntl
from contextlib import contextmanager
from pathlib import Path

from . import UsageError

CHANNEL = "ata1"  # in trapline.conf; the engines boot from another one
IMAGE = "guest-disk.img"  # in a run's folder: the image, or a link to the file that is it
SECTOR = 512
MIB = 1 << 20
MIB_MAX = 1 << 20


def check_file(path):
    """Raise UsageError unless the file can be a disk."""
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UsageError(f"DISK={path}: {error.strerror}") from None
    if size is None:
        raise UsageError(f"DISK={path}: no such file (a number makes a new disk of so many MiB; "
                         "`truncate -s 64M FILE` makes a file)")
    if size == 0 or size % SECTOR:
        raise UsageError(f"DISK={path}: {size} bytes; a multiple of {SECTOR} is allowed")


@contextmanager
def attached(disk, folder):
    """The disk as IMAGE in the run's folder while the run lasts. disk: MiB of a new one, or the
    path of a file, which nobody else may use meanwhile; None: there is none."""
    image = Path(folder, IMAGE)
    if disk is None:
        yield
        return
    if isinstance(disk, int):
        with open(image, "wb") as out:
            out.truncate(disk * MIB)
        yield
        return
    check_file(disk)
    try:
        held = open(disk, "r+b")
    except OSError as error:
        raise UsageError(f"DISK={disk}: {error.strerror}") from None
    with held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"DISK={disk}: another run uses it") from None
        image.symlink_to(disk.resolve())
        yield
