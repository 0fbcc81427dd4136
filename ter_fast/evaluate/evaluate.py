"""Metrics on labelled data: accuracy and trust, with intervals resampled by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.evaluate.evaluation import Evaluation
from ter_fast.evaluate.origin import origin_of
from ter_fast.experts.provenance import known_groups, warn_of_known_groups
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.labelled_evidence import (
    collect_evidence,
    modalities_present,
    outcomes,
    pair,
    restrict,
)
from ter_fast.trust import metrics
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import bootstrap_of, estimates_of
from ter_fast.trust.subgroups import by_subgroup
from ter_fast.trust.thresholds import sweep

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network


@on_cpu_by_default
def evaluate(
    model: Network,
    *datasets: Dataset,
    modalities: Sequence[str] | None = None,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    **options: Any,
) -> Evaluation:
    """Measure a model on labelled clips that it has not seen.

    Warns once where data and training share speakers or sources by name (see `ter_fast.experts.provenance`).

    Args:
        model: The model.
        *datasets: One dataset, or two of one modality each, whose clips are paired by label.
        modalities: Use only these, on the clips that have all of them; None for all there are.
        by: Attributes of the clips to break the figures down by; None for those known to matter.
        resamples: Bootstrap draws of whole groups.
        seed: Of the bootstrap and the pairing.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.predict.prepare.prepare`).

    Raises:
        DataError: No dataset, more than two, no clip with these modalities, or an attribute that no
            clip has.
    """
    evidence = [collect_evidence(model, dataset, **options) for dataset in datasets]
    if len(evidence) not in (1, 2):
        raise DataError(f"evaluate takes one dataset, or two to pair; given {len(evidence)}")
    data = evidence[0]
    if len(evidence) == 2:
        sets = [modalities_present(model, each) for each in evidence]
        if any(len(each) != 1 for each in sets) or sets[0] == sets[1]:
            raise DataError(
                f"two datasets are paired by label, so each must hold one modality of its own; "
                f"{evidence[0].name} holds {' and '.join(sets[0])}, {evidence[1].name} {' and '.join(sets[1])}"
            )
        data = pair(evidence[0], evidence[1], seed)
    wanted = tuple(modalities or modalities_present(model, data))
    if unknown := [name for name in wanted if name not in model.config.modalities]:
        raise DataError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(model.config.modalities)}"
        )
    names = tuple(name for name in model.config.modalities if name in wanted)
    everything = len(data.labels)
    data = restrict(model, data, names)
    if not len(data.labels):
        raise DataError(
            f"no clip of {data.name} has {' and '.join(names)}; choose other modalities"
        )
    groups_of_training = known_groups(model.config, datasets, names)
    warn_of_known_groups(groups_of_training, data.name)
    return measure(
        outcomes(model, data),
        by=by,
        resamples=resamples,
        seed=seed,
        modalities="+".join(names),
        excluded=everything - len(data.labels),
        errors=data.errors,
        known=groups_of_training,
        origin=origin_of(model, datasets),
    )


def measure(
    answers: Outcomes,
    *,
    by: Sequence[str] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    modalities: str = "",
    excluded: int = 0,
    errors: Sequence[str] = (),
    known: Sequence[str] = (),
    origin: Mapping[str, str] | None = None,
) -> Evaluation:
    """Measure answers to labelled clips: those of a model of this package, or of any other.

    Args:
        answers: At least one clip's.
        by: Attributes to break the figures down by; None for those known to matter.
        resamples: Bootstrap draws of whole groups.
        seed: Of the bootstrap.
        modalities: That were used, for the record.
        excluded: Clips left out, for the record.
        errors: What was wrong with files, for the record.
        known: Groups that the model learned from, for the record.
        origin: The model, data, date and version, for the record; None where they are not known.

    Raises:
        DataError: An attribute that no clip has.

    Example:
        >>> answers = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0], threshold=0.7)
        >>> measure(answers).figures["trusted_precision"].value
        1.0
    """
    correct = answers.correct
    return Evaluation(
        name=answers.name,
        modalities=modalities,
        pairing=answers.pairing,
        samples=len(answers),
        excluded=excluded,
        groups=len(set(answers.groups)),
        without_confidence=int(np.isnan(answers.confidence).sum()),
        threshold=answers.threshold,
        figures=estimates_of(answers, resamples, seed),
        aurc_by_confidence={
            kind: sweep(answers.within_limit(values), correct).aurc
            for kind, values in answers.confidences.items()
        },
        subgroups=by_subgroup(answers, by, resamples, seed),
        confusion=_confusion(answers, np.ones(len(answers), bool)),
        trusted_confusion=None if answers.trusted is None else _confusion(answers, answers.trusted),
        labels=answers.labels,
        errors=tuple(errors),
        note=bootstrap_of(answers, resamples, seed).note,
        outcomes=answers,
        known_groups=tuple(known),
        origin=origin or {},
    )


def _confusion(answers: Outcomes, chosen: NDArray[np.bool_]) -> tuple[tuple[int, ...], ...]:
    matrix = metrics.confusion_matrix(
        answers.prediction[chosen], answers.target[chosen], len(answers.labels)
    )
    return tuple(tuple(int(value) for value in row) for row in matrix)
