"""Conformal prediction sets: the classes that cannot be ruled out at a stated coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.trust._arrays import Vector, as_array

Sets = NDArray[np.bool_]
Scores = NDArray[np.float64]

_TIE = 1e-6
"""Probabilities of float32 closer than this are equal; a tie belongs to the set, which costs no coverage."""


@dataclass(frozen=True)
class ConformalSets:
    r"""A calibrated rule that answers with a set of classes instead of one (split conformal, LAC).

    With scores $s_i = 1 - p_{y_i}(x_i)$ of n calibration samples and their quantile

    $$q = s_{(\lceil (n + 1)(1 - \alpha) \rceil)}, \qquad C(x) = \{k : 1 - p_k(x) \le q\},$$

    the set of a new sample holds its true class with $P(y \in C(x)) \ge 1 - \alpha$, whatever the model, if
    the new sample and the calibration samples are exchangeable. The probability is over the draw of both:
    one calibration of n samples covers about $1 - \alpha \pm \sqrt{\alpha (1 - \alpha) / n}$ of all samples.

    Further clips of the speakers and sources that were calibrated on are exchangeable with these; clips of
    new speakers, another corpus or another microphone are not, and the coverage does not extend to them. Nor
    does it hold for each class, each speaker or each set size apart: it is an average over samples.

    A small set means sure, a large one unsure. A set may be empty: no class is as probable as the true class
    of the calibration samples mostly was. An empty set is a miss, and the coverage already allows for it.

    Attributes:
        alpha: Largest probability that a set misses the true class.
        quantile: q, the score up to which a class belongs to the set.
        classes: Number of classes K.
        samples: Calibration samples that q rests on.
        groups: Of these samples; as many as samples where each stands alone.
        data: Name of the calibration data.
        pairing: "" for clips that have these modalities, "label-matched" for pairs of clips of equal label
            taken from two single-modality corpora.

    Reference:
        Sadinle, Lei and Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error levels";
        Angelopoulos and Bates 2023, "Conformal prediction: a gentle introduction", section 1; for `groups`
        Lee, Barber and Willett 2023, "Distribution-free inference with hierarchical data", section 3.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> probability = generator.dirichlet([0.5, 0.5, 0.5], 600)
        >>> target = np.array([generator.choice(3, p=row) for row in probability])
        >>> sets = ConformalSets.fit(probability[:300], target[:300], alpha=0.2)
        >>> sets.predict([[0.98, 0.01, 0.01], [0.4, 0.35, 0.25]]).tolist()
        [[True, False, False], [True, True, False]]
        >>> sets.coverage(probability[300:], target[300:]) > 0.75
        True
    """

    alpha: float
    quantile: float
    classes: int
    samples: int
    groups: int
    data: str = ""
    pairing: str = ""

    def __post_init__(self) -> None:
        """Check that every number is in its range."""
        check_alpha(self.alpha)
        if not math.isfinite(self.quantile) or self.classes < 2:
            raise DataError(
                f"{self.classes} classes and a quantile of {self.quantile} are no conformal sets; fit them again"
            )

    @classmethod
    def fit(
        cls,
        probability: Vector,
        target: Vector,
        alpha: float = 0.1,
        *,
        groups: Vector | None = None,
        data: str = "",
        pairing: str = "",
    ) -> ConformalSets:
        """Calibrate prediction sets on samples that the model has neither trained on nor chosen by.

        Args:
            probability: (N, K) probabilities. Rows with NaN are left out: their sets hold every class.
            target: (N,) true classes.
            alpha: Largest probability that a set misses the true class, inside (0, 1).
            groups: (N,) what belongs together, such as the clip of each window. Every group then counts
                alike, and the coverage is that of a random sample of a further group. None: each sample
                stands alone.
            data: Name of the data, for the record.
            pairing: How clips were paired, for the record.

        Raises:
            DataError: Shapes do not fit, the rows are no probabilities, `alpha` is no share, or there are
                fewer than 1 / alpha - 1 samples (or groups), of which no quantile can be taken.
        """
        from ter_fast.trust.metrics.probabilities import as_probabilities
        from ter_fast.trust.thresholds.samples import encode_groups

        check_alpha(alpha)
        chances, true = as_probabilities(probability, target)
        if chances.shape[1] < 2:
            raise DataError(f"probability has {chances.shape[1]} classes; give at least two")
        valid = ~np.isnan(chances).any(axis=1)
        owner = np.arange(true.size) if groups is None else encode_groups(groups)[1]
        if owner.size != true.size:
            raise DataError(f"{owner.size} groups for {true.size} samples; give one per sample")
        _, group, sizes = np.unique(owner[valid], return_inverse=True, return_counts=True)
        _check_enough(sizes.size, alpha, "samples" if groups is None else "groups")
        quantile = _quantile(1 - chances[valid, true[valid]], 1 / sizes[group], alpha)
        return cls(alpha, quantile, chances.shape[1], int(valid.sum()), sizes.size, data, pairing)

    def predict(self, probability: Vector) -> Sets:
        """Return the set of each sample, (N, K): True for the classes that it holds.

        A row with NaN says nothing, so its set holds every class.

        Raises:
            DataError: The rows are no probabilities over the classes that were calibrated.
        """
        from ter_fast.trust.metrics.probabilities import check_distributions

        chances = as_array("probability", probability).astype(np.float64)
        if chances.ndim != 2 or chances.shape[1] != self.classes:
            raise DataError(
                f"probability has shape {chances.shape}; give (N, {self.classes}), "
                "the classes that were calibrated"
            )
        check_distributions(chances)
        least: Scores = chances.min(axis=1)
        return np.isnan(least)[:, None] | (1 - chances <= self.quantile + _TIE)

    def coverage(self, probability: Vector, target: Vector) -> float:
        """Return the share of samples whose set holds the true class; NaN without samples.

        Raises:
            DataError: As for `predict`, or a label does not fit.
        """
        from ter_fast.trust.metrics.probabilities import as_probabilities

        chances, true = as_probabilities(probability, target)
        sets = self.predict(chances)
        return float(sets[np.arange(true.size), true].mean()) if true.size else math.nan

    def mean_size(self, probability: Vector) -> float:
        """Return the mean number of classes in a set; NaN without samples.

        Raises:
            DataError: As for `predict`.
        """
        sets = self.predict(probability)
        return float(sets.sum(axis=1).mean()) if len(sets) else math.nan

    @property
    def percent(self) -> str:
        """Return the guaranteed coverage in per cent."""
        return f"{100 * (1 - self.alpha):g} %"

    @property
    def guarantee(self) -> str:
        """Say what the sets cover, and for whom."""
        drawn, alone = f"{self.groups} clips", self.groups == self.samples
        what = "clips" if alone else "windows of clips"
        if self.pairing:
            drawn = f"{drawn[:-1]} pairs ({self.pairing})"
        return (
            f"the label sets of at least {self.percent} of {what} hold the true label, if these are drawn "
            f"like the {drawn} of {self.data or 'the calibration data'}: further clips of the same speakers, "
            "not new speakers or other recordings; an average over clips, not for each class or speaker"
        )


def check_alpha(alpha: float) -> None:
    """Refuse a miscoverage that is none.

    Raises:
        DataError: It is outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise DataError(
            f"the largest share of sets that miss the true label is {alpha}; give a share inside (0, 1), such as 0.1"
        )


def _check_enough(units: int, alpha: float, what: str) -> None:
    needed = math.ceil(round(1 / alpha - 1, 9))
    if units < max(needed, 1):
        raise DataError(
            f"{units} calibration {what} cannot guarantee that at most {alpha:g} of the label sets miss the "
            f"true label; give at least {max(needed, 1)}, or allow more misses"
        )


def _quantile(scores: Scores, weights: Scores, alpha: float) -> float:
    """Return the least score that, with a further group of score infinity, holds 1 - alpha of the weight.

    Where every group is one sample, that is the ceil((n + 1)(1 - alpha))-th smallest of n scores.
    """
    order = np.argsort(scores, kind="stable")
    share = weights[order].cumsum() / (weights.sum() + 1)
    place = int(np.searchsorted(share, 1 - alpha - 1e-9))
    return float(scores[order[min(place, len(order) - 1)]])
