"""Both systems side by side on one machine."""

from dataclasses import dataclass

from .figures import Figure, Figures, quotient
from .operations import LIMITS, MECHANISMS, MPROTECT, OPERATIONS, Operation, limit_figure
from .results import BENCH, LINUX, TRAPLINE

PLAIN_MITIGATIONS = ("off", "")  # what the comparison is with where there is a choice, the first that exists


@dataclass
class Comparison:
    """One operation on one machine."""

    operation: Operation
    trapline: dict    # mechanism: Figure
    mprotect: list    # Linux, mprotect + SIGSEGV, a Figure for each kind of area
    linux: Figure     # the lowest of Linux's modes, or None
    limit: Figure     # what the CPU itself takes, or None
    others: list      # the lowest of each further kind of Linux, or None

    @property
    def mechanism(self):
        """Trapline's cheapest mechanism; None if there is no figure."""
        return min(self.trapline, key=lambda name: self.trapline[name].median, default=None)

    @property
    def best(self):
        """The figure of Trapline's cheapest mechanism, or None."""
        return self.trapline.get(self.mechanism)

    @property
    def per(self):
        """What the figures are for; that of Linux follows where it says something else."""
        pers = [figure.per for figure in (self.best, self.linux) if figure]
        return " / ".join(dict.fromkeys(pers))

    @property
    def ratio(self):
        """How many times as much Linux's best takes; None where one of them is missing."""
        return self.ratio_to(self.linux)

    def ratio_to(self, linux):
        """The same of another figure of Linux."""
        return quotient(linux and linux.median, self.best and self.best.median)


class Bench:
    """The microbenchmarks of both systems on one machine."""

    def __init__(self, results, machine):
        self.machine = machine
        self.runs = [run for system in (TRAPLINE, LINUX) for run in results.chosen(machine, system)
                     if run.guest == BENCH]
        self.trapline = Figures(run for run in self.runs if run.system == TRAPLINE)
        kinds = kinds_of_linux(self.runs)
        self.linux_name = kinds[0][0] if kinds else "Linux"
        self.linux = Figures(kinds[0][1] if kinds else [])
        self.others = [(name, Figures(runs)) for name, runs in kinds[1:]]

    def compare(self, operation):
        """The Comparison of an operation; None where neither system has it."""
        trapline = {}
        for mechanism in MECHANISMS:
            figure = self.trapline.lowest(operation.rows(mechanism))
            if figure:
                trapline[mechanism] = figure
        linux = self.linux.lowest((operation.row,))
        if not trapline and not linux:
            return None
        mprotect = [figure for mode in MPROTECT if (figure := self.linux.mode(operation.row, mode))]
        return Comparison(operation, trapline, mprotect, linux,
                          limit_figure(operation, self.trapline, self.linux),
                          [figures.lowest((operation.row,)) for _, figures in self.others])

    def comparisons(self):
        """Those of all operations that there are figures of."""
        return [found for found in map(self.compare, OPERATIONS) if found]

    def headlines(self):
        """Those of the main operations that both systems have figures of."""
        return [found for found in self.comparisons() if found.operation.short and found.ratio]

    def faults(self):
        """Those of the operations that have a limit, and a figure for it."""
        return [found for found in self.comparisons() if found.operation.row in LIMITS and found.limit and found.best]


def kinds_of_linux(runs):
    """[(name, runs)] of Linux by kernel and mitigations, the plainest first."""
    kinds = {}
    for run in runs:
        if run.system == LINUX:
            kinds.setdefault((run.kernel, run.mitigations), []).append(run)

    def order(kind):
        mitigations = kind[1]
        return (PLAIN_MITIGATIONS.index(mitigations) if mitigations in PLAIN_MITIGATIONS
                else len(PLAIN_MITIGATIONS), kind)

    def name(kind):
        kernel, mitigations = kind
        several = len({other for other, _ in kinds}) > 1
        return " ".join(word for word in ("Linux", kernel if several else "",
                                          f"mitigations {mitigations}" if mitigations else "") if word)
    return [(name(kind), kinds[kind]) for kind in sorted(kinds, key=order)]


def benches(results):
    """The microbenchmarks of all machines that have any, those of both systems and of few CPUs first."""
    return [bench for bench in (Bench(results, machine) for machine in results.machines()) if bench.runs]
