"""How far to believe each modality: reliabilities learned on validation data, for fusion to discount by."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.opinions._views import check_mask, check_views
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import RULES
from ter_fast.trust._arrays import Vector
from ter_fast.trust.metrics.labels import Floats
from ter_fast.trust.scaling import _as_votes

_LOGITS = (-7.0, 14.0)
"""Range of the search in ln(w / (1 - w)): from 0.0009, which leaves next to nothing, to 0.999999."""

_ITERATIONS = 200
_SAME = 1e-4
"""Searches whose losses are closer than this (nats) are taken for the same minimum."""

Loss = Callable[[Floats], tuple[float, Floats]]


@dataclass(frozen=True)
class Reliability:
    """The reliability of each modality, and how it was found.

    Attributes:
        weights: w `(V,)` in (0, 1], in the order of the evidence.
        nll: Mean negative log-likelihood of the fused opinions with it, in nats.
        nll_before: The same with every modality taken at its word (w = 1).
        converged: The search that found it ended at a minimum, not for want of steps.
        starts: How many searches there were, each from another point.
        agreeing: How many of them ended at this loss; few of many say that there are other minima.
        samples: With at least one modality, on which it was fitted.
    """

    weights: tuple[float, ...]
    nll: float
    nll_before: float
    converged: bool
    starts: int
    agreeing: int
    samples: int


def fit_reliability(
    evidence: Tensor | Sequence[Tensor],
    mask: Tensor | None,
    target: Vector,
    rule: str = "dempster",
    groups: Sequence[str] | None = None,
) -> Reliability:
    """Learn how far fusion should believe each modality, on validation data.

    w = argmin -1/N sum_i sum_k y_ik ln p_ik,  p the fused opinion of b'_v = w_v b_v, u'_v = 1 - w_v (1 - u_v)

    The discount caps what a modality can say, S'_v <= K / (1 - w_v), whatever evidence it claims; so one
    that is confidently wrong ends near 0, and where evidence counts what each saw for itself, all stay
    near 1 under `cumulative`, whose assumption that is. An evidence scale (`fit_evidence_scale`) is
    fitted alone and before; reliabilities are fitted together.

    The loss is not convex. L-BFGS-B searches in ln(w / (1 - w)), with exact gradients in float64, from
    2 V + 2 points: all high, all middling, each modality alone high, and each alone low. Of a modality at
    the upper end it is checked whether w = 1 itself does as well.

    Args:
        evidence: `(V, N, K)`, or V tensors `(N, K)`, on data that the experts have not trained on.
        mask: `(V, N)` bool, True where a modality is present; None when all are. Samples without any
            are left out; a modality that no sample has keeps w = 1.
        target: `(N,)` true labels, or `(N, K)` shares of raters' votes.
        rule: The fusion rule that will be used, one of `ter_fast.opinions.opinion.RULES`.
        groups: `(N,)` speakers or sources, each of which then counts alike; None counts samples alike.

    Returns:
        The reliabilities, and whether the search converged.

    Raises:
        DataError: One modality, no sample with two of them, all samples of one class, evidence that is
            negative or not finite or all 0, an unknown rule, or shapes that do not fit.

    Reference:
        Jøsang, Subjective Logic, 2016, section 14.3 (discounting); the fit to the likelihood is this
        package's own.

    Example:
        >>> import torch
        >>> label = torch.tensor([0, 1] * 50)
        >>> knows = 3.0 * torch.nn.functional.one_hot(label, 2)
        >>> guesses = 90.0 * torch.nn.functional.one_hot(torch.tensor([0, 0, 1, 1] * 25), 2)
        >>> found = fit_reliability([knows, guesses], None, label)
        >>> [round(each, 2) for each in found.weights], found.converged
        ([1.0, 0.0], True)
    """
    views, available, votes = _check(evidence, mask, target, rule)
    loss = _loss(views, available, votes, rule, _shares(groups, available))
    present = available.any(1).numpy()
    before, _ = loss(np.ones(len(views)))
    runs = sorted(
        (_search(loss, start, present) for start in _starts(present)), key=lambda run: run[0]
    )
    nll, weights, converged = runs[0]
    nll, weights = _at_one(loss, nll, weights)
    if before <= nll:
        nll, weights, converged = before, np.ones(len(views)), True
    return Reliability(
        tuple(weights.tolist()),
        nll,
        before,
        converged,
        len(runs),
        sum(run[0] <= runs[0][0] + _SAME for run in runs),
        int(available.any(0).sum()),
    )


def _check(
    evidence: Tensor | Sequence[Tensor], mask: Tensor | None, target: Vector, rule: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return evidence `(V, N, K)`, mask `(V, N)` and votes `(N, K)`."""
    if rule not in RULES:
        raise DataError(f"rule is {rule!r}; expected one of {', '.join(RULES)}")
    try:
        views = check_views(evidence, "evidence").detach().cpu().double()
        if views.ndim != 3 or not views.shape[1]:
            raise DataError(
                f"evidence has shape {tuple(views.shape)}; give (V, N, K), at least one sample"
            )
        every = torch.ones(views.shape[:2], dtype=torch.bool)
        there = every if mask is None else check_mask(mask.cpu(), views)
    except (TypeError, ValueError) as error:
        raise DataError(str(error)) from error
    if len(views) < 2:
        raise DataError(
            "evidence of one modality: there is nothing to weigh it against; fit its evidence scale "
            "(fit_evidence_scale)"
        )
    evidence_values = views[there]
    if not bool(torch.isfinite(evidence_values).all()) or bool((evidence_values < 0).any()):
        raise DataError(
            "evidence of a modality that is present is negative or not finite; mask these or leave them out"
        )
    if not bool(evidence_values.any()):
        raise DataError("all evidence is 0, so no reliability changes anything; train the model")
    if not bool((there.sum(0) > 1).any()):
        raise DataError(
            "no sample has two modalities, so nothing says which to believe; give validation clips that "
            "have several"
        )
    columns, weight = _as_votes(target, views.shape[1], views.shape[2])
    votes = np.zeros(tuple(views.shape[1:]))
    np.put_along_axis(votes, columns, weight, axis=1)
    return views, there, torch.from_numpy(votes)


