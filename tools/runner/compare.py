"""The result rows of two runs, side by side."""

import json
from dataclasses import dataclass

from .results import OLD_SCHEMA, TICKS, describe, read_results

LIMIT = 5  # percent that a figure may rise
# What a figure may rise besides: the time slice's end falls into other rounds when code changes.
SLACK = {"median": 0.05, "exits": 0.25, "flushes": 0.25, "ipis": 0.25}


@dataclass
class Change:
    """A figure of a row that differs."""

    row: str
    figure: str
    old: float
    new: float

    def __str__(self):
        percent = f" ({(self.new / self.old - 1) * 100:+.1f} %)" if self.old else ""
        return f"{self.row}: {self.figure} {self.old:g} -> {self.new:g}{percent}"

    def beyond(self, limit):
        """Whether the figure rose by more than limit percent."""
        return self.new > self.old * (1 + limit / 100) + SLACK[self.figure]


def rows_by_name(rows):
    """The figures of the rows in ticks, by name and mode."""
    return {f"{row['name']} [{row['mode']}]": {figure: float(row[figure]) for figure in SLACK}
            for row in rows if row["unit"] == TICKS}


def read_rows(path):
    """The same of all runs of a results.json; where there are several, each row's name has its run's before it."""
    runs = read_results(path)
    if len(runs) == 1:
        return rows_by_name(runs[0]["rows"])
    return {f"{describe(run)}: {name}": figures for run in runs
            for name, figures in rows_by_name(run["rows"]).items()}


def changes(old, new):
    """What differs in the rows that both have."""
    return [Change(name, figure, old[name][figure], new[name][figure])
            for name in old if name in new for figure in SLACK
            if old[name][figure] != new[name][figure]]


def as_text(rows):
    """Rows as a results.json that holds only what is compared, a line a row."""
    kept = ("name", "mode", "unit", *SLACK)
    lines = [json.dumps({key: row[key] for key in kept}) for row in rows if row["unit"] == TICKS]
    return f'{{"schema": {OLD_SCHEMA}, "rows": [\n' + ",\n".join(lines) + "\n]}\n"
