"""Folds of whole groups: no speaker stands on two sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from ter_fast.errors import DataError
from ter_fast.multiview.views import Array

PARITY = "parity"
"""Strata by whether a group's number is odd: RAVDESS numbers its men so."""


@dataclass(frozen=True)
class Protocol:
    """How groups are put into folds, and under which names a set's file holds what.

    Attributes:
        folds: Parts that the groups are dealt into; each is tested on once.
        group: Name of the array (N,) of groups in the file, such as speakers.
        labels: Name of the array (N,) of labels.
        views: Names of the views, and of their arrays (N, D_v).
        validation: Groups that are held out of those trained on, to choose thresholds on.
        strata: "parity", to deal groups of odd and of even numbers alike; "" not to.
    """

    folds: int
    group: str
    labels: str
    views: Mapping[str, str]
    validation: int = 0
    strata: str = ""

    @classmethod
    def read(cls, content: object, file: str | Path = "") -> Self:
        """Check what a configuration says.

        Raises:
            DataError: It says what there is not; the message says what is expected.

        Example:
            >>> named = {"group": "actor", "labels": "emotion", "views": {"face": "au"}}
            >>> Protocol.read({"folds": 6, **named}).validation
            0
        """
        known = {each.name for each in fields(cls)}
        needed = known - {"validation", "strata"}
        if not isinstance(content, Mapping) or not needed <= set(content) <= known:
            found = sorted(content) if isinstance(content, Mapping) else content
            raise DataError(
                f"{file}: protocol holds {found!r}; expected {sorted(needed)}, and validation or strata "
                "if wanted"
            )
        for key, least in (("folds", 2), ("validation", 0)):
            if not isinstance(content.get(key, least), int) or content.get(key, least) < least:
                raise DataError(
                    f"{file}: protocol: {key} is {content[key]!r}; expected a whole number from {least}"
                )
        views = content["views"]
        if not isinstance(views, Mapping) or not views:
            raise DataError(f"{file}: protocol: views is {views!r}; expected names and arrays")
        if content.get("strata", "") not in ("", PARITY):
            raise DataError(
                f"{file}: protocol: strata is {content['strata']!r}; expected {PARITY}, or leave it out"
            )
        return cls(**content)

    def strata_of(self, groups: Array) -> Array:
        """Return the stratum of each of some groups.

        Raises:
            DataError: Groups have no numbers, so none is odd.
        """
        if not self.strata:
            return np.zeros(len(groups), np.int64)
        if not np.issubdtype(groups.dtype, np.integer):
            raise DataError(
                f"groups are {groups.dtype}, strata by parity need whole numbers; leave strata out"
            )
        return np.asarray(groups % 2)


@dataclass(frozen=True)
class Fold:
    """Rows that are trained on, that thresholds are chosen on, and that are tested on."""

    train: Array
    validation: Array
    test: Array


def grouped_folds(
    groups: Array, protocol: Protocol, seed: int, validation: int | None = None
) -> list[Fold]:
    """Deal whole groups into folds, strata alike, and validation groups out of each training part.

    Args:
        groups: (N,) group of each sample.
        protocol: Folds, strata, and validation groups.
        seed: Of the order of groups.
        validation: Validation groups in place of the protocol's.

    Raises:
        DataError: There are too few groups.

    Example:
        >>> how = Protocol(2, "actor", "emotion", {"face": "au"})
        >>> sorted(fold.test.tolist() for fold in grouped_folds(np.array([7, 7, 8]), how, 0))
        [[0, 1], [2]]
    """
    held = protocol.validation if validation is None else validation
    names = np.unique(groups)
    largest = -(-len(names) // protocol.folds)
    if len(names) < protocol.folds or len(names) - largest - held < 1:
        raise DataError(
            f"{len(names)} groups are too few for {protocol.folds} folds and {held} validation groups; "
            "ask for fewer"
        )
    rng = np.random.default_rng(seed)
    dealt = _shuffled(names, protocol.strata_of(names), rng)
    found = []
    for number in range(protocol.folds):
        tested = dealt[number :: protocol.folds]
        rest = np.setdiff1d(names, tested)
        chosen = _alternating(rest, protocol.strata_of(rest), rng)[:held]
        trained = np.setdiff1d(rest, chosen)
        rows = [np.flatnonzero(np.isin(groups, part)) for part in (trained, chosen, tested)]
        found.append(Fold(*rows))
    return found


def _shuffled(names: Array, strata: Array, rng: np.random.Generator) -> Array:
    """Return the groups, stratum by stratum, each in a random order."""
    return np.concatenate([rng.permutation(names[strata == s]) for s in np.unique(strata)])


def _alternating(names: Array, strata: Array, rng: np.random.Generator) -> Array:
    """Return the groups in a random order that takes from each stratum in turn."""
    parts: Sequence[Array] = [rng.permutation(names[strata == s]) for s in np.unique(strata)]
    turn = np.concatenate([np.arange(len(part)) for part in parts])
    return np.concatenate(parts)[np.argsort(turn, kind="stable")]
