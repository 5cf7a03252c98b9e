"""How each system looks, the same in all pictures: a colour and a point's shape, filled for Trapline, open for Linux.

The colours are told apart by colour-blind people (after M. Okabe and K. Ito, "Color Universal Design"), darkened where
they would be pale on white, and all readable on black; the shapes tell the same once more.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """Of the points and the line."""

    name: str    # in the legend
    colour: str
    point: int   # gnuplot's number of the shape


STYLES = {
    "ept": Style("Trapline, EPT", "#1478c0", 7),
    "pt": Style("Trapline, page tables", "#009e73", 5),
    "key": Style("Trapline, protection keys", "#8a63d2", 9),
    "mprotect": Style("Linux, mprotect", "#d55e00", 4),
    "mprotect-own": Style("Linux, mprotect, own area", "#d55e00", 6),
    "uffd": Style("Linux, userfaultfd", "#c78a00", 8),
    "linux": Style("Linux, best", "#c2528f", 12),
    "limit": Style("limit: the bare fault", "#8a8a8a", 2),
    "past": Style("1991, Appel and Li", "#8a8a8a", 13),
    "past-unsure": Style("quoted from memory", "#8a8a8a", 12),
}
OTHER_COLOUR, OTHER_POINT = "#c2528f", 10


def style_of(name):
    """The Style of a system, or of another mode of Linux."""
    return STYLES.get(name) or Style(f"Linux, {name}", OTHER_COLOUR, OTHER_POINT)
