"""Belief, uncertainty and trust over the length of a clip, as arrays and as stretches of time."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ter_fast.errors import TerFastError
from ter_fast.media.files import write_atomically
from ter_fast.predict.spans import Span, merge
from ter_fast.predict.timeline_plot import STYLE, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ter_fast.opinions.opinion import Opinion

SUFFIXES = (".svg", ".png", ".pdf")
"""Endings of the pictures that can be written."""


class _Answer(Protocol):
    """What a timeline needs of a prediction; `ter_fast.Prediction` is one."""

    @property
    def path(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...
    @property
    def label(self) -> str: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def trusted(self) -> bool | None: ...
    @property
    def uncertainty(self) -> float: ...
    @property
    def opinion(self) -> Opinion | None: ...
    @property
    def error(self) -> str: ...
    @property
    def windows(self) -> Sequence[_Answer]: ...


@dataclass(frozen=True, eq=False)
class Timeline:
    """What the W windows of a clip say, in order.

    Windows that overlap share their overlap: each holds from half way to its neighbour before to half
    way to the one behind.

    Attributes:
        path: Of the clip.
        windows: Their predictions.
        labels: The K class names.
        edges: `(W, 2)` seconds, the stretch that each window stands for.
        belief: `(W, K)`, of the fused opinions; NaN where a window says nothing.
        uncertainty: `(W,)`, vacuity; with the beliefs it sums to 1.

    Example:
        >>> import torch
        >>> from ter_fast import Opinion, Prediction
        >>> calm = Prediction(
        ...     "a.mp4", 0.0, 8.0, "calm", trusted=True, labels=("angry", "calm"),
        ...     opinion=Opinion(torch.tensor([0.0, 6.0])), uncertainty=0.25,
        ... )
        >>> timeline = Timeline.of(calm)
        >>> timeline.belief.tolist(), timeline.spans()
        ([[0.0, 0.75]], [Span(start=0.0, end=8.0, label='calm', trusted=True)])
    """

    path: str
    windows: Sequence[_Answer]
    labels: tuple[str, ...]
    edges: npt.NDArray[np.float64]
    belief: npt.NDArray[np.float64]
    uncertainty: npt.NDArray[np.float64]

    @classmethod
    def of(cls, prediction: _Answer) -> Timeline:
        """Build the timeline of a clip from the predictions of its windows.

        Raises:
            TerFastError: The clip failed, so that there is nothing to show.
        """
        if prediction.error:
            raise TerFastError(f"{prediction.path} has no timeline: {prediction.error}")
        windows = prediction.windows
        unknown = np.full(len(prediction.labels), math.nan)
        beliefs = [
            unknown if window.opinion is None else window.opinion.belief.double().numpy(force=True)
            for window in windows
        ]
        return cls(
            prediction.path,
            windows,
            prediction.labels,
            _edges(windows),
            np.stack(beliefs),
            np.array([window.uncertainty for window in windows]),
        )

    def spans(self) -> list[Span]:
        """Return the stretches of equal label and trust; neighbours that agree and touch are one."""
        rows = zip(self.edges.tolist(), self.windows, strict=True)
        spans = [Span(start, end, each.label, each.trusted) for (start, end), each in rows]
        return merge(spans, key=lambda span: (span.label, span.trusted))

    def save(self, path: str | Path) -> None:
        """Write the picture: .svg, .png or .pdf, by the name's ending; all of it or nothing.

        Raises:
            TerFastError: Another ending, the folder is missing, or matplotlib is not installed.
        """
        suffix = check_picture_name(path)
        from matplotlib import style

        figure = self.figure()

        def write(target: Path) -> None:
            # Without a date, equal predictions make equal files.
            with style.context(["default", STYLE]), warnings.catch_warnings():
                # A font that lacks a letter draws a box, and the .svg holds the letter all the same.
                warnings.filterwarnings(
                    "ignore", message="Glyph .* missing from", category=UserWarning
                )
                date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(suffix)
                figure.savefig(target, dpi=160, metadata=date)

        write_atomically(path, write)

    def figure(self) -> Figure:
        """Draw the beliefs stacked to 1 with the uncertainty, and below them label and trust."""
        return draw(self)


def check_picture_name(path: str | Path) -> str:
    """Return a picture file's ending, in small letters.

    Raises:
        TerFastError: No picture can be written under that name, or matplotlib is missing, so that a
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


def _edges(windows: Sequence[_Answer]) -> npt.NDArray[np.float64]:
    edges = np.array([[window.start, window.end] for window in windows], np.float64)
    for before, behind in pairwise(range(len(edges))):
        if edges[before, 1] > edges[behind, 0]:
            edges[before, 1] = edges[behind, 0] = (edges[before, 1] + edges[behind, 0]) / 2
    return edges
