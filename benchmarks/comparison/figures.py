"""The figures of a row over folds and seeds, with intervals over the groups that samples come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.kept_answers import Answers
from benchmarks.comparison.recorded import against, against_largest, all_recorded
from benchmarks.comparison.sets import load_grouped
from benchmarks.comparison.tables import Column
from ter_fast.multiview.views import Array
from ter_fast.opinions.trusted import is_trusted
from ter_fast.trust.metrics import Bootstrap, Replicates

RANKING = (
    Column("accuracy", "accuracy %"),
    Column("uar", "UAR %"),
    Column("nll", "NLL", 1.0, 3, -1),
    Column("aurc", "AURC x1000", 1000.0, 0, -1),
    Column("augrc", "AUGRC x1000", 1000.0, 0, -1),
    Column("failure_auroc", "failure AUROC %"),
    Column("ece", "ECE %", better=-1),
    Column("ece_tempered", "ECE %, at the temperature of validation", better=-1),
)
"""Columns of what needs no threshold."""

TRUSTED = (
    Column("trusted_precision", "trusted precision %"),
    Column("trusted_recall", "trusted recall %"),
    Column("trusted_f1", "trusted F1 %"),
    Column("accept_all_f1", "F1 of trusting all %"),
    Column("lift", "lift over it"),
    Column("coverage", "trusted %", better=0),
)
"""Columns at the threshold of the validation groups."""

_AT_THRESHOLD = ("trusted_precision", "trusted_recall", "trusted_f1", "coverage", "lift")


def draws_of(groups: Array, seeds: int, resamples: int = 2000) -> Bootstrap:
    """Return the resamples of groups that every row shares, (N * seeds) samples of them.

    All answers for a group, of every seed, are drawn together: seeds are no new speakers.
    """
    return Bootstrap(len(groups) * seeds, np.tile(groups, seeds), resamples=resamples)


def figures_of(parts: Sequence[Answers], labels: Array, draws: Bootstrap) -> dict[str, Replicates]:
    """Return the figures of a row, over the answers of every seed.

    Args:
        parts: Answers of each seed.
        labels: (N,) true classes.
        draws: Of `draws_of`.
    """
    true = np.tile(labels, len(parts))
    probability = np.concatenate([part.probability for part in parts])
    own = np.concatenate([part.confidence["own"] for part in parts])
    threshold = np.concatenate([part.threshold for part in parts])
    prediction = probability.argmax(1)
    found = draws.figures(prediction, true, probability, own)
    if np.isfinite(threshold).any():
        # Each fold has a threshold of its own: what is left of confidence is whether it is reached.
        trusted = is_trusted(own, threshold).astype(np.float64)
        at_threshold = draws.trust(trusted, prediction == true, 0.5)
        found |= {key: at_threshold[key] for key in _AT_THRESHOLD}
        tempered = np.concatenate([part.tempered for part in parts])
        found["ece_tempered"] = draws.probabilities(tempered, true)["ece"]
    alone = {
        f"alone_{view}": np.concatenate([part.alone[view] for part in parts]) == true
        for view in parts[0].alone
    }
    return found | (draws.means(**alone) if alone else {})


def kinds_of_confidence(
    parts: Sequence[Answers], labels: Array, draws: Bootstrap
) -> dict[str, Replicates]:
    """Return the AURC of each kind of confidence of one row's answers."""
    true = np.tile(labels, len(parts))
    correct = np.concatenate([part.probability.argmax(1) for part in parts]) == true
    return {
        kind: draws.trust(np.concatenate([part.confidence[kind] for part in parts]), correct)[
            "aurc"
        ]
        for kind in parts[0].confidence
        if kind != "own"
    }


def figures_of_set(
    comparison: ComparisonConfig,
    name: str,
    answers: Mapping[str, Sequence[Answers]],
    resamples: int = 2000,
) -> dict[str, Any]:
    """Return for JSON all that the page shows of a set.

    Args:
        comparison: What was compared, with a protocol.
        name: Of the set.
        answers: By row, those of every seed.
        resamples: Of groups, for the intervals.

    Raises:
        DataError: The set cannot be read.
    """
    assert comparison.protocol is not None
    views = load_grouped(comparison.sets[name], comparison.protocol, name)
    assert views.groups is not None
    draws = draws_of(views.groups, comparison.seeds, resamples)
    rows = {row: figures_of(parts, views.labels, draws) for row, parts in answers.items()}
    kinds = {
        row: kinds_of_confidence(answers[row], views.labels, draws)
        for row in comparison.confidences
    }
    return {
        "samples": len(views.labels),
        "groups": draws.n_groups,
        "resamples": resamples,
        "made with": made_with(comparison, name),
        "figures": all_recorded(rows),
        "minus reference": against(rows, comparison.reference) if comparison.reference else {},
        "aurc by confidence": all_recorded(kinds),
        "aurc minus max_probability": against_largest(kinds),
    }


def made_with(comparison: ComparisonConfig, name: str) -> dict[str, Any]:
    """Return for JSON all that the figures of a set depend on, but for its file."""
    assert comparison.protocol is not None
    facts = {
        "seeds": list(comparison.draws),
        "protocol": asdict(comparison.protocol),
        "reference": comparison.reference,
        "confidences": comparison.confidences,
        "settings": {row: comparison.settings_of(row, name) for row in comparison.methods},
    }
    found: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return found
