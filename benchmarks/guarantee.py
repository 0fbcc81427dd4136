"""How often guaranteed thresholds break their promise, over simulated calibration data.

    python -m benchmarks.guarantee [--draws 2000] [--out benchmarks/results/guarantee.md]

A population is a table of clips with a confidence and a chance of being wrong, so that the true
risk of every threshold is known exactly; calibration data are drawn from it with replacement.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import guarantee_groups
from ter_fast.trust.thresholds import (
    Grid,
    Guarantee,
    grid_from,
    guaranteed,
    guaranteed_by_class,
    guaranteed_worst_group,
)
from ter_fast.trust.thresholds.guarantee.grids import NUMERIC_GRID, as_grid
from ter_fast.trust.thresholds.guarantee.hypotheses import hypotheses

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

# -- procedures: from calibration data, and others for the grid, to thresholds by kind ------------

Thresholds = Mapping[int, float | None]
Procedure = Callable[[Draw, Draw], Thresholds]


def quantiles(others: Draw) -> Grid:
    return grid_from(others.confidence)


def one(found: Guarantee) -> Thresholds:
    return {0: found.threshold}


def ltt(draw: Draw, others: Draw) -> Thresholds:
    return one(guaranteed(draw.confidence, draw.correct, RISK, DELTA, grid=quantiles(others)))


def ltt_fixed(draw: Draw, others: Draw) -> Thresholds:
    return one(guaranteed(draw.confidence, draw.correct, RISK, DELTA))


def sgr(draw: Draw, others: Draw) -> Thresholds:
    return one(guaranteed(draw.confidence, draw.correct, RISK, DELTA, "sgr"))


def uncorrected(draw: Draw, others: Draw) -> Thresholds:
    """Take the loosest of 25 thresholds that pass at delta each: the error that "ltt" corrects."""
    grid = as_grid(NUMERIC_GRID)
    passed = hypotheses(draw.confidence, draw.correct, grid).rejected(RISK, DELTA)
    return {0: min(grid.threshold[passed], default=None)}


def by_speaker(draw: Draw, others: Draw) -> Thresholds:
    found = guaranteed(
        draw.confidence, draw.correct, RISK, DELTA, grid=quantiles(others), groups=draw.speaker
    )
    return one(found)


def by_speaker_fixed(draw: Draw, others: Draw) -> Thresholds:
    return one(guaranteed(draw.confidence, draw.correct, RISK, DELTA, groups=draw.speaker))


def by_class(draw: Draw, others: Draw) -> Thresholds:
    assert draw.kind is not None
    assert others.kind is not None
    grids = {k: grid_from(others.confidence[others.kind == k]) for k in range(3)}
    found = guaranteed_by_class(
        draw.confidence, draw.correct, draw.kind, RISK, DELTA, grid=grids, labels=range(3)
    )
    return {kind: each.threshold for kind, each in found.items()}


def worst_group(draw: Draw, others: Draw) -> Thresholds:
    assert draw.kind is not None
    found = guaranteed_worst_group(
        draw.confidence, draw.correct, draw.kind, RISK, DELTA, grid=quantiles(others)
    )
    return dict.fromkeys(range(3), found.threshold)


@dataclass(frozen=True)
class Outcome:
    """What became of a promise over many draws.

    Attributes:
        violated: Share of the draws whose threshold has a true risk above the promised one.
        found: Share of the draws that gave a threshold (in every kind, where there are several).
        coverage: Mean true coverage, 0 where there is no threshold.
        oracle: Largest true coverage of any threshold that keeps the risk.
    """

    violated: float
    found: float
    coverage: float
    oracle: float


def simulate(
    procedure: Procedure, population: Population, size: int, draws: int = DRAWS, seed: int = 0
) -> Outcome:
    """Calibrate on many draws, and hold every threshold against the population's true risk."""
    generator = np.random.default_rng(seed)
    kinds = 1 if population.kind is None else int(population.kind.max()) + 1
    parts = [population] if kinds == 1 else [population.rows(kind) for kind in range(kinds)]
    weight = [part.confidence.size / population.confidence.size for part in parts]
    others_size = size if population.confidence.shape[0] > 1 else OTHERS * kinds
    # A few grids serve all draws: the promise is over the calibration data, whatever the grid.
    others = [drawn(population, others_size, generator) for _ in range(20)]
    violated = found = 0
    covered = 0.0
    with guarantee_groups.thresholds_alone():
        for i in range(draws):
            chosen = procedure(drawn(population, size, generator), others[i % 20])
            known = {
                kind: parts[kind].risk_and_coverage(t)
                for kind, t in chosen.items()
                if t is not None
            }
            violated += any(risk > RISK for risk, _ in known.values())
            found += len(known) == kinds
            covered += sum(weight[kind] * coverage for kind, (_, coverage) in known.items())
    oracle = sum(w * part.best_coverage(RISK) for w, part in zip(weight, parts, strict=True))
    return Outcome(violated / draws, found / draws, covered / draws, oracle)


