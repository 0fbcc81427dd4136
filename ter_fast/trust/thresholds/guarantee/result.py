"""A threshold with what is guaranteed of it and for whom, or why nothing can be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from ter_fast.opinions.trusted import is_trusted
from ter_fast.trust.thresholds.samples import Flags, Scores


@dataclass(frozen=True)
class Guarantee:
    """Hold a threshold and what is guaranteed of it, or why there is none.

    Attributes:
        threshold: Confidence from which a prediction is trusted; None where no guarantee can be made.
        risk: Largest share of wrong predictions among the trusted ones.
        delta: Largest probability, over the draw of the calibration data, that the guarantee is broken.
        method: "ltt" or "sgr".
        unit: "clips", for clips drawn like these, or "groups", for groups (speakers) drawn like these.
        n: Clips in the calibration data.
        groups: Groups in them; None where the unit is the clip.
        accepted: Clips that the threshold accepts; 0 without one.
        errors: How many of them are wrong.
        coverage: `accepted / n`; 0 without clips.
        bound: Upper confidence limit of the risk at this level taken by itself, for comparison: what
            is guaranteed is `risk`. NaN without a threshold.
        nan_count: Clips whose confidence is NaN, which are never trusted.
        reason: Why there is no threshold; "" where there is one.
        samples_needed: How many clips, or groups, of the same kind would do, at the error rate of
            the level that comes closest to the guarantee; None where no number would.
        scope: The predictions that it is about, such as "predicted anger"; "" for all.
    """

    threshold: float | None
    risk: float
    delta: float
    method: str
    unit: str
    n: int
    groups: int | None
    accepted: int = 0
    errors: int = 0
    coverage: float = 0.0
    bound: float = math.nan
    nan_count: int = 0
    reason: str = ""
    samples_needed: int | None = None
    scope: str = ""

    @property
    def text(self) -> str:
        """Return what is guaranteed and for whom, in one sentence; "" where nothing is."""
        if self.threshold is None:
            return ""
        whom = (
            f"clips drawn like the {self.n} calibration clips, of the same speakers or sources"
            if self.unit == "clips"
            else f"new speakers or sources drawn like the {self.groups} of the calibration data, each counting alike"
        )
        what = f"trusted predictions ({self.scope})" if self.scope else "trusted predictions"
        return (
            f"for {whom}, at most {self.risk:.4g} of the {what} are wrong, with probability "
            f"{1 - self.delta:.4g} over the choice of the calibration data"
        )


def without_threshold(
    scores: Scores, risk: float, delta: float, method: str, groups: int | None
) -> Guarantee:
    """Return what is known before any threshold is found."""
    return Guarantee(
        threshold=None,
        risk=risk,
        delta=delta,
        method=method,
        unit="clips" if groups is None else "groups",
        n=scores.size,
        groups=groups,
        nan_count=int(np.isnan(scores).sum()),
    )


def with_threshold(
    base: Guarantee, threshold: float, scores: Scores, right: Flags, bound: float
) -> Guarantee:
    """Return the guarantee of a threshold, with the samples (N,) that it accepts."""
    trusted = is_trusted(scores.astype(np.float64), threshold)
    return replace(
        base,
        threshold=threshold,
        accepted=int(trusted.sum()),
        errors=int((trusted & ~right).sum()),
        coverage=float(trusted.mean()),
        bound=bound,
    )


def explain_missing(base: Guarantee, needed: float) -> Guarantee:
    """Return why there is no threshold, and how many samples would do."""
    have = base.n if base.groups is None else base.groups
    reason = (
        f"no threshold can be shown to keep the risk at {base.risk:.4g} from {have} {base.unit}"
    )
    least = math.ceil(math.log(base.delta) / math.log1p(-base.risk))
    enough = math.ceil(needed) if math.isfinite(needed) else None
    if base.n == base.nan_count:
        reason = "every confidence is NaN" if base.n else "there are no samples"
    elif have < least:
        reason += f": without a single error it takes {least}"
    elif enough is None:
        reason += ": no level of confidence was seen to keep it"
    if enough is not None:
        reason += f"; about {enough} like these would do"
    return replace(base, reason=reason, samples_needed=enough)
