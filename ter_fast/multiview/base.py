"""What classifiers of feature views share: views, scaling, networks and training."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.preprocessing import LabelEncoder
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from ter_fast.multiview.networks import view_network
from ter_fast.multiview.parameters import check_parameters, class_weights
from ter_fast.multiview.views import (
    Array,
    Features,
    Views,
    ViewScaler,
    columns_of,
    is_cut,
    join_views,
)
from ter_fast.opinions.default_device import on_cpu_by_default

JOINT = "joint"
"""Name of the view that holds the features of all others."""

_ROWS_AT_ONCE = 4096


class ViewNetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Train one network a view; a subclass says what they learn and how their logits are joined.

    A subclass defines `_loss` and `_joined`, and may add parameters of its own.

    Args:
        views: Widths of the views of a table X, or columns by name; None for one view, or where X
            comes as one array a view.
        joint_view: Add a view that holds the features of all others.
        members: Networks that learn side by side from their own random start and order of samples,
            and are averaged.
        scale: Scale features to mean 0 and deviation 1 over the training data.
        hidden: Widths of the hidden layers of each network: whole numbers, or fractions as multiples of
            the view's features.
        dropout: Share of hidden units that are left out in training.
        input_noise: Deviation of Gaussian noise on the scaled features in training.
        epochs: Passes over the training data.
        batch_size: Samples in a step.
        learning_rate: Of AdamW; its peak on a "one-cycle" schedule.
        schedule: "one-cycle" or "constant".
        weight_decay: AdamW's.
        class_weight: None, "balanced", or weights by class, as in scikit-learn.
        device: Where to train and predict, such as "cpu" or "cuda".
        random_state: Seed, or a `numpy.random.RandomState`.

    Attributes:
        classes_: (K,) labels.
        view_names_: Names of the V views.
        n_features_in_: Columns of X.
        loss_curve_: Mean loss of each epoch.
    """

    def __init__(
        self,
        views: Views = None,
        *,
        joint_view: bool = False,
        members: int = 1,
        scale: bool = True,
        hidden: Sequence[int | float] = (256, 256),
        dropout: float = 0.3,
        input_noise: float = 0.3,
        epochs: int = 100,
        batch_size: int = 32,
        learning_rate: float = 2e-3,
        schedule: str = "one-cycle",
        weight_decay: float = 1e-2,
        class_weight: Any = None,
        device: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.views = views
        self.joint_view = joint_view
        self.members = members
        self.scale = scale
        self.hidden = hidden
        self.dropout = dropout
        self.input_noise = input_noise
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.weight_decay = weight_decay
        self.class_weight = class_weight
        self.device = device
        self.random_state = random_state

    @abstractmethod
    def _loss(
        self, logits: Tensor, mask: Tensor, target: Tensor, index: Tensor, epoch: float
    ) -> Tensor:
        """Return the sum over members of their mean losses.

        Args:
            logits: `(V, M, B, K)`.
            mask: `(V, M, B)`, True where a view is present.
            target: `(M, B)` classes.
            index: `(M, B)` numbers of the samples in the training data.
            epoch: Epochs done, fractions allowed.
        """

    @abstractmethod
    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        """Return the class probabilities `(B, K)` of logits `(V, M, B, K)` and mask `(V, B)`."""

    @on_cpu_by_default
    def fit(self, X: Features, y: npt.ArrayLike) -> Self:
        """Learn from features and labels.

        Args:
            X: (N, D) table, or one array (N, D_v) a view, in a sequence or by name. A view that is
                all NaN in a row is missing there.
            y: (N,) labels.

        Raises:
            ValueError: Data or parameters that make no sense; the message names them.
        """
        self._check_parameters()
        table, columns = self._table(X, reset=True, y=y)
        check_classification_targets(y)
        encoder = LabelEncoder()
        labels = encoder.fit_transform(np.asarray(self._validated_y))
        del self._validated_y
        if len(encoder.classes_) < 2:
            raise ValueError(
                f"y holds the one class {encoder.classes_[0]!r}; a classifier needs at least two classes"
            )
        self._check_classes(len(encoder.classes_))
        self.classes_ = encoder.classes_
        self._scaler = ViewScaler(columns, self.scale).fit(table)
        self.view_names_ = [*columns, *([JOINT] if self.joint_view else [])]
        seed = check_random_state(self.random_state).randint(np.iinfo(np.int32).max)
        values, mask = self._views(table)
        with self._seed(seed):
            self._train(values, mask, torch.from_numpy(labels))
        return self

    @on_cpu_by_default
    def predict_proba(self, X: Features) -> npt.NDArray[np.float64]:
        """Return the probabilities of the classes, (N, K)."""
        parts = [self._probability(*part).double().cpu().numpy() for part in self._logits(X)]
        probability = np.concatenate(parts)
        return np.asarray(probability / probability.sum(1, keepdims=True))

    def confidence_of(self, X: Features) -> npt.NDArray[np.float64]:
        """Return the confidence of each answer, (N,) in [0, 1]: the largest probability."""
        return np.asarray(self.predict_proba(X).max(1))

    @on_cpu_by_default
    def predict(self, X: Features) -> Array:
        """Return the most probable label of each sample, (N,)."""
        probability = self.predict_proba(X)
        return np.asarray(self.classes_[probability.argmax(1)])

    def _table(
        self, X: Features, *, reset: bool, y: npt.ArrayLike | None = None
    ) -> tuple[Array, dict[str, list[int]]]:
        given = None
        if is_cut(X):
            if self.views is not None:
                raise ValueError(
                    "views is set, but X comes as one array a view; leave one of them out"
                )
            X, given = join_views(cast(Any, X))
        options: dict[str, Any] = {"dtype": np.float64, "ensure_all_finite": "allow-nan"}
        if reset:
            table, self._validated_y = validate_data(self, X, y, reset=True, **options)
        else:
            table = validate_data(self, X, reset=False, **options)
        columns = columns_of(self.views, table.shape[1]) if given is None else given
        if not reset and columns != self._scaler.columns:
            raise ValueError(
                f"X has the views {_widths(columns)}, the classifier was fitted on "
                f"{_widths(self._scaler.columns)}; give the same views in the same order"
            )
        return table, columns

    def _views(self, table: Array) -> tuple[list[Tensor], Tensor]:
        values, mask = self._scaler.transform(table)
        if self.joint_view:
            values.append(torch.cat(values, -1))
            mask = torch.cat([mask, mask.any(0, keepdim=True)])
        return values, mask

    @torch.no_grad()
    def _logits(self, X: Features) -> list[tuple[Tensor, Tensor]]:
        """Return parts of a few thousand rows: logits `(V, M, B, K)` and mask `(V, B)`."""
        check_is_fitted(self)
        values, mask = self._views(self._table(X, reset=False)[0])
        parts = []
        for begin in range(0, mask.shape[1], _ROWS_AT_ONCE):
            rows = slice(begin, begin + _ROWS_AT_ONCE)
            given = [v[rows].to(self.device).expand(self.members, -1, -1) for v in values]
            logits = [net(part) for net, part in zip(self._networks, given, strict=True)]
            parts.append((torch.stack(logits), mask[:, rows].to(self.device)))
        return parts

    @contextmanager
    def _seed(self, seed: int) -> Iterator[None]:
        # The caller's own random numbers stay as they are, on the device that is used too.
        device = torch.device(self.device)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.default_generator.manual_seed(seed)
            if device.type == "cuda":
                torch.cuda.manual_seed(seed)
            yield

    def _train(self, values: list[Tensor], mask: Tensor, labels: Tensor) -> None:
        device, count = torch.device(self.device), len(labels)
        values, mask, labels = [v.to(device) for v in values], mask.to(device), labels.to(device)
        self._sample_weight = class_weights(self.class_weight, self.classes_, labels)
        self._networks = nn.ModuleList(
            view_network(
                self.members, v.shape[1], tuple(self.hidden), len(self.classes_), self.dropout
            )
            for v in values
        ).to(device)
        steps = math.ceil(count / self.batch_size)
        optimizer = torch.optim.AdamW(
            self._parameters(),
            self.learning_rate,
            weight_decay=self.weight_decay,
            fused=True,
        )
        if self.schedule == "one-cycle":
            # A rise of one step is none to PyTorch, which divides by its length.
            total = self.epochs * steps
            schedule: torch.optim.lr_scheduler.LRScheduler = torch.optim.lr_scheduler.OneCycleLR(
                optimizer,
                self.learning_rate,
                total_steps=total,
                pct_start=0.2 if total == 10 else 0.1,
            )
        else:
            schedule = torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
        self._networks.train()
        self.loss_curve_: list[float] = []
        for epoch in range(self.epochs):
            order = torch.stack([torch.randperm(count) for _ in range(self.members)]).to(device)
            lost = 0.0
            for step, chosen in enumerate(torch.split(order, self.batch_size, dim=1)):
                logits = torch.stack(
                    [
                        net(self._noisy(v[chosen]))
                        for net, v in zip(self._networks, values, strict=True)
                    ]
                )
                loss = self._loss(
                    logits, mask[:, chosen], labels[chosen], chosen, epoch + step / steps
                )
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                lost += float(loss.detach()) * chosen.shape[1] / self.members
            self.loss_curve_.append(lost / count)
        self._networks.eval()
        del self._sample_weight

    def _parameters(self) -> list[nn.Parameter]:
        return list(self._networks.parameters())

    def _noisy(self, values: Tensor) -> Tensor:
        return values + self.input_noise * torch.randn_like(values) if self.input_noise else values

    def _weighted_sum(self, losses: Tensor, target: Tensor) -> Tensor:
        """Return the sum over members of the means of losses `(M, B)`, weighted by class."""
        if self._sample_weight is None:
            return losses.mean(-1).sum()
        weight = self._sample_weight[target]
        return ((losses * weight).sum(-1) / weight.sum(-1).clamp_min(1e-12)).sum()

    def _check_parameters(self) -> None:
        check_parameters(self)

    def _check_classes(self, count: int) -> None:
        """Refuse parameters that do not go with so many classes."""


def _widths(columns: dict[str, list[int]]) -> dict[str, int]:
    return {name: len(each) for name, each in columns.items()}
