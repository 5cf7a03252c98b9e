"""Draws the pictures with gnuplot: NAME.dat and NAME.gnuplot make NAME.svg and NAME.png."""

import re
import shutil
import subprocess
from html import escape

from runner import UsageError

from .styles import style_of

# Of the SVG, in pixels: its letters are readable on a telephone's width.
WIDTH, PLOT_HEIGHT = 420, 290
ROW_HEIGHT = 30            # of a picture with names along y
HEAD, FOOT, KEY_ROW = 44, 78, 20  # above the plot; under it, for the axis; an entry of the legend
TITLE_FONT, FONT, SMALL_FONT, LABEL_FONT = 17, 15, 14, 13
PNG_SCALE, PNG_FONT_SCALE = 2, 1.45
NEUTRAL = "#8a8a8a"        # of the grid: readable on white and on black
THIN, THICK = "stroke-width='0.178'", "stroke-width='0.32'"  # of the SVG's shapes, in parts of their size
STEPS_AROUND = 0.3         # room beside the least and the largest value of an even scale, in steps
AROUND = 2               # a log scale reaches from the least value by this to the largest one times this

# The SVG's letters and axes have the colour of the text around it; alone, that of the reader's choice.
ALONE = ("<style>:root{color-scheme:light dark;color:#1d1f21;background:#ffffff}"
         "@media (prefers-color-scheme:dark){:root{color:#e3e5e7;background:#15181b}}</style>")


def need_gnuplot():
    """The program's path."""
    path = shutil.which("gnuplot")
    if path is None:
        raise UsageError("gnuplot is missing, which draws the pictures: apt-get install gnuplot-nox "
                         "(--no-pictures does without)")
    return path


def quoted(text):
    """A text as gnuplot's scripts and data have it."""
    return "'" + text.replace("'", "''") + "'"


def data(picture):
    """The picture's data file: a block for each series."""
    blocks = []
    for series in picture.series:
        lines = [f"# {style_of(series.style).name} {series.what}".rstrip()]
        for x, y, *label in series.points:
            lines.append(f"{x:g} {y:.10g}" + (f' "{label[0]}"' if label else ""))
        blocks.append("\n".join(lines))
    return "\n\n\n".join(blocks) + "\n"


def plots(picture):
    """The parts of gnuplot's plot command."""
    parts, file = [], quoted(picture.name + ".dat")
    for index, series in enumerate(picture.series):
        style = style_of(series.style)
        title = ", ".join(part for part in (style.name, series.what) if part)
        way = "linespoints" if picture.lines else "points"
        parts.append(f"{file} index {index} using 1:2 with {way} linecolor rgb {quoted(style.colour)} linewidth 2 "
                     f"dashtype {series.dash} pointtype {style.point} pointsize 1.1 title {quoted(title)}")
        if any(len(point) > 2 for point in series.points):
            parts.append(f"{file} index {index} using 1:2:3 with labels left offset character 1.2,0 "
                         f"font ',{LABEL_FONT}' notitle")
    return ", \\\n    ".join(parts)


def x_range(picture):
    """The range along x, with room for points and labels."""
    values = [point[0] for series in picture.series for point in series.points]
    if not picture.step:
        return f"{min(values) / AROUND:g}:{max(values) * AROUND:g}"
    around = picture.step * STEPS_AROUND
    return f"{min(values) - around:g}:{max(values) + around:g}"


def axes(picture):
    """The script's lines about axes."""
    lines = [f"set grid x y linecolor rgb {quoted(NEUTRAL)} linewidth 0.4 dashtype 3", "set tics nomirror out",
             "set border 3", f"set xlabel {quoted(picture.x)} offset 0,0.7", f"set xrange [{x_range(picture)}]"]
    lines += [f"set xtics {picture.step}"] if picture.step else ["set logscale x", "set format x '%.0s%c'"]
    if picture.rows:
        places = ", ".join(f"{quoted(name)} {i}" for i, name in enumerate(picture.rows, 1))
        lines += [f"set ytics ({places})", f"set yrange [{len(picture.rows) + 0.5}:0.5]", "set xtics 100"]
    else:
        lines += ["set logscale y", "set format y '%.0s%c'", f"set ylabel {quoted(picture.y)}"]
    return lines


def heights(picture):
    """The SVG's height, and that of the plot's bottom in it."""
    plot = ROW_HEIGHT * len(picture.rows) if picture.rows else PLOT_HEIGHT
    bottom = FOOT + KEY_ROW * len(picture.series)
    return HEAD + plot + bottom, bottom


def script(picture):
    """The picture's script."""
    height, bottom = heights(picture)
    font = f"font 'sans-serif,{FONT}'"
    lines = [f"set label 1 {quoted(picture.title)} at screen 0.5, screen {1 - HEAD / 2 / height:.4f} center "
             f"font ',{TITLE_FONT}'",
             f"set tmargin at screen {1 - HEAD / height:.4f}", f"set bmargin at screen {bottom / height:.4f}",
             "set rmargin 2",
             "set key at screen 0.08, screen 0.01 left bottom vertical maxcols 1 Left reverse samplen 3 "
             f"font ',{SMALL_FONT}'",
             f"set tics font ',{SMALL_FONT}'", *axes(picture),
             f"set terminal svg noenhanced size {WIDTH},{height} dynamic {font}",
             f"set output {quoted(picture.name + '.svg')}",
             f"plot {plots(picture)}",
             f"set terminal pngcairo noenhanced size {WIDTH * PNG_SCALE},{height * PNG_SCALE} "
             f"fontscale {PNG_FONT_SCALE} linewidth {PNG_SCALE} pointscale {PNG_SCALE} {font}",
             f"set output {quoted(picture.name + '.png')}", "replot", "set output"]
    return "\n".join(lines) + "\n"


def themed(svg, picture):
    """gnuplot's SVG with the colours of the text around it, a name for those who do not see it, and ids of its own."""
    svg = re.sub(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*", "", svg, flags=re.DOTALL)
    words = f"<title>{escape(picture.title)}</title>\n<desc>{escape(picture.caption)}</desc>"
    svg = re.sub(r"<title>.*?</title>\s*<desc>.*?</desc>", lambda _: words, svg, flags=re.DOTALL)
    svg = svg.replace("<svg ", '<svg role="img" ', 1).replace(THIN, THICK)
    svg = re.sub(r"(\bid=['\"]|xlink:href=['\"]#|url\(['\"]?#)", rf"\1{picture.name}-", svg)
    return re.sub(r"(['\"])(black|rgb\(\s*0,\s*0,\s*0\))\1", r"\1currentColor\1", svg)


def draw(picture, folder):
    """Makes the picture's four files in the folder. Returns the SVG for a page, without its own background."""
    gnuplot = need_gnuplot()
    (folder / f"{picture.name}.dat").write_text(data(picture), encoding="utf-8")
    (folder / f"{picture.name}.gnuplot").write_text(script(picture), encoding="utf-8")
    done = subprocess.run([gnuplot, f"{picture.name}.gnuplot"], cwd=folder, capture_output=True, text=True)
    file = folder / f"{picture.name}.svg"
    if done.returncode != 0 or not file.exists():
        raise UsageError(f"gnuplot could not draw {file.with_suffix('.gnuplot')}: "
                         f"{done.stderr.strip() or 'no file came'}")
    svg = themed(file.read_text(encoding="utf-8"), picture)
    file.write_text(re.sub(r"(<svg[^>]*>)", rf"\1{ALONE}", svg, count=1), encoding="utf-8")
    return svg
