"""How much each class counts in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from ter_fast.multiview.views import Array


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