def _shares(groups: Sequence[str] | None, there: Tensor) -> Tensor:
    """Return the share of each sample in the loss `(N,)`, 0 where nothing is present."""
    share = there.any(0).double()
    if groups is not None:
        names = np.asarray(list(groups))
        if names.shape != tuple(share.shape):
            raise DataError(
                f"groups has shape {names.shape} for {len(share)} samples; give one group per sample"
            )
        # A speaker counts by the samples that are used.
        group = torch.from_numpy(np.unique(names, return_inverse=True)[1])
        share = share / torch.bincount(group, share).clamp_min(1)[group]
    return share / share.sum()


def _loss(views: Tensor, there: Tensor, votes: Tensor, rule: str, share: Tensor) -> Loss:
    # What is masked may hold NaN, which the rows that are left out must not pass on.
    views = torch.where(there[..., None], views, 0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        leaf = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
        fused = fuse(views, rule, there, leaf)
        value = -((fused.probability.log() * votes).sum(-1) * share).sum()
        (slope,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), slope.numpy()

    return loss


def _starts(present: NDArray[np.bool_]) -> Iterator[Floats]:
    """Yield points `(V,)` of ln(w / (1 - w)) to search from."""
    views = len(present)
    yield np.full(views, 3.0)
    yield np.full(views, 0.0)
    for view in np.flatnonzero(present):
        for here, others in ((3.0, -2.0), (-2.0, 3.0)):
            start = np.full(views, others)
            start[view] = here
            yield start


def _search(loss: Loss, start: Floats, present: NDArray[np.bool_]) -> tuple[float, Floats, bool]:
    """Return the loss, the reliabilities and whether it converged, from one start."""
    from scipy.optimize import minimize

    def weights_of(logits: Floats) -> Floats:
        return np.where(present, 1 / (1 + np.exp(-logits)), 1.0)

    def objective(logits: Floats) -> tuple[float, Floats]:
        weights = weights_of(logits)
        value, slope = loss(weights)
        return value, slope * weights * (1 - weights)

    minimum = minimize(
        objective, start, jac=True, method="L-BFGS-B", bounds=[_LOGITS] * len(start),
        options={"maxiter": _ITERATIONS, "ftol": 1e-12, "gtol": 1e-8},
    )  # fmt: skip
    return float(minimum.fun), weights_of(minimum.x), bool(minimum.success)


def _at_one(loss: Loss, nll: float, weights: Floats) -> tuple[float, Floats]:
    """Put reliabilities that are nearly 1 at 1 where that is no worse: who is believed is not discounted."""
    limit = 1 / (1 + math.exp(-(_LOGITS[1] - 4)))
    for view in np.flatnonzero((weights > limit) & (weights < 1)):
        tried = weights.copy()
        tried[view] = 1.0
        value, _ = loss(tried)
        if value <= nll + 1e-9:
            nll, weights = value, tried
    return nll, weights
