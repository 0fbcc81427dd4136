"""Belief, uncertainty and trust over the length of a clip: as arrays, as a table, as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ter_fast.errors import TerFastError
from ter_fast.prediction import Prediction, Predictions, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
"""Endings of the pictures that can be written."""

# Okabe and Ito's colours, which stay apart for colour-blind readers.
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_OTHER, _UNKNOWN, _INK, _MUTED = "#8a9199", "#eceef0", "#1b1f24", "#57606a"
_TRUSTED, _NOT_TRUSTED = "#009e73", "#d55e00"
_TOUCH = 1e-6
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_STYLE: dict[str, Any] = {
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


@dataclass(frozen=True)
class Span:
    """A stretch of time on which the answer does not change.

    Attributes:
        start: seconds.
        end: seconds.
        label: the class; "" where nothing could be predicted.
        trusted: as of the windows in it.
    """

    start: float
    end: float
    label: str
    trusted: bool | None


@dataclass(frozen=True, eq=False)
class Timeline:
    """What the W windows of a clip say, in order.

    Windows that overlap share their overlap: each holds from half way to its neighbour before to half
    way to the one behind.

    Attributes:
        path: of the clip.
        windows: their predictions.
        labels: the K class names.
        edges: `(W, 2)` seconds, the stretch that each window stands for.
        belief: `(W, K)`, of the fused opinions; NaN where a window says nothing.
        uncertainty: `(W,)`, vacuity; with the beliefs it sums to 1.

    Example:
        >>> import torch
        >>> from ter_fast.opinion import Opinion
        >>> calm = Prediction(
        ...     "a.mp4", 0.0, 8.0, "calm", trusted=True, labels=("angry", "calm"),
        ...     opinion=Opinion(torch.tensor([0.0, 6.0])), uncertainty=0.25,
        ... )
        >>> timeline = Timeline.of(calm)
        >>> timeline.belief.tolist(), timeline.spans()
        ([[0.0, 0.75]], [Span(start=0.0, end=8.0, label='calm', trusted=True)])
    """

    path: str
    windows: Predictions
    labels: tuple[str, ...]
    edges: npt.NDArray[np.float64]
    belief: npt.NDArray[np.float64]
    uncertainty: npt.NDArray[np.float64]

    @classmethod
    def of(cls, prediction: Prediction) -> Timeline:
        """Build the timeline of a clip from the predictions of its windows.

        Raises:
            TerFastError: the clip failed, so that there is nothing to show.
        """
        if prediction.error:
            raise TerFastError(f"{prediction.path} has no timeline: {prediction.error}")
        windows = prediction.windows
        unknown = np.full(len(prediction.labels), math.nan)
        beliefs = [
            unknown if each.opinion is None else each.opinion.belief.double().numpy(force=True)
            for each in windows
        ]
        return cls(
            prediction.path,
            windows,
            prediction.labels,
            _edges(windows),
            np.stack(beliefs),
            np.array([each.uncertainty for each in windows]),
        )

    def spans(self) -> list[Span]:
        """Return the stretches of equal label and trust; neighbours that agree and touch are one."""
        rows = zip(self.edges.tolist(), self.windows, strict=True)
        spans = [Span(start, end, each.label, each.trusted) for (start, end), each in rows]
        runs: list[list[Span]] = []
        for span in spans:
            if runs and _joins(runs[-1][-1], span):
                runs[-1].append(span)
            else:
                runs.append([span])
        return [Span(run[0].start, run[-1].end, run[0].label, run[0].trusted) for run in runs]

    def save(self, path: str | Path) -> None:
        """Write the picture: .svg, .png or .pdf, by the name's ending; all of it or nothing.

        Raises:
            TerFastError: another ending, the folder is missing, or matplotlib is not installed.
        """
        suffix = check_picture_name(path)
        from matplotlib import style

        figure = self.figure()

        def write(target: Path) -> None:
            # Without a date, equal predictions make equal files.
            with style.context(["default", _STYLE]):
                date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
                figure.savefig(target, dpi=160, metadata=date)

        write_atomically(path, write)

    def figure(self) -> Figure:
        """Draw the beliefs stacked to 1 with the uncertainty, and below them label and trust."""
        from matplotlib import style
        from matplotlib.figure import Figure

        with style.context(["default", _STYLE]):
            figure = Figure(figsize=(9.0, 3.6), layout="constrained")
            above, below = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1))
            self._draw_belief(above)
            self._draw_spans(below)
            handles, names = above.get_legend_handles_labels()
            figure.legend(handles[::-1], names[::-1], loc="outside right upper", frameon=False)
            above.set_title(_title(self), loc="left", fontsize=9.5, color=_INK)
            return figure

    def _draw_belief(self, ax: Axes) -> None:
        times, rows = _steps(self.edges)
        base = np.zeros(len(times))
        for name, belief, colour in self._layers():
            top = base + np.append(np.nan_to_num(belief), 0.0)[rows]
            ax.fill_between(times, base, top, color=colour, linewidth=0, label=name)
            if len(self.edges) <= 120:
                ax.plot(times, top, color="white", linewidth=0.6)
            base = top
        known = np.append(np.isfinite(self.uncertainty), False)[rows]
        ax.fill_between(
            times, base, 1, where=known, color=_UNKNOWN, linewidth=0, label="uncertainty"
        )
        ax.set_ylim(0, 1)
        ax.set_ylabel("belief")
        ax.set_xlim(self.edges[0, 0], max(self.edges[-1, 1], self.edges[0, 0] + 1e-3))

    def _layers(self) -> list[tuple[str, npt.NDArray[np.float64], str]]:
        """List the classes to draw: the seven of most belief, the others together."""
        share = np.nansum(self.belief, axis=0)
        order = np.argsort(-share, kind="stable").tolist()
        kept = sorted(order[: len(_COLOURS)])
        layers = [
            (self.labels[k], self.belief[:, k], colour)
            for k, colour in zip(kept, _COLOURS, strict=False)
        ]
        if rest := order[len(_COLOURS) :]:
            layers.append((f"{len(rest)} others", self.belief[:, rest].sum(1), _OTHER))
        return layers

    def _draw_spans(self, ax: Axes) -> None:
        looks: dict[bool | None, dict[str, Any]] = {
            True: {"facecolor": _TRUSTED},
            False: {"facecolor": "white", "edgecolor": _NOT_TRUSTED, "hatch": "////"},
            None: {"facecolor": _UNKNOWN},
        }
        whole = max(self.edges[-1, 1] - self.edges[0, 0], 1e-3)
        for verdict, spans in groupby(sorted(self.spans(), key=_verdict), key=_verdict):
            bars = [(span.start, span.end - span.start) for span in spans]
            ax.broken_barh(bars, (0.0, 0.4), linewidth=0, **looks[_VERDICTS[verdict]])
        colours = {name: colour for name, _, colour in self._layers()}
        for start, end, label in self._named():
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
        first = math.ceil(self.edges[0, 0] / step - 1e-9) * step
        ax.set_xticks(np.arange(first, self.edges[-1, 1] + 1e-6, step).tolist())
        ax.xaxis.set_major_formatter(lambda value, _: clock(value))
        ax.set_xlabel("solid green: trusted   hatched: not trusted   grey: no threshold")

    def _named(self) -> list[tuple[float, float, str]]:
        """List the stretches of equal label, whether trusted or not."""
        runs: list[list[Span]] = []
        for span in self.spans():
            last = runs[-1][-1] if runs else None
            if last and last.label == span.label and abs(last.end - span.start) < _TOUCH:
                runs[-1].append(span)
            else:
                runs.append([span])
        return [(run[0].start, run[-1].end, run[0].label) for run in runs if run[0].label]


def check_picture_name(path: str | Path) -> str:
    """Return a picture file's ending, in small letters.

    Raises:
        TerFastError: no picture can be written under that name, or matplotlib is missing, so that a
            caller learns it before the work.

    Example:
        >>> check_picture_name("holiday.SVG")
        '.svg'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise TerFastError(
            f"cannot draw {path}: expected a name that ends in {', '.join(SUFFIXES)}"
        )
    try:
        import matplotlib  # noqa: F401 - its own message would not name our extra
    except ImportError as error:
        raise TerFastError(
            "a timeline is drawn by matplotlib: pip install 'ter_fast[report]'"
        ) from error
    return suffix


