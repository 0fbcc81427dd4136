"""Calibration of the trusted thresholds, and honest figures on labelled data."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast import metrics
from ter_fast.config import TrustedThreshold
from ter_fast.errors import DataError
from ter_fast.inference import Evidence, clip_evidence
from ter_fast.opinion import CONFIDENCE_KINDS, Opinion
from ter_fast.prediction import write_atomically
from ter_fast.prepare import prepare
from ter_fast.thresholds import Sweep, TrustedScores, sweep

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model

_PAIRED = "label-matched"


@dataclass(frozen=True)
class Labelled:
    """Evidence of labelled clips.

    Attributes:
        name: of the data.
        evidence: `(V, N, K)` and its mask.
        labels: `(N,)` true classes.
        groups: `(N,)` speaker or source.
        pairing: "label-matched" for pairs of clips of two single-modality corpora, else "".
        errors: what was wrong with files that could not be used.
    """

    name: str
    evidence: Evidence
    labels: torch.Tensor
    groups: tuple[str, ...]
    pairing: str = ""
    errors: tuple[str, ...] = ()


def label(model: Model, dataset: Dataset, **options: Any) -> Labelled:
    """Decode a labelled dataset and run the experts on it; `options` are those of `prepare`."""
    data = prepare(model, dataset, **options)
    training = model.training
    evidence = clip_evidence(model.eval(), data.clips, data.empty, 64)
    model.train(training)
    found = Evidence(evidence.values.cpu(), evidence.mask.cpu())
    splits = "/".join(dict.fromkeys(sample.split for sample in dataset if sample.split))
    return Labelled(
        f"{dataset.name} {splits}".strip(), found, data.labels, data.groups, errors=data.errors
    )


def pair(first: Labelled, second: Labelled, seed: int = 0) -> Labelled:
    """Pair clips of equal label from two single-modality corpora, each clip at most once.

    This stands in for audio-visual clips under fusion's own assumption, that the modalities are
    independent given the emotion; what one person's voice and face share is not in it.

    Raises:
        DataError: the corpora have no class in common.
    """
    generator = np.random.default_rng(seed)
    left, right = [], []
    for each in sorted(set(first.labels.tolist()) & set(second.labels.tolist())):
        mine = generator.permutation(np.flatnonzero(first.labels.numpy() == each))
        yours = generator.permutation(np.flatnonzero(second.labels.numpy() == each))
        size = min(len(mine), len(yours))
        left += mine[:size].tolist()
        right += yours[:size].tolist()
    if not left:
        raise DataError(
            f"{first.name} and {second.name} have no class in common, so their clips cannot be paired"
        )
    evidence = Evidence(
        first.evidence.values[:, left] + second.evidence.values[:, right],
        first.evidence.mask[:, left] | second.evidence.mask[:, right],
    )
    # Resampling needs one group per pair: that of the corpus with fewer groups, whose clips hang together most.
    few, rows = (
        (first, left) if len(set(first.groups)) <= len(set(second.groups)) else (second, right)
    )
    groups = tuple(few.groups[row] for row in rows)
    return Labelled(
        f"{first.name} with {second.name}", evidence, first.labels[left], groups, _PAIRED,
        (*first.errors, *second.errors),
    )  # fmt: skip


def present(model: Model, data: Labelled) -> tuple[str, ...]:
    """Return the modalities that the data hold for at least one clip."""
    there = data.evidence.mask.any(1).tolist()
    return tuple(name for name, has in zip(model.config.modalities, there, strict=True) if has)


def _restricted(model: Model, data: Labelled, modalities: Sequence[str]) -> Labelled:
    """Keep the clips that have all of these modalities, and of them only these."""
    chosen = torch.tensor([name in modalities for name in model.config.modalities])
    rows = data.evidence.mask[chosen].all(0)
    mask = data.evidence.mask[:, rows] & chosen[:, None]
    values = torch.where(mask[..., None], data.evidence.values[:, rows], 0)
    groups = tuple(group for group, keep in zip(data.groups, rows.tolist(), strict=True) if keep)
    return replace(data, evidence=Evidence(values, mask), labels=data.labels[rows], groups=groups)


def _with_pairs(model: Model, data: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Add label-matched pairs for two modalities that no dataset has together."""
    sets = [set(present(model, each)) for each in data]
    found = list(data)
    for (first, one), (second, two) in combinations(zip(data, sets, strict=True), 2):
        if len(one) == len(two) == 1 and one != two and not any(one | two <= each for each in sets):
            found.append(pair(first, second, seed))
    return found


