"""Opinions of subjective logic: what a Dirichlet's evidence says, and how far to trust it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from ter_fast.opinions import reference
from ter_fast.opinions._views import Values, as_tensor
from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS as KINDS
from ter_fast.opinions.confidence_kinds import check_kind
from ter_fast.opinions.fusion_rules import FUSION_RULES
from ter_fast.opinions.trusted import is_trusted

RULES = tuple(FUSION_RULES)
"""Names of the fusion rules, whose equations are in `ter_fast.opinions.fusion_rules`."""

CONFIDENCE_KINDS = tuple(KINDS)
"""Names of the confidences an opinion offers, all in [0, 1]; see `ter_fast.opinions.confidence_kinds`."""

ACTIVATIONS = ("softplus", "relu", "exp")
"""Names of the functions that turn logits into evidence."""

MAX_EXP_EVIDENCE = reference.MAX_EXP_EVIDENCE
"""Evidence at which the `exp` activation is clamped: the end of the range fusion is exact over."""


def evidence_from_logits(logits: Values, activation: str = "softplus") -> Tensor:
    """Turn logits into evidence `e >= 0`.

    `softplus`: `ln(1 + exp(z))`; `relu`: `max(z, 0)`; `exp`: `exp(min(z, ln 1e6))`. An infinite
    logit stays infinite evidence under each, so that an overflow upstream is never trusted.

    Args:
        logits: `(..., K)`.
        activation: One of `ACTIVATIONS`.

    Returns:
        Evidence `(..., K)`.

    Raises:
        ValueError: If `activation` is not one of `ACTIVATIONS`.

    Reference:
        Sensoy et al. 2018, section 3 (ReLU); Han et al. 2021, section 3.2 (softplus).

    Example:
        >>> import torch
        >>> evidence_from_logits(torch.tensor([-1.0, 0.0, 2.0]), "relu")
        tensor([0., 0., 2.])
    """
    return reference.activate(as_tensor(logits, "logits"), activation)


@dataclass(frozen=True, eq=False)
class Opinion:
    """Hold multinomial opinions over K classes, as evidence.

    `alpha = e + 1`, `S = sum_k alpha_k`, belief `b_k = e_k / S`, uncertainty `u = K / S`,
    probability `p_k = alpha_k / S`; beliefs and uncertainty sum to one.

    A row with NaN, infinite or negative evidence has NaN confidence of every kind and is never
    trusted.

    Attributes:
        evidence: `(..., K)`, each element >= 0; made a tensor where it is an array or lists.
        conflict: `(...,)`, the mass Dempster's rule discarded in fusion; None if not fused.
        disagreement: `(...,)`, mean pairwise disagreement of the fused views; None if not fused.
        confidence_kind: Which of `CONFIDENCE_KINDS` `confidence` means.
        vacuity: `(...,)`, the uncertainty where it is known better than from the stored evidence
            (fused evidence may have saturated); None to derive it from the evidence.

    Raises:
        TypeError: If `evidence` is not a floating-point tensor.
        ValueError: If there are fewer than two classes, a per-opinion field has another shape than
            `(...,)`, or `confidence_kind` is unknown.

    Reference:
        Jøsang, Subjective Logic, 2016, chapter 3.

    Example:
        >>> import torch
        >>> opinion = Opinion(torch.tensor([6.0, 0.0]))
        >>> opinion.belief, opinion.uncertainty, opinion.probability
        (tensor([0.7500, 0.0000]), tensor(0.2500), tensor([0.8750, 0.1250]))
        >>> bool(opinion.trusted(0.7))
        True
    """

    evidence: Tensor
    conflict: Tensor | None = None
    disagreement: Tensor | None = None
    confidence_kind: str = "one_minus_vacuity"
    vacuity: Tensor | None = field(default=None, repr=False, kw_only=True)

    def __post_init__(self) -> None:
        """Check dtype, shapes and the kind of confidence; arrays and lists become tensors."""
        for name in ("evidence", "conflict", "disagreement", "vacuity"):
            values = getattr(self, name)
            if values is not None and not isinstance(values, Tensor):
                # The dataclass is frozen.
                object.__setattr__(self, name, as_tensor(values, name))
        evidence = self.evidence
        if not evidence.is_floating_point():
            raise TypeError(f"evidence is {evidence.dtype}: give a floating-point tensor (..., K)")
        if evidence.ndim == 0 or evidence.shape[-1] < 2:
            raise ValueError(
                f"evidence has shape {tuple(evidence.shape)}: the last dimension holds the "
                "classes, and an opinion needs at least two"
            )
        for name in ("conflict", "disagreement", "vacuity"):
            value: Tensor | None = getattr(self, name)
            if value is not None and value.shape != evidence.shape[:-1]:
                raise ValueError(
                    f"{name} has shape {tuple(value.shape)}: evidence of shape "
                    f"{tuple(evidence.shape)} needs {tuple(evidence.shape[:-1])}"
                )
        check_kind(self.confidence_kind)

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self.evidence.shape[-1]

    @property
    def alpha(self) -> Tensor:
        """Dirichlet concentrations `e + 1`, `(..., K)`."""
        return self.evidence + 1

    @property
    def strength(self) -> Tensor:
        """Dirichlet strength `S = sum_k e_k + K`, `(...,)`."""
        return self.evidence.sum(-1) + self.num_classes

    @property
    def belief(self) -> Tensor:
        """Belief masses `e_k / S`, `(..., K)`."""
        return self.evidence / self.strength.unsqueeze(-1)

    @property
    def uncertainty(self) -> Tensor:
        """Vacuity `K / S`, `(...,)`; NaN where the evidence is NaN, infinite or negative."""
        if self.vacuity is not None:
            return self.vacuity
        return self._where_valid(self.num_classes / self.strength)

    @property
    def probability(self) -> Tensor:
        """Expected probabilities `alpha_k / S`, `(..., K)`."""
        return self.alpha / self.strength.unsqueeze(-1)

    @property
    def prediction(self) -> Tensor:
        """Index of the class with the most evidence, `(...,)` int64; the lowest of equals."""
        return self.evidence.argmax(-1)

    @property
    def confidence(self) -> Tensor:
        """Confidence of `confidence_kind` in [0, 1], `(...,)`."""
        return self.confidence_of(self.confidence_kind)

    def confidence_of(self, kind: str) -> Tensor:
        """Return one kind of confidence in [0, 1], `(...,)`.

        `ter_fast.opinions.confidence_kinds` says what each is. NaN where the evidence is NaN, infinite or
        negative.

        Args:
            kind: One of `CONFIDENCE_KINDS`.

        Raises:
            ValueError: If `kind` is unknown.

        Example:
            >>> import torch
            >>> Opinion(torch.tensor([6.0, 0.0])).confidence_of("margin")
            tensor(0.7500)
        """
        check_kind(kind)
        return self._where_valid(KINDS[kind].function(self))

    def with_confidence(self, kind: str) -> Opinion:
        """Return the same opinion with another `confidence_kind`.

        Args:
            kind: One of `CONFIDENCE_KINDS`.

        Raises:
            ValueError: If `kind` is unknown.

        Example:
            >>> import torch
            >>> Opinion(torch.tensor([6.0, 0.0])).with_confidence("max_belief").confidence
            tensor(0.7500)
        """
        return replace(self, confidence_kind=kind)

    def trusted(
        self, threshold: float | Tensor, disagreement_limit: float | Tensor | None = None
    ) -> Tensor:
        """Say which opinions are trusted: `confidence >= threshold`, `disagreement <= limit`.

        Never on NaN, and never an opinion without any evidence (all modalities masked), however
        low the threshold.

        Args:
            threshold: Lowest trusted confidence; a float or a tensor that broadcasts to `(...,)`.
            disagreement_limit: Highest trusted disagreement, likewise; None for no limit.

        Returns:
            Bool tensor `(...,)`.

        Raises:
            ValueError: If a limit is set and the opinion has no disagreement.

        Example:
            >>> import torch
            >>> Opinion(torch.tensor([[6.0, 0.0], [float("nan"), 9.0]])).trusted(0.5)
            tensor([ True, False])
        """
        if disagreement_limit is not None and self.disagreement is None:
            raise ValueError(
                "disagreement_limit is set but this opinion has no disagreement: "
                "only opinions from ter_fast.fuse have one, or leave the limit out"
            )
        trusted = is_trusted(self.confidence, threshold, self.disagreement, disagreement_limit)
        return trusted & (self.evidence > 0).any(-1)

    @classmethod
    def _from_checked(
        cls, evidence: Tensor, conflict: Tensor, disagreement: Tensor, vacuity: Tensor
    ) -> Opinion:
        """Build from parts that are known to fit, in a third of the time that checking takes."""
        if torch.compiler.is_compiling():
            return cls(evidence, conflict, disagreement, vacuity=vacuity)
        opinion = object.__new__(cls)
        opinion.__dict__.update(
            evidence=evidence,
            conflict=conflict,
            disagreement=disagreement,
            confidence_kind="one_minus_vacuity",
            vacuity=vacuity,
        )
        return opinion

    @classmethod
    def _packed(cls, packed: Tensor, rows: int, classes: int) -> Opinion:
        """Build from one buffer of fused evidence, uncertainty, conflict and disagreement."""
        opinion = object.__new__(_PackedOpinion)
        opinion.__dict__.update(
            evidence=packed.as_strided((rows, classes), (classes, 1)),
            packed=packed,
            confidence_kind="one_minus_vacuity",
        )
        return opinion

    def _where_valid(self, value: Tensor) -> Tensor:
        valid = torch.isfinite(self.strength) & (self.evidence >= 0).all(-1)
        return torch.where(valid, value, float("nan"))


class _Cut:
    """A part of a `_PackedOpinion`; once it is cut, the instance's own attribute is found first."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, opinion: _PackedOpinion, owner: type) -> Any:
        opinion.cut()
        return opinion.__dict__[self.name]


class _PackedOpinion(Opinion):
    """An opinion whose scalars are cut from one buffer when one of them is first asked for.

    The cut costs as much as fusing a small batch. To all the world it is an `Opinion`.
    """

    __qualname__ = "Opinion"

    packed: Tensor

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as an opinion of its own parts."""
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        return _restore, (state,)

    vacuity = _Cut()
    conflict = _Cut()
    disagreement = _Cut()

    def cut(self) -> None:
        """Put the scalars beside the evidence."""
        evidence = self.evidence
        rows = len(evidence)
        sizes = [evidence.numel(), rows, rows, rows]
        _, vacuity, conflict, disagreement = self.packed.split_with_sizes(sizes)
        self.__dict__.update(vacuity=vacuity, conflict=conflict, disagreement=disagreement)


def _restore(state: dict[str, Any]) -> Opinion:
    return Opinion(**state)
