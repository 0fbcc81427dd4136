"""Populations of clips from which guarantees are simulated: by clip, by speaker, by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

RISK, DELTA, DRAWS = 0.2, 0.1, 2000
CLIPS, SPEAKERS, OTHERS = 400, 60, 100
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Population:
    """Clips by speaker, (S, M) each; clips of no speaker are one row of many."""

    confidence: Floats
    wrong: Floats
    kind: NDArray[np.int64] | None = None

    def rows(self, kind: int) -> Population:
        """Return the clips of one kind (a predicted class, a subgroup of clips)."""
        assert self.kind is not None
        chosen = self.kind == kind
        return Population(self.confidence[chosen][None], self.wrong[chosen][None])

    @cached_property
    def curve(self) -> tuple[Floats, Floats]:
        """Return the confidences in descending order, NaN last, and the errors accepted with each."""
        order = np.argsort(-self.confidence, axis=None)
        return self.confidence.flat[order], self.wrong.flat[order].cumsum()

    def risk_and_coverage(self, threshold: float) -> tuple[float, float]:
        """Return E(share wrong and trusted) / E(share trusted), 0 for nothing trusted, and the latter."""
        confidence, errors = self.curve
        accepted = int(np.searchsorted(-confidence, -threshold, side="right"))
        risk = errors[accepted - 1] / accepted if accepted else 0.0
        return float(risk), accepted / confidence.size

    def best_coverage(self, risk: float) -> float:
        """Return the largest coverage of any threshold that keeps the risk."""
        confidence, errors = self.curve
        size = np.arange(1, errors.size + 1)
        last = np.append(confidence[1:] != confidence[:-1], True) & ~np.isnan(confidence)
        return float((size * (last & (errors / size <= risk))).max() / errors.size)


@dataclass(frozen=True)
class Draw:
    """Calibration data."""

    confidence: Floats
    correct: NDArray[np.bool_]
    speaker: NDArray[np.int64]
    kind: NDArray[np.int64] | None


def drawn(population: Population, size: int, generator: np.random.Generator) -> Draw:
    """Draw `size` clips of a population of one row, or of `size` speakers with 3 to 30 clips each."""
    rows, columns = population.confidence.shape
    speaker = np.zeros(size, np.int64)
    row = speaker
    if rows > 1:
        speaker = np.repeat(np.arange(size), generator.integers(3, 31, size))
        row = generator.integers(rows, size=size)[speaker]
    column = generator.integers(columns, size=speaker.size)
    correct = generator.random(speaker.size) >= population.wrong[row, column]
    kind = None if population.kind is None else population.kind[row, column]
    return Draw(population.confidence[row, column], correct, speaker, kind)


# -- populations ----------------------------------------------------------------------------------


def clips(
    confidence: Callable[[np.random.Generator, int], Floats], wrong: Callable[[Floats], Floats]
) -> Population:
    values = confidence(np.random.default_rng(1), 100_000)
    return Population(values[None], wrong(values).clip(0, 1)[None])


def speakers(spread: float, level: float, calibrated: bool = True) -> Population:
    """Return speakers whose errors have a logit of their own, and more of them where less sure."""
    generator = np.random.default_rng(2)
    confidence = generator.beta(5, 2, (4000, 60))
    logit = level + spread * generator.standard_normal((4000, 1))
    slope = 4.0 * (0.7 - confidence) if calibrated else 0.0
    return Population(confidence, 1 / (1 + np.exp(-(logit + slope + 0 * confidence))))


def hopeless_speakers(share: float = RISK * 1.01) -> Population:
    """Return speakers of whom a share, a little over `RISK`, are always wrong, and the others never."""
    confidence = np.random.default_rng(3).random((4000, 60))
    bad = np.arange(4000) < 4000 * share
    return Population(confidence, np.repeat(bad[:, None], 60, 1).astype(float))


def beta(a: float, b: float) -> Callable[[np.random.Generator, int], Floats]:
    return lambda generator, size: generator.beta(a, b, size)


def tied(generator: np.random.Generator, size: int) -> Floats:
    return generator.choice([0.2, 0.4, 0.5, 0.6, 0.8, 0.9, 1.0], size)


def with_nan(generator: np.random.Generator, size: int) -> Floats:
    return np.where(generator.random(size) < 0.1, np.nan, generator.beta(5, 2, size))


def of_kinds(population: Population, kinds: int, penalty: float) -> Population:
    """Return the clips in several kinds, of which each is wrong more often than the one before."""
    kind = np.random.default_rng(4).integers(kinds, size=population.wrong.shape)
    wrong = (population.wrong + penalty * kind).clip(0, 1)
    return Population(population.confidence, wrong, kind)


def one_bad_kind() -> Population:
    """Return clips of three kinds, of which one is wrong a little too often and the others never."""
    generator = np.random.default_rng(5)
    confidence, kind = generator.random((1, 100_000)), generator.integers(3, size=(1, 100_000))
    return Population(confidence, np.where(kind == 2, JUST_OVER, 0.0), kind)


JUST_OVER = RISK * 1.001
CLIP_POPULATIONS: dict[str, Population] = {
    "calibrated": clips(beta(5, 2), lambda c: 1 - c),
    "overconfident": clips(beta(20, 1), lambda c: 0.15 + 1.5 * (1 - c)),
    "tied": clips(tied, lambda c: 0.5 * (1.1 - c)),
    "most sure, most wrong": clips(beta(5, 2), lambda c: np.where(c > 0.9, 0.35, 0.9 - c)),
    "one in ten NaN": clips(with_nan, lambda c: np.where(np.isnan(c), 0.5, 1 - c)),
    "just over the risk": clips(beta(2, 2), lambda c: np.full_like(c, JUST_OVER)),
    "just over, two values": clips(
        lambda generator, size: generator.choice([0.5, 1.0], size),
        lambda c: np.full_like(c, JUST_OVER),
    ),
}
SPEAKER_POPULATIONS: dict[str, Population] = {
    "alike": speakers(0.1, -1.4),
    "different": speakers(1.0, -1.8),
    "very different": speakers(3.0, -4.0),
    "different, uninformative": speakers(1.0, -1.6, calibrated=False),
    "all right or all wrong": hopeless_speakers(),
}
KIND_POPULATIONS: dict[str, Population] = {
    "alike": of_kinds(CLIP_POPULATIONS["calibrated"], 3, 0.0),
    "different": of_kinds(CLIP_POPULATIONS["calibrated"], 3, 0.08),
    "just over the risk": of_kinds(CLIP_POPULATIONS["just over the risk"], 3, 0.0),
    "one kind just over": one_bad_kind(),
}