def _judge(model: Model, data: Labelled) -> tuple[Opinion, NDArray[Any], NDArray[np.bool_]]:
    """Return the fused opinions, the confidences, and which predictions are right."""
    opinion, _ = model.opinions(data.evidence.values, data.evidence.mask)
    confidence, limit = opinion.confidence.numpy(), model.config.disagreement_limit
    # A prediction above the disagreement limit is not trusted at any threshold, as one without confidence.
    if limit is not None and opinion.disagreement is not None:
        confidence = np.where(opinion.disagreement.numpy() > limit, np.nan, confidence)
    return opinion, confidence, (opinion.prediction == data.labels).numpy()


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


def calibrate(
    model: Model,
    *datasets: Dataset,
    criterion: str = "balance",
    confidence: str | None = None,
    disagreement_limit: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Model:
    """Set the model's trusted thresholds on validation data, one for each set of modalities.

    The threshold lies halfway between the lowest confidence that it accepts and the next one below.
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
        seed: of the pairing.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.prepare.prepare`).

    Returns:
        The model.

    Raises:
        DataError: no dataset, or a criterion that the data cannot meet.
    """
    if not datasets:
        raise DataError("calibrate needs validation data; give at least one dataset")
    found = _with_pairs(model, [label(model, each, **options) for each in datasets], seed)
    limit = model.config.disagreement_limit if disagreement_limit is None else disagreement_limit
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


def _thresholds(
    model: Model, found: Sequence[Labelled], criterion: str
) -> dict[str, TrustedThreshold]:
    records: dict[str, TrustedThreshold] = {}
    for data in found:
        modalities = present(model, data)
        for size in range(1, len(modalities) + 1):
            for subset in combinations(modalities, size):
                if data.pairing and size < len(modalities):
                    continue
                part = _restricted(model, data, subset)
                result = sweep(*_judge(model, part)[1:])
                chosen = _choose(result, criterion)
                scores = {
                    name: getattr(chosen, name)
                    for name in ("precision", "recall", "f1", "accuracy", "coverage", "lift")
                }
                scores["accept_all_f1"] = result.accept_all_f1
                records["+".join(subset)] = TrustedThreshold(
                    _between(result, chosen.threshold),
                    criterion,
                    part.name,
                    result.n,
                    part.pairing,
                    scores,
                )
    return records


def _between(result: Sweep, threshold: float) -> float:
    """Move a threshold halfway to the next confidence below, which accepts the very same clips.

    Left at one clip's exact confidence, it would turn that clip around with the rounding of another
    batch size or machine.
    """
    index = int(np.searchsorted(result.threshold, threshold))
    below = float(result.threshold[index - 1]) if index else threshold
    return (threshold + below) / 2


@dataclass(frozen=True)
class Figure:
    """A figure and the ends of its 95 % interval, resampled by group."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Evaluation:
    """What a model did on labelled data.

    Attributes:
        name: of the data.
        modalities: that were used, joined by "+".
        pairing: "label-matched" for pairs of clips of two corpora, else "".
        samples: clips measured.
        groups: speakers or sources among them.
        threshold: trusted threshold in force; None when the model is not calibrated for these.
        figures: accuracy, uar, macro_f1, weighted_f1, nll, brier, ece, aurc, failure_auroc,
            accept_all_f1 and, with a threshold, trusted_precision, trusted_recall, trusted_f1,
            trusted_accuracy, coverage and lift, each with its interval.
        aurc_by_confidence: area under the risk-coverage curve by kind of confidence: which ranks errors best.
        recall_by_class: recall of each class that occurs.
        confusion: rows true, columns predicted, in the order of `labels`.
        labels: class names.
        errors: what was wrong with files that could not be used.
    """

    name: str
    modalities: str
    pairing: str
    samples: int
    groups: int
    threshold: float | None
    figures: Mapping[str, Figure]
    aurc_by_confidence: Mapping[str, float]
    recall_by_class: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...]
    labels: tuple[str, ...]
    errors: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain Python values, for JSON."""
        return asdict(self)

    def to_json(self, path: str | Path) -> None:
        """Write the figures as JSON, null where a figure has no value; all of it or nothing."""
        text = json.dumps(_finite(self.to_dict()), indent=2, ensure_ascii=False) + "\n"
        write_atomically(path, lambda target: target.write_text(text, encoding="utf-8"))


def _finite(value: Any) -> Any:
    """Replace NaN and infinity, which JSON does not know, by None."""
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def evaluate(
    model: Model,
    *datasets: Dataset,
    modalities: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    **options: Any,
) -> Evaluation:
    """Measure a model on labelled clips that it has not seen.

    Args:
        model: the model.
        *datasets: one dataset, or two of one modality each, whose clips are paired by label.
        modalities: use only these, on the clips that have all of them; None for all there are.
        resamples: bootstrap draws of whole groups.
        seed: of the bootstrap and the pairing.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.prepare.prepare`).

    Raises:
        DataError: no dataset, more than two, or no clip with these modalities.
    """
    found = [label(model, each, **options) for each in datasets]
    if len(found) not in (1, 2):
        raise DataError(f"evaluate takes one dataset, or two to pair; given {len(found)}")
    data = found[0] if len(found) == 1 else pair(found[0], found[1], seed)
    names = tuple(modalities or present(model, data))
    if unknown := [name for name in names if name not in model.config.modalities]:
        raise DataError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(model.config.modalities)}"
        )
    data = _restricted(model, data, names)
    if not len(data.labels):
        raise DataError(
            f"no clip of {data.name} has {' and '.join(names)}; choose other modalities"
        )
    opinion, confidence, correct = _judge(model, data)
    record = model.config.thresholds.get("+".join(names))
    true, predicted = data.labels.numpy(), opinion.prediction.numpy()
    probability = opinion.probability.double().numpy()

    def figure(statistic: Callable[..., float], *arrays: NDArray[Any]) -> Figure:
        value = float(statistic(*arrays))
        interval = metrics.bootstrap_interval(
            statistic, *arrays, groups=np.asarray(data.groups), resamples=resamples, seed=seed
        )
        return Figure(value, interval.low, interval.high)

    def trust(read: Callable[[Sweep], float]) -> Figure:
        return figure(lambda c, r: read(sweep(c, r)), confidence, correct)

    figures = {
        "accuracy": figure(metrics.accuracy, predicted, true),
        "uar": figure(metrics.unweighted_average_recall, predicted, true),
        "macro_f1": figure(metrics.macro_f1, predicted, true),
        "weighted_f1": figure(metrics.weighted_f1, predicted, true),
        "nll": figure(metrics.negative_log_likelihood, probability, true),
        "brier": figure(metrics.brier, probability, true),
        "ece": figure(metrics.expected_calibration_error, probability, true),
        "aurc": trust(lambda s: s.aurc),
        "failure_auroc": trust(lambda s: s.failure_auroc),
        "accept_all_f1": trust(lambda s: s.accept_all_f1),
    }
    if record is not None:
        threshold = record.threshold
        for name in ("precision", "recall", "f1", "accuracy"):
            figures[f"trusted_{name}"] = trust(lambda s, name=name: getattr(s.at(threshold), name))  # type: ignore[misc]
        for name in ("coverage", "lift"):
            figures[name] = trust(lambda s, name=name: getattr(s.at(threshold), name))  # type: ignore[misc]
    matrix = metrics.confusion_matrix(predicted, true, len(model.config.labels))
    return Evaluation(
        name=data.name,
        modalities="+".join(names),
        pairing=data.pairing,
        samples=len(true),
        groups=len(set(data.groups)),
        threshold=None if record is None else record.threshold,
        figures=figures,
        aurc_by_confidence={
            kind: sweep(opinion.confidence_of(kind), correct).aurc for kind in CONFIDENCE_KINDS
        },
        recall_by_class={
            name: float(matrix[row, row] / matrix[row].sum())
            for row, name in enumerate(model.config.labels)
            if matrix[row].sum()
        },
        confusion=tuple(tuple(int(value) for value in row) for row in matrix),
        labels=model.config.labels,
        errors=data.errors,
    )
