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
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import guarantee_groups
from benchmarks.guarantee_populations import (
    CLIP_POPULATIONS,
    CLIPS,
    DELTA,
    DRAWS,
    KIND_POPULATIONS,
    OTHERS,
    RISK,
    SPEAKER_POPULATIONS,
    SPEAKERS,
    Draw,
    Population,
    drawn,
    hopeless_speakers,
    speakers,
)
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
