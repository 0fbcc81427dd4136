"""Out-of-distribution (OOD) detection: the distance of a modality's features from its training data.

A network may answer what it has never met, such as noise or music, with much evidence. The features
that its encoder pooled tell better than the evidence whether an input is of that kind: see `OutOfDistributionGuard`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ter_fast.errors import DataError, ModelError, TerFastError

SHARE, POWER = 0.01, 4.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class OutOfDistributionConfig:
    """When an expert takes its input to be out of distribution; see `OutOfDistributionGuard`.

    Attributes:
        limit: Distance of the encoder's features up to which an opinion stands as it is.
        power: How fast its reliability falls beyond, w = (limit / distance)^power.
        classes: Of the training data, each with a mean from which distances are taken.
        data: Training data.
        samples: Windows of "train", for the means, and of "validation", for the limit.
    """

    limit: float
    power: float
    classes: int
    data: str = ""
    samples: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.limit < math.inf or not 0 < self.power < math.inf or self.classes < 1:
            raise ModelError(
                f"ood has limit {self.limit}, power {self.power} and {self.classes} classes; expected "
                "a limit of 0 or more, a power above 0 and at least one class"
            )

    @classmethod
    def from_dict(cls, values: Any) -> OutOfDistributionConfig | None:
        """Read what JSON holds of one, or of none.

        Raises:
            ModelError: Numbers that cannot be, or unknown entries.
            KeyError: An entry is missing.
            TypeError: It is no mapping, or an entry is of the wrong type.
        """
        if values is None:
            return None
        if unknown := sorted(set(values) - {each.name for each in fields(cls)}):
            raise ModelError(f"unknown entries in {cls.__name__}: {', '.join(unknown)}")
        numbers = {name: float(values[name]) for name in ("limit", "power")}
        return cls(**{**values, **numbers, "classes": int(values["classes"])})


class OutOfDistributionGuard(nn.Module):
    """A reliability for every input, by the distance of its features from the training data.

    d(f) = min_k sqrt((f - m_k)^T P (f - m_k)),  P = W W^T
    w(f) = min(1, (d_limit / d(f))^power),  0 where d is not a number

    m_k is the mean of the training features of class k and P the precision about these means, shared by
    all classes. d_limit is the distance that one in a hundred of the validation inputs exceeds: all but
    these keep their evidence as it is, because among known inputs distance says little of errors. An
    `Expert` discounts its opinion by w, b' = w b, u' = 1 - w (1 - u).

    Everything is kept and computed in float32, whatever the model's dtype and autocast: float16 cannot
    hold the whitening of features that hardly move. No gradient passes.

    Args:
        classes: Number K' of class means.
        features: D of the encoder.
        limit: d_limit, 0 or more.
        power: How fast reliability falls beyond it, above 0.

    Reference:
        Lee et al., "A simple unified framework for detecting out-of-distribution samples and adversarial
        attacks", 2018, eq. 1-2, for d; the discount by it is this package's own.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> known, new = rng.normal(size=(500, 3)), rng.normal(size=(200, 3))
        >>> guard = OutOfDistributionGuard.fit(known, np.arange(500) % 2, new)
        >>> near, far = guard(torch.tensor([[0.5, 0.5, 0.5], [40.0, 0.0, 0.0]]))
        >>> float(near), bool(far < 0.001)
        (1.0, True)
    """

    means: Tensor
    whitening: Tensor

    def __init__(self, classes: int, features: int, limit: float, power: float = POWER) -> None:
        super().__init__()
        self.limit, self.power = limit, power
        self.register_buffer("means", torch.zeros(classes, features, dtype=torch.float32))
        self.register_buffer("whitening", torch.zeros(features, features, dtype=torch.float32))

    @classmethod
    def fit(
        cls,
        features: Floats,
        labels: NDArray[np.int64],
        held: Floats,
        share: float = SHARE,
        power: float = POWER,
    ) -> OutOfDistributionGuard:
        """Learn where the training inputs lie, and how far from them new ones of their kind do.

        Args:
            features: `(N, D)` of training inputs.
            labels: `(N,)` their classes.
            held: `(M, D)` features of validation inputs, of speakers that training has not met: those
                of training itself lie too near.
            share: Of these that may lie beyond the limit, inside [0, 1).
            power: How fast reliability falls beyond it, above 0.

        Raises:
            DataError: Fewer than two training inputs, none for validation, features that are not finite
                or that do not differ within any class, or a share or power out of range.
            TerFastError: scikit-learn is not installed.
        """
        means, whitening = class_gaussians(features, labels)
        if not power > 0:
            raise DataError(f"power is {power}; expected a number above 0")
        guard = cls(means.shape[0], means.shape[1], math.inf, power)
        guard.means.copy_(torch.from_numpy(means))
        guard.whitening.copy_(torch.from_numpy(whitening))
        # As it will be compared: in float32.
        away = guard.distance(torch.from_numpy(np.asarray(held, np.float32)))
        guard.limit = distance_limit(away.double().numpy(), share)
        return guard

    @torch.no_grad()
    def distance(self, features: Tensor) -> Tensor:
        """Return d of features `(B, D)`: `(B,)` float32."""
        with torch.autocast(features.device.type, enabled=False):
            return distance_to(features.float(), self.means, self.whitening)

    @torch.no_grad()
    def weight(self, features: Tensor) -> Tensor:
        """Return w of features `(B, D)`: `(B,)` float32 in [0, 1]."""
        return ood_weight(self.distance(features), self.limit, self.power)

    def forward(self, features: Tensor) -> Tensor:
        """Return `weight(features)`."""
        return self.weight(features)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        # What moves a module or changes its dtype goes through here.
        def moved(each: Tensor) -> Tensor:
            found: Tensor = fn(each)
            return found if found.dtype == each.dtype else each.to(found.device)

        moving: Any = super()._apply
        return moving(moved, recurse)


@contextmanager
def collect_ood_weights(experts: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Collect the OOD weights of experts while they run: by modality, the last w `(B,)`.

    Experts without a guard have no entry. Calls of the same experts by other threads are not
    collected.

    Example:
        >>> expert = nn.Module()
        >>> expert.ood = OutOfDistributionGuard(1, 2, limit=1.0)
        >>> with collect_ood_weights({"audio": expert}) as weights:
        ...     _ = expert.ood(torch.zeros(3, 2))
        >>> weights["audio"].shape
        torch.Size([3])
    """
    weights: dict[str, Tensor] = {}
    thread = threading.get_ident()

    def keep(name: str, module: nn.Module, given: object, weight: Tensor) -> None:
        if threading.get_ident() == thread:
            weights[name] = weight

    guards = {name: getattr(expert, "ood", None) for name, expert in experts.items()}
    hooks = [
        guard.register_forward_hook(partial(keep, name))
        for name, guard in guards.items()
        if isinstance(guard, OutOfDistributionGuard)
    ]
    try:
        yield weights
    finally:
        for hook in hooks:
            hook.remove()


