"""Which figures of the workloads are the ones to look at, and the table of them."""

from dataclasses import dataclass

from .comparison import kinds_of_linux
from .figures import Figures, quotient
from .results import LINUX, TRAPLINE

BASELINE = "baseline"
# Arguments that say how a workload runs, not what it does: words, and options with a value.
CHOICES, CHOICE_OPTIONS = (BASELINE, "verify"), ("mechanism=", "nodes=")
MODES = {TRAPLINE: (BASELINE, "ept", "pt", "key"), LINUX: (BASELINE, "mprotect", "uffd", "pkey")}
LESS, MORE = "less", "more"


@dataclass(frozen=True)
class Headline:
    """A figure of a workload."""

    row: str
    text: str
    better: str         # LESS or MORE
    baseline: str = ""  # the row of the same figure without the primitives, if it has another name

    def name(self, mode):
        """The row's name in a mode."""
        return self.baseline if mode == BASELINE and self.baseline else self.row


WORKLOADS = {
    "gc": ("concurrent collector", (
        Headline("gc.longest", "the mutator's longest stop", LESS),
        Headline("gc.stop", "a flip's stop", LESS),
        Headline("gc.total", "the program's time", LESS))),
    "generational": ("generational collector", tuple(
        Headline(f"generational.{program}.{barrier}.total", f"{program}: time, by {way}", LESS,
                 f"generational.{program}.card.total")
        for program in ("table", "tree", "queue") for barrier, way in (("trap", "TRAP"), ("dirty", "DIRTY")))),
    "checkpoint": ("concurrent checkpoints", (
        Headline("checkpoint.stop.longest", "the longest stop", LESS),
        Headline("checkpoint.overlap", "saving beside the computation, %", MORE),
        Headline("checkpoint.overhead", "the run's overhead, %", LESS),
        Headline("checkpoint.trap", "a write to a page not saved yet", LESS))),
    "store": ("persistent store", (
        Headline("store.transaction", "a transaction, without the disk", LESS),
        Headline("store.trap", "a changed page's trap", LESS))),
    "svm": ("shared virtual memory", tuple(
        Headline(f"svm.{kernel}.speedup", f"{kernel}: speedup", MORE)
        for kernel in ("jacobi", "matrix", "sort", "dot")) + (
            Headline("svm.jacobi.read_fault", "a read fault", LESS),
            Headline("svm.jacobi.write_fault", "a write fault", LESS))),
    "zpage": ("compressed paging", (
        Headline("zpage.rate", "accesses in 10^9 ticks", MORE),
        Headline("zpage.fault.watched", "a fault on a watched page", LESS),
        Headline("zpage.fault.write", "a first write to a clean page", LESS),
        Headline("zpage.fault.pool", "a fault, the page in the pool", LESS))),
    "bigspace": ("large address space", (
        Headline("bigspace.read", "a walk through everything", LESS),
        Headline("bigspace.look", "a reference followed", LESS),
        Headline("bigspace.load", "a page brought in", LESS))),
    "overflow": ("heap overflow", (
        Headline("overflow.lists.allocation", "lists: an object", LESS),
        Headline("overflow.trees.allocation", "trees: an object", LESS),
        Headline("overflow.trap", "an overflow's trap", LESS),
        Headline("overflow.lists.breakeven", "objects from which on it pays", LESS))),
}


@dataclass
class WorkloadLine:
    """A headline figure of a workload, by system and mode."""

    workload: str
    variant: str    # its arguments that say what it does
    headline: Headline
    figures: dict   # (system, mode): Figure

    def best(self, system):
        """The better figure of the system's mechanisms, the baseline left out; None without one."""
        found = [figure for (of, mode), figure in self.figures.items() if of == system and mode != BASELINE]
        choose = min if self.headline.better == LESS else max
        return choose(found, key=lambda figure: figure.median, default=None)

    @property
    def ratio(self):
        """How many times as good Trapline's best is as Linux's; None where one is missing or none is above zero."""
        trapline, linux = (figure and figure.median for figure in map(self.best, (TRAPLINE, LINUX)))
        if not trapline or not linux or trapline < 0 or linux < 0:
            return None
        return quotient(linux, trapline) if self.headline.better == LESS else quotient(trapline, linux)


def variant(args):
    """What of a workload's arguments says what it does."""
    return " ".join(word for word in args.split() if word not in CHOICES and not word.startswith(CHOICE_OPTIONS))


def lines(results, machine):
    """The WorkloadLines of a machine. Of several kinds of Linux the plainest counts."""
    kinds = kinds_of_linux(run for run in results.chosen(machine, LINUX) if run.guest in WORKLOADS)
    if machine.disable and not any(run.guest in WORKLOADS for run in results.chosen(machine, TRAPLINE)):
        return []
    groups = {}
    for run in results.chosen(machine, TRAPLINE) + (kinds[0][1] if kinds else []):
        if run.guest in WORKLOADS:
            groups.setdefault((run.guest, variant(run.args)), {}).setdefault(run.system, []).append(run)
    found, order = [], list(WORKLOADS)
    for guest, arguments in sorted(groups, key=lambda group: (order.index(group[0]), group[1])):
        by_system = groups[guest, arguments]
        rows = {system: Figures(runs) for system, runs in by_system.items()}
        for headline in WORKLOADS[guest][1]:
            figures = {(system, mode): figure for system in rows for mode in MODES[system]
                       if (figure := rows[system].mode(headline.name(mode), mode))}
            if figures:
                found.append(WorkloadLine(guest, arguments, headline, figures))
    return found
