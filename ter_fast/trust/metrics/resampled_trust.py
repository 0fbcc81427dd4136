"""The trusted metrics of resampled data: areas, points of the risk-coverage curve, one threshold.

The samples are sorted once. Every resample is then one walk down the confidences, in which each
sample counts as often as it was drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ter_fast.trust._arrays import Vector, as_vector
from ter_fast.trust.metrics.resampled import (
    Counts,
    Drawn,
    Family,
    Floats,
    Groups,
    Tally,
    check_rows,
    nothing,
)
from ter_fast.trust.thresholds import Sweep, sweep

AREAS = ("aurc", "e_aurc", "augrc", "failure_auroc", "fpr95", "accept_all_f1")
SCORES = {
    **{f"trusted_{name}": name for name in ("precision", "recall", "f1", "accuracy")},
    **{name: name for name in ("coverage", "risk", "lift")},
}
"""Figures at the threshold, and the fields of `TrustedScores` that they are."""


def of_trust(
    group: Groups,
    confidence: Vector,
    correct: Vector,
    threshold: float | None,
    risks: Sequence[float],
    coverages: Sequence[float],
) -> Family:
    """Resample the areas, the points at risks and coverages, and the scores at a threshold."""
    curve = sweep(confidence, correct)
    check_rows("confidence", curve.n, group)
    values = _plain(curve, threshold, risks, coverages)
    if not curve.n:
        return Family(values, nothing)
    score = as_vector("confidence", confidence).astype(np.float64)
    order = np.argsort(-score, kind="stable")
    right = as_vector("correct", correct).astype(np.bool_)[order]
    real = curve.n - curve.nan_count
    accepted = 0 if threshold is None else curve.at(threshold).accepted
    tally = Tally(group[order], _cells(right, accepted, real), np.ones(curve.n), 5)
    walk = _Walk(group[order], *_ties(score[order], right, real), real)

    def replicate(drawn: Drawn) -> dict[str, Floats]:
        counts = _Counts(*tally(drawn).astype(np.int64))
        found = walk(drawn, counts, risks, coverages)
        if threshold is not None:
            found |= _scores(counts)
        return found

    return Family(values, replicate)


class _Counts(NamedTuple):
    """Count the samples of each resample, (R,) each, by outcome."""

    accepted_right: Counts
    accepted_wrong: Counts
    rejected_right: Counts
    rejected_wrong: Counts
    nan_right: Counts

    @property
    def right(self) -> Counts:
        return self.accepted_right + self.rejected_right + self.nan_right

    @property
    def wrong(self) -> Counts:
        return self.accepted_wrong + self.rejected_wrong


class _Walk:
    """Walk down the confidences of sorted samples, for many resamples at once."""

    def __init__(
        self, group: Groups, kind: NDArray[np.int8], last: NDArray[np.bool_], real: int
    ) -> None:
        self.group, self.kind, self.last, self.real = group, kind, last, real
        self.harmonic = np.zeros(0)

    def __call__(
        self, drawn: Drawn, counts: _Counts, risks: Sequence[float], coverages: Sequence[float]
    ) -> dict[str, Floats]:
        from ter_fast.trust.metrics.bootstrap_loops import rank

        right, wrong = counts.right, counts.wrong
        n = right + wrong
        if self.harmonic.size <= n.max():
            # Samples vary in number with the groups drawn; a little more saves most later tables.
            self.harmonic = np.append(0, np.cumsum(1 / np.arange(1, int(1.2 * n.max()) + 2)))
            self.sums = np.append(0, np.cumsum(self.harmonic[:-1]))
        resamples = n.size
        late = np.zeros(resamples)
        ordered, false = np.zeros((2, resamples), np.int64)
        reached = np.zeros((len(risks), resamples), np.int64)
        covered = np.zeros((2, len(coverages), resamples), np.int64)
        enough = least_count(0.95, right)
        needed = np.array([least_count(q, n) for q in coverages], np.int64)
        rank(
            drawn,
            self.group,
            self.kind,
            self.last,
            self.real,
            self.sums,
            enough,
            np.array(risks, np.float64),
            needed.reshape(-1, resamples),
            late,
            ordered,
            false,
            reached,
            covered,
        )
        # A wrong sample of rank j raises the risk of the coverages j/N … N/N, by 1/j … 1/N.
        risk = wrong * self.harmonic[n] - late
        optimum = wrong - right * (self.harmonic[n] - self.harmonic[right])
        pairs = right * wrong
        with np.errstate(invalid="ignore"):
            found = {
                "aurc": risk / n,
                # Where the order is perfect, what is left of the sums is rounding.
                "e_aurc": np.where(ordered == 2 * pairs, 0, np.maximum(risk - optimum, 0)) / n,
                "augrc": (wrong**2 + 2 * pairs - ordered) / (2 * n**2),
                "failure_auroc": ordered / (2 * pairs),
                "fpr95": np.where(right - counts.nan_right >= enough, false / wrong, 1.0),
                "accept_all_f1": 2 * right / (n + right),
            }
            found["fpr95"][pairs == 0] = np.nan
            found |= dict(zip(_names("coverage_at_risk", risks), reached / n, strict=True))
            points = covered[1] / np.where(covered[0], covered[0], np.nan)
        return found | dict(zip(_names("risk_at_coverage", coverages), points, strict=True))


def least_count(fraction: float, total: Counts) -> Counts:
    """Return the smallest whole numbers that are at least this fraction of totals, as divided."""
    count: Counts = np.ceil(fraction * total).astype(np.int64)
    divisor = np.maximum(total, 1)
    # The product may round to the other side of a whole number than the quotient does.
    count -= (count - 1) / divisor >= fraction
    count += count / divisor < fraction
    return count


def _plain(
    curve: Sweep, threshold: float | None, risks: Sequence[float], coverages: Sequence[float]
) -> dict[str, float]:
    values: dict[str, float] = {name: getattr(curve, name) for name in AREAS}
    at_risk = [curve.coverage_at_risk(risk) for risk in risks]
    at_coverage = [curve.risk_at_coverage(coverage) for coverage in coverages]
    values |= zip(_names("coverage_at_risk", risks), at_risk, strict=True)
    values |= zip(_names("risk_at_coverage", coverages), at_coverage, strict=True)
    if threshold is not None:
        scores = curve.at(threshold)
        values |= {name: getattr(scores, field) for name, field in SCORES.items()}
    return values


def _names(name: str, points: Sequence[float]) -> list[str]:
    return [f"{name}_{point:g}" for point in points]


def _cells(right: NDArray[np.bool_], accepted: int, real: int) -> Counts:
    """Return the field of `_Counts` that each sorted sample (N,) belongs to."""
    rank = np.arange(right.size)
    cell: Counts = np.where(right, 0, 1) + 2 * (rank >= accepted)
    cell[real:][right[real:]] = 4
    return cell


def _ties(
    score: Floats, right: NDArray[np.bool_], real: int
) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Return the kind of each sorted sample (N,), and whether it is the last of its tie."""
    from ter_fast.trust.metrics.bootstrap_loops import RIGHT, TIED_RIGHT, WRONG

    last = np.ones(score.size, np.bool_)
    last[:-1] = score[1:] != score[:-1]
    # NaN differs from NaN, but all of them rank alike.
    last[real:-1] = False
    tie: Counts = np.cumsum(last) - last
    errors = np.bincount(tie, ~right)[tie]
    kind = np.where(right, np.where(errors > 0, TIED_RIGHT, RIGHT), WRONG).astype(np.int8)
    return kind, last


def _scores(counts: _Counts) -> dict[str, Floats]:
    right, wrong = counts.accepted_right, counts.accepted_wrong
    accepted, n = right + wrong, counts.right + counts.wrong
    f1 = 2 * right / np.maximum(accepted + counts.right, 1)
    scores = {
        "precision": np.where(accepted > 0, right / np.maximum(accepted, 1), 1.0),
        "recall": right / np.maximum(counts.right, 1),
        "f1": f1,
        "accuracy": (right + counts.rejected_wrong) / n,
        "coverage": accepted / n,
        "risk": wrong / np.maximum(accepted, 1),
        "lift": f1 - 2 * counts.right / (n + counts.right),
    }
    return {name: scores[field] for name, field in SCORES.items()}
