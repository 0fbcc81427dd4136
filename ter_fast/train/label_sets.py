"""Calibration of label sets: for each set of modalities, the rule that says which labels fit a clip."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ter_fast.errors import DataError, warn
from ter_fast.experts.config import ModelConfig
from ter_fast.predict.labelled_evidence import LabelledEvidence, outcomes
from ter_fast.trust.conformal import ConformalSets, check_alpha

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


def check_conformal(conformal: float | None, *, learned_on_the_same: bool) -> None:
    """Refuse a share of misses that is none, and warn where the coverage cannot be exact.

    Args:
        conformal: Largest share of label sets that miss the true label; None where none are asked for.
        learned_on_the_same: Something of the model is learned on all clips that the sets are calibrated on.

    Raises:
        DataError: The share is outside (0, 1).
    """
    if conformal is None:
        return
    check_alpha(conformal)
    if learned_on_the_same:
        warn(
            "the reliabilities are learned on the clips that label sets are calibrated on, so that these may "
            "cover a little less than they say; give a risk, which holds some out, or calibrate twice"
        )


def label_sets(
    model: Network, parts: Iterable[tuple[str, LabelledEvidence]], alpha: float, by_window: bool
) -> dict[str, ConformalSets]:
    """Calibrate label sets for each set of modalities; what has too few clips is left out, with a warning.

    Args:
        model: The model, as it will predict.
        parts: Sets of modalities, joined by "+", with the clips (or windows) that have them.
        alpha: Largest share of sets that miss the true label.
        by_window: The samples are windows; those of one clip belong together.

    Raises:
        DataError: There are too few for every set of modalities.
    """
    found: dict[str, ConformalSets] = {}
    refused = []
    for name, data in parts:
        answers = outcomes(model, data)
        try:
            found[name] = ConformalSets.fit(
                answers.probability,
                answers.target,
                alpha,
                groups=answers.paths if by_window else None,
                data=answers.name,
                pairing=answers.pairing,
            )
        except DataError as error:
            refused.append(f"{name}: {error}")
    if not found:
        raise DataError("; ".join(refused) or "no clip could be used to calibrate label sets")
    for each in refused:
        warn(f"no label sets for {each}")
    return found


def still_held(
    before: ModelConfig, learned: ModelConfig
) -> tuple[dict[str, ConformalSets], dict[str, ConformalSets]]:
    """Return the label sets of clips and of windows that still mean what they meant.

    They rest on the probabilities alone: the kind of confidence and limits of disagreement do not matter.
    """
    if learned.discount != before.discount:
        return {}, {}
    return dict(before.conformal), dict(before.window_conformal)
