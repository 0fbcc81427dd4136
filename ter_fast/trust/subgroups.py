"""Trust by class and by group: a model trusted on average can be wrong about some people every time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ter_fast.errors import DataError
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.results import Estimate, estimates_of

KNOWN = (
    *("sex", "age", "ethnicity", "language", "corpus", "channel", "intensity", "corruption"),
    "severity",
)
"""Attributes that figures are broken down by without being asked, where clips differ in them."""

MOST_GROUPS = 60
"""Speakers or sources beyond which a table of each is no longer read."""

AGES = (30, 45, 60)
"""Ages in years that begin a new band."""

_COLUMNS = (
    *("accuracy", "trusted_precision", "trusted_recall", "trusted_f1", "coverage"),
    *("failure_auroc", "aurc", "conformal_coverage", "conformal_size"),
)


@dataclass(frozen=True)
class Subgroup:
    """Hold the figures of one class or group.

    Attributes:
        samples: Clips in it.
        groups: Speakers or sources in it.
        figures: Accuracy, aurc, failure_auroc and, with a threshold, trusted_precision,
            trusted_recall, trusted_f1 and coverage, with label sets conformal_coverage and
            conformal_size, each with its interval (NaN where one group alone has nothing to resample).
    """

    samples: int
    groups: int
    figures: Mapping[str, Estimate]


def by_subgroup(
    answers: Outcomes, by: Sequence[str] | None, resamples: int, seed: int
) -> dict[str, dict[str, Subgroup]]:
    """Return figures by class, by predicted class, by attributes and by group.

    Raises:
        DataError: `by` names an attribute that no clip has, or that is named like a table of its own.
    """
    if unknown := [name for name in by or () if name not in answers.attributes]:
        known = ", ".join(answers.attributes) or "none"
        raise DataError(f"no clip has the attribute {', '.join(unknown)}; these are known: {known}")
    wanted = KNOWN if by is None else tuple(by)
    columns: dict[str, Sequence[str]] = {
        "class": [answers.labels[k] for k in answers.target],
        "predicted class": [answers.labels[k] for k in answers.prediction],
    }
    if taken := [name for name in wanted if name in {*columns, "group"}]:
        raise DataError(
            f"the attribute {', '.join(taken)} has the name of a table that is always there; rename it"
        )
    for name in wanted:
        values = answers.attributes.get(name, ())
        values = tuple(map(_age_band, values)) if name == "age" else values
        values = tuple(value or "unknown" for value in values)
        if len(set(values)) > 1:
            columns[name] = values
    if 1 < len(set(answers.groups)) <= min(MOST_GROUPS, len(answers) - 1):
        columns["group"] = answers.groups
    order = {name: place for place, name in enumerate(answers.labels)}
    return {
        column: {
            value: _one(answers, np.asarray(values) == value, resamples, seed)
            for value in sorted(set(values), key=lambda each: (order.get(each, 0), each))
        }
        for column, values in columns.items()
    }


def _one(
    answers: Outcomes, chosen: np.typing.NDArray[np.bool_], resamples: int, seed: int
) -> Subgroup:
    part = answers.subset(chosen)
    estimates = estimates_of(part, resamples, seed)
    return Subgroup(
        len(part),
        len(set(part.groups)),
        {name: estimates[name] for name in _COLUMNS if name in estimates},
    )


def _age_band(age: str) -> str:
    try:
        years = float(age)
    except ValueError:
        return age
    if math.isnan(years):
        return ""
    limits = (0, *AGES)
    place = sum(years >= limit for limit in AGES)
    return f"{limits[place]} to {AGES[place] - 1}" if place < len(AGES) else f"{AGES[-1]} and over"
