"""Conformal prediction sets: the classes that cannot be ruled out at a stated coverage, by MAPIE."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError, TerFastError
from ter_fast.trust._arrays import Vector, as_array
from ter_fast.trust.metrics.labels import Floats
from ter_fast.trust.metrics.probabilities import as_probabilities, check_distributions

if TYPE_CHECKING:
    from mapie.conformity_scores import BaseClassificationScore

Method = Literal["lac", "aps", "raps"]
Sets = NDArray[np.bool_]

_FLOOR = 1e-6


@dataclass(frozen=True)
class ConformalSets:
    """Hold a calibrated rule that answers with sets of classes instead of one.

    P(true class in set) >= target_coverage, over the draw of the calibration samples and of the new
    one together, whatever the model: if all of them are exchangeable. Clips of the speakers and
    sources that were calibrated on are; clips of new speakers, another corpus or another microphone
    are not, and the promise does not cover them. Nor does it hold for each class, each speaker or
    each set size apart: it is an average over clips.

    A small set means sure, a large one unsure. `lac` may give an empty set: no class is as probable
    as the true class of calibration clips mostly was, so the model knows no answer. An empty set
    counts as a miss, and the coverage already allows for it. `aps` and `raps` give no empty sets.

    Attributes:
        method: "lac", the smallest sets on average, {k: 1 - p_k <= q}; "aps", larger sets that
            adapt to how hard a clip is, the most probable classes until their sum reaches q; "raps",
            "aps" with a penalty on each class beyond the first few, for many classes. Neither of the
            two drops its last class at random, so with few classes both cover more than promised.
        target_coverage: The promised share of sets that hold the true class.
        classes: Number of classes K.
        samples: Calibration samples that the rule rests on.
        left_out: Calibration samples of NaN probability, which were not used.
        quantile: q, the conformity score that this share of calibration samples stays below.
        penalty: Penalty for each class beyond `free_classes`, of "raps"; else 0.
        free_classes: Number of classes without penalty, of "raps"; else 0.

    Reference:
        Sadinle et al. 2019, "Least Ambiguous Set-Valued Classifiers with Bounded Error Levels";
        Romano et al. 2020, "Classification with Valid and Adaptive Coverage"; Angelopoulos et al.
        2021, "Uncertainty Sets for Image Classifiers using Conformal Prediction".

    Example:
        >>> generator = np.random.default_rng(0)
        >>> probability = generator.dirichlet([0.5, 0.5, 0.5], 600)
        >>> target = np.array([generator.choice(3, p=row) for row in probability])
        >>> sets = ConformalSets.fit(probability[:300], target[:300], coverage=0.8)
        >>> sets.predict([[0.98, 0.01, 0.01], [0.4, 0.35, 0.25]]).tolist()
        [[True, False, False], [True, True, False]]
        >>> sets.coverage(probability[300:], target[300:]) > 0.75
        True
    """

    method: Method
    target_coverage: float
    classes: int
    samples: int
    left_out: int
    quantile: float
    penalty: float = 0.0
    free_classes: float = 0.0

    def __post_init__(self) -> None:
        """Check the method and that every number is in its range."""
        _check(self.method, self.target_coverage)
        numbers = (self.quantile, self.penalty, self.free_classes)
        if not all(map(math.isfinite, numbers)) or self.classes < 2:
            raise DataError(
                f"{self.classes} classes, quantile {self.quantile}, penalty {self.penalty} and "
                f"{self.free_classes} free classes are no conformal sets; fit them again"
            )

    @classmethod
    def fit(
        cls,
        probability: Vector,
        target: Vector,
        coverage: float = 0.9,
        method: Method = "lac",
        seed: int = 0,
    ) -> ConformalSets:
        """Calibrate prediction sets on clips that the model has neither trained on nor chosen by.

        Args:
            probability: (N, K) probabilities. Rows with NaN are left out, and counted: their sets
                hold every class anyway.
            target: (N,) true labels.
            coverage: Share of sets that are to hold the true class, inside (0, 1).
            method: "lac", "aps" or "raps".
            seed: Of the random numbers that "aps" and "raps" break ties with, and of the tenth of
                the samples by which "raps" chooses its penalty.

        Raises:
            DataError: Shapes do not fit, the rows are no probabilities, there are too few samples
                for the coverage, `coverage` or `method` is unknown, or the method refuses the labels
                ("aps" and "raps" want three classes among them; "raps" two samples of each).
            TerFastError: MAPIE is not installed.
        """
        _check(method, coverage)
        chances, true = as_probabilities(probability, target)
        known = ~np.isnan(chances).any(axis=1)
        _check_samples(true[known], coverage, method)
        score = _score(method)
        from mapie.classification import SplitConformalClassifier

        classifier = SplitConformalClassifier(
            _Probabilities(chances.shape[1]), coverage, score, prefit=True, random_state=seed
        )
        values = _prepared(chances[known], method)
        with warnings.catch_warnings():
            # A class without calibration samples is no fault: the promise is an average over clips.
            warnings.filterwarnings("ignore", message=".*conformalization dataset has less labels")
            try:
                classifier.conformalize(values, true[known])
                # MAPIE computes the quantile when it is asked for sets.
                classifier.predict_set(values[:1])
            except ValueError as error:
                raise DataError(f"MAPIE refuses these samples for {method}: {error}") from error
        return cls(
            method=method,
            target_coverage=coverage,
            classes=chances.shape[1],
            samples=score.n_samples_,
            left_out=int(known.size - known.sum()),
            quantile=np.asarray(score.quantiles_).item(),
            penalty=np.asarray(getattr(score, "lambda_star", 0.0)).item(),
            free_classes=float(np.asarray(getattr(score, "k_star", 0)).item()),
        )

    def predict(self, probability: Vector) -> Sets:
        """Return the set of each sample, (N, K): True for the classes that it holds.

        A row with NaN says nothing, so its set holds every class.

        Raises:
            DataError: The rows are no probabilities over the classes that were calibrated.
            TerFastError: MAPIE is not installed.
        """
        chances = as_array("probability", probability).astype(np.float64)
        if chances.ndim != 2 or chances.shape[1] != self.classes:
            raise DataError(
                f"probability has shape {chances.shape}; give (N, {self.classes}), "
                "the classes that were calibrated"
            )
        check_distributions(chances)
        known = ~np.isnan(chances).any(axis=1)
        sets = np.ones(chances.shape, dtype=np.bool_)
        if not known.any():
            return sets
        score = _score(self.method)
        score.quantiles_ = np.array([self.quantile])
        if self.method == "raps":
            score.lambda_star, score.k_star = self.penalty, np.array([self.free_classes])
        found = score.get_prediction_sets(
            _prepared(chances[known], self.method)[:, :, None],
            conformity_scores=np.empty((self.samples, 1)),
            alpha_np=np.array([1 - self.target_coverage]),
            cv="prefit",
        )
        sets[known] = found[:, :, 0]
        return sets

    def coverage(self, probability: Vector, target: Vector) -> float:
        """Return the share of samples whose set holds the true class; NaN without samples.

        Raises:
            DataError: As for `predict`, or a label does not fit.
        """
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

    def save(self, path: str | Path) -> None:
        """Write the calibrated rule as JSON."""
        Path(path).write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> ConformalSets:
        """Read what `save` wrote.

        Raises:
            DataError: The file holds something else.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is no JSON ({error}); save the sets again") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ConformalSets:
        """Build the rule from parsed JSON, the dictionary that `dataclasses.asdict` gives.

        Raises:
            DataError: An entry is missing, unknown or of the wrong type.
        """
        kinds = {
            field.name: {"int": int, "float": float}.get(str(field.type), str)
            for field in fields(cls)
        }
        try:
            return cls(**{name: kinds[name](value) for name, value in values.items()})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"these are no conformal sets ({error}); expected the entries {', '.join(kinds)}"
            ) from error


