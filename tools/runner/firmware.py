"""Where the UEFI firmware for the emulators lies."""

import os
from pathlib import Path

from . import UsageError

PLACES = ("/usr/share/ovmf/OVMF.fd", "/usr/share/qemu/OVMF.fd", "/usr/share/edk2/x64/OVMF.fd",
          "/usr/share/edk2/ovmf/OVMF.fd")


def find_ovmf():
    """Path of a 2 MiB OVMF image that holds code and variables; OVMF=path names another."""
    named = os.environ.get("OVMF")
    if named:
        if not Path(named).is_file():
            raise UsageError(f"OVMF={named}: no such file")
        return str(Path(named).resolve())
    for place in PLACES:
        if Path(place).is_file():
            return place
    raise UsageError("no OVMF firmware found: install ovmf (tools/setup) or name one by OVMF=path")
