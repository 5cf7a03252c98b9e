"""Bochs: what a binary of it offers, and a machine made from that."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from . import UsageError
from .disk import CHANNEL, IMAGE
from .firmware import find_ovmf
from .process import Process

DEFAULT_MODEL = "tigerlake"
PROBE_SECONDS = 30
VGA_BIOS = ("/usr/share/bochs/VGABIOS-lgpl-latest", "/usr/share/vgabios/vgabios.bin",
            "/usr/local/share/bochs/VGABIOS-lgpl-latest.bin",
            "/usr/local/share/bochs/VGABIOS-lgpl-latest")

# With none of them does a window open. options="timeout=0": do not wait for a viewer.
DISPLAYS = ('nogui', 'rfb, options="timeout=0"', 'term')

# The models known to have VT-x with EPT, for the list in an error message. Not a filter: the
# hypervisor's own preflight says what a CPU lacks.
KNOWN_GOOD = frozenset((
    "corei5_lynnfield_750", "corei5_arrandale_m520", "corei7_sandy_bridge_2600k",
    "corei7_ivy_bridge_3770k", "corei7_haswell_4770", "broadwell_ult", "corei7_skylake_x",
    "corei3_cnl", "corei7_icelake_u", "tigerlake", "sapphire_rapids", "arrow_lake",
    "wildcat_lake"))

END_OF_PROBE = "end_of_probe"
HOST_MEM_MAX = 2048  # MiB that Bochs takes from the host; the rest of a larger machine is a file


class Bochs:
    """One Bochs binary."""

    name = "bochs"

    def __init__(self, path=None):
        self.path = shutil.which(path or "bochs-bin") or (None if path else shutil.which("bochs"))
        if self.path is None:
            raise UsageError(f"BOCHS={path}: no such program" if path else
                             "no Bochs found: install it (tools/setup) or name one by BOCHS=path")
        help_text = self._ask("--help")
        if "bochsrc" not in help_text.lower():
            raise UsageError(f"BOCHS={path}: its --help is not that of Bochs")
        self.has_debugger = re.search(r"^\s*-rc\s", help_text, re.MULTILINE) is not None
        version = re.search(r"Bochs x86 Emulator (\S+)", help_text)
        self.version = version.group(1) if version else "unknown"
        self._display = None

    def _ask(self, *words):
        try:
            done = subprocess.run([self.path, *words], stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=PROBE_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UsageError(f"BOCHS={self.path}: {error}") from None
        return done.stdout.decode(errors="replace")

    def models(self):
        """The CPU models that the binary offers."""
        text = self._ask("--help", "cpu")
        return re.findall(r"^([a-z][a-z0-9_]+)$", text.partition("Supported CPU models")[2],
                          re.MULTILINE)

    def check_model(self, model):
        """Raise UsageError unless the binary has the model."""
        models = self.models()
        if model not in models:
            listed = ", ".join(name + (" *" if name in KNOWN_GOOD else "") for name in models)
            raise UsageError(f"MODEL={model}: this Bochs has {listed} (* = known to have VT-x "
                             "with EPT)")

    def _complaint(self, lines):
        """What the binary says against these lines of a bochsrc, or None. Starts no machine: the
        last line is one that no Bochs understands, so that it stops after reading the others."""
        with tempfile.TemporaryDirectory(prefix="trapline-bochs-") as folder:
            config = Path(folder, "bochsrc")
            config.write_text("\n".join([*lines, f"{END_OF_PROBE}: 1", ""]))
            commands = Path(folder, "commands")
            commands.write_text("q\n")
            words = ["-q", "-f", str(config)]
            if self.has_debugger:
                words += ["-rc", str(commands)]
            text = self._ask(*words)
        if END_OF_PROBE in text:
            return None
        said = re.search(r"exiting with the following message:\n(?:\[[^\]]*\]\s*)?(.*)", text)
        return said.group(1).strip() if said else "it stopped without a word"

    def display(self):
        """The first display of DISPLAYS that the binary has."""
        if self._display is None:
            for display in DISPLAYS:
                if self._complaint([f"display_library: {display}"]) is None:
                    self._display = display
                    break
            else:
                names = ", ".join(display.partition(",")[0] for display in DISPLAYS)
                raise UsageError(f"{self.path} has no display that needs no screen ({names})")
        return self._display

    def _machine_lines(self, machine):
        return [f"display_library: {self.display()}",
                f"memory: guest={machine.mem}, host={min(machine.mem, HOST_MEM_MAX)}",
                f"cpu: model={machine.model}, count={machine.cpus}, ips=50000000, "
                "reset_on_triple_fault=0"]

    @staticmethod
    def disk_lines(machine):
        """The lines about the guest's disk."""
        if machine.disk is None:
            return []
        return [f"{CHANNEL}: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15",
                f'{CHANNEL}-master: type=disk, path="{IMAGE}", mode=flat']

    def check(self, machine):
        """Raise UsageError unless the binary can be this machine."""
        self.check_model(machine.model)
        for name, line in zip(("display", "MEM", "CPUS"), self._machine_lines(machine)):
            complaint = self._complaint([line])
            if complaint is not None:
                raise UsageError(f"{name}: {complaint}")

    def describe(self, machine):
        """One line for the reader."""
        text = f"Bochs {self.version}, {machine.model}"
        if machine.mem > HOST_MEM_MAX and self.version.startswith("2."):
            text += (f"; it keeps {HOST_MEM_MAX} MiB in memory, and what uses more than that of its "
                     f"{machine.mem} does not run correctly in this version")
        return text

    def start(self, machine, folder):
        """Start the machine in folder, whose disk.img it boots. Its console goes to serial.out."""
        vga_bios = next((path for path in VGA_BIOS if Path(path).exists()), None)
        if vga_bios is None:
            raise UsageError("no VGA BIOS for Bochs found: install vgabios (tools/setup)")
        lines = ["config_interface: textconfig", *self._machine_lines(machine),
                 f"romimage: file={find_ovmf()}", f"vgaromimage: file={vga_bios}",
                 "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
                 'ata0-master: type=disk, path="disk.img", mode=flat',
                 *self.disk_lines(machine),
                 "com1: enabled=1, mode=file, dev=serial.out", "port_e9_hack: enabled=1",
                 "pci: enabled=1, chipset=i440fx", "log: bochs.log", "panic: action=fatal",
                 f"error: action={'report' if machine.verbose else 'ignore'}",
                 "info: action=ignore", "debug: action=ignore"]
        Path(folder, "bochsrc").write_text("\n".join(lines) + "\n")
        command = [self.path, "-q", "-f", "bochsrc"]
        if self.has_debugger:
            Path(folder, "commands").write_text("c\nq\n")
            command += ["-rc", "commands"]
        environment = dict(os.environ, TERM="xterm")
        return Process(command, folder, Path(folder, "emulator.out"), environment)

    @staticmethod
    def why_ended(folder):
        """What the log says about an end that was not the machine's own."""
        for name in ("bochs.log", "emulator.out"):
            try:
                text = Path(folder, name).read_text(errors="replace")
            except OSError:
                continue
            panics = re.findall(r">>PANIC<< (.*)", text)
            if panics:
                return panics[-1].strip()
            if re.search(r"soft power off|Shutdown port", text, re.IGNORECASE):
                return "the machine powered off"
            said = re.search(r"exiting with the following message:\n(.*)", text)
            if said:
                return said.group(1).strip()
        return "Bochs gave no reason"
