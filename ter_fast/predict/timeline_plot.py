"""Draws a timeline with matplotlib: belief and uncertainty above, label and trust below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ter_fast.media.text import clean, short_name
from ter_fast.predict.spans import TOUCH, Span, clock, merge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which stay apart for colour-blind readers.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_OTHER, _UNKNOWN, _INK, _MUTED = "#8a9199", "#eceef0", "#1b1f24", "#57606a"
_TRUSTED, _NOT_TRUSTED = "#009e73", "#d55e00"
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
STYLE: dict[str, Any] = {
    "font.size": 9.5,
    # A dollar sign in a class name is no formula.
    "text.parse_math": False,
    "text.color": _INK,
    "axes.edgecolor": _MUTED,
    "axes.labelcolor": _MUTED,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "ter_fast",
}
"""How matplotlib shall draw, whatever the user's own settings."""


class _Drawable(Protocol):
    """What is drawn of a timeline; `ter_fast.predict.timeline.Timeline` is one."""

    @property
    def path(self) -> str: ...
    @property
    def windows(self) -> Sequence[Any]: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def edges(self) -> npt.NDArray[np.float64]: ...
    @property
    def belief(self) -> npt.NDArray[np.float64]: ...
    @property
    def uncertainty(self) -> npt.NDArray[np.float64]: ...
    def spans(self) -> list[Span]: ...


def draw(timeline: _Drawable) -> Figure:
    """Draw a clip's beliefs stacked to 1 with the uncertainty, and below them label and trust.

    Args:
        timeline: Of the clip.

    Example:
        >>> from ter_fast import Prediction
        >>> figure = draw(Prediction("a.mp4", 0.0, 8.0, "calm", labels=("calm",)).timeline())
        >>> [ax.get_ylabel() for ax in figure.axes]
        ['belief', '']
    """
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", STYLE]):
        figure = Figure(figsize=(9.0, 3.6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
        _draw_belief(timeline, above)
        _draw_spans(timeline, below)
        handles, names = above.get_legend_handles_labels()
        figure.legend(handles[::-1], names[::-1], loc="outside right upper", frameon=False)
        above.set_title(_title(timeline), loc="left", fontsize=9.5, color=_INK)
        return figure


def _draw_belief(timeline: _Drawable, ax: Axes) -> None:
    times, rows = _steps(timeline.edges)
    base = np.zeros(len(times))
    for name, belief, colour in _layers(timeline):
        top = base + np.append(np.nan_to_num(belief), 0.0)[rows]
        ax.fill_between(times, base, top, color=colour, linewidth=0, label=name)
        if len(timeline.edges) <= 120:
            ax.plot(times, top, color="white", linewidth=0.6)
        base = top
    known = np.append(np.isfinite(timeline.uncertainty), False)[rows]
    ax.fill_between(times, base, 1, where=known, color=_UNKNOWN, linewidth=0, label="uncertainty")
    ax.set_ylim(0, 1)
    ax.set_ylabel("belief")
    ax.set_xlim(timeline.edges[0, 0], max(timeline.edges[-1, 1], timeline.edges[0, 0] + 1e-3))


def _layers(timeline: _Drawable) -> list[tuple[str, npt.NDArray[np.float64], str]]:
    """List the classes to draw: the seven of most belief, the others together."""
    share = np.nansum(timeline.belief, axis=0)
    order = np.argsort(-share, kind="stable").tolist()
    kept = sorted(order[: len(_COLOURS)])
    layers = [
        (clean(timeline.labels[k]), timeline.belief[:, k], colour)
        for k, colour in zip(kept, _COLOURS, strict=False)
    ]
    if rest := order[len(_COLOURS) :]:
        layers.append((f"{len(rest)} others", timeline.belief[:, rest].sum(1), _OTHER))
    return layers


def _draw_spans(timeline: _Drawable, ax: Axes) -> None:
    looks: dict[bool | None, dict[str, Any]] = {
        True: {"facecolor": _TRUSTED},
        False: {"facecolor": "white", "edgecolor": _NOT_TRUSTED, "hatch": "////"},
        None: {"facecolor": _UNKNOWN},
    }
    whole = max(timeline.edges[-1, 1] - timeline.edges[0, 0], 1e-3)
    for verdict, spans in groupby(sorted(timeline.spans(), key=_verdict), key=_verdict):
        bars = [(span.start, span.end - span.start) for span in spans]
        ax.broken_barh(bars, (0.0, 0.4), linewidth=0, **looks[_VERDICTS[verdict]])
    colours = {name: colour for name, _, colour in _layers(timeline)}
    for start, end, label in _label_spans(timeline):
        colour = colours.get(label, _OTHER)
        ax.broken_barh([(start, end - start)], (0.5, 0.1), facecolor=colour, linewidth=0)
        if (end - start) / whole > 0.011 * (len(label) + 1):
            ax.text(
                (start + end) / 2, 0.82, label, ha="center", va="center", clip_on=True,
                fontsize=8,
            )  # fmt: skip
    ax.set_ylim(0, 1)
    ax.set_yticks([0.2, 0.7], ["trusted", "label"])
    ax.tick_params(length=0)
    ax.spines["left"].set_visible(False)
    step = _tick(whole)
    # A tick before the beginning would widen the picture.
    first = math.ceil(timeline.edges[0, 0] / step - 1e-9) * step
    ax.set_xticks(np.arange(first, timeline.edges[-1, 1] + 1e-6, step).tolist())
    ax.xaxis.set_major_formatter(lambda value, _: clock(value))
    ax.set_xlabel("solid green: trusted   hatched: not trusted   grey: no threshold")


def _label_spans(timeline: _Drawable) -> list[tuple[float, float, str]]:
    """List the stretches of equal label, whether trusted or not."""
    named = merge(timeline.spans(), key=lambda span: span.label)
    return [(span.start, span.end, clean(span.label)) for span in named if span.label]


_VERDICTS: dict[int, bool | None] = {0: None, 1: False, 2: True}


def _verdict(span: Span) -> int:
    return 0 if span.trusted is None else 1 + span.trusted


def _steps(
    edges: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the corners of steps through the windows: times, and the window of each, W in a gap."""
    times: list[float] = []
    rows: list[int] = []
    for row, (start, end) in enumerate(edges.tolist()):
        if times and start - times[-1] > TOUCH:
            times += [times[-1], start]
            rows += [len(edges)] * 2
        times += [start, end]
        rows += [row, row]
    return np.array(times), np.array(rows)


def _tick(whole: float) -> float:
    """Return the distance of the times to write: at most ten of them."""
    return next((each for each in _TICKS if whole / each <= 10), whole / 10)


def _title(timeline: _Drawable) -> str:
    trusted = sum(span.end - span.start for span in timeline.spans() if span.trusted)
    whole = float(timeline.edges[-1, 1] - timeline.edges[0, 0])
    known = any(window.trusted is not None for window in timeline.windows)
    share = ", no threshold for windows"
    if known:
        share = f", {trusted / whole:.0%} of the time trusted" if whole > 0 else ""
    count = len(timeline.windows)
    return (
        f"{short_name(Path(timeline.path).name)}: {count} window{'s' if count > 1 else ''}{share}"
    )
