"""The page of fused votes: how near each way comes to raters who had both channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.comparison.recorded import Figures, write_page
from benchmarks.comparison.tables import Column, cell, difference, table, table_of_kinds
from benchmarks.comparison.votes_figures import REFERENCE
from benchmarks.comparison.votes_words import DIVERGENCE, HUMANS, shown
from ter_fast.opinions.opinion import CONFIDENCE_KINDS

_COLUMNS = (
    Column("right", "accuracy %, audio-visual majority"),
    Column("intended", "accuracy %, intended emotion"),
    Column("log_loss", "log-loss, audio-visual votes", 1.0, 3, -1),
    DIVERGENCE,
)
_CONFLICT = (
    *_COLUMNS,
    Column("with_voice", "answers as the voice %", better=0),
    Column("with_face", "answers as the face %", better=0),
)
_AURC = Column("aurc", "AURC x1000", 1000.0, 1, -1)
_KINDS = (*CONFIDENCE_KINDS, "agreement")


def write_votes_page(page: Path, command: str = "") -> None:
    """Write the tables as Markdown, from the JSON of the page's name and nothing else.

    Args:
        page: The page.
        command: The command that makes it, for its foot.

    Raises:
        DataError: There is no such JSON, or it is damaged.
    """

    def lines_of(found: dict[str, Any]) -> list[str]:
        differences = found["all, minus reference"]
        apart = found["voice and face differ, minus reference"]
        lines = [
            "# Votes as evidence: fusing raters who heard with raters who saw",
            "",
            *_explained(found),
            *["", "## All clips", "", *_table(found["all"], _COLUMNS)],
            *["", f"### Against {REFERENCE}", "", *_differences(differences)],
            *["", "## Clips on which voice and face have different majorities", ""],
            f"{found['parted']:,} of {found['clips']:,} clips.",
            *["", *_table(found["voice and face differ"], _CONFLICT), "", *_differences(apart)],
            *["", "## Which confidence ranks errors best", ""],
            *_ranking(found["aurc"], found["aurc minus max_probability"]),
            *["", "## What was fitted", "", *_fitted(found["fitted"])],
            *["", "## What this shows", "", *shown(found)],
        ]
        return lines + (["", f"Made by `{command}`."] if command else [])

    write_page(page, lines_of)


def _explained(found: Mapping[str, Any]) -> list[str]:
    seeds, tied = found["seeds"], found["without majority"]
    floor = found["all"][HUMANS]["log_loss"][0]
    return [
        f"CREMA-D (Cao et al. 2014, ODbL 1.0): {found['clips']:,} clips of {found['actors']} actors, for each of "
        f"{found['emotions']} emotions the votes of some ten raters who heard the voice alone, some ten others who "
        "saw the face alone, and some ten who had both. The first two are fused as evidence e = s n of n votes, "
        "and compared with the third, which no way is given for the actors that it is asked about.",
        "",
        f"What is fitted is fitted on half of the actors, and asked about the other half; both halves, {seeds} time(s) "
        f"(seeds 0 to {seeds - 1}). 95 % intervals in brackets: whole actors drawn {found['resamples']:,} times, the "
        f"answers of all seeds together. {tied} clips have no audio-visual majority, and count only where none is "
        f"needed. Log-loss in nats, against the shares of the audio-visual votes, whose own entropy, {floor:.3f}, "
        "is the least that can be had. Shares of ten raters are noisy: a divergence of 0 is not to be had "
        "either. Regressions are logistic, of shares and logarithms of counts, at C = 0.1.",
    ]


def _table(figures: Figures, columns: tuple[Column, ...]) -> list[str]:
    body = [
        [name, *(cell(row.get(column.key), column) for column in columns)]
        for name, row in figures.items()
    ]
    return table(["", *(column.title for column in columns)], body)


def _differences(figures: Figures) -> list[str]:
    body = [
        [name, *(difference(row.get(column.key), column) for column in _COLUMNS)]
        for name, row in figures.items()
    ]
    return [
        f"In pairs, row minus {REFERENCE}, over the same actors drawn; **+** where all of the interval is on "
        "the better side of 0, **-** where all is on the worse.",
        "",
        *table(["", *(column.title for column in _COLUMNS)], body),
    ]


def _ranking(kinds: Figures, differences: Figures) -> list[str]:
    return [
        "AURC x1000 of answers against the audio-visual majority (lower is better), and the paired difference to "
        "max_probability. Each clip has about as many votes, so `one_minus_vacuity` says little before fusion, nor "
        "after rules that add evidence; after Dempster's it grows where voice and face agree. `agreement` is "
        "1 - disagreement of voice and face.",
        "",
        *table_of_kinds(kinds, differences, _KINDS, _AURC),
    ]


def _fitted(fitted: Figures) -> list[str]:
    body = []
    for name, numbers in fitted.items():
        said = (
            f"{key} {at:.2f} ({low:.2f} to {high:.2f})" for key, (at, low, high) in numbers.items()
        )
        if numbers:
            body.append([name, ", ".join(said)])
    return ["Median over halves and seeds, and range.", "", *table(["", "fitted"], body)]
