"""The runs of a results.json, by the machine that they were made on."""

from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from runner import UsageError
from runner.results import SYSTEMS, read_with_heading

TRAPLINE, LINUX = SYSTEMS
BENCH = "bench"
EMULATOR = "bochs"
HARDWARE = {"native": "hardware", "bare": "hardware"}  # Linux and Trapline on a real CPU are one machine
ENGINES = {EMULATOR: "Bochs", "kvm": "KVM", "native": "a host's Linux", "bare": "a bare machine"}
EVENTS = ("exits", "flushes", "ipis")


@dataclass(frozen=True, order=True)
class Machine:
    """What runs of both systems must have in common to be compared."""

    engine: str   # bochs, kvm or hardware
    model: str
    cpus: int
    others: int   # threads that run meanwhile
    disable: str  # features of the CPU that Trapline left unused

    def __str__(self):
        real = self.engine in HARDWARE.values()
        words = [self.model, "on hardware" if real else f"in {ENGINES.get(self.engine, self.engine)}",
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
    guest: str
    args: str
    kernel: str
    mitigations: str
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


def read_run(run):
    """The Run in a run as runner.results has it."""
    machine = Machine(HARDWARE.get(run["engine"], run["engine"]), run["model"], run["cpus"], run["others"],
                      run["disable"] or "")
    return Run(run["system"], run["engine"], run["engine_version"] or "", machine, run["guest"], run["args"] or "",
               run["kernel"] or "", run["mitigations"] or "", run["verdict"], run["reason"] or "", run["rows"])


def read_time(text, where):
    """The moment that an ISO 8601 text names."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        raise UsageError(f"{where}: made is no time") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def read_results(path):
    """The Results in a file. What does not say when it was made was made when the file was."""
    heading, runs = read_with_heading(path)
    if heading["made"] is None:
        made = datetime.fromtimestamp(Path(path).stat().st_mtime, timezone.utc)
    else:
        made = read_time(heading["made"], path)
    return Results(heading["commit"] or "", made, [read_run(run) for run in runs])
