"""What appel1 cost before: reads history.txt."""

import math
from dataclasses import dataclass
from pathlib import Path

from runner import UsageError

FILE = Path(__file__).with_name("history.txt")
MEMORY = "memory:"
SOURCES = "[sources]"
WORDS = 4  # year, ADDs, key, label


@dataclass(frozen=True)
class Past:
    """A system of the past."""

    year: int
    adds: float
    label: str
    source: str
    sure: bool  # whether the figure was read in its source


def _quotient(text):
    """The number that the text is, or the quotient."""
    above, _, below = text.partition("/")
    value = float(above) / float(below or 1)
    if not math.isfinite(value) or value <= 0:
        raise ValueError(text)
    return value


def read_history(text, name):
    """The Pasts in the text of a file with this name."""
    found, sources, in_sources = [], {}, False
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if line == SOURCES:
            in_sources = True
        elif in_sources:
            key, _, source = line.partition(": ")
            sources[key] = source
        else:
            try:
                year, adds, key, label = line.split(maxsplit=WORDS - 1)
                found.append((number, int(year), _quotient(adds), key, label))
            except (ValueError, ZeroDivisionError):
                raise UsageError(f"{name}:{number}: year, ADDs, key of the source and label are wanted") from None
    for number, _, _, key, _ in found:
        if key.removeprefix(MEMORY) not in sources:
            raise UsageError(f"{name}:{number}: {key} is not among the sources")
    return [Past(year, adds, label, sources[key.removeprefix(MEMORY)], not key.startswith(MEMORY))
            for _, year, adds, key, label in found]


def history():
    """Those of the table that belongs to the report."""
    return read_history(FILE.read_text(encoding="utf-8"), FILE.name)
