"""QEMU: with KVM and nested VMX a machine for Trapline; without KVM a machine that lacks VMX."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from . import UsageError
from .disk import IMAGE
from .firmware import find_ovmf
from .process import Process

PROGRAM = "qemu-system-x86_64"
MEM_MIN = 128
IDE_INDEX = 2  # the first drive of the second channel, ata1
NESTED = Path("/sys/module/kvm_intel/parameters/nested")
DEVICE = Path("/dev/kvm")


def why_no_kvm():
    """None when this host's KVM can give its guests VMX, else the reason in words."""
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        cpuinfo = ""
    if not re.search(r"^flags\s*:.*\bvmx\b", cpuinfo, re.MULTILINE):
        return "this host's CPU shows no vmx in /proc/cpuinfo"
    try:
        nested = NESTED.read_text().strip()
    except OSError:
        return "the module kvm_intel is not loaded"
    if nested not in ("Y", "1"):
        return f"kvm_intel does not offer nested VMX ({NESTED} says {nested}, Y is needed)"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} is missing or you may not write to it"
    return None


class Qemu:
    """name: "kvm", or "qemu-novmx" for the emulation that has no VMX."""

    def __init__(self, name):
        self.name = name
        self.path = shutil.which(PROGRAM)
        if self.path is None:
            raise UsageError(f"{PROGRAM} is missing: install qemu-system-x86 (tools/setup)")
        version = subprocess.run([self.path, "--version"], capture_output=True, text=True).stdout
        found = re.search(r"version (\S+)", version)
        self.version = found.group(1) if found else "unknown"

    def check(self, machine):
        """Raise UsageError unless QEMU can be this machine."""
        if machine.mem < MEM_MIN:
            raise UsageError(f"MEM={machine.mem}: at least {MEM_MIN} MiB are needed")

    def describe(self, machine):
        """One line for the reader."""
        if self.name == "kvm":
            return f"QEMU {self.version} with KVM (nested VMX), CPU {machine.model}"
        return f"QEMU {self.version} without KVM (no VMX), CPU {machine.model}"

    def start(self, machine, folder):
        """Start the machine in folder, whose disk.img it boots. Its console goes to serial.out."""
        # The newer machine has no ATA channels at their legacy ports.
        kind = "q35" if machine.disk is None else "pc"
        command = [self.path, "-machine", kind, "-accel", "kvm" if self.name == "kvm" else "tcg",
                   "-cpu", machine.model, "-smp", str(machine.cpus), "-m", str(machine.mem),
                   "-bios", find_ovmf(), "-drive", "file=disk.img,format=raw", "-serial",
                   "file:serial.out", "-chardev", "file,id=debug,path=debug.out", "-device",
                   "isa-debugcon,iobase=0xe9,chardev=debug", "-display", "none", "-monitor", "none",
                   "-net", "none", "-no-reboot"]
        if machine.disk is not None:
            command += ["-drive", f"file={IMAGE},format=raw,if=ide,index={IDE_INDEX}"]
        return Process(command, folder, Path(folder, "emulator.out"))

    @staticmethod
    def why_ended(folder):
        """What QEMU said when it ended before the machine did."""
        text = Path(folder, "emulator.out").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "the machine powered off"
