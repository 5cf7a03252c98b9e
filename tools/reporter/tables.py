"""The report's tables, as texts in rows and columns; and the same as Markdown."""

from dataclasses import dataclass

from runner.results import TICKS

from .comparison import benches
from .figures import MISSING, show, show_events, show_ratio
from .operations import MECHANISMS, MPROTECT, ONLY_TRAPLINE
from .results import EMULATOR, ENGINES, HARDWARE
from .workloads import LESS, MODES, WORKLOADS, lines

EVENTS_HEAD = "exits / flushes / IPIs"
COSTS = "cost."  # how the names of rows about the CPU's events begin
RATIO, AHEAD = "Linux / Trapline", "Trapline ahead"
RATIOS = (RATIO, AHEAD)


@dataclass
class Table:
    """Rows of cells; the first cell of a row names it. `Backquotes` are around names of rows."""

    title: str
    heads: list
    rows: list
    note: str = ""

    def without_empty(self, kept=1):
        """The same without the columns that have no figure; the first ones are kept."""
        columns = [i for i in range(len(self.heads)) if i < kept or any(row[i] != MISSING for row in self.rows)]
        return Table(self.title, [self.heads[i] for i in columns], [[row[i] for i in columns] for row in self.rows],
                     self.note)


def named(text, row):
    """An operation's words and its row's name."""
    return f"{text} `{row}`"


def with_mode(figure):
    """A figure and the way it was done."""
    return f"{show(figure.median)} {figure.mode}" if figure else MISSING


def median(figure):
    """A figure's median, or a dash."""
    return show(figure and figure.median)


def mprotect_cell(figures):
    """The figure of mprotect inside a larger area, and of an area of the page's own where that differs."""
    return "; ".join(f"{show(figure.median)}{' own area' if figure.mode != MPROTECT[0] else ''}"
                     for figure in figures) or MISSING


def events_cell(figures):
    """The events of one operation, by mechanism; those that have the same together."""
    mechanisms = {}
    for mechanism, figure in figures.items():
        mechanisms.setdefault(show_events(figure), []).append(mechanism)
    return "; ".join(f"{', '.join(names)} {events}" for events, names in mechanisms.items()) or MISSING


def operations_table(bench):
    """What each operation costs on one machine."""
    heads = ["operation", "per", *(f"Trapline, {name}" for name in MECHANISMS.values()), "Linux, mprotect + SIGSEGV",
             "Linux's best", RATIO, EVENTS_HEAD, "limit"]
    for name, _ in bench.others:
        heads += [f"{name}: best", "/ Trapline"]
    rows = []
    for found in bench.comparisons():
        ratio = f"{show_ratio(found.ratio)} ({found.mechanism})" if found.ratio else MISSING
        row = [named(found.operation.text, found.operation.row), found.per,
               *(median(found.trapline.get(mechanism)) for mechanism in MECHANISMS),
               mprotect_cell(found.mprotect), with_mode(found.linux), ratio, events_cell(found.trapline),
               median(found.limit)]
        for figure in found.others:
            row += [with_mode(figure), show_ratio(found.ratio_to(figure))]
        rows.append(row)
    note = ("Medians in ticks. Linux's best is the lowest of its modes, which is named; own area: the page is an area "
            "(VMA) of its own; userfaultfd forbids writing alone, not reading. The ratio is Linux's best by Trapline's best, whose mode is in brackets. Exits, flushes "
            "and IPIs are those of one operation, by mode. The limit is the bare fault in the guest, with nothing "
            "else.")
    if bench.linux_name != "Linux":
        note += f" {bench.linux_name}, where nothing else is said."
    return Table(f"Operations: {bench.machine}", heads, rows, note)


def only_trapline_table(bench):
    """What Linux has no counterpart for."""
    rows = []
    for text, row in ONLY_TRAPLINE.items():
        rows += [[named(text, row), figure.mode, figure.per, show(figure.median), show_events(figure)]
                 for figure in bench.trapline.all(row) if figure.unit == TICKS]
    return Table(f"Only on Trapline: {bench.machine}", ["operation", "mode", "per", "ticks", EVENTS_HEAD], rows)


