"""Losses on an opinion that later work proposed beside the first three: focal, Fisher, relaxed."""

from __future__ import annotations

import torch
from torch import Tensor

from ter_fast.opinions._views import Values, as_tensor
from ter_fast.opinions.losses.targets import check_target, reduce, soft_target

# All three compute in double precision: near certainty they are differences of nearly equal numbers, and
# sums of the evidence overflow half precision. A row with NaN, infinite or negative evidence is NaN, value
# and gradient, as for `evidential_loss`.


def focal_loss(
    evidence: Values, target: Values, gamma: float = 2.0, reduction: str = "mean"
) -> Tensor:
    r"""Compute the focal loss of the expected probability: easy samples count less.

    With p = alpha / S and alpha = e + 1::

        sum_k y_k (1 - p_k)^gamma (-log p_k)

    At gamma 0 it is the cross-entropy, kind "log" of `evidential_loss`.

    Args:
        evidence: `(…, K)`, >= 0.
        target: `(…)` class indices, or `(…, K)` soft targets that sum to one.
        gamma: How fast the weight of a sample falls with its probability, >= 0.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or `(…)` for reduction "none".

    Raises:
        TypeError: Evidence that is not floating point.
        ValueError: A negative gamma, an unknown reduction, or a target that does not fit.

    Reference:
        Lin et al., "Focal loss for dense object detection", 2017, eq. 4.

    Example:
        >>> import torch
        >>> evidence = torch.tensor([[8.0, 0.0, 0.0]])
        >>> round(focal_loss(evidence, torch.tensor([0])).item(), 4)
        0.0066
    """
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma}; expected a number of at least 0")
    evidence = as_tensor(evidence, "evidence")
    soft = soft_target(evidence, check_target(evidence, target))
    alpha = _exact(evidence) + 1
    # 1 - p = rest / S, and every other class has an alpha of at least 1.
    rest = (alpha.sum(-1, keepdim=True) - alpha).clamp_min(alpha.shape[-1] - 1)
    easy = (rest / (rest + alpha)) ** gamma
    loss = (soft * easy * torch.log1p(rest / alpha)).sum(-1)
    return reduce(loss.to(evidence.dtype), reduction)


def fisher_loss(
    evidence: Values, target: Values, fisher_weight: float = 0.05, reduction: str = "mean"
) -> Tensor:
    r"""Compute the loss of I-EDL: squared errors weighed by the Fisher information of the opinion.

    With p = alpha / S and alpha = e + 1, psi1 the trigamma function::

        sum_k psi1(alpha_k) ((y_k - p_k)^2 + p_k (1 - p_k) / (S + 1))  -  fisher_weight * log det I
        log det I = sum_k log psi1(alpha_k) + log(1 - sum_k psi1(S) / psi1(alpha_k))

    A class with little evidence has much information and its error weighs more. The regularizer
    `kl_to_uniform` of the other classes is added by `TrustedCELoss`, as for every loss.

    Args:
        evidence: `(…, K)`, >= 0.
        target: `(…)` class indices, or `(…, K)` soft targets that sum to one.
        fisher_weight: Weight of the determinant, >= 0.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or `(…)` for reduction "none".

    Raises:
        TypeError: Evidence that is not floating point.
        ValueError: A negative weight, an unknown reduction, or a target that does not fit.

    Reference:
        Deng et al., "Uncertainty estimation by Fisher information-based evidential deep learning",
        2023, eq. 12-14.

    Example:
        >>> import torch
        >>> evidence = torch.tensor([[8.0, 0.0, 0.0]])
        >>> round(fisher_loss(evidence, torch.tensor([0]), 0.0).item(), 4)
        0.0552
    """
    if not fisher_weight >= 0:
        raise ValueError(f"fisher_weight is {fisher_weight}; expected a number of at least 0")
    evidence = as_tensor(evidence, "evidence")
    soft = soft_target(evidence, check_target(evidence, target))
    alpha = _exact(evidence) + 1
    strength = alpha.sum(-1, keepdim=True)
    probability = alpha / strength
    information = torch.special.polygamma(1, alpha)
    variance = probability * (1 - probability) / (strength + 1)
    loss = (information * ((soft - probability).square() + variance)).sum(-1)
    if fisher_weight:
        left = 1 - (torch.special.polygamma(1, strength) / information).sum(-1)
        determinant = information.log().sum(-1) + left.clamp_min(torch.finfo(left.dtype).tiny).log()
        loss = loss - fisher_weight * determinant
    return reduce(loss.to(evidence.dtype), reduction)


def relaxed_loss(
    evidence: Values, target: Values, prior: float = 0.1, reduction: str = "mean"
) -> Tensor:
    r"""Compute the loss of R-EDL: squared error alone, with a prior weight that is free.

    With lambda the prior weight of a class, alpha = e / lambda + 1 and p = alpha / S::

        sum_k (y_k - p_k)^2

    The paper has e + lambda where this package has e + 1, which is the same opinion once the
    evidence is divided by lambda: a model that is trained so should predict from e / lambda
    (the evidence scale of an expert does that). The term for the variance and the regularizer are
    left out, as there.

    Args:
        evidence: `(…, K)`, >= 0.
        target: `(…)` class indices, or `(…, K)` soft targets that sum to one.
        prior: Lambda > 0.
        reduction: "mean", "sum" or "none".

    Returns:
        A scalar, or `(…)` for reduction "none".

    Raises:
        TypeError: Evidence that is not floating point.
        ValueError: A prior weight that is not positive, an unknown reduction, or a target that does
            not fit.

    Reference:
        Chen, Gao & Xu, "R-EDL: relaxing nonessential settings of evidential deep learning", 2024.

    Example:
        >>> import torch
        >>> evidence = torch.tensor([[8.0, 0.0, 0.0]])
        >>> round(relaxed_loss(evidence, torch.tensor([0]), 1.0).item(), 4)
        0.0496
    """
    if not prior > 0:
        raise ValueError(f"prior is {prior}; expected a number above 0")
    evidence = as_tensor(evidence, "evidence")
    soft = soft_target(evidence, check_target(evidence, target))
    alpha = _exact(evidence) / prior + 1
    probability = alpha / alpha.sum(-1, keepdim=True)
    loss = (soft - probability).square().sum(-1)
    return reduce(loss.to(evidence.dtype), reduction)


def _exact(evidence: Tensor) -> Tensor:
    """Return the evidence in double precision, NaN where it is none."""
    values = evidence.double()
    # Added, not put in its place, so that the gradient is NaN as well.
    return values + torch.where(values >= 0, 0.0, torch.nan)
