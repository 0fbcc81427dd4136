"""The fusion rules, one row each: names, messages, `--help`, documentation and tests come from here.

To add one, write its function and its row here, and its struct in `csrc/rules.h`, at the end of both
lists. Nothing is imported that takes time, so that the command line can name the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FusionRule:
    """Describe one way to make one opinion of several.

    Attributes:
        name: By which it is asked for.
        function: The reference: evidence `(V, B, K)`, 0 where a view is absent, and the number of
            views that are present `(B,)`, to fused evidence `(B, K)`; all of it differentiable.
        equation: The fused evidence e_k, in TeX.
        description: What the rule does, in a phrase.
        source: Where it is from.
        neutral: Whether a view that is present with evidence 0 changes nothing.
    """

    name: str
    function: Callable[[Tensor, Tensor], Tensor]
    equation: str
    description: str
    source: str
    neutral: bool = True


def _dempster(views: Tensor, present: Tensor) -> Tensor:
    classes = views.shape[-1]
    product = views[0].new_zeros(views.shape[1:])
    for s in views / classes:
        product = product + s * (1 + product)
    return classes * product


def _cumulative(views: Tensor, present: Tensor) -> Tensor:
    return views.sum(0)


def _averaging(views: Tensor, present: Tensor) -> Tensor:
    return views.sum(0) / present.clamp(min=1).unsqueeze(-1)


def _weighted(views: Tensor, present: Tensor) -> Tensor:
    total = views.sum(-1)
    confidence = total / (total + views.shape[-1])
    normalizer = confidence.sum(0)
    vacuous = normalizer == 0
    # At evidence 0 everywhere the rule has directional derivatives but no gradient; equal weights
    # are the derivative along the diagonal, where all views move together.
    shares = confidence / normalizer.masked_fill(vacuous, 1.0)
    weight = (1 / present.clamp(min=1)).where(vacuous, shares)
    return (weight.unsqueeze(-1) * views).sum(0)


FUSION_RULES = {
    rule.name: rule
    for rule in (
        FusionRule(
            "dempster",
            _dempster,
            r"K \left( \prod_v \left( 1 + \frac{e_{vk}}{K} \right) - 1 \right)",
            "Dempster's rule, reduced: masses multiply, and what contradicts is left out",
            "Han et al., Trusted Multi-View Classification, 2021, definition 4",
        ),
        FusionRule(
            "cumulative",
            _cumulative,
            r"\sum_v e_{vk}",
            "evidence of independent views adds up",
            "Jøsang, Subjective Logic, 2016, chapter 12",
        ),
        FusionRule(
            "averaging",
            _averaging,
            r"\frac{1}{V} \sum_v e_{vk}",
            "the mean over the V views that are present; one that knows nothing dilutes it",
            "Jøsang, Subjective Logic, 2016, chapter 12",
            neutral=False,
        ),
        FusionRule(
            "weighted",
            _weighted,
            r"\frac{\sum_v c_v e_{vk}}{\sum_v c_v}, \quad c_v = 1 - u_v",
            "the mean of the views, each by its confidence",
            "Jøsang, Subjective Logic, 2016, chapter 12",
        ),
    )
}
"""The rules by name, in the order of their codes in the compiled kernels."""


def unknown_rule(name: object) -> ValueError:
    """Return the error that names the rules there are, to be raised where `name` is none of them.

    Example:
        >>> str(unknown_rule("bayes"))[:43]
        "rule 'bayes' is unknown: choose one of demp"
    """
    return ValueError(f"rule {name!r} is unknown: choose one of {', '.join(FUSION_RULES)}")
