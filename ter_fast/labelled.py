"""Labelled clips as a model's experts see them: their evidence, and pairs of two corpora's clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.inference import Evidence, clip_evidence
from ter_fast.opinion import Opinion
from ter_fast.prepare import prepare

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


def modalities_present(model: Model, data: Labelled) -> tuple[str, ...]:
    """Return the modalities that the data hold for at least one clip."""
    there = data.evidence.mask.any(1).tolist()
    return tuple(name for name, has in zip(model.config.modalities, there, strict=True) if has)


def restricted(model: Model, data: Labelled, modalities: Sequence[str]) -> Labelled:
    """Keep the clips that have all of these modalities, and of them only these."""
    chosen = torch.tensor([name in modalities for name in model.config.modalities])
    rows = data.evidence.mask[chosen].all(0)
    mask = data.evidence.mask[:, rows] & chosen[:, None]
    values = torch.where(mask[..., None], data.evidence.values[:, rows], 0)
    groups = tuple(group for group, keep in zip(data.groups, rows.tolist(), strict=True) if keep)
    return replace(data, evidence=Evidence(values, mask), labels=data.labels[rows], groups=groups)


def with_pairs(model: Model, data: Sequence[Labelled], seed: int) -> list[Labelled]:
    """Add label-matched pairs for two modalities that no dataset has together.

    Raises:
        DataError: two datasets have the same modalities, so that one would replace the other.
    """
    sets = [set(modalities_present(model, each)) for each in data]
    for (first, one), (second, two) in combinations(zip(data, sets, strict=True), 2):
        if one == two:
            raise DataError(
                f"{first.name} and {second.name} both hold {' and '.join(sorted(one)) or 'nothing'}; join "
                "datasets of the same modalities into one (with + on the command line)"
            )
    found = list(data)
    for (first, one), (second, two) in combinations(zip(data, sets, strict=True), 2):
        if len(one) == len(two) == 1 and one != two and not any(one | two <= each for each in sets):
            found.append(pair(first, second, seed))
    return found


def judge(model: Model, data: Labelled) -> tuple[Opinion, NDArray[Any], NDArray[np.bool_]]:
    """Return the fused opinions, the confidences, and which predictions are right."""
    opinion, _ = model.opinions(data.evidence.values, data.evidence.mask)
    confidence, limit = opinion.confidence.numpy(), model.config.disagreement_limit
    # A prediction above the disagreement limit is not trusted at any threshold, as one without confidence.
    if limit is not None and opinion.disagreement is not None:
        confidence = np.where(opinion.disagreement.numpy() > limit, np.nan, confidence)
    return opinion, confidence, (opinion.prediction == data.labels).numpy()
