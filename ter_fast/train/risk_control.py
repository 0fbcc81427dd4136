"""Risk control: what calibration holds out, what it tests, and what it may then guarantee."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError, warn
from ter_fast.media.corrupt.apply import clip_key
from ter_fast.predict.labelled_evidence import LabelledEvidence
from ter_fast.trust.criterion import scores_to_record
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.thresholds import grid_from, guaranteed, sweep
from ter_fast.trust.trusted_threshold import TrustedThreshold

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

Flags = NDArray[np.bool_]

UNITS = ("groups", "clips")
_HELD_OUT, _HELD_OUT_TO_COMPARE = 0.2, 0.5
_OF_PAIRS = (
    "; calibrated on label-matched pairs of clips of two corpora, so for clips of one person it holds only as "
    "far as the modalities are independent given the emotion"
)


@dataclass(frozen=True)
class RiskControl:
    """The risk that `calibrate` is to control.

    Attributes:
        risk: Largest share of wrong predictions among the trusted ones.
        delta: Largest probability that the guarantee is broken.
        unit: "groups" for new speakers, "clips" for further clips of the same ones.
        share: Of the units, held out to choose whatever is chosen before the test.
        seed: Of that choice.
    """

    risk: float
    delta: float
    unit: str
    share: float
    seed: int

    def __post_init__(self) -> None:
        for name, value in (("risk", self.risk), ("delta", self.delta)):
            if not 0 < value < 1:
                raise DataError(f"{name} is {value}; give a share inside (0, 1), such as 0.1")
        if self.unit not in UNITS:
            raise DataError(f"guarantee_for is {self.unit!r}; expected one of {', '.join(UNITS)}")

    def hold_out(self, datasets: Sequence[LabelledEvidence]) -> list[LabelledEvidence]:
        """Note in each dataset what is held out of it.

        A group, or a file, that several of them hold is held out of all or of none: what is chosen on
        someone's face is not tested on that one's voice.
        """
        held: frozenset[str] = frozenset()
        seen: frozenset[str] = frozenset()
        # The smallest first, so that each has some of its own.
        for data in sorted(datasets, key=lambda each: len(set(self._names(each)))):
            held |= self.choose_held_out(data, seen)
            seen |= frozenset(self._names(data))
        return [replace(dataset, held=self.rows(dataset, held)) for dataset in datasets]

    def choose_held_out(
        self, data: LabelledEvidence, seen: frozenset[str] = frozenset()
    ) -> frozenset[str]:
        """Choose, of those not seen before, groups or files that choose the levels and are not tested.

        Sorted names may tell who is alike (`nemo:…`, `ravdess:…`), so that places drawn among them by a
        seed are always the same share of a corpus of some size, and what is tested is no fair sample.
        Here SHA-256 draws, of the seed, the name and all clips together: the same clips have the same
        part held out, in any order and folder, and every other set of clips has a draw of its own.
        """
        clips = fingerprint(data)

        def lot(name: str) -> str:
            key = name if self.unit == "groups" else clip_key(name)
            return _hash(self.seed, clips, key)

        names = sorted(set(self._names(data)) - seen, key=lambda name: (lot(name), name))
        size = min(max(1, round(self.share * len(names))), len(names) - 1)
        return frozenset(names[:size])

    def rows(self, data: LabelledEvidence, held: frozenset[str]) -> tuple[bool, ...]:
        """Say which clips of the data, or of a part of them, are held out, (N,)."""
        return tuple(name in held for name in self._names(data))

    def _names(self, data: LabelledEvidence | Outcomes) -> tuple[str, ...]:
        return data.groups if self.unit == "groups" else data.paths

    def record(self, modalities: str, answers: Outcomes, held: Flags) -> TrustedThreshold:
        """Return the threshold for these modalities and what is guaranteed of it.

        Args:
            modalities: Joined by "+".
            answers: To the clips that have them.
            held: (N,) those that are held out.

        Raises:
            DataError: No threshold can be guaranteed; the message says why and how many would do.
        """
        self._check_possible(answers)
        # Confidences above the disagreement limit are NaN there: what is guaranteed is about the rest.
        confidence, correct = answers.ranked, answers.correct
        if np.isnan(confidence[held]).all():
            raise DataError(
                f"none of the {int(held.sum())} clips that were held out to choose the levels can be trusted at "
                "any; give more data"
            )
        groups = np.array(answers.groups)[~held] if self.unit == "groups" else None
        guarantee = guaranteed(
            confidence[~held],
            correct[~held],
            self.risk,
            self.delta,
            grid=grid_from(confidence[held]),
            groups=groups,
        )
        if (threshold := guarantee.threshold) is None:
            raise DataError(
                self._why_none(guarantee.reason, guarantee.samples_needed, answers, held)
            )
        guarantee = replace(guarantee, scope=modalities)
        tested = sweep(confidence[~held], correct[~held])
        return TrustedThreshold(
            threshold,
            f"risk={self.risk:g}",
            answers.name,
            guarantee.n,
            answers.pairing,
            scores_to_record(tested.at(threshold), tested.accept_all_f1),
            guarantee_text=guarantee.text + (_OF_PAIRS if answers.pairing else ""),
            guarantee={
                "risk": self.risk,
                "delta": self.delta,
                "method": guarantee.method,
                "unit": guarantee.unit,
                "clips": guarantee.n,
                "groups": guarantee.groups,
                "held_out": int(held.sum()),
                "accepted": guarantee.accepted,
                "errors": guarantee.errors,
                "bound": guarantee.bound,
            },
        )

    def _check_possible(self, data: Outcomes) -> None:
        names = set(self._names(data))
        if self.unit == "groups" and data.pairing:
            raise DataError(
                "label-matched pairs cross the speakers of two corpora, so that nothing can be guaranteed for new "
                "speakers; guarantee_for='clips' guarantees it for further pairs"
            )
        if self.unit == "groups" and "" in names:
            raise DataError(
                "some clips name no group, so that nothing can be guaranteed for new speakers; name the speakers, "
                "or give guarantee_for='clips'"
            )
        if len(names) < 2:
            raise DataError(
                f"{len(names)} {self.unit}, of which some must be held out to choose the levels; give more"
            )

    def _why_none(self, reason: str, needed: int | None, data: Outcomes, held: Flags) -> str:
        apart = len({name for name, out in zip(self._names(data), held, strict=True) if out})
        text = f"{reason} (besides {apart} that were held out to choose the levels"
        if needed is not None:
            text += f"; about {math.ceil(needed / (1 - self.share))} in all"
        text += ")"
        if self.unit == "groups":
            text += "; guarantee_for='clips' asks for less: it is about further clips of the same speakers"
        return text


def seed_by_clips(seed: int, datasets: Sequence[LabelledEvidence]) -> int:
    """Return a seed that every set of clips has of its own, so that their places decide nothing."""
    return int(_hash(seed, *map(fingerprint, datasets)), 16)


def fingerprint(data: LabelledEvidence) -> str:
    """Return what tells these clips from others, in whatever order and folder they lie."""
    clips = zip(data.groups, map(clip_key, data.paths), strict=True)
    return _hash(*sorted(clips))


def _hash(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def parse_risk_control(
    criterion: str | None,
    risk: float | None,
    delta: float | None,
    unit: str | None,
    comparing: bool,
    seed: int,
) -> RiskControl | None:
    """Return the risk control that the arguments of `calibrate` ask for; None without a risk.

    Args:
        criterion: What else chooses the threshold.
        risk: Largest share of wrong predictions among the trusted ones.
        delta: Largest probability that the guarantee is broken; None for 0.05.
        unit: "groups" or "clips"; None for the first.
        comparing: Kinds of confidence are compared on what is held out, which takes more of it.
        seed: Of what is held out.

    Raises:
        DataError: A criterion beside a risk, or a delta or unit without one.
    """
    if risk is None:
        if delta is not None or unit is not None:
            raise DataError(
                "delta and guarantee_for say how a risk is to be kept; give risk as well"
            )
        return None
    if criterion is not None:
        raise DataError(
            f"a risk and the criterion {criterion!r} both choose the threshold; give one of them"
        )
    share = _HELD_OUT_TO_COMPARE if comparing else _HELD_OUT
    return RiskControl(risk, 0.05 if delta is None else delta, unit or UNITS[0], share, seed)


def warn_of_known_clips(model: Network, datasets: Sequence[Dataset]) -> None:
    """Warn of data by which, going by their names and splits, the model was trained or stopped."""
    trained_on = {
        (name, split)
        for record in model.config.training
        for name in record.data.split("+")
        for split in record.samples
    }
    calibrated_on = {
        (name, sample.split)
        for dataset in datasets
        for name in dataset.name.split("+")
        for sample in dataset
    }
    if trained_on & calibrated_on:
        names = ", ".join(f"{name} {split}" for name, split in sorted(trained_on & calibrated_on))
        warn(
            f"the model was trained or stopped by {names}: a guarantee needs clips that had no part in the "
            "model, and may not hold when it is made on these"
        )
