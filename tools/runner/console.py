"""The machine's console: the serial port's file turned into lines, and what the lines mean."""

import codecs
import json
import re

# Escape sequences of the firmware's console; those that move the cursor start a new line.
_CURSOR = re.compile(r"\x1b\[\d+;\d+H")
_ESCAPE = re.compile(r"\x1b(?:\[[0-9;?=]*[A-Za-z]|[()][A-Z0-9]|[=>])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

# What OVMF says by itself.
FIRMWARE = re.compile(r"^(BdsDxe:|BdsDxe|UEFI |Press |>>|Booting|error: )")

# Where there are several guests, each of their lines has the guest's name before it.
_ROW = re.compile(r"^(?:\[([^\]]+)\] )?@json (.*)")
END_OK = "trapline: end ok"
END_FAILED = "trapline: end failed"
_CANNOT_START = re.compile(r"^trapline: cannot start\b:? *(.*)")
_EXIT_CODE = re.compile(r"^trapline: guest (\S+): exit code (-?\d+)")
_STOPPED = re.compile(r"^trapline: guest (\S+): (stopped:? .*)")
_PANIC = re.compile(r"^trapline: (?:panic|exception|fatal)\b.*", re.IGNORECASE)


def parse_row(line):
    """The result row of a line, with the guest's name where the line has it; {} for one that is malformed, None for a
    line that is no row."""
    found = _ROW.match(line)
    if not found:
        return None
    try:
        row = json.loads(found.group(2))
    except ValueError:
        return {}
    if not isinstance(row, dict):
        return {}
    return {**row, "guest": found.group(1)} if found.group(1) else row


class LineReader:
    """Reads a growing file; only whole lines come out."""

    def __init__(self, path):
        self._path = path
        self._file = None
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def read(self, final=False):
        """The lines that are whole by now; at the end (final) the last, unfinished one too."""
        if self._file is None:
            try:
                self._file = open(self._path, "rb")
            except FileNotFoundError:
                return []
        self._rest += self._decoder.decode(self._file.read(), final)
        parts = self._rest.split("\n")
        self._rest = parts.pop()
        if final and self._rest:
            parts.append(self._rest)
            self._rest = ""
        return [line for part in parts for line in _clean(part)]

    def close(self):
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _clean(text):
    pieces = _CURSOR.sub("\n", text).split("\n")
    lines = [_CONTROL.sub("", _ESCAPE.sub("", piece)).rstrip() for piece in pieces]
    return [line for line in lines if line] if len(lines) > 1 else lines


class Transcript:
    """Everything the console said, and the verdict in it."""

    system = "Trapline"

    def __init__(self):
        self.lines = []
        self.rows = []
        self.started = False  # a line that is not the firmware's has come
        self.verdict = None   # "ok", "failed", "cannot-start"
        self.reason = None
        self._failures = []

    def add(self, line):
        """Take a line. Returns the text for the human reader, None for none."""
        if not self.started:
            if not line.strip() or FIRMWARE.match(line):
                return None
            self.started = True
        self.lines.append(line)
        row = parse_row(line)
        if row is None:
            self._judge(line)
            return line
        if row:
            self.rows.append(row)
        else:
            self._failures.append(f"a malformed result line: {line.partition('@json ')[2][:60]}")
        return None

    def _judge(self, line):
        """The last end line counts: a guest may have written one before it."""
        if self.verdict == "cannot-start":
            return
        cannot = _CANNOT_START.match(line)
        code = _EXIT_CODE.match(line)
        stopped = _STOPPED.match(line)
        if cannot:
            self.verdict = "cannot-start"
            self.reason = line[len("trapline: "):]
        elif line == END_OK:
            self.verdict = "failed" if self._failures else "ok"
            self.reason = self._failures[0] if self._failures else None
        elif line == END_FAILED:
            self.verdict = "failed"
            self.reason = self._failures[0] if self._failures else "the run failed"
        elif code and int(code.group(2)) != 0:
            self._failures.append(f"guest {code.group(1)} ended with exit code {code.group(2)}")
        elif stopped:
            self._failures.append(f"guest {stopped.group(1)} {stopped.group(2)}")
        elif _PANIC.match(line):
            self._failures.append(line[len("trapline: "):])
