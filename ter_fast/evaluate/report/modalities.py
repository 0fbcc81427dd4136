"""What each modality contributes: its belief, its uncertainty, and whether the others agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Drawing
from numpy.typing import NDArray

from ter_fast.evaluate.report.canvas import GREEN, INK, MUTED, Plot, axes, draw, label_rows, legend
from ter_fast.evaluate.report.formatting import count, share
from ter_fast.evaluate.report.tables import Cell, Table, number_cell, table
from ter_fast.trust.outcomes import Outcomes

_ROW = 22.0
_FRAME = 92.0

FUSED = "all together"


@dataclass(frozen=True)
class ModalitySummary:
    """Hold what one modality alone, or all together, made of the clips.

    Attributes:
        name: Of the modality.
        clips: That have it.
        accuracy: Share of these that it predicts right.
        true_belief: Mean belief mass in the true class; NaN for all together.
        right_uncertainty: Mean vacuity where it is right; NaN where it never is.
        wrong_uncertainty: Mean vacuity where it is wrong; NaN where it never is.
    """

    name: str
    clips: int
    accuracy: float
    true_belief: float
    right_uncertainty: float
    wrong_uncertainty: float


def summaries_of(answers: Outcomes) -> list[ModalitySummary]:
    """Return a summary of each modality alone and, where there are several, of their fusion.

    Example:
        >>> from dataclasses import replace
        >>> from ter_fast.trust.outcomes import ModalityOutcomes
        >>> said = ModalityOutcomes(np.array([[0.75, 0.0], [0.5, 0.25]]), np.array([0.25, 0.25]))
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.7, 0.3]], [0, 1])
        >>> summaries_of(replace(answers, modalities={"audio": said}))[0].true_belief
        0.5
    """
    rows = np.arange(len(answers))
    summaries = [
        _summary(
            name,
            np.equal(modality.prediction, answers.target),
            modality.uncertainty,
            modality.belief[rows, answers.target],
        )
        for name, modality in answers.modalities.items()
    ]
    if len(summaries) > 1 and answers.uncertainty is not None:
        nothing = np.full(len(answers), math.nan)
        summaries.append(_summary(FUSED, answers.correct, answers.uncertainty, nothing))
    return summaries


def beliefs_of(answers: Outcomes, name: str) -> list[tuple[str, float, float]]:
    """Return each class with a modality's mean belief in it: in its own clips, and in all others."""
    modality = answers.modalities[name]
    present = ~np.isnan(modality.uncertainty)
    return [
        (
            label,
            _mean(modality.belief[present & (answers.target == k), k]),
            _mean(modality.belief[present & (answers.target != k), k]),
        )
        for k, label in enumerate(answers.labels)
    ]


def agreement(answers: Outcomes) -> str:
    """Say how often the fused answer is right where modalities name one class, and where they do not."""
    predictions = [modality.prediction for modality in answers.modalities.values()]
    if len(predictions) < 2:
        return ""
    labels = np.stack(predictions)
    several = (labels >= 0).sum(axis=0) > 1
    highest = labels.max(axis=0)
    alike = several & ((labels == highest) | (labels < 0)).all(axis=0)
    parts = []
    for chosen, words in (
        (alike, "all name the same class"),
        (several & ~alike, "name different ones"),
    ):
        if size := int(chosen.sum()):
            right = int((chosen & answers.correct).sum())
            parts.append(
                f"where they {words} ({count(size, 'clip')}), {share(right, size)} are right"
            )
    return f"Of the modalities of a clip: {'; '.join(parts)}." if parts else ""


def modality_table(answers: Outcomes) -> Table:
    """Return what each modality alone is worth, and whether it knows when it is wrong."""
    rows = [
        (
            Cell(each.name),
            Cell(count(each.clips), value=each.clips),
            number_cell(each.accuracy),
            number_cell(each.true_belief),
            number_cell(each.right_uncertainty),
            number_cell(each.wrong_uncertainty),
        )
        for each in summaries_of(answers)
    ]
    return table(
        "modality-summary",
        "Each modality alone",
        ("Modality", "Clips", "Accuracy", "Belief in the true class", "Uncertainty when right",
         "Uncertainty when wrong"),
        rows,
    )  # fmt: skip


def belief_plots(answers: Outcomes) -> list[Plot]:
    """Return how much each modality believes in each class, where it is true and where it is not."""
    return [
        draw(
            f"belief-{place}",
            f"Belief of {name}",
            partial(_belief, beliefs_of(answers, name), _mean(modality.uncertainty)),
            shows=f"The mean belief mass that {name} alone gives to a class: in clips of that class "
            "(filled) and in all others (open); the last row is what it leaves uncommitted.",
            trap="Only the gap between the two dots tells classes apart; a class with two high dots "
            "is simply a favourite.",
            height=_FRAME + _ROW * (len(answers.labels) + 1),
        )
        for place, (name, modality) in enumerate(answers.modalities.items(), start=1)
        if not np.isnan(modality.uncertainty).all()
    ]


def _belief(
    beliefs: Sequence[tuple[str, float, float]], uncommitted: float, figure: Drawing
) -> None:  # fmt: skip
    ax = axes(figure, "", "mean belief mass")
    for height, (_, own, rest) in enumerate(beliefs):
        ax.plot([rest, own], [height, height], color=MUTED, lw=1.2, zorder=1)
        ax.plot([rest], [height], "o", color=GREEN, mfc="none", mew=1.6, ls="none")
        ax.plot([own], [height], "o", color=GREEN, ls="none")
    ax.plot([], [], "o", color=GREEN, ls="none", label="clips of the class")
    ax.plot([], [], "o", color=GREEN, mfc="none", mew=1.6, ls="none", label="other clips")
    ax.plot([uncommitted], [len(beliefs)], "s", color=INK, ls="none", label="uncertainty")
    label_rows(ax, [*(label for label, _, _ in beliefs), "uncommitted"])
    ax.set_xlim(-0.03, 1.03)
    legend(figure, ax, columns=3)


def _summary(
    name: str,
    right: NDArray[np.bool_],
    uncertainty: NDArray[np.floating[Any]],
    belief: NDArray[np.floating[Any]],
) -> ModalitySummary:
    present = ~np.isnan(uncertainty)
    return ModalitySummary(
        name,
        int(present.sum()),
        _mean(right[present]),
        _mean(belief[present]),
        _mean(uncertainty[present & right]),
        _mean(uncertainty[present & ~right]),
    )


def _mean(values: NDArray[Any]) -> float:
    """Return the mean of what is known; NaN of nothing."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if numbers.size else math.nan
