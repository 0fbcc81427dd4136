"""`TrustedThreshold`: the confidence from which predictions are trusted, and where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrustedThreshold:
    """A trusted threshold and where it comes from.

    Attributes:
        threshold: A prediction is trusted when its confidence is at least this.
        criterion: The rule that chose it.
        data: Name of the data that it was chosen on.
        samples: How many clips those were.
        pairing: "" for clips that have these modalities, "label-matched" for pairs of clips of equal
            label taken from two single-modality corpora.
        scores: Trusted precision, recall, f1, accuracy, coverage and accept_all_f1 on that data; further the
            model's own accuracy (model_accuracy), trusted or not, and that of always guessing the most frequent
            class (majority_share).
        guarantee_text: What is guaranteed of predictions that it trusts, and for whom, as a sentence; "" where nothing
            is.
        guarantee: The figures behind the guarantee: risk, delta, method, unit, clips, groups, held_out,
            accepted, errors and bound (see `ter_fast.thresholds.Guarantee`); empty without one.
        aurc_by_confidence: Area under the risk-coverage curve on that data, by kind of confidence: the
            lowest ranks errors best.
    """

    threshold: float
    criterion: str
    data: str
    samples: int
    pairing: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    guarantee_text: str = ""
    guarantee: Mapping[str, float | str | None] = field(default_factory=dict)
    aurc_by_confidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def best_confidence(self) -> str:
        """Kind of confidence that ranked errors best on that data; "" where they were not compared."""
        known = {
            name: area for name, area in self.aurc_by_confidence.items() if not math.isnan(area)
        }
        return min(known, key=known.__getitem__, default="")

    @property
    def beats_guessing(self) -> bool:
        """Whether the model was right there more often than always guessing one class; True if not on record.

        Example:
            >>> scores = {"model_accuracy": 0.2, "majority_share": 0.25}
            >>> TrustedThreshold(0.5, "balance", "mine", 40, scores=scores).beats_guessing
            False
        """
        share = self.scores.get("majority_share", 0.0)
        return share == 1 or self.scores.get("model_accuracy", 1.0) > share
