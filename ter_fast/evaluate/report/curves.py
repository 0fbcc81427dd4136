"""Curves of trust: against the threshold, and against the share of clips that are trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from ter_fast.evaluate.report.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    VERMILLION,
    Plot,
    axes,
    draw,
    legend,
)
from ter_fast.evaluate.report.formatting import confidence_of, count, disagreeing, number
from ter_fast.trust.thresholds import Sweep, TrustedScores, sweep

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

Floats = NDArray[np.float64]

POINTS = 400
"""Points of a curve: more than a page has pixels for."""


@dataclass(frozen=True, eq=False)
class RiskCurve:
    """Hold risk against coverage at M coverages, equal confidences in expectation over their order.

    Attributes:
        coverage: (M,) shares of the clips, ascending, up to 1.
        risk: (M,) share of wrong predictions among those accepted.
        generalized: (M,) share of all clips that are wrong and accepted.
        best_risk: (M,) `risk` of a perfect order.
        best_generalized: (M,) `generalized` of a perfect order.
        error_rate: Share of wrong predictions, what a random order risks at every coverage.
    """

    coverage: Floats
    risk: Floats
    generalized: Floats
    best_risk: Floats
    best_generalized: Floats
    error_rate: float


def risk_curve(curve: Sweep, points: int = POINTS) -> RiskCurve:
    """Return risk against coverage at no more than this many coverages k / N.

    Clips without a confidence come last, as they do in the areas.

    Example:
        >>> risk_curve(sweep([0.9, 0.8, 0.4, 0.3], [True, False, True, False])).risk.tolist()
        [0.0, 0.5, 0.3333333333333333, 0.5]
    """
    n, wrong = curve.n, curve.n - curve.n_correct
    steps = np.unique(np.linspace(1, n, min(n, points)).round())
    accepted = np.concatenate(([0], curve.accepted[::-1], [n]))
    mistakes = np.concatenate(([0], (curve.accepted - curve.accepted_correct)[::-1], [wrong]))
    # Among equal confidences, mistakes are met at an even rate: a straight line between thresholds.
    expected = np.interp(steps, accepted, mistakes)
    best = np.maximum(steps - curve.n_correct, 0)
    return RiskCurve(
        steps / n, expected / steps, expected / n, best / steps, best / n, wrong / n
    )  # fmt: skip


def thin_curve(
    x: NDArray[np.floating[Any]], curves: Sequence[Floats], columns: int = POINTS
) -> NDArray[np.int64]:
    """Return the places to draw, ascending: of each column of pixels the ends and the extremes."""
    if x.size <= 4 * columns:
        return np.arange(x.size)
    wide = x.astype(np.float64)
    column = ((wide - wide[0]) / (wide[-1] - wide[0]) * columns).astype(np.int64)
    first = np.flatnonzero(np.diff(column, prepend=-1))
    kept = [first, np.append(first[1:] - 1, x.size - 1)]
    for values in curves:
        order = np.lexsort((values, column))
        kept += [order[first], order[np.append(first[1:] - 1, x.size - 1)]]
    return np.unique(np.concatenate(kept))


def curve_plots(evaluation: Evaluation) -> list[Plot]:
    """Return the trusted metrics against the threshold, and both risk-coverage curves."""
    answers = evaluation.outcomes
    curve = sweep(answers.ranked, answers.correct)
    point = None if answers.threshold is None else curve.at(answers.threshold)
    plots = []
    if curve.threshold.size:
        chosen = " The dashed line and the dots mark the threshold in force." if point else ""
        plots.append(
            draw(
                "thresholds",
                "What each threshold would give",
                partial(_thresholds, curve, point, confidence_of(answers.confidence_kind)),
                shows="Trusted precision, recall and F1 for every threshold that could be chosen."
                f"{chosen}",
                trap="Towards the right few clips are left, so precision jumps; and F1 is easily "
                "highest where everything is trusted, which is why that baseline is drawn.",
            )
        )
    risks = risk_curve(curve)
    operating = point if point and point.accepted else None
    last = _last(curve.nan_count, bool(disagreeing(answers)))
    plots.append(
        draw(
            "risk-coverage",
            "Risk against coverage",
            partial(_risk, risks, curve, operating),
            shows="The share of wrong predictions among the most confident ones, as more of them "
            f"are accepted; the mean height of each line is its AURC.{last}",
            trap="The left end rests on a few clips and swings by chance; the right end is plain "
            "accuracy and says nothing about confidence.",
        )
    )
    plots.append(
        draw(
            "generalized-risk",
            "Generalized risk against coverage",
            partial(_draw_generalized_risk, risks, curve, operating),
            shows="The share of all clips that are both wrong and accepted; the area below each line "
            f"is its AUGRC.{last}",
            trap="A low value can come from accepting little: read it at a coverage, not alone.",
        )
    )
    return plots


def _thresholds(curve: Sweep, point: TrustedScores | None, kind: str, figure: Drawing) -> None:
    ax = axes(figure, "trusted metric", f"threshold on the confidence: {kind}")
    x, point_at = curve.threshold, point.threshold if point else math.nan
    marked = point_at if math.isfinite(point_at) else float(x[-1])
    lines = (
        ("precision", curve.precision, BLUE, "-"),
        ("recall", curve.recall, VERMILLION, (0, (5, 1.5))),
        ("F1", curve.f1, GREEN, (0, (1.2, 1.2))),
    )
    kept = thin_curve(x, [values for _, values, _, _ in lines])
    # Below the least confidence everything that has one is accepted: the lines begin there.
    start = min(float(x[0]), marked) - 0.03 * max(abs(float(x[-1]) - float(x[0])), 0.1)
    shown = np.concatenate(([start], x[kept]))
    for name, values, colour, dashes in lines:
        # A threshold accepts whatever reaches it, so a value holds down to the next confidence below.
        ax.plot(
            shown, values[np.concatenate(([0], kept))], color=colour, ls=dashes, label=name,
            drawstyle="steps-pre",
        )  # fmt: skip
    baseline = curve.accept_all_f1
    ax.axhline(
        baseline, color=MUTED, ls=(0, (6, 2, 1, 2)), lw=1.2, label=f"accept-all F1 {baseline:.3f}"
    )
    if math.isfinite(point_at):
        label = f"threshold {number(point_at)}"
        ax.axvline(point_at, color=INK, ls=(0, (3, 2)), lw=1.2, label=label)
    if point and point.accepted:
        for (_, _, colour, _), value in zip(
            lines, (point.precision, point.recall, point.f1), strict=True
        ):
            ax.plot([point_at], [value], "o", color=colour, mec=INK, mew=1.0, ls="none", zorder=4)
    ax.set_ylim(-0.02, 1.02)
    legend(figure, ax)


def _last(missing: int, disagreeing: bool) -> str:
    """Say which clips are accepted last, since they make a straight end of a curve."""
    if not missing:
        return ""
    why = (
        "without a confidence or beyond the limit of disagreement"
        if disagreeing
        else "without a confidence"
    )
    return f" {count(missing, 'clip')} {why} come{'s' if missing == 1 else ''} last, in no order."


def _risk(risks: RiskCurve, curve: Sweep, point: TrustedScores | None, figure: Drawing) -> None:
    ax = axes(figure, "error among accepted predictions", "coverage")
    random = np.full_like(risks.risk, risks.error_rate)
    height = point.risk if point else math.nan
    areas = (curve.aurc, curve.aurc - curve.e_aurc, risks.error_rate)
    _lines(figure, ax, risks.coverage, (risks.risk, risks.best_risk, random), areas, point, height)


def _draw_generalized_risk(
    risks: RiskCurve, curve: Sweep, point: TrustedScores | None, figure: Drawing
) -> None:  # fmt: skip
    ax = axes(figure, "wrong and accepted, share of all", "coverage")
    random = risks.coverage * risks.error_rate
    height = point.risk * point.coverage if point else math.nan
    # Of a perfect order, W clips rise from 0 to W / N over the last W / N of the coverage.
    areas = (curve.augrc, risks.error_rate**2 / 2, risks.error_rate / 2)
    drawn = (risks.generalized, risks.best_generalized, random)
    _lines(figure, ax, risks.coverage, drawn, areas, point, height)


def _lines(
    figure: Drawing,
    ax: Axes,
    coverage: Floats,
    drawn: tuple[Floats, Floats, Floats],
    areas: tuple[float, float, float],
    point: TrustedScores | None,
    height: float,
) -> None:
    """Draw this model, the optimum and chance, each with its area, and the point of operation."""
    styles: tuple[tuple[str, str, Any], ...] = (
        ("this model", BLUE, "-"),
        ("perfect", GREEN, (0, (5, 1.5))),
        ("random", MUTED, (0, (1, 1.5))),
    )
    for values, area, (name, colour, dashes) in zip(drawn, areas, styles, strict=True):
        label = f"{name} {number(area)}"
        ax.plot(coverage, values, color=colour, ls=dashes, label=label)
    if point is not None:
        ax.plot(
            [point.coverage], [height], "D", ms=8, color=ORANGE, mec=INK, mew=1.2, ls="none",
            label="threshold in force", zorder=4, clip_on=False,
        )  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    # With nothing wrong every line is the axis itself, and matplotlib would invent a range.
    ax.set_ylim(top=max(ax.get_ylim()[1], 0.05))
    legend(figure, ax)
