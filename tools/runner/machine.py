"""One run of one machine: its folder, its disk, its console, its end."""

import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from .console import LineReader, Transcript
from .disk import attached
from .image import write_image

POLL_SECONDS = 0.05
POWER_OFF_SECONDS = 8
LINGER_SECONDS = 0.3
RUNS_KEPT = 8


@dataclass
class Machine:
    """What the emulator is to be."""

    model: str
    cpus: int
    mem: int  # MiB
    verbose: bool = False  # the emulator's log says why a VM entry failed
    disk: Optional[Union[int, Path]] = None  # the guest's: MiB of a new one, or a file


@dataclass
class Outcome:
    """How a run ended. verdict: ok, failed, cannot-start, timeout, died."""

    verdict: str
    reason: str
    seconds: float
    transcript: Transcript = field(repr=False)
    powered_off: bool = False


def make_run_folder(runs):
    """A new folder for a run; old ones that no running program owns go away."""
    runs.mkdir(parents=True, exist_ok=True)
    _prune(runs)
    stamp = time.strftime("%Y%m%d-%H%M%S")
    number = 0
    while True:
        folder = runs / (f"{stamp}-{os.getpid()}" + (f"-{number}" if number else ""))
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
            continue
        (folder / "pid").write_text(f"{os.getpid()}\n")
        return folder


def link_latest(name, folder):
    """Make the path name, a link, that of the folder of a run in runs/ beside it."""
    temporary = name.with_name(f"{name.name}.{os.getpid()}")
    temporary.symlink_to(Path("runs", folder.name))
    os.replace(temporary, name)


def _in_use(folder):
    try:
        os.kill(int((folder / "pid").read_text()), 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    return True


def _prune(runs):
    finished = sorted(path for path in runs.iterdir() if path.is_dir() and not _in_use(path))
    for folder in finished[:-RUNS_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _take(reader, transcript, on_line, final):
    for line in reader.read(final):
        shown = transcript.add(line)
        if shown is not None:
            on_line(shown)


def _drive(process, reader, transcript, deadline, on_line, on_wait):
    """Follow the console until a verdict, the emulator's end or the deadline."""
    while True:
        ended = process.ended()
        _take(reader, transcript, on_line, final=ended)
        if transcript.verdict is not None or ended or time.monotonic() >= deadline:
            return
        on_wait(transcript.started)
        time.sleep(POLL_SECONDS)


def _linger(process, reader, transcript, deadline, on_line, after):
    """Follow the console after the verdict: a moment, or until a line matches."""
    process.wait(LINGER_SECONDS)
    seen = len(transcript.lines)
    while after is not None and time.monotonic() < deadline and not process.ended():
        _take(reader, transcript, on_line, final=False)
        if any(after.search(line) for line in transcript.lines[seen:]):
            return
        time.sleep(POLL_SECONDS)


def _timeout_reason(transcript, timeout):
    if not transcript.started:
        return f"no sign of {transcript.system} within {timeout} s: the firmware did not start it"
    return f"no end within {timeout} s (TIMEOUT); the console's last line: {transcript.lines[-1]}"


def run_machine(engine, machine, files, folder, timeout, power_off, on_line, on_wait,
                after=None, transcript=None):
    """Boot the machine from a volume with these files and follow it to its end.

    files: see write_image(). folder: an empty folder for this run. timeout: seconds. power_off:
    whether the configuration says that the machine switches itself off. on_line(text): called for
    each console line meant for people. on_wait(started): called while nothing comes. after: a compiled
    regular expression; a machine that stays on after its verdict is followed until a later line
    matches, or the deadline. transcript: what judges the console, by itself a Transcript.
    """
    with attached(machine.disk, folder):
        return _run(engine, machine, files, folder, timeout, power_off, on_line, on_wait, after,
                    transcript or Transcript())


def _run(engine, machine, files, folder, timeout, power_off, on_line, on_wait, after, transcript):
    disk = Path(folder, "disk.img")
    write_image(disk, files)
    started = time.monotonic()
    process = engine.start(machine, folder)
    reader = LineReader(Path(folder, "serial.out"))
    off = False
    try:
        _drive(process, reader, transcript, started + timeout, on_line, on_wait)
        if transcript.verdict in ("ok", "failed") and power_off:
            off = process.wait(POWER_OFF_SECONDS)
        elif transcript.verdict is not None:
            _linger(process, reader, transcript, started + timeout, on_line, after)
        _take(reader, transcript, on_line, final=True)
        verdict, reason = transcript.verdict, transcript.reason
        if verdict == "ok" and power_off and not off:
            verdict, reason = "failed", "the machine did not power off at its end"
        if verdict is None and process.ended():
            verdict = "died"
            reason = f"{engine.name} ended before the run did: {engine.why_ended(folder)}"
        elif verdict is None:
            verdict, reason = "timeout", _timeout_reason(transcript, timeout)
    finally:
        process.kill()
        reader.close()
        disk.unlink(missing_ok=True)
        Path(folder, "disk.img.lock").unlink(missing_ok=True)
    return Outcome(verdict, reason, time.monotonic() - started, transcript, off)
