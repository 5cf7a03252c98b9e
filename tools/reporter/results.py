"""Reads a results.json: the runs in it, by the machine that they were made on."""

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone

from runner import UsageError

SINGLE, MANY = 1, 2  # schemas: the one run of tools/run, the runs of tools/bench
TRAPLINE, LINUX = "trapline", "linux"
SYSTEMS = (TRAPLINE, LINUX)
TICKS = "tsc"
BENCH = "bench"
EMULATED = "bochs"
HARDWARE = {"native": "hardware", "bare": "hardware"}  # Linux and Trapline on a real CPU are one machine
EVENTS = ("exits", "flushes", "ipis")
TEXTS, NUMBERS = ("name", "mode", "unit", "per"), ("median", *EVENTS)  # of a row


@dataclass(frozen=True, order=True)
class Machine:
    """What runs of both systems must have in common to be compared."""

    engine: str   # bochs, kvm or hardware
    model: str
    cpus: int
    others: int   # threads that run meanwhile
    disable: str  # features of the CPU that Trapline left unused

    def __str__(self):
        words = [self.model, "on hardware" if self.engine == "hardware" else f"in {self.engine.capitalize()}",
                 f"{self.cpus} CPU" + ("s" if self.cpus > 1 else "")]
        if self.others:
            words.append(f"{self.others} other thread{'s' if self.others > 1 else ''} running")
        if self.disable:
            words.append(f"without {self.disable.replace(',', ', ')}")
        return ", ".join(words)


@dataclass
class Run:
    """One run of one program."""

    system: str
    engine: str
    engine_version: str
    machine: Machine
    mem: int
    guest: str
    args: str
    kernel: str
    mitigations: str
    commit: str
    verdict: str
    reason: str
    rows: list

    @property
    def ok(self):
        """Whether its rows count."""
        return self.verdict == "ok"

    def __str__(self):
        words = [self.system.capitalize(), self.kernel, f"mitigations {self.mitigations}" if self.mitigations else "",
                 self.guest, self.args]
        return " ".join(word for word in words if word) + f" ({self.machine})"


@dataclass
class Results:
    """A results.json."""

    commit: str
    made: datetime
    runs: list = field(default_factory=list)

    def machines(self):
        """The machines of runs that came to a good end, those of both systems first, and then by size."""
        have = {}
        for run in self.runs:
            if run.ok:
                have.setdefault(run.machine, set()).add(run.system)
        return sorted(have, key=lambda machine: (-len(have[machine]), machine.disable, machine.cpus, machine))

    def chosen(self, machine, system):
        """The good runs of a system on a machine. What Trapline leaves unused does not change Linux."""
        return [run for run in self.runs if run.ok and run.system == system and
                (run.machine == machine or system == LINUX and run.machine == plain(machine))]

    def failed(self):
        """The runs that came to no good end."""
        return [run for run in self.runs if not run.ok]


def plain(machine):
    """The machine with all features of its CPU in use."""
    return Machine(machine.engine, machine.model, machine.cpus, machine.others, "")


def wrong_row(row):
    """What is wrong with a row; None if nothing is."""
    if not isinstance(row, dict):
        return "it is no object"
    for name in TEXTS:
        if not isinstance(row.get(name), str):
            return f"{name} is no text"
    for name in NUMBERS:
        value = row.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            return f"{name} is no number"
    return None


def read_run(run, where):
    """The Run in a JSON object. where: names it in what is wrong."""
    if not isinstance(run, dict):
        raise UsageError(f"{where}: it is no object")
    system = run.get("system", TRAPLINE)
    if system not in SYSTEMS:
        raise UsageError(f"{where}: the system is none of {', '.join(SYSTEMS)}")
    for name, kind in {"engine": str, "model": str, "cpus": int, "guest": str, "verdict": str, "rows": list}.items():
        if not isinstance(run.get(name), kind):
            raise UsageError(f"{where}: {name} is missing, or is no {kind.__name__}")
    for number, row in enumerate(run["rows"], 1):
        wrong = wrong_row(row)
        if wrong:
            raise UsageError(f"{where}: row {number}: {wrong}")
    machine = Machine(HARDWARE.get(run["engine"], run["engine"]), run["model"], run["cpus"], run.get("others") or 0,
                      run.get("disable") or "")
    return Run(system, run["engine"], run.get("engine_version") or "", machine, run.get("mem") or 0, run["guest"],
               run.get("args") or "", run.get("kernel") or "", run.get("mitigations") or "", run.get("commit") or "",
               run["verdict"], run.get("reason") or "", run["rows"])


def read_time(text, where):
    """The moment that an ISO 8601 text names."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        raise UsageError(f"{where}: made is no time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def read_results(path):
    """The Results in a file of either schema."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        changed = datetime.fromtimestamp(path.stat().st_mtime, timezone.utc)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path}: no JSON: {error}") from None
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema == SINGLE:
        run = read_run(found, str(path))
        return Results(run.commit, changed, [run])
    if schema != MANY or not isinstance(found.get("runs"), list):
        raise UsageError(f"{path}: no results.json of schema {SINGLE} or {MANY}")
    runs = [read_run(run, f"{path}: run {number}") for number, run in enumerate(found["runs"], 1)]
    return Results(found.get("commit") or "", read_time(found.get("made"), path), runs)
