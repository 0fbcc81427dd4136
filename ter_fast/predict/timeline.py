"""Belief, uncertainty and trust over the length of a clip, as arrays and as stretches of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ter_fast.errors import TerFastError
from ter_fast.media.files import write_atomically
from ter_fast.predict.prediction import Prediction, Predictions

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png", ".pdf")
"""Endings of the pictures that can be written."""

TOUCH = 1e-6
"""Seconds between stretches that still touch."""


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
        >>> from ter_fast.opinions.opinion import Opinion
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

        from ter_fast.predict.timeline_plot import STYLE

        figure = self.figure()

        def write(target: Path) -> None:
            # Without a date, equal predictions make equal files.
            with style.context(["default", STYLE]):
                date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
                figure.savefig(target, dpi=160, metadata=date)

        write_atomically(path, write)

    def figure(self) -> Figure:
        """Draw the beliefs stacked to 1 with the uncertainty, and below them label and trust."""
        from ter_fast.predict.timeline_plot import draw

        return draw(self)


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


def _joins(first: Span, second: Span) -> bool:
    alike = (first.label, first.trusted) == (second.label, second.trusted)
    return alike and abs(first.end - second.start) < TOUCH


def _edges(windows: Sequence[Prediction]) -> npt.NDArray[np.float64]:
    edges = np.array([[each.start, each.end] for each in windows], np.float64)
    for before, behind in pairwise(range(len(edges))):
        if edges[before, 1] > edges[behind, 0]:
            edges[before, 1] = edges[behind, 0] = (edges[before, 1] + edges[behind, 0]) / 2
    return edges