def class_gaussians(features: Floats, labels: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the mean of each class, `(K', D)`, and the whitening about them that all share, `(D, D)`.

    The covariance about the class means is shrunk towards a multiple of the identity by Ledoit and
    Wolf's rule, for there may be fewer inputs than features; W W^T is its inverse.

    Args:
        features: `(N, D)`.
        labels: `(N,)` classes, of which K' occur.

    Raises:
        DataError: Fewer than two inputs, or features that are not finite.
        TerFastError: scikit-learn is not installed.

    Reference:
        Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004.
    """
    try:
        from sklearn.covariance import ledoit_wolf
    except ImportError as error:
        raise TerFastError(
            "out-of-distribution detection takes scikit-learn: pip install scikit-learn"
        ) from error
    values = np.asarray(features, np.float64)
    if len(values) < 2 or not np.isfinite(values).all():
        raise DataError(
            f"features have shape {values.shape}; expected at least two clips and finite numbers"
        )
    classes, place = np.unique(labels, return_inverse=True)
    means = np.stack([values[place == each].mean(0) for each in range(len(classes))])
    covariance, _ = ledoit_wolf(values - means[place], assume_centered=True)
    scale, axes = np.linalg.eigh(covariance)
    # A feature that never varies says nothing about new inputs: its scale is kept from 0.
    return means, axes / np.sqrt(np.maximum(scale, 1e-9 * max(scale.max(), 1e-30)))


def distance_to(features: Tensor, means: Tensor, whitening: Tensor) -> Tensor:
    """Return the Mahalanobis distance of each row of `(B, D)` to the nearest mean, `(B,)`.

    Example:
        >>> distance_to(torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 0.0], [9.0, 9.0]]), torch.eye(2))
        tensor([5.])
    """
    # Around the middle of the means, so that large features that hardly move lose no digits.
    middle = means.mean(0)
    away = ((features - middle) @ whitening)[:, None] - ((means - middle) @ whitening)[None]
    return away.square().sum(-1).sqrt().amin(1)


def distance_limit(distances: Floats, share: float = SHARE) -> float:
    """Return the distance that a share of known inputs exceeds: the (1 - share) quantile.

    Fewer than 1 / share distances put it next to the largest of them.

    Args:
        distances: `(M,)` of inputs of the kind that the model is for, new to it.
        share: Inside [0, 1).

    Raises:
        DataError: No distance, one that is not finite, or a share out of range.

    Example:
        >>> distance_limit(np.arange(101.0))
        99.0
    """
    if not distances.size or not np.isfinite(distances).all() or not 0 <= share < 1:
        raise DataError(
            f"{distances.size} distances, {np.isfinite(distances).sum()} of them finite, and share {share}; "
            "expected some, all finite, and 0 <= share < 1: give clips whose features differ"
        )
    return float(np.quantile(distances, 1 - share))


def ood_weight(distance: Tensor, limit: float, power: float = POWER) -> Tensor:
    """Return w = min(1, (limit / d)^power) of each distance, `(B,)` in [0, 1]; 0 for NaN.

    Example:
        >>> ood_weight(torch.tensor([0.0, 8.0, 16.0, float("nan")]), limit=8.0).tolist()
        [1.0, 1.0, 0.0625, 0.0]
    """
    weight = torch.where(distance <= limit, 1.0, (limit / distance).pow(power))
    return weight.nan_to_num(0.0).clamp(0.0, 1.0)
