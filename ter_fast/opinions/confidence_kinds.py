"""The kinds of confidence, one row each: names, messages, `--help`, documentation and tests.

To add one, write its function and its row here, and its function in `csrc/confidences.h`, at the end
of both lists. Nothing is imported that takes time, so that the command line can name the kinds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Masses(Protocol):
    """What confidences are made of; every `ter_fast.Opinion` is one."""

    @property
    def belief(self) -> Tensor:
        """Belief masses `(..., K)`."""

    @property
    def probability(self) -> Tensor:
        """Expected probabilities `(..., K)`."""

    @property
    def uncertainty(self) -> Tensor:
        """Vacuity `(...,)`."""


@dataclass(frozen=True)
class ConfidenceKind:
    """Describe one way to say how sure an opinion is.

    Attributes:
        name: By which it is asked for.
        function: The reference: an opinion to its confidences `(...,)` in [0, 1].
        title: In words, for reports.
        equation: In TeX.
        description: What it measures, in a phrase.
        unrounded: The same function of an opinion in float64 whose masses come from the sums
            themselves, where digits can be kept that `function` loses; None for `function`.
    """

    name: str
    function: Callable[[Masses], Tensor]
    title: str
    equation: str
    description: str
    unrounded: Callable[[Masses], Tensor] | None = None


def _one_minus_vacuity(opinion: Masses) -> Tensor:
    return 1 - opinion.uncertainty


def _max_probability(opinion: Masses) -> Tensor:
    return opinion.probability.amax(-1)


def _max_belief(opinion: Masses) -> Tensor:
    return opinion.belief.amax(-1)


def _margin(opinion: Masses) -> Tensor:
    largest, second = opinion.probability.topk(2, dim=-1).values.unbind(-1)
    return largest - second


def _margin_of_beliefs(opinion: Masses) -> Tensor:
    # The same as that of the probabilities, less the rounding that evidence + 1 brings.
    largest, second = opinion.belief.topk(2, dim=-1).values.unbind(-1)
    return largest - second


def _one_minus_entropy(opinion: Masses) -> Tensor:
    p = opinion.probability
    entropy = -p.xlogy(p).sum(-1)
    # Rounding may push the entropy of a uniform opinion a hair above ln K.
    return (1 - entropy / math.log(p.shape[-1])).clamp(min=0)


CONFIDENCE_KINDS = {
    kind.name: kind
    for kind in (
        ConfidenceKind(
            "one_minus_vacuity",
            _one_minus_vacuity,
            "one minus vacuity",
            "1 - u",
            "how much evidence there is (TER's own)",
        ),
        ConfidenceKind(
            "max_probability",
            _max_probability,
            "largest probability",
            r"\max_k p_k",
            "the largest of the expected probabilities",
        ),
        ConfidenceKind(
            "max_belief",
            _max_belief,
            "largest belief",
            r"\max_k b_k",
            "the largest belief mass",
        ),
        ConfidenceKind(
            "margin",
            _margin,
            "largest minus second probability",
            r"p_{(1)} - p_{(2)}",
            "largest minus second probability",
            unrounded=_margin_of_beliefs,
        ),
        ConfidenceKind(
            "one_minus_entropy",
            _one_minus_entropy,
            "one minus entropy",
            r"1 - \frac{H(p)}{\ln K}",
            "how far from uniform the probabilities are",
        ),
    )
}
"""The kinds by name, in the order of their codes in the compiled kernels."""


def check_kind(name: object) -> None:
    """Refuse what is no kind of confidence.

    Raises:
        ValueError: The message names the kinds there are.

    Example:
        >>> check_kind("margin")
        >>> check_kind("hope")
        Traceback (most recent call last):
        ValueError: confidence kind 'hope' is unknown: choose one of one_minus_vacuity, ...
    """
    if name not in CONFIDENCE_KINDS:
        raise ValueError(
            f"confidence kind {name!r} is unknown: choose one of {', '.join(CONFIDENCE_KINDS)}"
        )
