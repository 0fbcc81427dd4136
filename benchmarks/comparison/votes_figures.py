"""What each way of fusing votes answers for all clips, and the figures of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.comparison.recorded import Measured, against, against_largest, all_recorded
from benchmarks.comparison.vote_ways import WAYS
from benchmarks.comparison.votes import (
    Floats,
    Labels,
    Votes,
    half_of_actors,
    jensen_shannon,
    log_losses,
    majority,
    shares,
)
from benchmarks.comparison.votes_words import HUMANS, found_of
from benchmarks.experiments.answers import Answer
from ter_fast.trust.metrics import Bootstrap, Replicates

REFERENCE = "dempster, scales fitted"
"""The way that others are compared with."""

Figures = dict[str, dict[str, Replicates]]


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


def figures_of_votes(
    votes: Votes, fused: Mapping[str, Fused], resamples: int = 2000
) -> dict[str, Any]:
    """Return for JSON all that the page shows.

    Args:
        votes: Of all clips.
        fused: What `fuse_votes` found.
        resamples: Of actors, for the intervals.
    """
    seeds = len(next(iter(fused.values())).fitted) // 2
    every = votes[np.tile(np.arange(len(votes)), seeds)]
    voice, face = majority(every.voice), majority(every.face)
    parted = (voice >= 0) & (face >= 0) & (voice != face)
    everywhere = _figures(every, fused, np.full(len(every), True), resamples)
    conflicts = _figures(every, fused, parted, resamples)
    kinds = _kinds(every, fused, resamples)
    return {
        "clips": len(votes),
        "actors": len(np.unique(votes.actor)),
        "emotions": len(votes.classes),
        "without majority": int((majority(votes.both) < 0).sum()),
        "parted": int(parted.sum()) // seeds,
        "seeds": seeds,
        "resamples": resamples,
        "all": all_recorded(everywhere),
        "all, minus reference": _differences(everywhere),
        "voice and face differ": all_recorded(conflicts),
        "voice and face differ, minus reference": _differences(conflicts),
        "aurc": all_recorded(kinds),
        "aurc minus max_probability": against_largest(kinds),
        "fitted": {name: _fitted(way.fitted) for name, way in fused.items()},
        "found": found_of(everywhere),
    }


def _differences(rows: Measured) -> dict[str, dict[str, list[float | None]]]:
    return against({n: row for n, row in rows.items() if n != HUMANS}, REFERENCE)


def _fitted(fitted: tuple[Mapping[str, float], ...]) -> dict[str, list[float]]:
    """Return median, least and most over halves and seeds of what was fitted."""
    values = {key: [numbers[key] for numbers in fitted] for key in fitted[0]}
    return {
        key: [round(float(at(each)), 6) for at in (np.median, np.min, np.max)]
        for key, each in values.items()
    }


def _joined(parts: list[Answer], order: Labels | None = None) -> Answer:
    def put(values: list[Floats]) -> Floats:
        joined = np.concatenate(values)
        return joined if order is None else joined[order]

    kinds = parts[0].scores
    return Answer(
        put([part.probability for part in parts]),
        {kind: put([part.scores[kind] for part in parts]) for kind in kinds},
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
            for kind, values in way.answer.scores.items()
        }
        for name, way in fused.items()
    }