class _Probabilities:
    """Stand in for a fitted classifier whose inputs are its outputs, which is all MAPIE asks of one."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)

    def fit(self, x: Floats, y: NDArray[np.int64]) -> _Probabilities:
        return self

    def predict_proba(self, x: Floats) -> Floats:
        return x

    def predict(self, x: Floats) -> NDArray[np.intp]:
        best: NDArray[np.intp] = x.argmax(axis=1)
        return best


def _score(method: Method) -> BaseClassificationScore:
    try:
        from mapie import conformity_scores
    except ImportError as error:
        raise TerFastError(
            "prediction sets need MAPIE: pip install 'ter_fast[conformal]'"
        ) from error
    return getattr(conformity_scores, f"{method.upper()}ConformityScore")()


def _prepared(chances: Floats, method: Method) -> Floats:
    # MAPIE takes no half-precision rows that sum to 1 only roughly.
    rows: Floats = chances / chances.sum(axis=1, keepdims=True)
    if method == "lac":
        return rows
    # APS and RAPS never put a class of probability 0 in a set, not even where it often comes true,
    # and so would break their promise for an overconfident model.
    rows += _FLOOR
    rows /= 1 + _FLOOR * chances.shape[1]
    return rows


def _check(method: str, coverage: float) -> None:
    if method not in get_args(Method):
        known = ", ".join(get_args(Method))
        raise DataError(f"unknown method {method!r}; choose one of {known}")
    if not 0 < coverage < 1:
        raise DataError(f"coverage is {coverage}; give a share inside (0, 1)")


def _check_samples(true: NDArray[np.int64], coverage: float, method: Method) -> None:
    needed = math.ceil(round(max(1 / (1 - coverage), 1 / coverage), 6))
    if method == "raps":
        # MAPIE sets a tenth aside to choose the penalty, and wants as many there.
        needed *= 10
    if true.size < needed:
        raise DataError(
            f"{true.size} calibration samples cannot promise a coverage of {coverage} by {method}; "
            f"give at least {needed}, or ask for less"
        )
    seen, counts = np.unique(true, return_counts=True)
    if method != "lac" and seen.size < 3:
        raise DataError(
            f"the targets hold {seen.size} classes, and MAPIE's {method} needs three; use lac"
        )
    if method == "raps" and counts.min() < 2:
        raise DataError(
            f"class {seen[counts.argmin()]} has one calibration sample, and raps needs two of each "
            "class that occurs; give more, or use aps"
        )
