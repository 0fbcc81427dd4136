"""What the parameters of classifiers of feature views may be."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any


def check_parameters(model: Any) -> None:
    """Refuse parameters that make no sense.

    Raises:
        ValueError: One of them; the message says which, and what is expected.

    Example:
        >>> from ter_fast.multiview import TrustedClassifier
        >>> check_parameters(TrustedClassifier(epochs=0))
        Traceback (most recent call last):
        ValueError: epochs is 0; expected at least 1
    """
    whole = {"members": model.members, "epochs": model.epochs, "batch_size": model.batch_size}
    for name, value in whole.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")
    if model.schedule not in ("one-cycle", "constant"):
        raise ValueError(f"schedule is {model.schedule!r}; expected one-cycle or constant")
    hidden = model.hidden
    if isinstance(hidden, (int, float, str)) or not all(
        width > 0 and (isinstance(width, Integral) or math.isfinite(width)) for width in hidden
    ):
        raise ValueError(f"hidden is {hidden!r}; expected a sequence of widths above 0")
    if not (model.class_weight in (None, "balanced") or isinstance(model.class_weight, Mapping)):
        raise ValueError(
            f"class_weight is {model.class_weight!r}; expected None, 'balanced', or weights by class"
        )
    if not 0 <= model.dropout < 1:
        raise ValueError(f"dropout is {model.dropout}; expected 0 <= dropout < 1")
    if not model.input_noise >= 0 or not model.learning_rate > 0:
        raise ValueError(
            f"input_noise is {model.input_noise}, learning_rate is {model.learning_rate}; expected "
            "at least 0, and above 0"
        )
