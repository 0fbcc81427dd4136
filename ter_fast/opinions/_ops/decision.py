"""The operator of inference, `ter_fast::predict`: logits to a decision in one pass."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ter_fast.opinions import reference
from ter_fast.opinions._ops import native
from ter_fast.opinions._ops.fusion import ACTIVATIONS, CAP, RULES, largest_strength, ready
from ter_fast.opinions._ops.native import address
from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS
from ter_fast.opinions.trusted import is_trusted

if native.COMPILED:
    from ter_fast.opinions._ops.native import _C

CONFIDENCES = native.codes(CONFIDENCE_KINDS, "CONFIDENCE_KINDS")


def predict(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None,
    confidence_kind: str,
    threshold: float | Tensor,
    disagreement_limit: float,
) -> reference.Predicted:
    """Decide row by row, on the fastest backend there is; `reference.predict` says what.

    Args:
        evidence: `(V, B, K)` floating point, each element >= 0; any logits with an `activation`.
        rule: One of `ter_fast.opinions.fusion_rules.FUSION_RULES`.
        mask: `(V, B)` bool on the same device, or None.
        discount: `(V, B)` floating-point reliabilities on the same device, or None.
        activation: `"softplus"`, `"relu"` or `"exp"` for logits; None for evidence.
        confidence_kind: One of `ter_fast.opinions.confidence_kinds.CONFIDENCE_KINDS`.
        threshold: Lowest trusted confidence, of all rows or `(B,)`, one for each; NaN to trust
            nothing.
        disagreement_limit: Highest trusted disagreement; infinity for no limit.

    Example:
        >>> import torch
        >>> found = predict(
        ...     torch.tensor([[[6.0, 0.0]]]), "dempster", None, None, None, "margin", 0.5, 1.0
        ... )
        >>> found.prediction, found.confidence, found.trusted
        (tensor([0]), tensor([0.7500]), tensor([True]))
    """
    dtype = evidence.dtype
    if discount is not None and discount.dtype is not dtype:
        discount = discount.to(dtype)
    if isinstance(threshold, Tensor):
        threshold = threshold.to(dtype)
    largest_strength(dtype)
    if not native.runs_kernel(evidence, evidence.shape[0], evidence.shape[2]):
        return reference.predict(
            evidence,
            rule,
            mask,
            discount,
            activation,
            confidence_kind,
            threshold,
            disagreement_limit,
        )
    if evidence.is_cpu and dtype not in native.CPU_DTYPES:
        return _of_half(
            evidence,
            rule,
            mask,
            discount,
            activation,
            confidence_kind,
            threshold,
            disagreement_limit,
        )
    each, single = (threshold, 0.0) if isinstance(threshold, Tensor) else (None, threshold)
    rest = (activation, confidence_kind, each, single, disagreement_limit)
    if native.needs_dispatcher(evidence, discount, each):
        return reference.Predicted(
            *torch.ops.ter_fast.predict(evidence, rule, mask, discount, *rest)
        )
    return reference.Predicted(*_predict(evidence, rule, mask, discount, *rest))


def _of_half(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None,
    confidence_kind: str,
    threshold: float | Tensor,
    disagreement_limit: float,
) -> reference.Predicted:
    """Compute in float32, round, and compare what is returned, as the reference does."""
    dtype = evidence.dtype
    wide = predict(
        evidence.float(),
        rule,
        mask,
        None if discount is None else discount.float(),
        activation,
        confidence_kind,
        -math.inf,
        math.inf,
    )
    uncertainty, disagreement = wide.uncertainty.to(dtype), wide.disagreement.to(dtype)
    if confidence_kind == "one_minus_vacuity":
        confidence = 1 - uncertainty
    else:
        confidence = wide.confidence.to(dtype)
    # What the kernel trusts at such limits is every row that is valid and has evidence.
    trusted = wide.trusted & is_trusted(confidence, threshold, disagreement, disagreement_limit)
    return reference.Predicted(
        wide.probability.to(dtype),
        wide.prediction,
        confidence,
        uncertainty,
        wide.conflict.to(dtype),
        disagreement,
        trusted,
    )


def _predict(
    evidence: Tensor,
    rule: str,
    mask: Tensor | None,
    discount: Tensor | None,
    activation: str | None,
    confidence_kind: str,
    thresholds: Tensor | None,
    threshold: float,
    disagreement_limit: float,
) -> tuple[Tensor, ...]:
    evidence, mask, discount = ready(evidence, mask, discount)
    views, rows, classes = evidence.shape
    if thresholds is not None:
        if thresholds.dtype is not evidence.dtype or thresholds.shape != (rows,):
            raise ValueError(
                f"thresholds is {thresholds.dtype} {tuple(thresholds.shape)}: the kernel takes "
                f"{evidence.dtype} {(rows,)}"
            )
        thresholds = thresholds.contiguous()
    outputs = _outputs(evidence)
    probability, prediction, confidence, uncertainty, conflict, disagreement, trusted = outputs
    _C.predict(
        evidence.data_ptr(),
        address(mask),
        address(discount),
        views,
        rows,
        classes,
        RULES[rule],
        ACTIVATIONS[activation],
        native.DTYPES[evidence.dtype],
        CAP,
        CONFIDENCES[confidence_kind],
        address(thresholds),
        threshold,
        disagreement_limit,
        probability.data_ptr(),
        prediction.data_ptr(),
        confidence.data_ptr(),
        uncertainty.data_ptr(),
        conflict.data_ptr(),
        disagreement.data_ptr(),
        trusted.data_ptr(),
        *native.place(evidence),
    )
    return outputs


def _fake(evidence: Tensor, *_: object) -> tuple[Tensor, ...]:
    return _outputs(evidence)


def _outputs(evidence: Tensor) -> tuple[Tensor, ...]:
    rows, classes = evidence.shape[1], evidence.shape[2]
    return (
        evidence.new_empty((rows, classes)),
        evidence.new_empty(rows, dtype=torch.int64),
        evidence.new_empty(rows),
        evidence.new_empty(rows),
        evidence.new_empty(rows),
        evidence.new_empty(rows),
        evidence.new_empty(rows, dtype=torch.bool),
    )


if native.COMPILED:
    native.register(
        "predict",
        "(Tensor evidence, str rule, Tensor? mask, Tensor? discount, str? activation, "
        "str confidence_kind, Tensor? thresholds, float threshold, float disagreement_limit) "
        "-> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
        _predict,
        _fake,
    )
