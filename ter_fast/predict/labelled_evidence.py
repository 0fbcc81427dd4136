"""Labelled clips as a model's experts see them: their evidence, and pairs of two corpora's clips."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast.errors import DataError, warn
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, Opinion
from ter_fast.predict.evidence import Evidence, clip_evidence
from ter_fast.predict.prepare import prepare
from ter_fast.trust.outcomes import ModalityOutcomes, Outcomes
from ter_fast.trust.reliability import fit_reliability

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

_PAIRED = "label-matched"
Entry = TypeVar("Entry")


@dataclass(frozen=True)
class LabelledEvidence:
    """Evidence of labelled clips.

    Attributes:
        name: Of the data.
        evidence: `(V, N, K)` and its mask.
        labels: `(N,)` true classes.
        groups: `(N,)` speaker or source.
        paths: `(N,)` files; of a pair, both.
        attributes: `(N,)` what else is known of each clip, such as sex.
        pairing: "label-matched" for pairs of clips of two single-modality corpora, "mismatched" for clips
            whose modalities are of two labels, else "".
        errors: What was wrong with files that could not be used.
        held: `(N,)` which are held out to choose whatever is chosen before a guarantee is tested on the
            others; empty for none.
    """

    name: str
    evidence: Evidence
    labels: torch.Tensor
    groups: tuple[str, ...]
    paths: tuple[str, ...]
    attributes: tuple[Mapping[str, str], ...]
    pairing: str = ""
    errors: tuple[str, ...] = ()
    held: tuple[bool, ...] = ()


def collect_evidence(
    model: Network, dataset: Dataset, *, by_window: bool = False, **options: Any
) -> LabelledEvidence:
    """Collect the experts' evidence on a labelled dataset; `options` are those of `prepare`.

    `by_window` makes each window a clip, of the same label and group.
    """
    data = prepare(model, dataset, **options)
    if by_window:
        data = data.by_window()
    training = model.training
    try:
        evidence = clip_evidence(model.eval(), data.clips, data.empty, 64)
    finally:
        model.train(training)
    on_cpu = Evidence(evidence.values.cpu(), evidence.mask.cpu())
    splits = "/".join(dict.fromkeys(sample.split for sample in dataset if sample.split))
    return LabelledEvidence(
        f"{dataset.name} {splits}".strip(),
        on_cpu,
        data.labels,
        data.groups,
        tuple(sample.name for sample in data.samples),
        tuple(sample.attributes for sample in data.samples),
        errors=data.errors,
    )


def pair(first: LabelledEvidence, second: LabelledEvidence, seed: int = 0) -> LabelledEvidence:
    """Pair clips of equal label from two single-modality corpora, each clip at most once.

    This stands in for audio-visual clips under fusion's own assumption, that the modalities are
    independent given the emotion; what one person's voice and face share is not in it. Clips that are
    held out are paired with each other, so that nothing that is tested is in a pair that is held out.

    Raises:
        DataError: The corpora have no class in common.
    """
    generator = np.random.default_rng(seed)
    left, right = [], []
    kinds, others = _kinds(first), _kinds(second)
    for shared in sorted(set(kinds) & set(others)):
        mine = generator.permutation([row for row, kind in enumerate(kinds) if kind == shared])
        yours = generator.permutation([row for row, kind in enumerate(others) if kind == shared])
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
    # Resampling needs one group per pair: that of the corpus with fewer groups, whose clips depend on each other most.
    few, rows = (
        (first, left) if len(set(first.groups)) <= len(set(second.groups)) else (second, right)
    )
    groups = tuple(few.groups[row] for row in rows)
    return LabelledEvidence(
        f"{first.name} with {second.name}",
        evidence,
        first.labels[left],
        groups,
        _join_entries(first.paths, second.paths, left, right, lambda a, b: f"{a} + {b}"),
        _join_entries(first.attributes, second.attributes, left, right, _merge_attributes),
        _PAIRED,
        (*first.errors, *second.errors),
        tuple(first.held[row] for row in left) if first.held else (),
    )


def _kinds(data: LabelledEvidence) -> list[tuple[int, bool]]:
    """Return what two clips of a pair must have in common: the label, and whether they are held out."""
    return list(zip(data.labels.tolist(), data.held or (False,) * len(data.labels), strict=True))


def _join_entries(
    first: Sequence[Entry],
    second: Sequence[Entry],
    left: Sequence[int],
    right: Sequence[int],
    join: Callable[[Entry, Entry], Entry],
) -> tuple[Entry, ...]:
    return tuple(join(first[a], second[b]) for a, b in zip(left, right, strict=True))


def _merge_attributes(first: Mapping[str, str], second: Mapping[str, str]) -> Mapping[str, str]:
    """Keep what one clip of a pair says and the other does not deny."""
    both = {**first, **second}
    return {
        key: both[key] for key in both if first.get(key, both[key]) == second.get(key, both[key])
    }


def modalities_present(model: Network, data: LabelledEvidence) -> tuple[str, ...]:
    """Return the modalities that the data hold for at least one clip."""
    present = data.evidence.mask.any(1).tolist()
    return tuple(
        name
        for name, is_present in zip(model.config.modalities, present, strict=True)
        if is_present
    )


def restrict(model: Network, data: LabelledEvidence, modalities: Sequence[str]) -> LabelledEvidence:
    """Keep the clips that have all of these modalities, and of them only these."""
    chosen = torch.tensor([name in modalities for name in model.config.modalities])
    kept = subset(data, data.evidence.mask[chosen].all(0).numpy())
    mask = kept.evidence.mask & chosen[:, None]
    values = torch.where(mask[..., None], kept.evidence.values, 0)
    return replace(kept, evidence=Evidence(values, mask))


def subset(data: LabelledEvidence, rows: NDArray[np.bool_]) -> LabelledEvidence:
    """Keep some of the clips, by a mask (N,)."""
    places = np.flatnonzero(rows)

    def take(values: tuple[Entry, ...]) -> tuple[Entry, ...]:
        return tuple(values[row] for row in places)

    return replace(
        data,
        evidence=Evidence(data.evidence.values[:, places], data.evidence.mask[:, places]),
        labels=data.labels[places],
        groups=take(data.groups),
        paths=take(data.paths),
        attributes=take(data.attributes),
        held=take(data.held) if data.held else (),
    )


def with_pairs(
    model: Network, data: Sequence[LabelledEvidence], seed: int
) -> list[LabelledEvidence]:
    """Add label-matched pairs for two modalities that no dataset has together.

    Raises:
        DataError: Two datasets have the same modalities, so that one would replace the other.
    """
    sets = [set(modalities_present(model, each)) for each in data]
    for (first, one), (second, two) in combinations(zip(data, sets, strict=True), 2):
        if one == two:
            raise DataError(
                f"{first.name} and {second.name} both hold {' and '.join(sorted(one)) or 'nothing'}; join "
                "datasets of the same modalities into one (with + on the command line)"
            )
    sets_and_pairs = list(data)
    for (first, one), (second, two) in combinations(zip(data, sets, strict=True), 2):
        if len(one) == len(two) == 1 and one != two and not any(one | two <= each for each in sets):
            sets_and_pairs.append(pair(first, second, seed))
    return sets_and_pairs


def fit_reliabilities(model: Network, data: Sequence[LabelledEvidence]) -> dict[str, float]:
    """Learn the reliability of each modality from the clips of data that hold several.

    Where some clips are held out to choose on, only these are used. Every group counts alike.

    Returns:
        By modality, what `ter_fast.trust.reliability.fit_reliability` finds; without those that no clip has.

    Raises:
        DataError: No data hold several modalities, or nothing can be learned of them.
    """
    several = [each for each in data if len(modalities_present(model, each)) > 1]
    if not several:
        raise DataError(
            "reliabilities are learned from clips that have several modalities, or from pairs of clips of "
            "two corpora, and the data hold none; leave reliability out"
        )
    held = torch.tensor(
        [row for each in several for row in each.held or (True,) * len(each.labels)]
    )
    mask = torch.cat([each.evidence.mask for each in several], 1)[:, held]
    groups = [group for each in several for group in each.groups]
    fit = fit_reliability(
        torch.cat([each.evidence.values for each in several], 1)[:, held],
        mask,
        torch.cat([each.labels for each in several])[held],
        model.config.rule,
        [group for group, use in zip(groups, held.tolist(), strict=True) if use],
    )
    if not fit.converged:
        warn(
            "the search for reliabilities ran out of steps before it converged; what it found is used "
            f"(NLL {fit.nll:.4f}, {fit.nll_before:.4f} without)"
        )
    present = mask.any(1).tolist()
    return {
        name: weight
        for name, weight, is_present in zip(
            model.config.modalities, fit.weights, present, strict=True
        )
        if is_present
    }


def outcomes(model: Network, data: LabelledEvidence) -> Outcomes:
    """Return what the model answers for labelled clips, with the threshold of their modalities."""
    opinion, by_modality = model.opinions(data.evidence.values, data.evidence.mask)
    names = modalities_present(model, data)
    record = model.config.thresholds.get("+".join(names))
    disagreement = opinion.disagreement if len(names) > 1 else None
    # An opinion without any evidence is never trusted, however low the threshold.
    has_evidence = (opinion.evidence > 0).any(-1)
    keys = dict.fromkeys(key for one in data.attributes for key in one)
    return Outcomes(
        name=data.name,
        labels=model.config.labels,
        target=data.labels.numpy(),
        probability=opinion.probability.double().numpy(),
        prediction=opinion.prediction.numpy(),
        confidence=torch.where(has_evidence, opinion.confidence, torch.nan).numpy(),
        threshold=None if record is None else record.threshold,
        groups=data.groups,
        paths=data.paths,
        attributes={key: tuple(one.get(key, "") for one in data.attributes) for key in keys},
        confidences={kind: opinion.confidence_of(kind).numpy() for kind in CONFIDENCE_KINDS},
        confidence_kind=model.config.confidence,
        uncertainty=opinion.uncertainty.double().numpy(),
        disagreement=None if disagreement is None else disagreement.double().numpy(),
        disagreement_limit=model.config.disagreement_limit,
        modalities={
            name: _alone(by_modality[name], data.evidence.mask[model.config.modalities.index(name)])
            for name in names
        },
        pairing=data.pairing,
        guarantee="" if record is None else record.guarantee_text,
        conformal=model.config.conformal.get("+".join(names)),
    )


def _alone(opinion: Opinion, present: torch.Tensor) -> ModalityOutcomes:
    return ModalityOutcomes(
        torch.where(present[:, None], opinion.belief.double(), torch.nan).numpy(),
        torch.where(present, opinion.uncertainty.double(), torch.nan).numpy(),
    )