def costs_table(bench):
    """What the CPU's own events cost, where there is a CPU."""
    rows = [] if bench.machine.engine == EMULATOR else [
        [f"`{figure_name}`", figure.mode, figure.per, show(figure.median)]
        for figure_name in bench.trapline.names(COSTS) for figure in bench.trapline.all(figure_name)]
    return Table(f"What the CPU's own events cost: {bench.machine}", ["event", "mode", "per", "ticks"], rows)


def workloads_table(machine, found):
    """The workloads' main figures."""
    columns = [(system, mode) for system in MODES for mode in MODES[system]]
    heads = ["workload", "better", "unit", *(f"{system.capitalize()}, {mode}" for system, mode in columns), AHEAD]
    rows = []
    for line in found:
        name = f"{WORKLOADS[line.workload][0]}{f' ({line.variant})' if line.variant else ''}: {line.headline.text}"
        units = {figure.unit for figure in line.figures.values()}
        unit = "ticks" if units == {TICKS} else ", ".join(sorted(units))
        rows.append([named(name, line.headline.row), "lower" if line.headline.better == LESS else "higher", unit,
                     *(median(line.figures.get(column)) for column in columns),
                     show_ratio(line.ratio)])
    note = ("baseline is the same job without the primitives. The last column is how many times as good the better "
            "mechanism of Trapline is as the better one of Linux.")
    return Table(f"Workloads: {machine}", heads, rows, note).without_empty(kept=3)


def all_tables(results):
    """The report's tables, those without a row left out."""
    found = benches(results)
    tables = [operations_table(bench) for bench in found]
    for machine in results.machines():
        tables.append(workloads_table(machine, lines(results, machine)))
    tables += [only_trapline_table(bench) for bench in found] + [costs_table(bench) for bench in found]
    return [table for table in tables if table.rows]


def conditions(results):
    """The lines about what was measured, how and on what."""
    runs = [run for run in results.runs if run.ok]
    engines = sorted({f"{ENGINES.get(run.engine, run.engine)} {run.engine_version}".strip() for run in runs})
    kernels = sorted({run.kernel for run in runs if run.kernel})
    mitigations = sorted({run.mitigations for run in runs if run.mitigations})
    lines_of = {
        "Made": f"{results.made:%Y-%m-%d %H:%M} UTC, from commit {results.commit[:12] or 'unknown'}"
                f"{' and changes to it' if results.commit.endswith('+') else ''}",
        "Engine": ", ".join(engines), "CPU model": ", ".join(sorted({run.machine.model for run in runs})),
        "Linux": ", ".join(kernels), "Linux's mitigations": " and ".join(mitigations),
        "Tick": "; ".join(sorted({tick(run.engine) for run in runs})),
        "Runs": f"{len(runs)} good, {len(results.failed())} failed"}
    return {name: text for name, text in lines_of.items() if text}


def tick(engine):
    """What a tick is."""
    if engine == EMULATOR:
        return ("in Bochs one instruction, whatever it is: caches, TLB misses and what an exit costs a CPU are not in "
                "it")
    return "on hardware one count of the CPU's time-stamp counter" if engine in HARDWARE else \
        f"in {ENGINES.get(engine, engine)} one count of the time-stamp counter, exits to the host included"


def failures(results):
    """A line for each failed run."""
    return [f"{run}: {run.verdict}{f', {run.reason}' if run.reason else ''}" for run in results.failed()]


def markdown(results):
    """The report's tables and conditions as Markdown."""
    parts = []
    for table in all_tables(results):
        parts += [f"## {table.title}", "", markdown_row(table.heads),
                  markdown_row(["---"] + ["---:"] * (len(table.heads) - 1)), *map(markdown_row, table.rows), ""]
        parts += [table.note, ""] if table.note else []
    if not parts:
        parts = ["No run has a figure that the tables know.", ""]
    parts += ["## Conditions", "", *(f"* {name}: {text}" for name, text in conditions(results).items()), ""]
    if results.failed():
        parts += ["## Failed runs", "", *(f"* {line}" for line in failures(results)), ""]
    return "\n".join(parts)


def markdown_row(cells):
    """A line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
