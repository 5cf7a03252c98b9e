"""The report as one page of HTML that needs nothing else."""

import re
from html import escape
from pathlib import Path

from .findings import cards, sentences
from .tables import all_tables, conditions, failures

STYLE = Path(__file__).with_name("page.css")
RATIO_HEADS = ("Linux / Trapline", "Trapline ahead")  # columns that stand out

HOW = (
    "The same operations are timed on both systems, in the same emulator or on the same machine, by the CPU's time-stamp "
    "counter. The cost of reading it is taken off. A figure is the median of its rounds.",
    "Trapline's programs run in a guest of the hypervisor. It forbids a page by the hypervisor's page tables (EPT), by the "
    "guest's own, or by protection keys.",
    "Linux's programs use each way that Linux has: mprotect and SIGSEGV, userfaultfd with write protection and SIGBUS, "
    "protection keys, soft-dirty bits, PAGEMAP_SCAN, memfd. The comparison is with the lowest of them.",
    "Exits, flushes and IPIs are counted by Trapline's hypervisor in rounds that are not timed; on Linux nothing counts them.",
    "appel1 and appel2 are the programs of Appel and Li, “Virtual Memory Primitives for User Programs” (ASPLOS 1991): 100 pages "
    "in a random order, one protected and one opened at each fault, or all protected by one call.",
)


def marked(text):
    """A cell's text, escaped, with `names of rows` marked as such."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def anchor(text):
    """An id made of a title."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def table_html(table):
    """A table that scrolls by itself where it is too wide, also by the keyboard."""
    name = anchor(table.title)
    heads = "".join(f'<th scope="col">{marked(head)}</th>' for head in table.heads)
    rows = []
    for row in table.rows:
        cells = "".join(f'<td class="good">{marked(cell)}</td>' if head in RATIO_HEADS else f"<td>{marked(cell)}</td>"
                        for head, cell in zip(table.heads[1:], row[1:]))
        rows.append(f'<tr><th scope="row">{marked(row[0])}</th>{cells}</tr>')
    note = f'\n<p class="note">{marked(table.note)}</p>' if table.note else ""
    return (f'<h3 id="{name}">{escape(table.title)}</h3>\n<div class="wide" role="region" tabindex="0" aria-labelledby="{name}">'
            f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n" + "\n".join(rows) + f"\n</tbody>\n</table></div>{note}")


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


def page(results, drawn, absent):
    """The page. drawn: [(picture, SVG)]; absent: names of pictures without data."""
    tables = "\n".join(table_html(table) for table in all_tables(results))
    pictures = f'<div class="pictures">{"".join(picture_html(picture, svg) for picture, svg in drawn)}</div>' if drawn else ""
    if absent:
        pictures += f'\n<p class="note">Not drawn, for want of figures: {escape(", ".join(absent))}.</p>'
    sections = {"Findings": findings_html(results), "Pictures": pictures, "Tables": tables or "<p>No run has figures.</p>",
                "Conditions": conditions_html(results), "How it was measured": "".join(f"<p>{escape(text)}</p>" for text in HOW)}
    sections = {title: text for title, text in sections.items() if text}
    links = "".join(f'<li><a href="#{anchor(title)}">{title}</a></li>' for title in sections)
    body = "\n".join(f'<section aria-labelledby="{anchor(title)}">\n<h2 id="{anchor(title)}">{title}</h2>\n{text}\n</section>'
                     for title, text in sections.items())
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
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""
