"""What the console of a Linux started by tools/linux means."""

import re
import time

from .console import FIRMWARE, parse_row

END_OK = "linux: end ok"
END_FAILED = "linux: end failed"
_KERNEL = re.compile(r"^linux: kernel (\S+)$")
_STARTS = re.compile(r"^linux: program starts: (.*)")
_ENDS = re.compile(r"^linux: program (\S+): (exit code|signal) (\d+)$")
_NO_START = re.compile(r"^linux: program (\S+) (cannot be run: .*)")
_CANNOT_START = re.compile(r"^trapline: (cannot start\b.*)")
_PANIC = re.compile(r"Kernel panic - not syncing: (.*)")


class Program:
    """One program's part of the console."""

    def __init__(self, command):
        self.command = command
        self.lines = []
        self.rows = []
        self.reason = None  # why it failed
        self.ended = False
        self._start = time.monotonic()
        self.seconds = 0.0

    def end(self, reason):
        """It ended; reason: why that is a failure, or None."""
        self.ended = True
        self.reason = self.reason or reason
        self.seconds = time.monotonic() - self._start


class LinuxTranscript:
    """Everything the console said, program by program, and the verdict in it."""

    system = "Linux"

    def __init__(self):
        self.lines = []
        self.rows = []      # of all programs
        self.programs = []  # in the order of their start
        self.release = None
        self.started = False
        self.verdict = None  # "ok", "failed", "cannot-start"
        self.reason = None

    @property
    def _running(self):
        return self.programs[-1] if self.programs and not self.programs[-1].ended else None

    def add(self, line):
        """Take a line. Returns the text for the human reader, None for none."""
        if not self.started:
            if not line.strip() or FIRMWARE.match(line):
                return None
            self.started = True
        self.lines.append(line)
        if self._running is not None:
            self._running.lines.append(line)
        row = parse_row(line) if self._running is not None else None
        if row is None:
            self._judge(line)
            return line
        if row:
            self._running.rows.append(row)
            self.rows.append(row)
        else:
            self._running.reason = f"a malformed result line: {line[:60]}"
        return None

    def _judge(self, line):
        if self.verdict is not None:
            return
        kernel, starts, ends = _KERNEL.match(line), _STARTS.match(line), _ENDS.match(line)
        no_start, cannot, panic = (_NO_START.match(line), _CANNOT_START.match(line),
                                   _PANIC.search(line))
        if kernel and self.release is None:
            self.release = kernel.group(1)
        elif starts:
            self.programs.append(Program(starts.group(1)))
        elif ends and self._running is not None:
            what = f"{ends.group(2)} {ends.group(3)}"
            self._running.end(None if what == "exit code 0" else
                              f"{ends.group(1)} ended with {what}")
        elif no_start and self._running is not None:
            self._running.end(f"{no_start.group(1)} {no_start.group(2)}")
        elif cannot:
            self.verdict, self.reason = "cannot-start", cannot.group(1)
        elif panic:
            self.verdict, self.reason = "failed", f"the kernel panicked: {panic.group(1)}"
        elif line in (END_OK, END_FAILED):
            self._end(line == END_OK)

    def _end(self, said_ok):
        reasons = [program.reason for program in self.programs if program.reason]
        if said_ok and not reasons:
            self.verdict = "ok"
        else:
            self.verdict, self.reason = "failed", reasons[0] if reasons else "a program failed"
