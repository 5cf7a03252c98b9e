"""What the pictures show: points by series, taken from the rows."""

from dataclasses import dataclass, field

from .comparison import benches
from .figures import quotient
from .history import history
from .operations import ADD, CPUS, MECHANISMS

SWEEP = tuple(4 ** i for i in range(10))  # pages: 1 to 262,144
DIRTY_PAGES = (1024, 4096, 16384, 65536, 262144)
DIRTY_PERCENT = (1, 10, 100)
SHOOTDOWN_PAGES = (1, 100)
SWEEPS = {"ept": "protn.sweep", "pt": "pt.protn.sweep"}
LINUX_BEST = "linux"  # the lowest of its modes
LIMIT, PAST, PAST_UNSURE = "limit", "past", "past-unsure"


@dataclass
class Series:
    """Points that belong together."""

    style: str           # of reporter.styles: which system, and how
    what: str            # what the name of the system is followed by in the legend
    points: list         # (x, y), or (x, y, label)
    dash: int = 1        # how the line is drawn, 1 is solid


@dataclass
class Picture:
    """A picture's contents; nothing of how it is drawn."""

    name: str
    title: str
    caption: str
    x: str               # what is along the axis
    y: str
    series: list
    rows: list = field(default_factory=list)  # names of the places 1, 2, ... along y; empty: a scale of numbers
    lines: bool = True   # whether points are joined
    step: int = 0        # from mark to mark along x; 0: a log scale


def _line(style, what, points, dash=1):
    """The Series in a list, if it has points: those that have a figure above zero, which a log scale can show."""
    points = [point for point in points if point[1] and point[1] > 0]
    return [Series(style, what, points, dash)] if points else []


def _medians(figures, names, mode=None):
    """The median of each name in a mode (the lowest), or None."""
    found = (figures.mode(name, mode) if mode else figures.lowest((name,)) for name in names)
    return [figure and figure.median for figure in found]


def _modes(figures, names):
    """The modes that these rows have."""
    return sorted({figure.mode for name in names for figure in figures.all(name)})


def _first(found, make):
    """What make(bench) gives for the first bench that it gives most systems for."""
    made = [series for series in map(make, found) if series]
    return max(made, key=lambda made: len({series.style for series in made}), default=[])


def operations_picture(found):
    """The main operations by system."""
    bench = next((bench for bench in found if any(one.operation.short for one in bench.comparisons())), None)
    if bench is None:
        return None
    lines = [one for one in bench.comparisons() if one.operation.short]
    series = []
    for mechanism in MECHANISMS:
        series += _line(mechanism, "", [(one.trapline[mechanism].median, i) for i, one in enumerate(lines, 1)
                                        if mechanism in one.trapline])
    series += _line("mprotect", "", [(min(figure.median for figure in one.mprotect), i)
                                     for i, one in enumerate(lines, 1) if one.mprotect])
    series += _line(LINUX_BEST, "", [(one.linux.median, i) for i, one in enumerate(lines, 1) if one.linux])
    series += _line(LIMIT, "", [(one.limit.median, i) for i, one in enumerate(lines, 1) if one.limit])
    return Picture("operations", "What an operation costs", f"Ticks for one operation, further left is better; "
                   f"{bench.machine}.", "ticks", "", series, [one.operation.short for one in lines], lines=False)


def protn_picture(found):
    """PROTN by the number of pages."""
    def make(bench):
        series = []
        for style, name in SWEEPS.items():
            series += _line(style, "", zip(SWEEP, _medians(bench.trapline, [f"{name}.{n}" for n in SWEEP])))
        names = [f"protn.sweep.{n}" for n in SWEEP]
        for mode in _modes(bench.linux, names):
            series += _line(mode, "", zip(SWEEP, _medians(bench.linux, names, mode)))
        return series
    return Picture("protn", "PROTN by the number of pages", "One call that forbids so many pages in a row.",
                   "pages", "ticks for a call", _first(found, make))


def shootdown_picture(found):
    """PROT1 and PROTN by the number of CPUs that the program runs on."""
    def make(bench):
        series = []
        for dash, pages in enumerate(SHOOTDOWN_PAGES, 1):
            names = [f"shootdown.{cpus}.{pages}" for cpus in CPUS]
            what = f"{pages:,} page" + ("s" if pages > 1 else "")
            series += _line("ept", what, zip(CPUS, _medians(bench.trapline, names)), dash)
            for mode in _modes(bench.linux, names):
                series += _line(mode, what, zip(CPUS, _medians(bench.linux, names, mode)), dash)
        return series if any(len(one.points) > 1 for one in series) else []
    largest = sorted(found, key=lambda bench: -bench.machine.cpus)
    return Picture("shootdown", "A page forbidden on several CPUs",
                   "One call, while the program runs on so many CPUs: all of them have to forget the page before it "
                   "returns.", "CPUs that the program runs on", "ticks for a call", _first(largest, make), step=1)


def dirty_picture(found):
    """DIRTY by the size of the region and the share of it that was written."""
    def make(bench):
        series = []
        for system, style in ((bench.trapline, "ept"), (bench.linux, LINUX_BEST)):
            for dash, percent in enumerate(DIRTY_PERCENT, 1):
                names = [f"dirty.sweep.{pages}.{percent}" for pages in DIRTY_PAGES]
                series += _line(style, f"{percent} %", zip(DIRTY_PAGES, _medians(system, names)), dash)
        return series
    return Picture("dirty", "DIRTY by the size of the region",
                   "One call that tells which pages were written, and begins anew, with so much of the region written.",
                   "pages in the region", "ticks for a call", _first(found, make))


def history_picture(found, year, memory):
    """appel1 in ADDs over the years. memory: with figures that are quoted without their source at hand."""
    past = [one for one in history() if one.sure or memory]
    series = _line(PAST, "", [(one.year, one.adds, one.label) for one in past if one.sure])
    series += _line(PAST_UNSURE, "", [(one.year, one.adds, one.label) for one in past if not one.sure])
    now = []
    for bench in found:
        one = next((one for one in bench.comparisons() if one.operation.row == "vmpup.appel1"), None)
        add, linux_add = (figures.lowest((ADD,)) for figures in (bench.trapline, bench.linux))
        if one is None or add is None:
            continue
        unit, linux_unit = add.median, (linux_add or add).median
        for mechanism, figure in one.trapline.items():
            now += _line(mechanism, "", [(year, quotient(figure.median, unit), "")])
        lowest = min((figure.median for figure in one.mprotect), default=None)
        now += _line("mprotect", "", [(year, quotient(lowest, linux_unit), "")])
        now += _line(LINUX_BEST, "", [(year, quotient(one.linux and one.linux.median, linux_unit), "")])
        break
    caption = ("A fault, a page forbidden and a page allowed, in ADD instructions of the same machine: 1991 from Appel "
               "and Li's table 1, now from these runs.")
    if any(not one.sure for one in past):
        caption += " Hollow grey points are quoted from memory, in cycles taken as ADDs."
    return Picture("history", "appel1 over the years", caption, "year", "ADDs", series + now if now else [],
                   lines=False, step=10)


def all_pictures(results, memory=False):
    """(those that have points, the names of those that have none)."""
    found = benches(results)
    made = [operations_picture(found), protn_picture(found), shootdown_picture(found), dirty_picture(found),
            history_picture(found, results.made.year, memory)]
    names = ("operations", "protn", "shootdown", "dirty", "history")
    return ([picture for picture in made if picture and picture.series],
            [name for name, picture in zip(names, made) if not picture or not picture.series])
