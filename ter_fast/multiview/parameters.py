"""What the parameters of classifiers of feature views may be, and how much each class counts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from ter_fast.multiview.views import Array
from ter_fast.opinions.opinion import ACTIVATIONS, CONFIDENCE_KINDS, RULES


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


def check_trusted_parameters(given: Any) -> None:
    """Check the parameters that `TrustedClassifier` has beyond those of its base.

    Raises:
        ValueError: One of them makes no sense, or contradicts another; the message names it.
    """
    choices = {"rule": RULES, "activation": ACTIVATIONS, "confidence": CONFIDENCE_KINDS}
    for name, known in choices.items():
        if getattr(given, name) not in known:
            raise ValueError(
                f"{name} is {getattr(given, name)!r}; expected one of {', '.join(known)}"
            )
    if not 0 <= given.failure_rate < 1:
        raise ValueError(f"failure_rate is {given.failure_rate}; expected 0 <= failure_rate < 1")
    if not 0 < given.max_evidence_share <= 1:
        raise ValueError(
            f"max_evidence_share is {given.max_evidence_share}; expected a share, above 1 / K and at most 1"
        )
    if given.max_evidence_share < 1 and given.activation != "exp":
        raise ValueError(
            f"max_evidence_share bounds evidence by 'exp', and activation is {given.activation!r}; leave "
            "one of them out"
        )
    if given.projected and given.rule != "dempster":
        raise ValueError(
            f"projected is Bayes' rule in the form of Dempster's, and rule is {given.rule!r}; leave one of "
            "them out"
        )
    if given.projected and given.confidence == "one_minus_vacuity":
        raise ValueError(
            "projected fusion leaves next to no vacuity, whatever the views know; choose another "
            "confidence than 'one_minus_vacuity'"
        )
    if not 0 <= given.view_dropout < 1:
        raise ValueError(f"view_dropout is {given.view_dropout}; expected 0 <= view_dropout < 1")
    if given.view_dropout and not given.train_fused:
        raise ValueError("view_dropout thins the fused opinion; set train_fused=True with it")
    if given.conflict_weight and not given.train_fused:
        raise ValueError("conflict_weight asks views to agree; set train_fused=True with it")


def class_weights(given: Any, classes: Array, labels: Tensor) -> Tensor | None:
    """Return the weight of each class, (K,) on the labels' device; None where all count alike.

    Args:
        given: None, "balanced" for N / (K times the class's count), or weights by class, 1 where it
            names none.
        classes: (K,) labels.
        labels: (N,) numbers of the classes of the training data.

    Raises:
        ValueError: It names a class that the data do not hold.

    Example:
        >>> class_weights("balanced", np.array(["calm", "sad"]), torch.tensor([0, 0, 0, 1]))
        tensor([0.6667, 2.0000])
    """
    if given is None:
        return None
    if isinstance(given, Mapping):
        known = classes.tolist()
        if unknown := [label for label in given if label not in known]:
            raise ValueError(f"class_weight names {unknown[0]!r}; expected some of {known}")
        weights = np.array([given.get(label, 1.0) for label in known])
    else:
        weights = compute_class_weight(
            given, classes=np.arange(len(classes)), y=labels.cpu().numpy()
        )
    return torch.from_numpy(weights).float().to(labels.device)
