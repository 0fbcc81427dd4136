"""The threshold of trust of a classifier of feature views."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt

from ter_fast.errors import DataError
from ter_fast.multiview.base import ViewNetworkClassifier
from ter_fast.multiview.validated import class_indices, one_for_each, threshold_by
from ter_fast.multiview.views import Features
from ter_fast.opinions.trusted import is_trusted
from ter_fast.trust.thresholds import Guarantee, guaranteed


class ThresholdedClassifier(ViewNetworkClassifier):
    """A classifier of feature views that says which answers to trust.

    Attributes:
        threshold_: Confidence from which on an answer is trusted; None where none can be.
        guarantee_: What is guaranteed of it, where a risk was given.
    """

    def calibrate(
        self,
        X: Features,
        y: npt.ArrayLike,
        criterion: str = "balance",
        *,
        risk: float | None = None,
        delta: float = 0.05,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Choose the threshold of trust on data that took no part in training.

        Args:
            X: Features.
            y: (N,) labels; for a risk, those the classifier never saw count as wrong.
            criterion: "balance", "f1", "accuracy", "precision=P" or "coverage=Q".
            risk: Instead, the largest share of errors among trusted answers that is guaranteed.
            delta: Probability with which the guarantee may fail.
            groups: (N,) speaker or source of each sample, where the guarantee is for new ones.

        Raises:
            DataError: No threshold meets the criterion, or an argument makes no sense, such as a label
                the classifier never saw for a criterion.
        """
        confidence = self.confidence_of(X)
        labels = one_for_each(y, len(confidence))
        self.guarantee_: Guarantee | None = None
        self.threshold_: float | None
        if risk is not None:
            correct = self.predict(X) == labels
            self.guarantee_ = guaranteed(confidence, correct, risk, delta, groups=groups)
            self.threshold_ = self.guarantee_.threshold
            return self
        target = class_indices(labels, self.classes_, len(labels))
        self.threshold_ = threshold_by(criterion, self.predict_proba(X), target, confidence)
        return self

    def trusted(self, X: Features) -> npt.NDArray[np.bool_]:
        """Say which answers are trusted: (N,), confidence >= threshold.

        Raises:
            DataError: `calibrate` has set no threshold.
        """
        if not hasattr(self, "threshold_"):
            raise DataError("no threshold of trust is set; call calibrate with data of its own")
        if self.threshold_ is None:
            return np.zeros(len(self.confidence_of(X)), dtype=bool)
        return is_trusted(self.confidence_of(X), self.threshold_)
