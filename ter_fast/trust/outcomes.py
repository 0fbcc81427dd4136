"""What a model answered for labelled clips, beside what was right: all that figures and reports need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError
from ter_fast.opinions.trusted import is_trusted, is_within
from ter_fast.trust._arrays import Vector, as_array, as_vector
from ter_fast.trust.conformal import ConformalSets

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Labels = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ModalityOutcomes:
    """Hold what one modality alone said of N clips, NaN where it was missing.

    Attributes:
        belief: (N, K) belief masses b_k = e_k / S.
        uncertainty: (N,) vacuity K / S; beliefs and uncertainty sum to one.
    """

    belief: Floats
    uncertainty: Floats

    @property
    def prediction(self) -> Labels:
        """Return the class with the largest belief, (N,); -1 where the modality was missing."""
        missing = np.isnan(self.uncertainty)
        return np.where(missing, -1, np.where(missing[:, None], 0, self.belief).argmax(axis=1))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Hold a model's answers to N labelled clips.

    Any classifier's answers will do (`from_arrays`); a model of this package adds what each of its
    modalities said.

    Attributes:
        name: Name of the data.
        labels: Class names (K,).
        target: (N,) true classes.
        probability: (N, K) probabilities.
        prediction: (N,) predicted classes.
        confidence: (N,) what is held against the threshold; NaN is never trusted.
        threshold: Confidence from which a prediction is trusted; None where none was calibrated.
        groups: (N,) speakers or sources, which are resampled whole.
        paths: (N,) files or names of the clips.
        attributes: By name (sex, age, corruption, …), (N,) values; "" where unknown.
        confidences: By kind, (N,) other confidences, to see which ranks errors best.
        confidence_kind: Name of the kind that `confidence` is.
        uncertainty: (N,) vacuity; None where the model has none.
        disagreement: (N,) between modalities; None where there is one modality.
        disagreement_limit: Above it nothing is trusted; None for no limit.
        modalities: By name, what each modality alone said.
        pairing: "label-matched" for pairs of clips of two corpora, "mismatched" where modalities are of two
            labels, else "".
        guarantee: What was guaranteed of the threshold, and for whom; "" for nothing.
        conformal: What makes label sets of the probabilities; None without.
    """

    name: str
    labels: tuple[str, ...]
    target: Labels
    probability: Floats
    prediction: Labels
    confidence: NDArray[np.floating[Any]]
    threshold: float | None
    groups: tuple[str, ...]
    paths: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    confidences: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    confidence_kind: str = "confidence"
    uncertainty: Floats | None = None
    disagreement: Floats | None = None
    disagreement_limit: float | None = None
    modalities: Mapping[str, ModalityOutcomes] = field(default_factory=dict)
    pairing: str = ""
    guarantee: str = ""
    conformal: ConformalSets | None = None

    @classmethod
    def from_arrays(
        cls,
        probability: Vector,
        target: Vector,
        *,
        confidence: Vector | None = None,
        threshold: float | None = None,
        labels: Sequence[str] | None = None,
        groups: Sequence[object] | None = None,
        paths: Sequence[object] | None = None,
        attributes: Mapping[str, Sequence[object]] | None = None,
        name: str = "data",
    ) -> Outcomes:
        """Take the answers of any classifier.

        Args:
            probability: (N, K) probabilities.
            target: (N,) true classes in 0 … K - 1.
            confidence: (N,) confidences; the largest probability when left out.
            threshold: Confidence from which a prediction is trusted.
            labels: Class names (K,); "0" … "K - 1" when left out.
            groups: (N,) speakers or sources; each clip its own when left out.
            paths: (N,) names of the clips; their numbers when left out.
            attributes: By name, (N,) values to break trust down by; "", None or NaN where unknown.
            name: Name of the data.

        Raises:
            DataError: Lengths or shapes differ, the rows are no probabilities, a label is outside
                0 … K - 1, a group is missing, the threshold is NaN, or there are no samples.

        Example:
            >>> found = Outcomes.from_arrays([[0.8, 0.2], [0.4, 0.6]], [0, 0], threshold=0.7)
            >>> found.correct.tolist(), found.trusted.tolist()
            ([True, False], [True, False])
        """
        from ter_fast.trust.metrics.probabilities import as_probabilities

        chances, true = as_probabilities(probability, target)
        size, classes = chances.shape
        if not size:
            raise DataError("there are no samples; give at least one")
        names = tuple(map(str, range(classes) if labels is None else labels))
        if len(names) != classes or len(set(names)) != classes:
            raise DataError(
                f"labels are {list(names)}; give {classes} different names, one for each column"
            )
        largest = chances.max(axis=1)
        kind = "max_probability" if confidence is None else "confidence"
        sure = largest if confidence is None else as_vector("confidence", confidence)
        speakers = range(size) if groups is None else _as_list(groups)
        files = range(size) if paths is None else _as_list(paths)
        known = {key: _as_list(values) for key, values in (attributes or {}).items()}
        for column, values in (
            *(("confidence", sure), ("groups", speakers), ("paths", files)),
            *known.items(),
        ):
            if len(values) != size:
                raise DataError(f"{column} has {len(values)} entries for {size} samples")
        if threshold is not None and np.isnan(threshold):
            raise DataError("threshold is NaN; give a number, or None where none was calibrated")
        if any(map(_is_missing, speakers)):
            raise DataError(
                "groups holds None or NaN; name what is missing, or leave those clips out"
            )
        return cls(
            name=name,
            labels=names,
            target=true,
            probability=chances,
            # NaN would win an argmax, whose row no class deserves.
            prediction=np.where(np.isnan(chances), -1, chances).argmax(axis=1),
            confidence=sure if sure.dtype.kind == "f" else sure.astype(np.float64),
            # JSON knows no number of NumPy's.
            threshold=None if threshold is None else float(threshold),
            groups=tuple(map(str, speakers)),
            paths=tuple(map(str, files)),
            attributes={
                key: tuple("" if _is_missing(value) else str(value) for value in values)
                for key, values in known.items()
            },
            confidences={kind: sure},
            confidence_kind=kind,
        )

    def __len__(self) -> int:
        """Return the number of clips N."""
        return len(self.target)

    @property
    def correct(self) -> Flags:
        """Return which predictions are right, (N,)."""
        return np.equal(self.prediction, self.target)

    @property
    def ranked(self) -> NDArray[np.floating[Any]]:
        """Return the confidences (N,), NaN where disagreement forbids trust at any threshold."""
        return self.within_limit(self.confidence)

    def within_limit(self, confidence: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return some confidences (N,), NaN where disagreement forbids trust at any threshold."""
        if self.disagreement_limit is None or self.disagreement is None:
            return confidence
        return np.where(is_within(self.disagreement, self.disagreement_limit), confidence, np.nan)

    @property
    def trusted(self) -> Flags | None:
        """Return which predictions are trusted, (N,); None without a threshold."""
        return None if self.threshold is None else self.trusted_at(self.threshold)

    def trusted_at(self, threshold: float | Floats) -> Flags:
        """Return which predictions would be trusted at some threshold, or thresholds (N,)."""
        # In float64, as the sweep compares: NumPy would round the threshold to float32 first.
        sure = self.confidence.astype(np.float64)
        return is_trusted(sure, threshold, self.disagreement, self.disagreement_limit)

    @property
    def label_sets(self) -> Flags | None:
        """Return which classes each label set holds, (N, K); None without."""
        return None if self.conformal is None else self.conformal.predict(self.probability)

    def subset(self, rows: Vector) -> Outcomes:
        """Return the outcomes of some clips, by number or by a mask (N,)."""
        chosen = np.arange(len(self))[as_array("rows", rows)]

        def take(values: Sequence[str]) -> tuple[str, ...]:
            return tuple(values[row] for row in chosen)

        return replace(
            self,
            target=self.target[chosen],
            probability=self.probability[chosen],
            prediction=self.prediction[chosen],
            confidence=self.confidence[chosen],
            groups=take(self.groups),
            paths=take(self.paths),
            attributes={key: take(values) for key, values in self.attributes.items()},
            confidences={key: values[chosen] for key, values in self.confidences.items()},
            uncertainty=None if self.uncertainty is None else self.uncertainty[chosen],
            disagreement=None if self.disagreement is None else self.disagreement[chosen],
            modalities={
                key: ModalityOutcomes(each.belief[chosen], each.uncertainty[chosen])
                for key, each in self.modalities.items()
            },
        )

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a clip, for a table: what was true, predicted, trusted, and by whom."""
        # Each of these is worked out again whenever it is asked for.
        trusted, correct = self.trusted, self.correct
        said = {name: each.prediction for name, each in self.modalities.items()}
        sets = self.label_sets
        found = []
        for i in range(len(self)):
            row: dict[str, Any] = {
                "path": self.paths[i],
                "group": self.groups[i],
                "target": self.labels[self.target[i]],
                "label": self.labels[self.prediction[i]],
                "correct": bool(correct[i]),
                "confidence": float(self.confidence[i]),
                "trusted": None if trusted is None else bool(trusted[i]),
            }
            for key, values in (
                ("uncertainty", self.uncertainty),
                ("disagreement", self.disagreement),
            ):
                if values is not None:
                    row[key] = float(values[i])
            row |= {
                f"p_{name}": float(p)
                for name, p in zip(self.labels, self.probability[i], strict=True)
            }
            if sets is not None:
                row["label_set"] = "; ".join(
                    self.labels[k]
                    for k in np.argsort(-self.probability[i], kind="stable")
                    if sets[i, k]
                )
            for name, each in self.modalities.items():
                label = int(said[name][i])
                row[f"{name}_label"] = "" if label < 0 else self.labels[label]
                row[f"{name}_uncertainty"] = float(each.uncertainty[i])
            known = {key: values[i] for key, values in self.attributes.items()}
            # An attribute may be called "label"; what the model said keeps its name.
            row |= {f"attribute_{key}" if key in row else key: known[key] for key in known}
            found.append(row)
        return found


def _as_list(values: Any) -> Sequence[object]:
    """Return the entries as Python has them: those of a tensor print as tensors."""
    found: Sequence[object] = values.tolist() if hasattr(values, "tolist") else values
    return found


def _is_missing(value: object) -> bool:
    # As they print: NumPy and pandas have types of their own for each.
    return value is None or (not isinstance(value, str) and str(value) in ("nan", "NaT", "<NA>"))
