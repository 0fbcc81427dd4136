"""The rule of trust: which predictions are sure enough, by views that agree well enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.floating[Any]]


@overload
def is_trusted(
    confidence: Tensor,
    threshold: float | Tensor,
    disagreement: Tensor | None = ...,
    limit: float | Tensor | None = ...,
) -> Tensor: ...
@overload
def is_trusted(
    confidence: Floats,
    threshold: float | Floats,
    disagreement: Floats | None = ...,
    limit: float | None = ...,
) -> NDArray[np.bool_]: ...
@overload
def is_trusted(
    confidence: float,
    threshold: float,
    disagreement: float | None = ...,
    limit: float | None = ...,
) -> bool: ...
@overload
def is_trusted(
    confidence: object, threshold: None, disagreement: object = ..., limit: object = ...
) -> None: ...
def is_trusted(confidence: Any, threshold: Any, disagreement: Any = None, limit: Any = None) -> Any:
    """Say which predictions are trusted: `confidence >= threshold` and `disagreement <= limit`.

    NaN is never trusted, as confidence, threshold, disagreement or limit. Numbers are compared in
    the precision they are given in: NumPy and torch round a plain number to that of the array.

    The one place that says so for Python; `csrc/predict_row.h` is its twin in the kernels.

    Args:
        confidence: A number, or an array or tensor `(...,)`.
        threshold: Lowest trusted confidence, likewise; None where there is none.
        disagreement: Of the views, likewise; None where one alone cannot disagree.
        limit: Highest trusted disagreement, likewise; None for no limit.

    Returns:
        Of the kind and shape of `confidence`, bool; None without a threshold.

    Example:
        >>> is_trusted(np.array([0.9, 0.5, np.nan]), 0.5).tolist()
        [True, True, False]
        >>> is_trusted(0.9, 0.5, disagreement=0.4, limit=0.3)
        False
    """
    if threshold is None:
        return None
    reached = confidence >= threshold
    if limit is None or disagreement is None:
        return reached
    return reached & is_within(disagreement, limit)


@overload
def is_within(disagreement: Tensor, limit: float | Tensor) -> Tensor: ...
@overload
def is_within(disagreement: Floats, limit: float) -> NDArray[np.bool_]: ...
@overload
def is_within(disagreement: float, limit: float) -> bool: ...
def is_within(disagreement: Any, limit: Any) -> Any:
    """Say where views agree well enough for trust: `disagreement <= limit`, which NaN is not.

    Example:
        >>> is_within(0.2, 0.3), is_within(float("nan"), 0.3)
        (True, False)
    """
    return disagreement <= limit
