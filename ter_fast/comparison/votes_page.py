"""The page of fused votes: how near each way comes to raters who had both channels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ter_fast.comparison.tables import MISSING, Column, cell, difference, recorded, table
from ter_fast.comparison.vote_ways import WAYS, Answer
from ter_fast.comparison.votes import (
    Floats,
    Labels,
    Votes,
    half_of_actors,
    jensen_shannon,
    log_losses,
    majority,
    shares,
)
from ter_fast.comparison.votes_words import DIVERGENCE, HUMANS, Figures, shown
from ter_fast.metrics import Bootstrap
from ter_fast.opinion import CONFIDENCE_KINDS

REFERENCE = "dempster, scales fitted"
"""The way that others are compared with."""

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


@dataclass(frozen=True)
class Fused:
    """Hold the answers of a way for all clips, seed after seed, and what it fitted on each half."""

    answer: Answer
    fitted: tuple[Mapping[str, float], ...]


def fuse_votes(
    votes: Votes, seeds: int = 5, say: Callable[[str], None] = lambda text: None
) -> dict[str, Fused]:
    """Answer for every clip by every way, fitted on the half of the actors that is not asked.

    Args:
        votes: Of all clips.
        seeds: How often actors are halved.
        say: Told what is done.

    Raises:
        DataError: There are fewer than two actors.
    """
    found = {}
    halves = [half_of_actors(votes.actor, seed) for seed in range(seeds)]
    for name, way in WAYS.items():
        answers, fitted = [], []
        for pair in halves:
            parts = [way(votes[known], votes[asked]) for known, asked in pair]
            order = np.argsort(np.concatenate([asked for _, asked in pair]))
            answers.append(_joined([answer for answer, _ in parts], order))
            fitted += [numbers for _, numbers in parts]
        found[name] = Fused(_joined(answers), tuple(fitted))
        say(name)
    return found


def write_votes_page(
    votes: Votes, fused: Mapping[str, Fused], page: Path, command: str = "", resamples: int = 2000
) -> None:
    """Write the tables as Markdown, and their figures beside them as JSON.

    Args:
        votes: Of all clips.
        fused: What `fuse_votes` found.
        page: The page; the JSON has its name.
        command: The command that makes it, for its foot.
        resamples: Of actors, for the intervals.
    """
    seeds = len(next(iter(fused.values())).fitted) // 2
    every = votes[np.tile(np.arange(len(votes)), seeds)]
    voice, face = majority(every.voice), majority(every.face)
    parted = (voice >= 0) & (face >= 0) & (voice != face)
    everywhere = _figures(every, fused, np.full(len(every), True), resamples)
    conflicts = _figures(every, fused, parted, resamples)
    kinds = _kinds(every, fused, resamples)
    lines = [
        "# Votes as evidence: fusing raters who heard with raters who saw",
        "",
        *_explained(votes, seeds, everywhere, resamples),
        *["", "## All clips", "", *_table(everywhere, _COLUMNS)],
        *["", f"### Against {REFERENCE}", "", *_differences(everywhere)],
        *["", "## Clips on which voice and face have different majorities", ""],
        f"{parted.sum() // seeds:,} of {len(votes):,} clips.",
        *["", *_table(conflicts, _CONFLICT), "", *_differences(conflicts)],
        *["", "## Which confidence ranks errors best", "", *_ranking(kinds)],
        *["", "## What was fitted", "", *_fitted(fused)],
        *["", "## What this shows", "", *shown(everywhere, conflicts, kinds)],
    ]
    if command:
        lines += ["", f"Made by `{command}`."]
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    figures = {"all": everywhere, "voice and face differ": conflicts, "aurc": kinds}
    text = json.dumps({name: _json(rows) for name, rows in figures.items()}, indent=1)
    page.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _joined(parts: list[Answer], order: Labels | None = None) -> Answer:
    def put(values: list[Floats]) -> Floats:
        joined = np.concatenate(values)
        return joined if order is None else joined[order]

    kinds = parts[0].confidence
    return Answer(
        put([part.probability for part in parts]),
        {kind: put([part.confidence[kind] for part in parts]) for kind in kinds},
    )


def _figures(votes: Votes, fused: Mapping[str, Fused], rows: Any, resamples: int) -> Figures:
    """Return the figures of each way, and of the raters who had both, on some rows."""
    asked = votes[rows]
    true, target = majority(asked.both), shares(asked.both)
    voice, face = majority(asked.voice), majority(asked.face)
    draws = Bootstrap(len(asked), asked.actor, resamples=resamples)
    # Clips whose audio-visual votes are tied have no majority to agree with.
    clear = true >= 0
    among = Bootstrap(int(clear.sum()), asked.actor[clear], resamples=resamples)
    agreed = among.means(
        intended=true[clear] == asked.intended[clear],
        with_voice=true[clear] == voice[clear],
        with_face=true[clear] == face[clear],
    )
    entropy = draws.means(log_loss=log_losses(target, target))
    found = {HUMANS: {**agreed, **entropy}}
    for name, way in fused.items():
        probability = way.answer.probability[rows]
        prediction = probability.argmax(1)
        found[name] = {
            **among.means(right=prediction[clear] == true[clear]),
            **draws.means(
                intended=prediction == asked.intended,
                log_loss=log_losses(probability, target),
                divergence=jensen_shannon(probability, target),
                with_voice=prediction == voice,
                with_face=prediction == face,
            ),
        }
    return found


def _kinds(votes: Votes, fused: Mapping[str, Fused], resamples: int) -> Figures:
    """Return the AURC of each way by each kind of confidence, where raters who had both agree."""
    true = majority(votes.both)
    clear = true >= 0
    draws = Bootstrap(int(clear.sum()), votes.actor[clear], resamples=resamples)
    return {
        name: {
            kind: draws.trust(
                values[clear], way.answer.probability[clear].argmax(1) == true[clear]
            )["aurc"]
            for kind, values in way.answer.confidence.items()
        }
        for name, way in fused.items()
    }


def _explained(votes: Votes, seeds: int, figures: Figures, resamples: int) -> list[str]:
    actors = len(np.unique(votes.actor))
    floor = figures[HUMANS]["log_loss"].value
    tied = int((majority(votes.both) < 0).sum())
    return [
        f"CREMA-D (Cao et al. 2014, ODbL 1.0): {len(votes):,} clips of {actors} actors, for each of "
        f"{len(votes.classes)} emotions the votes of some ten raters who heard the voice alone, some ten others who "
        "saw the face alone, and some ten who had both. The first two are fused as evidence e = s n of n votes, "
        "and compared with the third, which no way is given for the actors that it is asked about.",
        "",
        f"What is fitted is fitted on half of the actors, and asked about the other half; both halves, {seeds} time(s) "
        f"(seeds 0 to {seeds - 1}). 95 % intervals in brackets: whole actors drawn {resamples:,} times, the answers of "
        f"all seeds together. {tied} clips have no audio-visual majority, and count only where none is "
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
    against = figures[REFERENCE]
    body = [
        [name, *(difference(row.get(c.key), against[c.key], c) for c in _COLUMNS)]
        for name, row in figures.items()
        if name not in (REFERENCE, HUMANS)
    ]
    return [
        f"In pairs, row minus {REFERENCE}, over the same actors drawn; **+** where all of the interval is on "
        "the better side of 0, **-** where all is on the worse.",
        "",
        *table(["", *(column.title for column in _COLUMNS)], body),
    ]


def _ranking(kinds: Figures) -> list[str]:
    body = []
    for name, row in kinds.items():
        cells = [cell(row[kind], _AURC) if kind in row else MISSING for kind in _KINDS]
        for place, kind in enumerate(_KINDS):
            if kind in row and kind != "max_probability":
                cells[place] += f"; {difference(row[kind], row['max_probability'], _AURC)}"
        body.append([name, *cells])
    return [
        "AURC x1000 of answers against the audio-visual majority (lower is better), and the paired difference to "
        "max_probability. Each clip has about as many votes, so `one_minus_vacuity` says little before fusion, nor "
        "after rules that add evidence; after Dempster's it grows where voice and face agree. `agreement` is "
        "1 - disagreement of voice and face.",
        "",
        *table(["", *_KINDS], body),
    ]


def _fitted(fused: Mapping[str, Fused]) -> list[str]:
    body = []
    for name, way in fused.items():
        names = list(way.fitted[0])
        values = {key: [numbers[key] for numbers in way.fitted] for key in names}
        said = ", ".join(
            f"{key} {np.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"
            for key, each in values.items()
        )
        if said:
            body.append([name, said])
    return ["Median over halves and seeds, and range.", "", *table(["", "fitted"], body)]


def _json(rows: Figures) -> dict[str, dict[str, list[float | None]]]:
    return {
        name: {key: recorded(figure) for key, figure in row.items()} for name, row in rows.items()
    }
