"""What the figures say, in sentences that are made from them."""

import math
from dataclasses import dataclass

from .comparison import benches
from .figures import show, show_ratio
from .operations import MECHANISMS
from .styles import style_of
from .workloads import lines

CARDS = ("vmpup.appel1", "vmpup.appel2", "trap", "protn.contig.100", "dirty.16384.1", "map2.100")  # rows
NAMED = 4  # operations that a sentence lists at most


@dataclass
class Card:
    """One finding, to be shown large."""

    figure: str
    what: str
    detail: str


def cards(results):
    """The main operations of the first machine that both systems ran on."""
    bench = next((bench for bench in benches(results) if bench.headlines()), None)
    if bench is None:
        return []
    by_row = {found.operation.row: found for found in bench.headlines()}
    return [Card(show_ratio(found.ratio), found.operation.text, detail(found))
            for found in (by_row[row] for row in CARDS if row in by_row)]


def detail(found):
    """Both figures of a comparison and how they came about."""
    mode = style_of(found.linux.mode).name.removeprefix("Linux, ")
    return (f"{show(found.best.median)} ticks by {MECHANISMS[found.mechanism]}; "
            f"Linux's best {show(found.linux.median)}, by {mode}")


def mean_ratio(comparisons):
    """The geometric mean of the ratios."""
    return math.exp(sum(math.log(found.ratio) for found in comparisons) / len(comparisons))


def named(comparisons):
    """Some operations and their ratios."""
    words = [f"{found.operation.text} ({show_ratio(found.ratio)})" for found in comparisons[:NAMED]]
    if len(comparisons) > NAMED:
        words.append(f"{len(comparisons) - NAMED} more")
    return "; ".join(words)


def about_operations(bench):
    """How the systems compare on a machine."""
    found = [one for one in bench.comparisons() if one.ratio]
    if not found:
        return []
    found.sort(key=lambda one: one.ratio)
    ahead = [one for one in found if one.ratio > 1]
    least, most = found[0], found[-1]
    said = [f"{bench.machine}: Trapline takes fewer ticks than Linux's best way in {len(ahead)} of {len(found)} "
            f"operations that both have; the ratio is {show_ratio(mean_ratio(found))} in the geometric mean, "
            f"{show_ratio(least.ratio)} at the least ({least.operation.text}) and {show_ratio(most.ratio)} at the most "
            f"({most.operation.text})."]
    behind = [one for one in found if one.ratio <= 1]
    if behind:
        said.append(f"Linux is not behind in: {named(behind)}.")
    return said


def about_limits(bench):
    """How far from the bare fault Trapline is on a machine."""
    words = [f"{one.operation.text.partition(':')[0]} {show(one.best.median)} ({show(one.limit.median)})"
             for one in bench.faults()]
    return [f"{bench.machine}: faults on Trapline, in ticks, and in brackets the bare fault in the guest: {'; '.join(words)}."] if words else []


def about_workloads(results):
    """How the workloads compare."""
    ratios = [line.ratio for machine in results.machines() for line in lines(results, machine) if line.ratio]
    if not ratios:
        return []
    return [f"Of {len(ratios)} figures of workloads that both systems have, Trapline's are better in "
            f"{sum(ratio > 1 for ratio in ratios)}; the ratio is between {show_ratio(min(ratios))} and "
            f"{show_ratio(max(ratios))}."]


def sentences(results):
    """All of them."""
    found = benches(results)
    return [*(said for bench in found for said in about_operations(bench)),
            *(said for bench in found for said in about_limits(bench)), *about_workloads(results)]
