"""Figures that follow the page's colours: drawn once by matplotlib, kept as PNG, SVG and inline SVG."""

from __future__ import annotations

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure as Drawing

from ter_fast.evaluate.report.formatting import shorten
from ter_fast.media.text import clean

# Okabe and Ito's colours, which stay apart for colour-blind readers, and four greys.
INK, MUTED, GRID, PAPER = "#1b1f24", "#57606a", "#dfe3e8", "#ffffff"
BLUE, VERMILLION, GREEN, ORANGE, PURPLE = "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7"
# One step off BLUE, because a filled cell and a line need different blues on a dark page.
HEAT = "#0072b3"
HEAT_OPACITY = 0.75
"""Most of a cell's colour that still leaves its text readable in both schemes."""

SERIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE)
MARKERS = "osD^v"

_VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", PAPER: "--paper", BLUE: "--blue",
    VERMILLION: "--vermillion", GREEN: "--green", ORANGE: "--orange", PURPLE: "--purple",
    HEAT: "--heat",
}  # fmt: skip

WIDTH, HEIGHT = 360.0, 262.0
"""Size of a figure in points. A phone's column is as wide, so its text is read at its own size."""

_TEXT = 11.5
_PNG_DPI = 200
_STYLE: dict[str, Any] = {
    "font.size": _TEXT,
    "axes.titlesize": _TEXT,
    "axes.labelsize": _TEXT,
    "xtick.labelsize": _TEXT,
    "ytick.labelsize": _TEXT,
    "legend.fontsize": _TEXT,
    "text.color": INK,
    # A dollar sign in a class name is no formula.
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": MUTED,
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 0.0,
    "ytick.major.size": 0.0,
    "xtick.major.pad": 5.0,
    "ytick.major.pad": 5.0,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.borderpad": 0.0,
    "legend.borderaxespad": 0.2,
    "legend.labelspacing": 0.25,
    "legend.columnspacing": 1.2,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 6.0,
    "figure.facecolor": PAPER,
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Plot:
    """A figure of the page and what is written under it.

    Attributes:
        name: Of its files, and of its place on the page.
        title: Above it.
        shows: What it shows, in one sentence.
        trap: How it is misread, in one sentence.
        inline: The SVG for the page.
        png: The picture for slides, on white.
        svg: The same, scalable.
        wide: Least width in pixels at which its text is readable; 0 for any.
    """

    name: str
    title: str
    shows: str
    trap: str
    inline: str
    png: bytes
    svg: str
    wide: int


def draw(
    name: str,
    title: str,
    paint: Callable[[Drawing], None],
    *,
    shows: str,
    trap: str,
    width: float = WIDTH,
    height: float = HEIGHT,
) -> Plot:
    """Let `paint` fill an empty figure of this size in points, and keep it in all its forms."""
    with _drawing_style(name):
        figure = Drawing(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
        paint(figure)
        figure.draw_without_rendering()
        # That laid it out; `savefig` would do so again, twice for each format.
        figure.set_layout_engine("none")
        svg, png = _svg(figure), _png(figure)
    return Plot(
        name=name,
        title=title,
        shows=shows,
        trap=trap,
        inline=_inline(svg, name, title, f"{shows} {trap}"),
        png=png,
        svg=svg,
        wide=0 if width <= WIDTH else round(width),
    )


def axes(figure: Drawing, title: str, xlabel: str) -> Axes:
    """Return the one pair of axes of a figure; the title names the vertical one, so no text stands on edge."""
    ax = figure.add_subplot()
    ax.set_title(title)
    ax.set_xlabel(xlabel)
    return ax


def label_rows(ax: Axes, names: Sequence[str], length: int = 17) -> None:
    """Name the rows of a dot plot, from the top, no name longer than this."""
    ax.set_yticks(range(len(names)), [shorten(clean(name), length) for name in names])
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.spines["left"].set_visible(False)


def legend(figure: Drawing, ax: Axes, columns: int = 2) -> None:
    """Put the legend above the axes, where it covers nothing."""
    handles, names = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, names, loc="outside upper left", ncols=columns)


@contextmanager
def _drawing_style(name: str) -> Iterator[None]:
    with style.context(["default", {**_STYLE, "svg.hashsalt": name}]), warnings.catch_warnings():
        # The page's own fonts show what matplotlib's lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def _svg(figure: Drawing) -> str:
    text = io.StringIO()
    canvas: Any = FigureCanvasSVG(figure)
    # Without a date and a version, equal evaluations make equal files.
    canvas.print_svg(text, metadata={"Date": None, "Creator": None})
    return text.getvalue()


def _png(figure: Drawing) -> bytes:
    picture = io.BytesIO()
    figure.set_dpi(_PNG_DPI)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(picture, metadata={"Software": None})
    return picture.getvalue()


def _inline(svg: str, name: str, title: str, description: str) -> str:
    """Return an SVG element for the page: its colours the page's, its identifiers its own."""
    root = ET.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            background = child.get("id") == "patch_1" and parent.get("id") == "figure_1"
            if background or _local(child.tag) in ("metadata", "style"):
                parent.remove(child)
    used = set(re.findall(r'(?:url\(|href=")#(\w+)', svg))
    for element in root.iter():
        element.tag = _local(element.tag)
        attributes = {_local(key): value for key, value in element.attrib.items()}
        element.attrib.clear()
        element.attrib.update(_tidy(attributes, name, used))
        element.tail = None
        element.text = element.text if element.tag == "text" else None
    root.attrib = {
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-desc",
    }
    for place, (tag, words) in enumerate((("title", title), ("desc", description))):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = clean(words)
        root.insert(place, element)
    return ET.tostring(root, encoding="unicode")


def _tidy(attributes: dict[str, str], name: str, used: set[str]) -> dict[str, str]:
    kept = {}
    for key, value in attributes.items():
        if key == "id":
            if value in used:
                kept[key] = f"{name}-{value}"
        elif not (key == "transform" and value.startswith("rotate(-0 ")):
            text = re.sub(r"#(?=[a-z][0-9a-f]{10}\b)", f"#{name}-", value)
            if key == "style":
                text = re.sub(r"font-family: [^;]*;? ?", "", text)
                text = re.sub(r"#[0-9a-f]{6}\b", _variable, text)
            if key != "href":
                text = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(text.split()))
            kept[key] = text
    return kept


def _variable(colour: re.Match[str]) -> str:
    known = _VARIABLES.get(colour[0])
    return f"var({known})" if known else colour[0]


def _local(name: str) -> str:
    return name.rpartition("}")[2]