def allowed(draws: int = DRAWS, delta: float = DELTA) -> float:
    """Return delta and three standard errors of a share of this many draws."""
    return delta + 3 * math.sqrt(delta * (1 - delta) / draws)


@dataclass(frozen=True)
class Block:
    """Procedures that are run on the same populations."""

    title: str
    populations: Mapping[str, Population]
    size: int
    procedures: Mapping[str, Procedure] = field(default_factory=dict)


BLOCKS = (
    Block(
        f"{CLIPS} clips, for further clips",
        CLIP_POPULATIONS,
        CLIPS,
        {"ltt, grid of 100 other clips": ltt, "ltt, fixed thresholds": ltt_fixed, "sgr": sgr},
    ),
    Block(
        f"{SPEAKERS} speakers of 3 to 30 clips, for new speakers",
        SPEAKER_POPULATIONS,
        SPEAKERS,
        {"ltt over groups": by_speaker, "ltt over groups, fixed thresholds": by_speaker_fixed},
    ),
    Block(
        f"{3 * CLIPS} clips of three kinds, all kinds at once",
        KIND_POPULATIONS,
        3 * CLIPS,
        {"a threshold per class": by_class, "one threshold, worst group": worst_group},
    ),
    Block(
        "Known to be wrong: no correction, and clips in place of speakers",
        {"just over the risk": CLIP_POPULATIONS["just over the risk"]},
        CLIPS,
        {"fixed thresholds, each at delta": uncorrected},
    ),
    Block(
        "",
        {name: SPEAKER_POPULATIONS[name] for name in ("very different", "all right or all wrong")},
        SPEAKERS,
        {"clips counted, not speakers": ltt},
    ),
)


POWER: Mapping[str, tuple[Population, Sequence[int]]] = {
    "alike, wrong in about 0.05": (speakers(0.1, -3.0), (20, 30, 60, 150)),
    "different": (SPEAKER_POPULATIONS["different"], (30, 60, 150, 400)),
    "very different": (SPEAKER_POPULATIONS["very different"], (30, 60, 150, 400)),
    "a tenth of the speakers always wrong": (hopeless_speakers(0.1), (30, 60, 150, 400)),
}


def power_table(draws: int) -> Iterator[str]:
    """Yield the lines of a table of how much the product finds, beside bets in an order drawn anew."""
    yield "| population | speakers | found: product | bets in turn | coverage: product | bets in turn |"
    yield "|---|---|---|---|---|---|"
    for where, (population, sizes) in POWER.items():
        for size in sizes:
            product = simulate(by_speaker, population, size, draws)
            with guarantee_groups.bets_in(np.random.default_rng(1).permutation):
                bets = simulate(by_speaker, population, size, draws)
            found, coverage = (
                (getattr(each, name) for each in (product, bets)) for name in ("found", "coverage")
            )
            cells = [f"{each:.2f}" for each in (*found, *coverage)]
            yield f"| {where} | {size} | {' | '.join(cells)} |"


def table(draws: int) -> str:
    """Return the outcomes as Markdown."""
    lines = [
        "# Guaranteed thresholds, simulated",
        "",
        f"Promised: at most {RISK} of the trusted predictions wrong, with probability {1 - DELTA:.1f}. So at most "
        f"{DELTA} of the draws may break it; over {draws:,} draws, {allowed(draws):.3f} is three standard errors more. "
        "Coverage counts 0 where there is no threshold; the oracle knows the population.",
    ]
    for block in BLOCKS:
        if block.title:
            lines += ["", f"## {block.title}", ""]
            lines += ["| procedure | population | broken | found | coverage | oracle |"]
            lines += ["|---|---|---|---|---|---|"]
        for name, procedure in block.procedures.items():
            for where, population in block.populations.items():
                each: Any = simulate(procedure, population, block.size, draws)
                lines.append(
                    f"| {name} | {where} | {each.violated:.3f} | {each.found:.2f} | {each.coverage:.2f} "
                    f"| {each.oracle:.2f} |"
                )
    groups = guarantee_groups
    lines += ["", "## Speakers made to break it", ""]
    lines += [
        f"At most {groups.RISK} wrong with probability {1 - groups.DELTA:g}, where the true risk is just over: "
        f"{groups.DELTA} of the draws may break it, {allowed(draws, groups.DELTA):.4f} is three standard errors more. "
        "`benchmarks/guarantee_groups.py` says what each mixture is. The product over groups, which `guaranteed` "
        "takes, has no order. Beside it, one bet after another on the same draws: in one order of the sorted names, "
        "which breaks the promise where names tell who is alike, and in an order drawn for each data set.",
        "",
    ]
    lines += groups.table(draws)
    lines += ["", "## What it finds", ""]
    lines += [
        f"At most {RISK} wrong with probability {1 - DELTA:g}, over {draws // 4:,} draws: how often the product finds "
        "a threshold and what it covers, beside one bet after another in an order that is drawn for each data set.",
        "",
    ]
    lines += power_table(draws // 4)
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = table(options.draws)
    if options.out is None:
        sys.stdout.write(text)
    else:
        options.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
