"""What the figures of fused votes say, in sentences."""

from __future__ import annotations

from collections.abc import Mapping

from ter_fast.comparison.tables import Column, difference
from ter_fast.metrics import Replicates

Figures = dict[str, dict[str, Replicates]]

HUMANS = "raters who had both"
MULTIPLIED = "regression of each channel, multiplied"
TRANSLATED = "regression of each channel, dempster"

DIVERGENCE = Column("divergence", "JS divergence x1000", 1000.0, 1, -1)


def shown(everywhere: Figures, conflicts: Figures, kinds: Figures) -> list[str]:
    """Say in sentences what the figures say, whatever they are."""
    order = sorted(
        (name for name in everywhere if name.endswith("scales fitted")),
        key=lambda name: everywhere[name]["divergence"].value,
    )
    near, rule, next_rule = order[0], order[0].split(",")[0], order[1].split(",")[0]
    best, second = everywhere[near], everywhere[order[1]]
    face, learned = everywhere["face alone"], everywhere["regression of both channels"]
    human, split = conflicts[HUMANS], conflicts[near]
    first = min(kinds[near], key=lambda kind: kinds[near][kind].value)
    apart = difference(best["divergence"], second["divergence"], DIVERGENCE)
    return [
        f"- Of the rules with fitted scales, {rule} comes closest to those who had both: JS divergence x1000 "
        f"{1000 * best['divergence'].value:.1f}; next is {next_rule} with {1000 * second['divergence'].value:.1f} "
        f"(difference {apart}).",
        "- With fitted scales, cumulative and averaging are one rule: half the evidence is another scale.",
        f"- Fusion by {rule} is {_points(best['right'] - face['right'])} points of accuracy above the face alone "
        f"against the audio-visual majority, and {_points(best['intended'] - face['intended'])} against the "
        "intended emotion.",
        f"- A regression of both channels' votes is {_points(learned['right'] - best['right'])} points above "
        f"{rule}. Regressions of one channel each, which know what its raters confuse and nothing of the other, are "
        f"{_points(everywhere[MULTIPLIED]['right'] - best['right'])} above it when multiplied, and "
        f"{_points(everywhere[TRANSLATED]['right'] - best['right'])} when fused as evidence by Dempster's rule.",
        f"- Where voice and face disagree, those who had both sided with the face on {_percent(human, 'with_face')} "
        f"of clips and with the voice on {_percent(human, 'with_voice')}; {rule} with the face on "
        f"{_percent(split, 'with_face')} and with the voice on {_percent(split, 'with_voice')}, and it agrees with "
        f"their majority on {_percent(split, 'right')}.",
        f"- Of its confidences, `{first}` ranks errors best (AURC x1000 {1000 * kinds[near][first].value:.1f}); "
        f"`one_minus_vacuity` is at {1000 * kinds[near]['one_minus_vacuity'].value:.1f}, and an "
        f"order by chance would be at {1000 * (1 - best['right'].value):.1f}.",
    ]


def _percent(row: Mapping[str, Replicates], key: str) -> str:
    return f"{100 * row[key].value:.0f} %"


def _points(figure: Replicates) -> str:
    low, high = figure.interval()
    return f"{100 * figure.value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
