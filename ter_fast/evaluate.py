"""Honest figures on labelled data: accuracy and trust, with intervals resampled by group."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ter_fast import metrics
from ter_fast.errors import DataError
from ter_fast.labelled import judge, label, modalities_present, pair, restricted
from ter_fast.opinion import CONFIDENCE_KINDS
from ter_fast.prediction import write_atomically
from ter_fast.thresholds import Sweep, sweep

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.model import Model


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
        samples: clips measured: those that have all of these modalities.
        excluded: clips that lack one of them.
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
    excluded: int
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
    data = found[0]
    if len(found) == 2:
        sets = [modalities_present(model, each) for each in found]
        if any(len(each) != 1 for each in sets) or sets[0] == sets[1]:
            raise DataError(
                f"two datasets are paired by label, so each must hold one modality of its own; "
                f"{found[0].name} holds {' and '.join(sets[0])}, {found[1].name} {' and '.join(sets[1])}"
            )
        data = pair(found[0], found[1], seed)
    wanted = tuple(modalities or modalities_present(model, data))
    if unknown := [name for name in wanted if name not in model.config.modalities]:
        raise DataError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(model.config.modalities)}"
        )
    names = tuple(name for name in model.config.modalities if name in wanted)
    everything = len(data.labels)
    data = restricted(model, data, names)
    if not len(data.labels):
        raise DataError(
            f"no clip of {data.name} has {' and '.join(names)}; choose other modalities"
        )
    opinion, confidence, correct = judge(model, data)
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
        excluded=everything - len(true),
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
