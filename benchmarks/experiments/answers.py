"""What a trained model, and the usual ways to make it more trustworthy, answer to clips."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.experiments.density import Density
from ter_fast.errors import DataError
from ter_fast.experts.out_of_distribution import distance_limit, ood_weight
from ter_fast.model import Model
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, Opinion
from ter_fast.opinions.uncertainty import uncertainty
from ter_fast.predict.evidence import clip_mean
from ter_fast.predict.prepare import PreparedData
from ter_fast.train.encoded import Encoded, encode
from ter_fast.trust.criterion import by_criterion
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.scaling import fit_temperature

Floats = NDArray[np.float64]

PASSES = 30
"""Dropout masks that MC dropout averages over."""

TRUST = "confidence"
"""Name of the score that is held against the threshold."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Answers to N clips.

    Attributes:
        probability: (N, K).
        scores: By kind, (N,) confidences, the larger the surer; NaN for a clip that nothing is known of.
    """

    probability: Floats
    scores: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Judge:
    """A trained model with what was fitted on its training and validation clips.

    Attributes:
        model: The model.
        family: "evidential" or "softmax".
        densities: By modality, of the features of the training clips.
        limits: By modality, the distance from which the density guard discounts it.
        temperature: Of a softmax, fitted on validation clips.
        thresholds: By method, where precision meets recall on validation clips; NaN where nowhere.
    """

    model: Model
    family: str
    densities: Mapping[str, Density]
    limits: Mapping[str, float]
    temperature: float = 1.0
    thresholds: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def fit(
        cls, model: Model, family: str, training: PreparedData, validation: PreparedData
    ) -> tuple[Judge, dict[str, Answer]]:
        """Fit density, temperature and thresholds; return the judge and its validation answers."""
        seen = encode(model, training.clips, training.empty)
        held = encode(model, validation.clips, validation.empty)
        labels = training.labels.numpy()
        densities, limits = {}, {}
        for name, features in seen.clip_features().items():
            there = ~np.isnan(features).any(1)
            densities[name] = Density.fit(features[there], labels[there])
            reference = densities[name].mahalanobis(held.clip_features()[name])
            limits[name] = distance_limit(reference[~np.isnan(reference)])
        judge = cls(
            model, family, densities, limits,
            _temperature(model, held, validation.labels) if family == "softmax" else 1.0,
        )  # fmt: skip
        answers = judge.answers(held)
        targets = validation.labels.numpy()
        thresholds = {name: balanced(answer, targets) for name, answer in answers.items()}
        return replace(judge, thresholds=thresholds), answers

    def answers(self, found: Encoded) -> dict[str, Answer]:
        """Return the answers of every method to encoded clips; "" is the model itself."""
        evidence, mask = found.clip_evidence()
        several = len(self.model.config.modalities) > 1
        away, near = self._distances(found)
        distances = {"density_mahalanobis": -_mean(away), "density_nearest": -_mean(near)}
        rule, believed = self.model.config.rule, self.model.config.discount
        if self.family == "softmax":
            opinion = fuse(evidence, rule, mask, believed)
            made = {"": of_probability(_cooled(opinion.evidence, 1.0), mask, distances)}
            made["temperature"] = of_probability(_cooled(opinion.evidence, self.temperature), mask)
            if not several:
                made["MC dropout"] = answer_with_dropout(self.model, found, mask)
            return made
        kind = self.model.config.confidence
        made = {"": of_opinion(fuse(evidence, rule, mask, believed), mask, kind, distances)}
        # Experts with a guard of their own have been discounted already.
        if all(expert.ood is None for expert in self.model.config.experts.values()):
            weight = ood_weight(torch.from_numpy(np.nan_to_num(away)), 1.0)
            weight = weight.float() * torch.tensor(believed or (1.0,) * len(mask))[:, None]
            made["density guard"] = of_opinion(fuse(evidence, rule, mask, weight), mask, kind)
        for view, name in enumerate(self.model.config.modalities if several else ()):
            alone = mask & (torch.arange(len(mask)) == view)[:, None]
            made[f"only {name}"] = of_opinion(fuse(evidence, rule, alone, believed), alone, kind)
        return made

    def _distances(self, found: Encoded) -> tuple[Floats, Floats]:
        """Return both distances (V, N), the first over its limit; NaN where a modality is missing."""
        away, near = [], []
        for name, features in found.clip_features().items():
            there = ~np.isnan(features).any(1)
            known = np.nan_to_num(features)
            far = self.densities[name].mahalanobis(known) / self.limits[name]
            away.append(np.where(there, far, np.nan))
            near.append(np.where(there, self.densities[name].nearest(known), np.nan))
        return np.stack(away), np.stack(near)


def _mean(distances: Floats) -> Floats:
    """Return the mean over the modalities that are there, (N,); NaN where none is."""
    there = ~np.isnan(distances)
    return np.where(there.any(0), np.nansum(distances, 0) / np.maximum(there.sum(0), 1), np.nan)


def of_opinion(
    opinion: Opinion, mask: Tensor, kind: str, more: Mapping[str, Floats] | None = None
) -> Answer:
    """Return an opinion `(N, K)` as an answer, with every confidence that it has."""
    unknown = ~(mask.any(0) & (opinion.evidence > 0).any(-1)).numpy()
    scores = {name: _numbers(opinion.confidence_of(name)) for name in CONFIDENCE_KINDS}
    found = uncertainty(opinion.alpha.double(), ["mutual_information", "differential_entropy"])
    assert found.mutual_information is not None
    assert found.differential_entropy is not None
    scores["mutual_information"] = -_numbers(found.mutual_information)
    scores["differential_entropy"] = -_numbers(found.differential_entropy)
    return _answer(_numbers(opinion.probability), scores, kind, unknown, more)


def of_probability(
    probability: Floats,
    mask: Tensor,
    more: Mapping[str, Floats] | None = None,
    expected_entropy: Floats | None = None,
) -> Answer:
    """Return probabilities `(N, K)` as an answer; `expected_entropy` (N,) is that of an ensemble's members."""
    unknown = ~mask.any(0).numpy()
    entropy = entropy_of(probability)
    second, first = np.sort(probability, 1)[:, -2:].T
    scores = {
        "max_probability": first,
        "margin": first - second,
        "one_minus_entropy": 1 - entropy / np.log(probability.shape[1]),
    }
    if expected_entropy is not None:
        scores["mutual_information"] = expected_entropy - entropy
    return _answer(probability, scores, "max_probability", unknown, more)


