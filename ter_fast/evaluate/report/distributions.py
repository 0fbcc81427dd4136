"""Where right and wrong predictions lie: reliability, and histograms that mirror each other."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from ter_fast.evaluate.report.canvas import (
    BLUE,
    INK,
    MUTED,
    PAPER,
    VERMILLION,
    Plot,
    axes,
    draw,
    legend,
)
from ter_fast.evaluate.report.formatting import confidence_of, disagreeing, number
from ter_fast.trust.metrics import CalibrationCurve
from ter_fast.trust.metrics.calibration_error import calibration_curve

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

Numbers = NDArray[np.floating[Any]]
Flags = NDArray[np.bool_]

BINS = 20

FEW = 10
"""Clips of a bin below which the share of right ones among them is mostly chance."""


def reliability_plot(evaluation: Evaluation) -> Plot:
    """Return accuracy against probability, over the bins of the expected calibration error."""
    answers = evaluation.outcomes
    curve = calibration_curve(answers.probability, answers.target)
    return draw(
        "reliability",
        "Reliability",
        partial(_reliability, curve, evaluation.figures["ece"].value),
        shows="How often predictions of a probability are right, over 15 bins: above the diagonal "
        "the model is too modest, below it too sure; the mean gap, weighted by clips, is the ECE. The bars "
        "count the clips of each bin.",
        trap=f"An open dot stands for fewer than {FEW} clips and is mostly chance; and a model can be "
        "calibrated on average and still not tell right from wrong.",
    )


def confidence_histogram(evaluation: Evaluation) -> Plot:
    """Return the histogram of the confidence that is held against the threshold."""
    answers = evaluation.outcomes
    kind = confidence_of(answers.confidence_kind)
    unless = ", unless the modalities disagree too much" if disagreeing(answers) else ""
    return mirrored_histogram(
        "confidence",
        "Confidence of right and wrong predictions",
        answers.confidence,
        answers.correct,
        kind,
        answers.threshold,
        "threshold",
        shows="How many right predictions (up) and wrong ones (down) have each confidence.",
        trap="Wrong predictions right of the threshold are the ones that will be acted on"
        f"{unless}; where the two halves look alike, no threshold helps.",
    )


def uncertainty_histograms(evaluation: Evaluation) -> list[Plot]:
    """Return the uncertainty of each modality, of their fusion, and the disagreement between them."""
    answers = evaluation.outcomes
    plots = [
        mirrored_histogram(
            f"uncertainty-{place}",
            f"Uncertainty of {name}",
            said.uncertainty,
            np.equal(said.prediction, answers.target),
            "uncertainty (vacuity) of this modality alone",
            shows=f"How little evidence {name} alone found in the clips that it alone predicts "
            "right (up) and wrong (down).",
            trap="Uncertainty is lack of evidence: plentiful evidence for the wrong class is "
            "certain, and wrong.",
        )
        for place, (name, said) in enumerate(answers.modalities.items(), start=1)
        if not np.isnan(said.uncertainty).all()
    ]
    if answers.uncertainty is not None and len(answers.modalities) != 1:
        plots.append(
            mirrored_histogram(
                "uncertainty-fused",
                "Uncertainty of the fused opinion" if answers.modalities else "Uncertainty",
                answers.uncertainty,
                answers.correct,
                "uncertainty (vacuity)",
                shows="How little evidence there is in all, for right predictions (up) and wrong ones (down).",
                trap="Dempster's rule lowers uncertainty with every modality, whether they agree or not.",
            )
        )
    if answers.disagreement is not None:
        limited = answers.disagreement_limit is not None
        plots.append(
            mirrored_histogram(
                "disagreement",
                "Disagreement between modalities",
                answers.disagreement,
                answers.correct,
                "disagreement: 0 for equal opinions, 1 for certain opposites",
                answers.disagreement_limit,
                "limit",
                shows="How far the modalities contradict each other in right predictions (up) and "
                f"wrong ones (down){'; beyond the limit nothing is trusted' if limited else ''}.",
                trap="Two modalities that know little cannot disagree: low disagreement is no agreement.",
            )
        )
    return plots


def mirrored_histogram(
    name: str,
    title: str,
    values: Numbers,
    right: Flags,
    label: str,
    limit: float | None = None,
    limit_name: str = "",
    *,
    shows: str,
    trap: str,
) -> Plot:
    """Return a histogram with right predictions above the line and wrong ones below it."""
    known = np.isfinite(values)
    paint = partial(_mirrored_bars, values[known], right[known], label, limit, limit_name)
    return draw(name, title, paint, shows=shows, trap=trap)


def edges_of(values: Numbers, limit: float | None) -> Numbers:
    """Return bin edges over a round range that holds the values and the limit.

    Example:
        >>> edges_of(np.array([0.003, 0.038]), None)[[0, -1]].tolist()
        [0.0, 0.04]
    """
    marks = [limit] if limit is not None and math.isfinite(limit) else []
    all_of = np.concatenate((values.astype(np.float64), marks))
    low, high = (float(all_of.min()), float(all_of.max())) if all_of.size else (0.0, 1.0)
    # Confidences that are all alike are no reason to look through a microscope.
    step = 10.0 ** math.floor(math.log10(max(high - low, 0.01)))
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return np.linspace(low, high if high > low else low + step, BINS + 1)


def _reliability(curve: CalibrationCurve, error: float, figure: Drawing) -> None:
    ax, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    ax.set_title("share that is right")
    ax.plot([0, 1], [0, 1], color=MUTED, ls=(0, (1, 1.5)), label="as sure as right")
    held = curve.count > 0
    x, y = curve.confidence[held], curve.accuracy[held]
    ax.vlines(
        x, x, y, color=VERMILLION, lw=1.4, ls=(0, (3, 1.5)), label=f"gap, ECE {number(error)}"
    )
    few = curve.count[held] < FEW
    label = "this model"
    for chosen, fill in ((~few, BLUE), (few, PAPER)):
        # Without a point, a line that is not clipped would upset the layout.
        if chosen.any():
            ax.plot(
                x[chosen], y[chosen], "o", color=BLUE, mfc=fill, mew=1.4, clip_on=False,
                zorder=3, label=label,
            )  # fmt: skip
            label = ""
    ax.set_xlim(0, 1)
    ax.set_ylim(-0.02, 1.04)
    below.bar(curve.edges[:-1], curve.count, np.diff(curve.edges), align="edge", color=BLUE, lw=0)
    below.set_title("clips")
    below.set_xlabel("probability of the predicted class")
    below.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    legend(figure, ax, columns=3)


def _mirrored_bars(
    values: Numbers,
    right: Flags,
    label: str,
    limit: float | None,
    limit_name: str,
    figure: Drawing,
) -> None:
    ax = axes(figure, "clips", label)
    if not values.size:
        ax.text(0.5, 0.5, "no clip has a value", ha="center", transform=ax.transAxes)
    edges = edges_of(values, limit)
    width = edges[1] - edges[0]
    up = np.histogram(values[right], edges)[0]
    down = np.histogram(values[~right], edges)[0]
    ax.bar(edges[:-1], up, width, align="edge", color=BLUE, lw=0, label=f"right {up.sum():,}")
    ax.bar(
        edges[:-1], -down, width, align="edge", facecolor="none", edgecolor=VERMILLION, lw=0.8,
        hatch="////", label=f"wrong {down.sum():,}",
    )  # fmt: skip
    ax.axhline(0, color=MUTED, lw=0.8)
    if limit is not None and math.isfinite(limit):
        ax.axvline(limit, color=INK, ls=(0, (3, 2)), lw=1.2, label=f"{limit_name} {number(limit)}")
    ax.set_xlim(edges[0], edges[-1])
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5))
    _count_axis(ax)
    legend(figure, ax, columns=3)


def _count_axis(ax: Axes) -> None:
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):,.0f}"))
