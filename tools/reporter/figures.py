"""The figures of several runs, by the rows' names, and how numbers are shown."""

from dataclasses import dataclass

from .results import EVENTS

MISSING = "-"


@dataclass(frozen=True)
class Figure:
    """A row's median, and the events that the hypervisor counted in one operation."""

    mode: str
    unit: str
    per: str
    median: float
    events: tuple  # exits, flushes, IPIs


class Figures:
    """The rows of some runs. Of rows with the same name and mode the last one counts."""

    def __init__(self, runs):
        self._by_name = {}
        for run in runs:
            for row in run.rows:
                figure = Figure(row["mode"], row["unit"], row["per"], float(row["median"]),
                                tuple(float(row[event]) for event in EVENTS))
                self._by_name.setdefault(row["name"], {})[row["mode"]] = figure

    def names(self, beginning):
        """The names that begin like this, in the order of the rows."""
        return [name for name in self._by_name if name.startswith(beginning)]

    def all(self, name):
        """The figures of a name, the lowest median first."""
        return sorted(self._by_name.get(name, {}).values(), key=lambda figure: figure.median)

    def mode(self, name, mode):
        """The figure of a name in a mode; None if there is none."""
        return self._by_name.get(name, {}).get(mode)

    def lowest(self, names, modes=None):
        """The lowest figure of the first of these names that has any, in one of the modes (all); None without."""
        for name in names:
            found = [figure for figure in self.all(name) if modes is None or figure.mode in modes]
            if found:
                return found[0]
        return None


def show(value):
    """A number with commas, to three figures or the unit; a dash for None."""
    if value is None:
        return MISSING
    if value != 0 and abs(value) < 100 and value != round(value):
        places = 1 if abs(value) >= 10 else 2
        return f"{value:.{places}f}".rstrip("0").rstrip(".") or "0"
    return f"{value:,.0f}"


def show_ratio(value):
    """How many times as much; a dash for None."""
    if value is None:
        return MISSING
    if value < 0.1:
        return f"{value:.1g}x"
    return f"{value:.2f}x" if value < 2 else f"{value:.1f}x" if value < 10 else f"{value:,.0f}x"


def show_events(figure):
    """Exits, flushes and IPIs of one operation, compactly; a dash without a figure."""
    if figure is None:
        return MISSING
    return "/".join(show(round(count, 2)) for count in figure.events)


def quotient(dividend, divisor):
    """Dividend by divisor; None where either is missing or there is nothing to divide by."""
    return dividend / divisor if dividend is not None and divisor else None
