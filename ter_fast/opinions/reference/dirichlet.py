"""The reference of evidential losses and of the uncertainties of a Dirichlet.

Differences of large terms are written so that nothing cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from ter_fast.opinions.reference.fusion import where_valid, wide_dtype

FIELDS = (
    "vacuity",
    "entropy",
    "aleatoric",
    "mutual_information",
    "differential_entropy",
    "dissonance",
)
"""Names of the uncertainties of a Dirichlet, in the order in which they are returned."""


def evidential_loss(evidence: Tensor, target: Tensor, kind: str, kl_weight: float) -> Tensor:
    """Compute an evidential loss and its Kullback-Leibler regularizer row by row.

    The formulas are those of `ter_fast.losses.evidential_loss`, in float64 and in forms that do not
    cancel; the target gets no gradient.

    Args:
        evidence: `(B, K)`, each element >= 0.
        target: `(B,)` integer classes, or `(B, K)` floating-point soft targets.
        kind: `"log"`, `"digamma"` or `"mse"`.
        kl_weight: Weight of the regularizer.

    Returns:
        `(B,)` in the dtype of `evidence`. A row with NaN, infinite or negative evidence or a class
        outside 0 to K - 1 is NaN, and so is its gradient.

    Raises:
        ValueError: If `kind` is none of the three.

    Example:
        >>> import torch
        >>> evidential_loss(torch.tensor([[8.0, 0.0, 0.0]]), torch.tensor([0]), "log", 0.0)
        tensor([0.2007])
    """
    if kind not in _LOSSES:
        raise ValueError(f"kind is {kind!r}; expected one of {', '.join(_LOSSES)}")
    wide = wide_dtype(evidence)
    exact = evidence.to(wide)
    sound = ((exact >= 0) & torch.isfinite(exact)).all(-1)
    if target.is_floating_point():
        soft = target.detach().to(wide)
    else:
        classes = torch.arange(evidence.shape[-1], device=target.device)
        soft = (target.unsqueeze(-1) == classes).to(wide)
        sound = sound & (target >= 0) & (target < evidence.shape[-1])
    loss = _LOSSES[kind](exact + 1, soft)
    if kl_weight:
        loss = loss + kl_weight * _kl_to_uniform(1 + (1 - soft) * exact)
    # As a factor and not by `where`, so that the gradient is NaN as well: training should notice.
    return (loss * torch.where(sound, 1.0, math.nan)).to(evidence.dtype)


def _log_loss(alpha: Tensor, soft: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    return (soft * torch.log1p((strength - alpha) / alpha)).sum(-1)


def _digamma_loss(alpha: Tensor, soft: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    # psi(S) - psi(alpha_k) as a sum of two differences that are both positive.
    ratio = torch.log1p((strength - alpha) / alpha)
    return (soft * (ratio + digamma_remainder(strength) - digamma_remainder(alpha))).sum(-1)


def _mse_loss(alpha: Tensor, soft: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    probability = alpha / strength
    variance = probability * ((strength - alpha) / strength) / (strength + 1)
    return ((soft - probability).square() + variance).sum(-1)


_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log": _log_loss,
    "digamma": _digamma_loss,
    "mse": _mse_loss,
}


def kl_to_uniform(alpha: Tensor) -> Tensor:
    """Return KL(Dir(alpha) || Dir(1, ..., 1)) row by row.

    Args:
        alpha: `(..., K)`, each element > 0.

    Returns:
        `(...,)` in the dtype of `alpha`.

    Example:
        >>> import torch
        >>> kl_to_uniform(torch.tensor([7.0, 1.0]))
        tensor(1.0888)
    """
    return _kl_to_uniform(alpha.to(wide_dtype(alpha))).to(alpha.dtype)


def _kl_to_uniform(alpha: Tensor) -> Tensor:
    # lnG and psi are taken apart into Stirling's formula, whose large terms drop out of the sum,
    # and small remainders r and h; written so that every term is 0 at alpha = 1:
    #   (K - 1/2) ln(S / K) - 1/2 sum ln alpha_k + r(S) - r(K) - sum (r(alpha_k) - r(1))
    #   + sum (alpha_k - 1) h(alpha_k) - (S - K) h(S)
    classes = alpha.shape[-1]
    strength = alpha.sum(-1)
    uniform = torch.full_like(strength, classes)
    at_one = 1 - _HALF_LOG_TWO_PI
    each = (
        (alpha - 1) * digamma_remainder(alpha)
        - torch.log(alpha) / 2
        - (lgamma_remainder(alpha) - at_one)
    )
    together = (
        (classes - 0.5) * torch.log(strength / classes)
        + (lgamma_remainder(strength) - lgamma_remainder(uniform))
        - (alpha - 1).sum(-1) * digamma_remainder(strength)
    )
    return each.sum(-1) + together


def uncertainty(alpha: Tensor, fields: tuple[str, ...]) -> tuple[Tensor, ...]:
    """Measure the uncertainty of Dirichlet distributions row by row.

    The formulas are those of `ter_fast.uncertainty`, in float64. Takes O(K) time a row, but O(K^2)
    for the dissonance, whose pairs do not separate; memory is O(B K), and O(B K^2) for the gradient
    of the dissonance.

    Args:
        alpha: `(B, K)`, each element > 0.
        fields: Names out of `FIELDS`, in that order.

    Returns:
        One `(B,)` for each field, in the dtype of `alpha`. A row with NaN, infinite, zero or
        negative concentrations is NaN in every field and passes no gradient.

    Raises:
        ValueError: If a field is unknown.

    Example:
        >>> import torch
        >>> uncertainty(torch.tensor([[7.0, 1.0]]), ("vacuity", "mutual_information"))
        (tensor([0.2500]), tensor([0.0527]))
    """
    for name in fields:
        if name not in FIELDS:
            raise ValueError(f"field {name!r} is unknown: choose out of {', '.join(FIELDS)}")
    exact = alpha.to(wide_dtype(alpha))
    valid = ((exact > 0) & torch.isfinite(exact)).all(-1)
    exact = torch.where(valid.unsqueeze(-1), exact, 1.0)
    return tuple(where_valid(valid, _MEASURES[name](exact)).to(alpha.dtype) for name in fields)


def _vacuity(alpha: Tensor) -> Tensor:
    return alpha.shape[-1] / alpha.sum(-1)


def _entropy(alpha: Tensor) -> Tensor:
    probability = alpha / alpha.sum(-1, keepdim=True)
    return -torch.xlogy(probability, probability).sum(-1)


def _aleatoric(alpha: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    # psi(S + 1) - psi(alpha_k + 1) as a sum of two differences that are both positive.
    ratio = torch.log1p((strength - alpha) / (alpha + 1))
    rise = ratio + digamma_remainder(strength + 1) - digamma_remainder(alpha + 1)
    return (alpha / strength * rise).sum(-1)


def _mutual_information(alpha: Tensor) -> Tensor:
    strength = alpha.sum(-1, keepdim=True)
    # Entropy and aleatoric part agree but for 1 / S, so their difference is taken term by term.
    excess = _log_excess(alpha) - _log_excess(strength)
    return (alpha / strength * excess).sum(-1)


def _log_excess(x: Tensor) -> Tensor:
    """Return psi(x + 1) - log x, which falls from infinity to 0."""
    return torch.log1p(1 / x) + digamma_remainder(x + 1)


def _differential_entropy(alpha: Tensor) -> Tensor:
    return -_kl_to_uniform(alpha) - math.lgamma(alpha.shape[-1])


def _dissonance(alpha: Tensor) -> Tensor:
    # Concentrations below 1 are no belief. b_j Bal(b_j, b_k) = 2 b_j min(b_j, b_k) / (b_j + b_k).
    belief = (alpha - 1).clamp(min=0) / alpha.sum(-1, keepdim=True)
    # Summed from both sides: the total less one's own would cancel where that one is nearly all.
    before = functional.pad(belief[..., :-1].cumsum(-1), (1, 0))
    after = functional.pad(belief[..., 1:].flip(-1).cumsum(-1).flip(-1), (0, 1))
    others = before + after
    alone = others < torch.finfo(others.dtype).tiny
    share = torch.where(alone, 0.0, 1 / torch.where(alone, 1.0, others))
    dissonance = torch.zeros_like(belief[..., 0])
    for k in range(1, belief.shape[-1]):
        one, rest = belief[..., k : k + 1], belief[..., :k]
        both = one + rest
        balance = 2 * torch.minimum(one, rest) / torch.where(both > 0, both, 1.0)
        shares = share[..., k : k + 1] + share[..., :k]
        dissonance = dissonance + (one * rest * balance * shares).sum(-1)
    return dissonance


_MEASURES: dict[str, Callable[[Tensor], Tensor]] = {
    "vacuity": _vacuity,
    "entropy": _entropy,
    "aleatoric": _aleatoric,
    "mutual_information": _mutual_information,
    "differential_entropy": _differential_entropy,
    "dissonance": _dissonance,
}


_HALF_LOG_TWO_PI = math.log(2 * math.pi) / 2
# From here on the series below reach the last bit of float64.
_SHIFT = 10
# B_2n / 2n and B_2n / (2n (2n - 1)) of the Bernoulli numbers B_2n, n = 1 to 7.
_DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12)
_LGAMMA_SERIES = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def digamma_remainder(x: Tensor) -> Tensor:
    """Return psi(x) - ln x for x > 0, which rises to 0 as -1 / (2 x).

    Written in elementary functions, because the derivative of `torch.digamma` is exact to 5e-10
    only.

    Example:
        >>> import torch
        >>> digamma_remainder(torch.tensor([1.0, 1e6], dtype=torch.float64))
        tensor([-5.7722e-01, -5.0000e-07], dtype=torch.float64)
    """
    # The series is asymptotic: psi(x) = psi(x + 10) - sum_i 1 / (x + i) takes x to where it is exact.
    shifted = x + _SHIFT
    steps = 1 / x
    for i in range(1, _SHIFT):
        steps = steps + 1 / (x + i)
    remainder = -1 / (2 * shifted) - _series(shifted, _DIGAMMA_SERIES) / shifted
    return torch.log1p(_SHIFT / x) - steps + remainder


def lgamma_remainder(x: Tensor) -> Tensor:
    """Return ln G(x) - ((x - 1/2) ln x - x + 1/2 ln 2 pi) for x > 0, which falls to 0 as 1 / (12 x).

    Example:
        >>> import torch
        >>> lgamma_remainder(torch.tensor([1.0, 100.0], dtype=torch.float64))
        tensor([0.0811, 0.0008], dtype=torch.float64)
    """
    # As above, by G(x + 10) = G(x) x (x + 1) ... (x + 9); ratios, since the product itself would overflow.
    shifted = x + _SHIFT
    steps = x / shifted
    for i in range(1, _SHIFT):
        steps = steps * ((x + i) / shifted)
    rest = (x - 0.5) * torch.log1p(_SHIFT / x) - _SHIFT
    return rest - torch.log(steps) + _series(shifted, _LGAMMA_SERIES)


def _series(x: Tensor, coefficients: tuple[float, ...]) -> Tensor:
    """Return `c_1 / x + c_2 / x^3 + c_3 / x^5 + ...`."""
    inverse = 1 / x
    square = inverse * inverse
    value = torch.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * square + coefficient
    return value * inverse
