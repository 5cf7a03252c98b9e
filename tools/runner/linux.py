"""One run of Debian's Linux in an emulator: programs one after the other, and what they said.

The boot volume holds the loader and the kernel (tools/linux/loader.c), the command line, and an
initial RAM file system with the first program (tools/linux/init.c), the programs and /commands."""

import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from . import UsageError
from .linux_console import LinuxTranscript
from .machine import run_machine
from .results import record
from .volume import LOADER

MITIGATIONS = ("off", "on")
INTERPRETER = 3  # a segment of dynamically linked programs, PT_INTERP
COMMANDS = "commands"
COMMAND_WORDS = 64  # as tools/linux/init.c has it
COMMAND_LINE = (
    # The rate is the port's highest; the kernel's own would be 9600 baud.
    "console=ttyS0,115200",
    "quiet",
    # The same addresses in each run.
    "nokaslr",
    # The time-stamp counter is not watched against slower clocks, which an emulator lets drift.
    "tsc=reliable",
    # A machine that cannot go on is to end.
    "panic=-1",
    # Ciphers test themselves at the start otherwise, for more than half of the whole start.
    "cryptomgr.notests",
)
BOCHS_ONLY = (
    # FSRM: Bochs' tigerlake has it without ERMS, which no CPU does, and Linux 6.1's memmove() then
    # copies wrongly.
    "clearcpuid=580",
    # MWAIT never wakes by another CPU's write there.
    "idle=halt",
    # How long a delay loop is, which each further CPU would measure for 190 M ticks of all CPUs. It
    # is what CPUs of 2.5 GHz have and about what the models say of themselves.
    "lpj=10000000",
)


def command_line(engine_name, mitigations):
    """The kernel's command line. mitigations: "off" or "on"."""
    words = [*COMMAND_LINE, *(BOCHS_ONLY if engine_name == "bochs" else ())]
    words.append("mitigations=" + {"off": "off", "on": "auto"}[mitigations])
    return " ".join(words)


def is_static(path):
    """Whether a file is a program of Linux for x86-64 that needs no shared library."""
    data = Path(path).read_bytes()
    if len(data) < 64 or data[:6] != b"\x7fELF\x02\x01":
        return False
    table, size, count = *struct.unpack_from("<Q", data, 32), *struct.unpack_from("<HH", data, 54)
    if table + size * count > len(data):
        return False
    return all(struct.unpack_from("<I", data, table + size * i)[0] != INTERPRETER
               for i in range(count))


def find_program(name, build):
    """The file of a program by its path, or by its name in build/linux."""
    dynamic = None
    for path in (Path(name), build / "linux" / "static" / name, build / "linux" / name):
        if path.is_file():
            if is_static(path):
                return path
            dynamic = path
    if dynamic is not None:
        raise UsageError(f"{dynamic} is not statically linked (make linux-static builds "
                         "build/linux/static)")
    built = ", ".join(sorted(path.name for path in (build / "linux" / "static").glob("*")
                             if path.is_file())) or "none"
    raise UsageError(f"{name}: no such program (in build/linux/static: {built})")


def parse_command(command):
    """(assignments, program, arguments) of "NAME=value ... program argument ..."."""
    if any(not " " <= c <= "~" for c in command):
        raise UsageError(f"{command!r}: only printable ASCII text is allowed in a command")
    words = command.split()
    if len(words) > COMMAND_WORDS:
        raise UsageError(f"{command[:40]}...: more than {COMMAND_WORDS} words")
    at = next((i for i, word in enumerate(words) if "=" not in word), None)
    if at is None:
        raise UsageError(f"{command!r} names no program")
    return words[:at], words[at], words[at + 1:]


def make_initrd(init, programs, commands):
    """The initial RAM file system. programs: {name: path}, which lie in /bin. commands: lines."""
    if shutil.which("cpio") is None:
        raise UsageError("cpio is missing: install it (tools/setup bench)")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "bin").mkdir()
        shutil.copy(init, root / "init")
        for name, path in programs.items():
            shutil.copy(path, root / "bin" / name)
        for path in (root / "init", *(root / "bin").iterdir()):
            path.chmod(0o755)
        (root / COMMANDS).write_text("".join(f"{line}\n" for line in commands))
        names = sorted(str(path.relative_to(root)) for path in root.rglob("*"))
        done = subprocess.run(["cpio", "-o", "-H", "newc", "--quiet", "--reproducible", "-R", "0:0"],
                              cwd=root, input="\n".join(names).encode(), capture_output=True)
    if done.returncode != 0:
        raise OSError(f"cpio: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout


def linux_files(build, kernel, commands, line):
    """{volume path: content} of a whole boot volume. line: the kernel's command line."""
    boot = build / "linux" / "boot"
    for name in ("BOOTX64.EFI", "init"):
        if not (boot / name).is_file():
            raise UsageError(f"{boot / name} is missing: run make linux-boot first")
    programs, lines = {}, []
    for command in commands:
        assignments, name, args = parse_command(command)
        path = find_program(name, build)
        if programs.setdefault(path.name, path) != path:
            raise UsageError(f"{path} and {programs[path.name]} have the same name")
        lines.append(" ".join([*assignments, f"/bin/{path.name}", *args]))
    return {LOADER: boot / "BOOTX64.EFI", **kernel.files(),
            "linux/initrd": make_initrd(boot / "init", programs, lines),
            "linux/cmdline": line.encode()}


def run_linux(engine, machine, kernel, commands, folder, timeout, mitigations, on_line, on_wait,
              build):
    """Boot a kernel (kernel.find_kernel()) and run commands, "NAME=value ... program argument ...",
    one after the other. mitigations: "off" or "on". build: where things are built. The rest and the
    Outcome are those of run_machine(); its transcript is a LinuxTranscript."""
    files = linux_files(build, kernel, commands, command_line(engine.name, mitigations))
    return run_machine(engine, machine, files, folder, timeout, True, on_line, on_wait,
                       transcript=LinuxTranscript())


def linux_runs(engine, machine, outcome, commands, mitigations, root):
    """The records of a results.json, one for each command, whether it came to run or not. root: of the checkout."""
    done = outcome.transcript.programs
    runs = []
    for i, command in enumerate(commands):
        assignments, name, args = parse_command(command)
        program = done[i] if i < len(done) else None
        ended = program is not None and program.ended
        reason = program.reason if ended else outcome.reason
        runs.append(record(engine, machine, root, system="linux", guest=Path(name).name, args=" ".join(args),
                           environment=" ".join(assignments), kernel=outcome.transcript.release,
                           mitigations=mitigations, reason=reason,
                           verdict="ok" if reason is None else "failed" if ended else outcome.verdict,
                           seconds=round(program.seconds, 1) if program else 0,
                           rows=program.rows if program else []))
    return runs
