"""Measures of a Dirichlet's uncertainty: how much, and of which kind.

The package exports the function under the name of this module: `ter_fast.uncertainty` is the
function, and `from ter_fast.uncertainty import DirichletUncertainty` still finds the module.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ter_fast.opinions import _ops
from ter_fast.opinions._views import Values, as_tensor
from ter_fast.opinions.reference import FIELDS


@dataclass(frozen=True, eq=False)
class DirichletUncertainty:
    """Hold the uncertainties of Dirichlet distributions over K classes.

    Every field is `(...,)`, or None when it was not asked for; entropies are in nats.

    Attributes:
        vacuity: Lack of evidence, `K / S`; in (0, 1] where every alpha is at least 1.
        entropy: Of the expected probabilities, in [0, ln K]; `aleatoric + mutual_information`.
        aleatoric: Expected entropy of the probabilities, in [0, ln K]: what more evidence cannot
            remove.
        mutual_information: Between class and probabilities, in [0, ln K]: what more evidence
            removes.
        differential_entropy: Of the density, at most `-ln (K - 1)!`, that of the uniform Dirichlet.
        dissonance: Evidence against evidence, in [0, 1].

    Example:
        >>> import torch
        >>> DirichletUncertainty(vacuity=torch.tensor(0.5)).entropy is None
        True
    """

    vacuity: Tensor | None = None
    entropy: Tensor | None = None
    aleatoric: Tensor | None = None
    mutual_information: Tensor | None = None
    differential_entropy: Tensor | None = None
    dissonance: Tensor | None = None


def uncertainty(alpha: Values, fields: str | Sequence[str] | None = None) -> DirichletUncertainty:
    """Measure the uncertainty of Dirichlet distributions, all or some fields in one pass.

    With S = sum_k alpha_k, p = alpha / S and beliefs b_k = max(alpha_k - 1, 0) / S::

        vacuity               K / S
        entropy               H(p) = -sum_k p_k ln p_k
        aleatoric             sum_k p_k (psi(S + 1) - psi(alpha_k + 1))
        mutual_information    entropy - aleatoric
        differential_entropy  sum_k lnG(alpha_k) - lnG(S) + (S - K) psi(S)
                              - sum_k (alpha_k - 1) psi(alpha_k)
        dissonance            sum_k b_k (sum_{j != k} b_j Bal(b_j, b_k)) / sum_{j != k} b_j
                              Bal(b_j, b_k) = 1 - |b_j - b_k| / (b_j + b_k); 0 where undefined

    The mutual information keeps its relative precision however large the strength is, where the
    difference as written would be rounding. Concentrations below 1 are legal; they count as no
    belief, and the vacuity may exceed 1.

    Every field is differentiable, but for two kinks of the dissonance: where two beliefs are equal,
    Bal has its subgradient 0, and a class that holds all the belief adds no gradient. A row with NaN,
    infinite, zero or negative concentrations is NaN in every field and passes no gradient.
    Time grows with K, but with K^2 for the dissonance: ask for the other fields where K is large.

    Args:
        alpha: `(..., K)` concentrations > 0, `Opinion.alpha` for example, or an array or lists.
        fields: Name or names of the fields of `DirichletUncertainty` to compute; None for all.

    Returns:
        The measures, each `(...,)` in the dtype of `alpha`.

    Raises:
        TypeError: If `alpha` is not a floating-point tensor.
        ValueError: If there are fewer than two classes, or a field is unknown.

    Reference:
        Malinin & Gales, Predictive uncertainty estimation via prior networks, 2018, section 3.2;
        Josang, Cho & Chen, Uncertainty characteristics of subjective opinions, 2018 (vacuity and
        dissonance).

    Example:
        >>> import torch
        >>> uncertainty(torch.tensor([7.0, 1.0])).vacuity
        tensor(0.2500)
        >>> torn = uncertainty(torch.tensor([51.0, 51.0, 1.0]), ["dissonance", "mutual_information"])
        >>> torn.dissonance, torn.mutual_information, torn.entropy
        (tensor(0.9709), tensor(0.0089), None)
    """
    alpha = as_tensor(alpha, "alpha")
    if not alpha.is_floating_point():
        raise TypeError(f"alpha is {alpha.dtype}: give a floating-point tensor (..., K)")
    if alpha.ndim == 0 or alpha.shape[-1] < 2:
        raise ValueError(
            f"alpha has shape {tuple(alpha.shape)}: expected (..., K) with at least two classes"
        )
    names = FIELDS if fields is None else _in_order(fields)
    batch = alpha.shape[:-1]
    measures = _ops.uncertainty(alpha.reshape(batch.numel(), alpha.shape[-1]), names)
    return DirichletUncertainty(
        **{name: value.reshape(batch) for name, value in zip(names, measures, strict=True)}
    )


def _in_order(fields: str | Sequence[str]) -> tuple[str, ...]:
    wanted = (fields,) if isinstance(fields, str) else tuple(fields)
    unknown = [name for name in wanted if name not in FIELDS]
    if unknown or not wanted:
        given = f"field {unknown[0]!r} is unknown" if unknown else "fields is empty"
        raise ValueError(f"{given}: choose out of {', '.join(FIELDS)}, or leave it out for all")
    return tuple(name for name in FIELDS if name in wanted)