def clock(seconds: float) -> str:
    """Return seconds as minutes and seconds, with hours where there are some.

    Example:
        >>> clock(62.0), clock(3725.0), clock(0.25)
        ('1:02', '1:02:05', '0:00.25')
    """
    whole, hundredths = divmod(round(seconds * 100), 100)
    part = f".{hundredths:02}".rstrip("0").rstrip(".")
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return (f"{hours}:{minutes:02}" if hours else str(minutes)) + f":{rest:02}{part}"


_VERDICTS: dict[int, bool | None] = {0: None, 1: False, 2: True}


def _verdict(span: Span) -> int:
    return 0 if span.trusted is None else 1 + span.trusted


def _joins(first: Span, second: Span) -> bool:
    alike = (first.label, first.trusted) == (second.label, second.trusted)
    return alike and abs(first.end - second.start) < _TOUCH


def _edges(windows: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    edges = np.array([[each.start, each.end] for each in windows], np.float64)
    for before, behind in pairwise(range(len(edges))):
        if edges[before, 1] > edges[behind, 0]:
            edges[before, 1] = edges[behind, 0] = (edges[before, 1] + edges[behind, 0]) / 2
    return edges


def _steps(
    edges: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return the corners of steps through the windows: times, and the window of each, W in a gap."""
    times: list[float] = []
    rows: list[int] = []
    for row, (start, end) in enumerate(edges.tolist()):
        if times and start - times[-1] > _TOUCH:
            times += [times[-1], start]
            rows += [len(edges)] * 2
        times += [start, end]
        rows += [row, row]
    return np.array(times), np.array(rows)


def _tick(whole: float) -> float:
    """Return the distance of the times to write: at most ten of them."""
    return next((each for each in _TICKS if whole / each <= 10), whole / 10)


def _title(timeline: Timeline) -> str:
    trusted = sum(span.end - span.start for span in timeline.spans() if span.trusted)
    whole = float(timeline.edges[-1, 1] - timeline.edges[0, 0])
    known = any(each.trusted is not None for each in timeline.windows)
    share = ", no threshold for windows"
    if known:
        share = f", {trusted / whole:.0%} of the time trusted" if whole > 0 else ""
    count = len(timeline.windows)
    return f"{Path(timeline.path).name}: {count} window{'s' if count > 1 else ''}{share}"
