"""`TrustedThreshold`: the confidence from which predictions are trusted, and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrustedThreshold:
    """A trusted threshold and where it comes from.

    Attributes:
        threshold: a prediction is trusted when its confidence is at least this.
        criterion: the rule that chose it.
        data: name of the data that it was chosen on.
        samples: how many clips those were.
        pairing: "" for clips that have these modalities, "label-matched" for pairs of clips of equal
            label taken from two single-modality corpora.
        scores: trusted precision, recall, f1, accuracy, coverage and accept_all_f1 on that data.
        promise: what is promised of predictions that it trusts, and for whom; "" where nothing is.
        guarantee: the figures behind the promise: risk, delta, method, unit, clips, groups, held_out,
            accepted, errors and bound (see `ter_fast.thresholds.Guarantee`); empty without one.
        aurc_by_confidence: area under the risk-coverage curve on that data, by kind of confidence: the
            lowest ranks errors best.
    """

    threshold: float
    criterion: str
    data: str
    samples: int
    pairing: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    promise: str = ""
    guarantee: Mapping[str, float | str | None] = field(default_factory=dict)
    aurc_by_confidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def best_confidence(self) -> str:
        """Kind of confidence that ranked errors best on that data; "" where they were not compared."""
        known = {
            name: area for name, area in self.aurc_by_confidence.items() if not math.isnan(area)
        }
        return min(known, key=known.__getitem__, default="")
