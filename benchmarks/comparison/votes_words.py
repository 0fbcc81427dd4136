"""What the figures of fused votes say, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.comparison.recorded import Figure, Measured, recorded
from benchmarks.comparison.tables import Column, difference

HUMANS = "raters who had both"
MULTIPLIED = "regression of each channel, multiplied"
TRANSLATED = "regression of each channel, dempster"
BOTH = "regression of both channels"

DIVERGENCE = Column("divergence", "JS divergence x1000", 1000.0, 1, -1)


def found_of(everywhere: Measured) -> dict[str, Any]:
    """Return for JSON which rule with fitted scales comes nearest, and how far it is from others."""
    near, second = sorted(
        (name for name in everywhere if name.endswith("scales fitted")),
        key=lambda name: everywhere[name]["divergence"].value,
    )[:2]
    best, face = everywhere[near], everywhere["face alone"]
    above = {
        name: recorded(everywhere[name]["right"] - best["right"])
        for name in (BOTH, MULTIPLIED, TRANSLATED)
    }
    return {
        "nearest": near,
        "next": second,
        "divergence, nearest minus next": recorded(
            best["divergence"] - everywhere[second]["divergence"]
        ),
        "right, nearest minus face": recorded(best["right"] - face["right"]),
        "intended, nearest minus face": recorded(best["intended"] - face["intended"]),
        "right, minus nearest": above,
    }


def shown(figures: Mapping[str, Any]) -> list[str]:
    """Say in sentences what the figures of `figures_of_votes` say, whatever they are."""
    everywhere, conflicts = figures["all"], figures["voice and face differ"]
    found = figures["found"]
    near, second, above = found["nearest"], found["next"], found["right, minus nearest"]
    rule, next_rule = near.split(",")[0], second.split(",")[0]
    human, split, kinds = conflicts[HUMANS], conflicts[near], figures["aurc"][near]
    best = everywhere[near]
    first = min(kinds, key=lambda kind: kinds[kind][0])
    apart = difference(found["divergence, nearest minus next"], DIVERGENCE)
    return [
        f"- Of the rules with fitted scales, {rule} comes closest to those who had both: JS divergence x1000 "
        f"{1000 * best['divergence'][0]:.1f}; next is {next_rule} with "
        f"{1000 * everywhere[second]['divergence'][0]:.1f} (difference {apart}).",
        "- With fitted scales, cumulative and averaging are one rule: half the evidence is another scale.",
        f"- Fusion by {rule} is {_points(found['right, nearest minus face'])} points of accuracy above the face alone "
        f"against the audio-visual majority, and {_points(found['intended, nearest minus face'])} against the "
        "intended emotion.",
        f"- A regression of both channels' votes is {_points(above[BOTH])} points above "
        f"{rule}. Regressions of one channel each, which know what its raters confuse and nothing of the other, are "
        f"{_points(above[MULTIPLIED])} above it when multiplied, and "
        f"{_points(above[TRANSLATED])} when fused as evidence by Dempster's rule.",
        f"- Where voice and face disagree, those who had both sided with the face on {_percent(human, 'with_face')} "
        f"of clips and with the voice on {_percent(human, 'with_voice')}; {rule} with the face on "
        f"{_percent(split, 'with_face')} and with the voice on {_percent(split, 'with_voice')}, and it agrees with "
        f"their majority on {_percent(split, 'right')}.",
        f"- Of its confidences, `{first}` ranks errors best (AURC x1000 {1000 * kinds[first][0]:.1f}); "
        f"`one_minus_vacuity` is at {1000 * kinds['one_minus_vacuity'][0]:.1f}, and an "
        f"order by chance would be at {1000 * (1 - best['right'][0]):.1f}.",
    ]


def _percent(row: Mapping[str, Any], key: str) -> str:
    return f"{100 * _number(row[key][0]):.0f} %"


def _points(figure: Figure) -> str:
    value, low, high = (f"{100 * _number(each):+.1f}" for each in figure)
    return f"{value} [{low}, {high}]"


def _number(value: float | None) -> float:
    return math.nan if value is None else value
