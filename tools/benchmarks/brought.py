"""Results that a person brings from a machine: a results.json, a console's log, or figures typed from the screen."""

import json
import re
from pathlib import Path

from runner import UsageError
from runner.console import Transcript
from runner.results import RUN, TICKS, parse_results, whole_run

# What the hypervisor's console says of its machine; the CPU's name is as Linux has it in /proc/cpuinfo.
_CPU = re.compile(r"^trapline: CPU (.*), [0-9A-F]+_[0-9A-F]+H stepping \d+$")
_CPUS = re.compile(r"^trapline: (\d+) of \d+ CPUs in VMX root$")
_MEMORY = re.compile(r"^trapline: (\d+) MiB free\b")
_GUEST = re.compile(r"^trapline: guest (\S+): \d+ MiB, \d+ vCPUs?\b")

# The microbenchmarks' table, and what may be typed: a name, perhaps a mode, then the figures in the table's order.
_TABLE = ("median", "min", "p99", "adds", "exits", "flushes", "ipis")
_PER = ("op", "call", "page", "fault")
_NUMBER = re.compile(r"^\d[\d,]*(\.\d+)?$")
_MODES = {"pt": "pt", "ept": "ept", "key": "key", "limit": "limit"}  # by the name's first part
_USUAL_MODE = "exit"


def read_console(text, name):
    """The run that a console's log tells of."""
    transcript = Transcript()
    found = {}
    guests = []
    for line in text.splitlines():
        line = line.rstrip("\r")
        transcript.add(line)
        for key, pattern in (("model", _CPU), ("cpus", _CPUS), ("mem", _MEMORY)):
            match = pattern.match(line)
            if match:
                found[key] = match.group(1) if key == "model" else int(match.group(1))
        match = _GUEST.match(line)
        if match and match.group(1) not in guests:
            guests.append(match.group(1))
    if not transcript.rows:
        raise UsageError(f"{name}: the log has no line that begins with @json")
    if len(guests) == 1:
        found["guest"] = guests[0]
    verdict = transcript.verdict or "unknown"
    reason = transcript.reason if transcript.verdict else "the log has no end"
    return whole_run({**found, "engine": "bare", "verdict": verdict, "reason": reason, "rows": transcript.rows}, name)


def _typed_row(words, where):
    name, rest = words[0], words[1:]
    mode = per = None
    for word in rest[:2]:
        if word in _PER and per is None:
            per = word
        elif not _NUMBER.match(word) and mode is None:
            mode = word
    figures = rest[(mode is not None) + (per is not None):]
    if not figures or len(figures) > len(_TABLE) or not all(map(_NUMBER.match, figures)):
        raise UsageError(f"{where}: a row is NAME [MODE] [PER] {' '.join(_TABLE)}, of which the numbers after the "
                         "median may be left out")
    values = {key: float(figure.replace(",", "")) for key, figure in zip(_TABLE, figures)}
    values.pop("adds", None)
    return {"name": name, "mode": mode or _MODES.get(name.partition(".")[0], _USUAL_MODE), "unit": TICKS,
            "per": per or "op", **values}


def read_typed(text, name):
    """The run that lines of a table tell of; # begins a comment."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words and not (words[0] == "name" and "median" in words):
            rows.append(_typed_row(words, f"{name}, line {number}"))
    if not rows:
        raise UsageError(f"{name}: no rows")
    return whole_run({"engine": "bare", "rows": rows}, name)


def read_brought(path, **more):
    """The runs of a file of any of these kinds. more: keys of RUN that are known better than the file says."""
    try:
        text = Path(path).read_bytes().decode(errors="replace")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    name = str(path)
    if text.lstrip().startswith("{"):
        runs = parse_results(text, name)
    elif "@json" in text:
        runs = [read_console(text, name)]
    else:
        runs = [read_typed(text, name)]
    return [{**run, **{key: value for key, value in more.items() if value is not None}} for run in runs]
