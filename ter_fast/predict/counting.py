"""How predictions that come one by one turned out, in counts: all of them, and by label."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ter_fast.predict.prediction import Prediction


@dataclass
class PredictionCounts:
    """Count predictions, so that a run of any length can be summed up.

    Attributes:
        total: All.
        trusted: Trusted.
        untrusted: With a label and a threshold, and not trusted.
        undecided: With a label, but without a threshold to compare with.
        unanswered: Windows in which nothing could be used.
        failed: Whose file could not be used, or held nothing that could be.
        labels: By label, how many.
        trusted_labels: By label, how many of them are trusted.

    Example:
        >>> counts = PredictionCounts()
        >>> counts.add(Prediction("a.wav", label="calm", trusted=True))
        >>> counts.add(Prediction("b.wav", error="b.wav does not exist"))
        >>> counts.total, counts.trusted, counts.failed, counts.by_label()
        (2, 1, 1, [('calm', 1, 1)])
    """

    total: int = 0
    trusted: int = 0
    untrusted: int = 0
    undecided: int = 0
    unanswered: int = 0
    failed: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    trusted_labels: Counter[str] = field(default_factory=Counter)

    def add(self, prediction: Prediction) -> None:
        """Count one more."""
        self.total += 1
        if prediction.error:
            self.failed += 1
            return
        if not prediction.label:
            self.unanswered += 1
            return
        self.labels[prediction.label] += 1
        if prediction.trusted is None:
            self.undecided += 1
        elif prediction.trusted:
            self.trusted += 1
            self.trusted_labels[prediction.label] += 1
        else:
            self.untrusted += 1

    def by_label(self) -> list[tuple[str, int, int]]:
        """Return each label with its count and how many are trusted, the most frequent first."""
        return [
            (label, count, self.trusted_labels[label]) for label, count in self.labels.most_common()
        ]
