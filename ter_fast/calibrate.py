"""Calibration: trusted thresholds, chosen on validation data."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ter_fast.config import TrustedThreshold
from ter_fast.errors import DataError
from ter_fast.labelled import Labelled, judge, label, modalities_present, restricted, with_pairs
from ter_fast.thresholds import Sweep, TrustedScores, sweep

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


def calibrate(
    model: Model,
    *datasets: Dataset,
    criterion: str = "balance",
    confidence: str | None = None,
    disagreement_limit: float | None = None,
    disagreement_quantile: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Model:
    """Set the model's trusted thresholds on validation data, one for each set of modalities.

    A disagreement limit does not move the thresholds; it only takes trust away from what they accept.
    A threshold lies halfway between the lowest confidence that it accepts and the next one below.
    A dataset that has several modalities calibrates each of them alone and all of them together.
    Datasets of one modality each calibrate that modality, and label-matched pairs of their clips
    calibrate the two together; the threshold's record says so.

    Args:
        model: the model; changed in place.
        *datasets: labelled clips that the model has not trained on.
        criterion: "balance" (trusted precision meets trusted recall), "f1", "accuracy",
            "precision=P" (lowest threshold that reaches P) or "coverage=Q".
        confidence: the kind of confidence from now on; None keeps the model's.
        disagreement_limit: predictions whose modalities disagree more are not trusted; None keeps the
            model's limit, infinity takes it away.
        disagreement_quantile: set that limit instead so that this share of the validation clips that
            have several modalities and are predicted right stays within it.
        seed: of the pairing.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.prepare.prepare`).

    Returns:
        The model.

    Raises:
        DataError: both a limit and a quantile, no dataset, two with the same modalities, or a
            criterion that the data meet for no set of modalities. Where they meet it for some, the
            others are left without a threshold, with a warning.
    """
    if not datasets:
        raise DataError("calibrate needs validation data; give at least one dataset")
    if disagreement_limit is not None and disagreement_quantile is not None:
        raise DataError("give disagreement_limit or disagreement_quantile, not both")
    found = with_pairs(model, [label(model, each, **options) for each in datasets], seed)
    limit = model.config.disagreement_limit if disagreement_limit is None else disagreement_limit
    if disagreement_quantile is not None:
        limit = _disagreement_limit(model, found, disagreement_quantile)
    if limit is not None and math.isinf(limit):
        limit = None
    base = replace(
        model.config,
        confidence=confidence or model.config.confidence,
        disagreement_limit=limit,
        # Thresholds of another confidence would mean nothing.
        thresholds={}
        if confidence not in (None, model.config.confidence)
        else model.config.thresholds,
    )
    before, model.config = model.config, base
    try:
        model.config = base.with_thresholds(_thresholds(model, found, criterion))
    except DataError:
        model.config = before
        raise
    return model


def _disagreement_limit(model: Model, data: Sequence[Labelled], share: float) -> float:
    if not 0 < share <= 1:
        raise DataError(f"disagreement_quantile is {share}; expected a share above 0, at most 1")
    found = []
    for each in data:
        modalities = modalities_present(model, each)
        if len(modalities) > 1:
            part = restricted(model, each, modalities)
            opinion, _ = model.opinions(part.evidence.values, part.evidence.mask)
            if opinion.disagreement is not None:
                found.append(opinion.disagreement[opinion.prediction == part.labels].numpy())
    values = np.concatenate(found) if found else np.empty(0)
    if not values.size:
        raise DataError(
            "no validation clip has several modalities and is predicted right; "
            "leave disagreement_quantile out"
        )
    return float(np.quantile(values, share))


def _thresholds(
    model: Model, found: Sequence[Labelled], criterion: str
) -> dict[str, TrustedThreshold]:
    records: dict[str, TrustedThreshold] = {}
    refused: list[str] = []
    for data in found:
        modalities = modalities_present(model, data)
        for size in range(1, len(modalities) + 1):
            for subset in combinations(modalities, size):
                if data.pairing and size < len(modalities):
                    continue
                part = restricted(model, data, subset)
                opinion, confidence, correct = judge(model, part)
                # The limit only takes trust away: a threshold chosen under it would sink to make up
                # for what it takes, and let less certain clips in.
                free = sweep(opinion.confidence, correct)
                try:
                    threshold = _between(free, _choose(free, criterion).threshold)
                except DataError as error:
                    refused.append(f"{'+'.join(subset)}: {error}")
                    continue
                chosen = sweep(confidence, correct).at(threshold)
                scores = {
                    name: getattr(chosen, name)
                    for name in ("precision", "recall", "f1", "accuracy", "coverage", "lift")
                }
                scores["accept_all_f1"] = free.accept_all_f1
                records["+".join(subset)] = TrustedThreshold(
                    threshold, criterion, part.name, free.n, part.pairing, scores
                )
    if not records:
        raise DataError("; ".join(refused) or "no clip could be used to calibrate")
    for each in refused:
        warnings.warn(f"not calibrated for {each}", UserWarning, stacklevel=3)
    return records


def _between(result: Sweep, threshold: float) -> float:
    """Move a threshold halfway to the next confidence below, which accepts the very same clips.

    Left at one clip's exact confidence, it would turn that clip around with the rounding of another
    batch size or machine.
    """
    index = int(np.searchsorted(result.threshold, threshold))
    below = float(result.threshold[index - 1]) if index else threshold
    return (threshold + below) / 2


def _choose(result: Sweep, criterion: str) -> TrustedScores:
    name, _, value = criterion.partition("=")
    if name in ("balance", "f1", "accuracy") and not value:
        scores = result.best(name)  # type: ignore[arg-type]
    elif name in ("precision", "coverage") and value:
        try:
            share = float(value)
        except ValueError:
            raise DataError(
                f"criterion is {criterion!r}; expected a number after {name}="
            ) from None
        scores = result.at_precision(share) if name == "precision" else result.at_coverage(share)
    else:
        raise DataError(
            f"criterion is {criterion!r}; expected balance, f1, accuracy, precision=P or coverage=Q"
        )
    if scores is None:
        raise DataError(
            f"no threshold meets the criterion {criterion!r} on these data ({result.n_correct} of {result.n} "
            "predictions are correct); choose another criterion, or train a better model"
        )
    return scores