def _answer(
    probability: Floats,
    scores: Mapping[str, Floats],
    kind: str,
    unknown: NDArray[np.bool_],
    more: Mapping[str, Floats] | None,
) -> Answer:
    both = {TRUST: scores[kind], **scores, **(more or {})}
    return Answer(
        probability, {name: np.where(unknown, np.nan, each) for name, each in both.items()}
    )


def answer_with_dropout(model: Model, found: Encoded, mask: Tensor, passes: int = PASSES) -> Answer:
    """Average the softmax over dropout masks on the pooled features: MC dropout.

    Reference:
        Gal & Ghahramani, "Dropout as a Bayesian approximation", 2016. Here, as in training, what is
        dropped are features that the encoder pooled; so the encoder runs once.
    """
    (name,) = model.config.modalities
    expert: Any = model.experts[name]
    features = found.features[name].to(model.device)
    rate = float(getattr(getattr(expert.encoder, "dropout", None), "p", 0.5))
    total: Tensor | float = 0.0
    entropy: Floats | float = 0.0
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(passes):
            logits = expert.head(F.dropout(features, rate)).float().cpu().double()
            mean, _ = clip_mean(
                torch.softmax(logits, -1)[None], found.mask, found.owner, found.count
            )
            each = mean[0]
            total = total + each / passes
            entropy = entropy + entropy_of(_numbers(each)) / passes
    assert isinstance(total, Tensor)
    assert isinstance(entropy, np.ndarray)
    return of_probability(_numbers(total), mask, expected_entropy=entropy)


def ensemble(answers: Sequence[Answer]) -> Answer:
    """Average the probabilities of models that were trained alike from other weights.

    Reference:
        Lakshminarayanan, Pritzel & Blundell, "Simple and scalable predictive uncertainty estimation
        using deep ensembles", 2017.

    Example:
        >>> one, two = (Answer(np.array([row]), {TRUST: np.ones(1)}) for row in ([1.0, 0], [0.5, 0.5]))
        >>> ensemble([one, two]).probability.tolist()
        [[0.75, 0.25]]
    """
    chances = np.stack([answer.probability for answer in answers])
    known = torch.from_numpy(~np.isnan(answers[0].scores[TRUST]))[None]
    entropy = np.mean([entropy_of(chance) for chance in chances], 0)
    return of_probability(chances.mean(0), known, expected_entropy=entropy)


def entropy_of(probability: Floats) -> Floats:
    """Return the entropy of each row in nats, (N,)."""
    return np.asarray(-(probability * np.log(np.maximum(probability, 1e-30))).sum(1))


def balanced(answer: Answer, target: NDArray[np.int64]) -> float:
    """Return the threshold where trusted precision meets trusted recall; NaN where there is none."""
    known = Outcomes.from_arrays(answer.probability, target, confidence=answer.scores[TRUST])
    try:
        return by_criterion("balance", known).threshold
    except DataError:
        return float("nan")


def _temperature(model: Model, found: Encoded, labels: Tensor) -> float:
    evidence, mask = found.clip_evidence()
    fused = fuse(evidence, model.config.rule, mask, model.config.discount).evidence
    with warnings.catch_warnings():
        # Validation clips that are all right, or that chance would answer better, push it to its bound.
        warnings.filterwarnings("ignore", message="the temperature reached its bound")
        try:
            return fit_temperature(_logits(fused).numpy(), labels.numpy())
        except DataError:
            return 1.0


def _cooled(evidence: Tensor, temperature: float) -> Floats:
    return _numbers(torch.softmax(_logits(evidence) / temperature, -1))


def _logits(evidence: Tensor) -> Tensor:
    """Return the logits that evidence of the activation exp came from, up to a constant a row."""
    logs = evidence.double().clamp_min(1e-30).log()
    return logs - logs.amax(-1, keepdim=True)


def _numbers(values: Tensor) -> Floats:
    return np.asarray(values.detach().cpu().double().numpy())
