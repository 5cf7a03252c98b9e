"""The report as one page of HTML that needs nothing else."""

import re
from html import escape
from pathlib import Path

from .figures import MISSING
from .findings import cards, sentences
from .tables import RATIOS, all_tables, conditions, failures

STYLE = Path(__file__).with_name("page.css")
LEAD = ("Engine", "CPU model", "Linux", "Made")  # conditions that are named at the top

HOW = (
    "The same operations are timed on both systems, in the same emulator or on the same machine, by the CPU's "
    "time-stamp counter. The cost of reading it is taken off. A figure is the median of its rounds.",
    "Trapline's programs run in a guest of the hypervisor. It forbids a page by the hypervisor's page tables (EPT), by "
    "the guest's own, or by protection keys.",
    "Linux's programs use each way that Linux has: mprotect and SIGSEGV, userfaultfd with write protection and SIGBUS, "
    "protection keys, soft-dirty bits, PAGEMAP_SCAN, memfd. The comparison is with the lowest of them.",
    "Exits, flushes and IPIs are counted by Trapline's hypervisor in rounds that are not timed; on Linux nothing does.",
    "appel1 and appel2 are the programs of Appel and Li, “Virtual Memory Primitives for User Programs” (ASPLOS 1991): "
    "100 pages in a random order, one protected and one opened at each fault, or all protected by one call.",
)


def marked(text):
    """A cell's text, escaped, with `names of rows` marked as such."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def stacked(text):
    """The same, the parts of a list below each other, so that columns stay narrow."""
    return marked(text).replace("; ", "<br>")


def anchor(text):
    """An id made of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table_html(table):
    """A table that scrolls by itself where it is too wide, also by the keyboard."""
    name = anchor(table.title)
    heads = "".join(f'<th scope="col">{marked(head)}</th>' for head in table.heads)
    rows = []
    for row in table.rows:
        cells = "".join(f'<td class="ratio">{stacked(cell)}</td>' if head in RATIOS and cell != MISSING else
                        f"<td>{stacked(cell)}</td>"
                        for head, cell in zip(table.heads[1:], row[1:]))
        rows.append(f'<tr><th scope="row">{marked(row[0])}</th>{cells}</tr>')
    body = "\n".join(rows)
    note = f'\n<p class="note">{marked(table.note)}</p>' if table.note else ""
    return (f'<h3 id="{name}">{escape(table.title)}</h3>\n'
            f'<div class="wide" role="region" tabindex="0" aria-labelledby="{name}"><table>\n'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>{note}")


def picture_html(picture, svg):
    """A picture and its caption. The drawing is inline, where no namespace is needed."""
    svg = re.sub(r"\s*xmlns(:xlink)?=\"[^\"]*\"", "", svg).replace("xlink:href", "href")
    return f"<figure>\n{svg.strip()}\n<figcaption>{escape(picture.caption)}</figcaption>\n</figure>"


def cards_html(found):
    """The large findings."""
    return "".join(f'<li><strong>{escape(card.figure)}</strong><span>{escape(card.what)}</span>'
                   f'<span class="note">{escape(card.detail)}</span></li>' for card in found)


def findings_html(results):
    """The findings' section."""
    found, said = cards(results), sentences(results)
    parts = []
    if found:
        parts.append("<p>How many times as many ticks the best way of Linux takes as the best one of Trapline:</p>\n"
                     f'<ul class="cards">{cards_html(found)}</ul>')
    if said:
        parts.append("<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in said) + "</ul>")
    return "\n".join(parts) or "<p>No operation has a figure of both systems.</p>"


def conditions_html(results):
    """What was measured, how and on what; and what went wrong."""
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in conditions(results).items())
    failed = "".join(f"<li>{escape(line)}</li>" for line in failures(results))
    return f"<dl>{listed}</dl>" + (f"\n<h3>Failed runs</h3>\n<ul>{failed}</ul>" if failed else "")


def pictures_html(drawn, absent):
    """The pictures' section: empty when none were wanted."""
    figures = "".join(picture_html(picture, svg) for picture, svg in drawn)
    parts = [f'<div class="pictures">{figures}</div>'] if drawn else []
    if absent:
        parts.append(f'<p class="note">Not drawn, for want of figures: {escape(", ".join(absent))}.</p>')
    return "\n".join(parts)


def section_html(title, text):
    """A section under its title."""
    name = anchor(title)
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{title}</h2>\n{text}\n</section>'


def page(results, drawn, absent):
    """The page. drawn: [(picture, SVG)]; absent: names of pictures without data."""
    sections = {"Findings": findings_html(results),
                "Pictures": pictures_html(drawn, absent),
                "Tables": "\n".join(map(table_html, all_tables(results))),
                "Conditions": conditions_html(results),
                "How it was measured": "".join(f"<p>{escape(text)}</p>" for text in HOW)}
    sections = {title: text for title, text in sections.items() if text}
    links = "".join(f'<li><a href="#{anchor(title)}">{title}</a></li>' for title in sections)
    body = "\n".join(section_html(title, text) for title, text in sections.items())
    when = escape("; ".join(conditions(results)[name] for name in LEAD if name in conditions(results)))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Trapline beside Linux</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1>Trapline beside Linux</h1>
<p class="lead">What a program pays for the virtual-memory primitives TRAP, PROT1, PROTN, UNPROT, DIRTY and MAP2.</p>
<p class="note">{when}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""
