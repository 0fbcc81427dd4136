"""The trusted classifier: evidence from each view, fused as opinions, and a threshold of trust."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.criterion import by_criterion
from ter_fast.errors import DataError
from ter_fast.fusion import fuse
from ter_fast.losses import TrustedCELoss
from ter_fast.multiview.base import ViewNetworkClassifier
from ter_fast.multiview.views import Features, Views
from ter_fast.opinion import (
    ACTIVATIONS,
    CONFIDENCE_KINDS,
    RULES,
    Opinion,
    evidence_from_logits,
)
from ter_fast.outcomes import Outcomes
from ter_fast.thresholds import Guarantee, guaranteed

# The logarithm of the largest evidence that the activation "exp" gives.
_LARGEST = math.log(1e6)


class TrustedClassifier(ViewNetworkClassifier):
    """Classify feature views, and say which answers to trust.

    Each view v has a network whose logits z give evidence and so an opinion (b_v, u_v); the opinions
    are fused by a rule. A view may be about something else than the others: a microphone that hears
    a neighbour, a mismatched file. If that happens with probability epsilon, `failure_rate`, and such
    a view says nothing about the class, then for views that are independent given the class::

        P(y | x)  ~  prod_v ( (1 - epsilon) p_v(y) + epsilon / K )

    which is Dempster's rule over opinions discounted with the reliability
    w = K (1 - epsilon) / (K (1 - epsilon) + epsilon), where a view is certain. However loud one view
    is, its evidence then ends at K w / (1 - w), and two that agree outvote one that does not.

    Several members are averaged per view before fusion: mean belief and mean uncertainty, so that
    what members disagree about turns into smaller belief.

    Args:
        views: Widths of the views of a table X, or columns by name; None for one view, or where X
            comes as one array a view.
        rule: Fusion rule, one of `ter_fast.opinion.RULES`.
        loss: Kind of `ter_fast.losses.TrustedCELoss`.
        activation: From logits to evidence, one of `ter_fast.opinion.ACTIVATIONS`.
        failure_rate: epsilon in [0, 1).
        train_fused: Train on the loss of the fused opinion too, as TMC and its successors do. Without
            it each view learns alone, so that no view comes to lean on another.
        balance: Weight of classification in the loss, see `TrustedCELoss`.
        lambda_max: Final weight of the regularizer.
        annealing: Epochs until it is reached.
        conflict_weight: Weight of the disagreement of views; needs `train_fused`.
        label_smoothing: Share of a label that is spread over all classes.
        confidence: Kind of confidence, one of `ter_fast.opinion.CONFIDENCE_KINDS`.
        joint_view: Add a view that holds the features of all others.
        members: Networks of each view that learn side by side and are averaged.
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
        threshold_: Confidence from which an answer is trusted, once `calibrate` has set it; None where
            nothing can be promised.
        guarantee_: What `calibrate` promises, where a risk was asked for.

    Reference:
        Jøsang, Subjective Logic, 2016, chapter 14 (trust discounting); Han et al., Trusted multi-view
        classification, 2021.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["calm", "angry"], 60)
        >>> audio = rng.normal(np.where(y == "calm", 0.0, 2.0)[:, None], 1.0, (120, 3))
        >>> video = rng.normal(np.where(y == "calm", 0.0, 2.0)[:, None], 1.0, (120, 4))
        >>> views = {"audio": audio, "video": video}
        >>> model = TrustedClassifier(epochs=20, random_state=0).fit(views, y)
        >>> bool(model.score(views, y) > 0.9)
        True
        >>> fused, each = model.opinions(views)
        >>> fused.belief.shape, sorted(each)
        (torch.Size([120, 2]), ['audio', 'video'])
    """

    def __init__(
        self,
        views: Views = None,
        *,
        rule: str = "dempster",
        loss: str = "log",
        activation: str = "exp",
        failure_rate: float = 0.1,
        train_fused: bool = False,
        balance: float = 1.0,
        lambda_max: float = 0.0,
        annealing: float = 10.0,
        conflict_weight: float = 0.0,
        label_smoothing: float = 0.0,
        confidence: str = "max_probability",
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
        super().__init__(
            views, joint_view=joint_view, members=members, scale=scale, hidden=hidden,
            dropout=dropout, input_noise=input_noise, epochs=epochs, batch_size=batch_size,
            learning_rate=learning_rate, schedule=schedule, weight_decay=weight_decay,
            class_weight=class_weight, device=device, random_state=random_state,
        )  # fmt: skip
        self.rule = rule
        self.loss = loss
        self.activation = activation
        self.failure_rate = failure_rate
        self.train_fused = train_fused
        self.balance = balance
        self.lambda_max = lambda_max
        self.annealing = annealing
        self.conflict_weight = conflict_weight
        self.label_smoothing = label_smoothing
        self.confidence = confidence

    def fit(self, X: Features, y: npt.ArrayLike) -> Self:
        """Learn from features and labels, as `ViewNetworkClassifier.fit`; a threshold is forgotten."""
        for name in ("threshold_", "guarantee_"):
            if hasattr(self, name):
                delattr(self, name)
        return super().fit(X, y)

    # -- answers ----------------------------------------------------------------------------------

    def opinions(self, X: Features) -> tuple[Opinion, dict[str, Opinion]]:
        """Return the fused opinion of each sample, over (N, K), and each view's by name.

        A view that is missing in a sample has evidence 0 there, and takes no part in the fusion.
        """
        fused: list[Opinion] = []
        views: list[Tensor] = []
        for logits, mask in self._logits(X):
            evidence = torch.where(mask[..., None], self._view_evidence(logits), 0.0)
            fused.append(self._fused(evidence, mask))
            views.append(evidence)
        names = ("conflict", "disagreement")
        scalars: dict[str, Any] = {
            name: torch.cat([_given(getattr(o, name)) for o in fused]) for name in names
        }
        together = Opinion(
            torch.cat([o.evidence for o in fused]), confidence_kind=self.confidence, **scalars
        )
        each = dict(zip(self.view_names_, torch.cat(views, 1), strict=True))
        return together, {
            name: Opinion(part, confidence_kind=self.confidence) for name, part in each.items()
        }

    def confidence_of(self, X: Features) -> npt.NDArray[np.float64]:
        """Return the confidence of each answer, (N,) in [0, 1]; 0 where every view is missing."""
        fused, _ = self.opinions(X)
        confidence = torch.where(fused.uncertainty < 1, fused.confidence, 0.0)
        return confidence.double().cpu().numpy()

    # -- trust ------------------------------------------------------------------------------------

    def calibrate(
        self,
        X: Features,
        y: npt.ArrayLike,
        criterion: str = "balance",
        *,
        risk: float | None = None,
        delta: float = 0.05,
        groups: npt.ArrayLike | None = None,
    ) -> Self:
        """Choose the threshold of trust on data that took no part in training.

        Args:
            X: Features.
            y: (N,) labels; for a risk, those the classifier never saw count as wrong.
            criterion: "balance", "f1", "accuracy", "precision=P" or "coverage=Q".
            risk: Instead, the largest share of errors among trusted answers that is promised.
            delta: Probability with which the promise may fail.
            groups: (N,) speaker or source of each sample, where the promise is for new ones.

        Raises:
            DataError: No threshold meets the criterion, or an argument makes no sense, such as a label
                the classifier never saw for a criterion.
        """
        confidence = self.confidence_of(X)
        if np.shape(y) != confidence.shape:
            raise DataError(
                f"y has shape {np.shape(y)}; expected a label for each of {len(confidence)} samples"
            )
        correct = self.predict(X) == np.asarray(y)
        self.guarantee_: Guarantee | None = None
        self.threshold_: float | None
        if risk is not None:
            self.guarantee_ = guaranteed(confidence, correct, risk, delta, groups=groups)
            self.threshold_ = self.guarantee_.threshold
            return self
        index = {label: number for number, label in enumerate(self.classes_.tolist())}
        target = np.array([index.get(label, -1) for label in np.asarray(y).tolist()])
        if (target < 0).any():
            raise DataError(
                f"y holds {np.asarray(y)[target < 0].tolist()[0]!r}, which the classifier was not trained on; "
                f"expected some of {self.classes_.tolist()}"
            )
        answers = Outcomes.from_arrays(self.predict_proba(X), target, confidence=confidence)
        self.threshold_ = by_criterion(criterion, answers).threshold
        return self

    def trusted(self, X: Features) -> npt.NDArray[np.bool_]:
        """Say which answers are trusted: (N,), confidence >= threshold.

        Raises:
            DataError: `calibrate` has set no threshold.
        """
        if not hasattr(self, "threshold_"):
            raise DataError("no threshold of trust is set; call calibrate with data of its own")
        if self.threshold_ is None:
            return np.zeros(len(self.confidence_of(X)), dtype=bool)
        return self.confidence_of(X) >= self.threshold_

    # -- what the base asks for -------------------------------------------------------------------

    def _loss(
        self, logits: Tensor, mask: Tensor, target: Tensor, index: Tensor, epoch: float
    ) -> Tensor:
        members = logits.shape[1]
        evidence = self._evidence(logits).flatten(1, 2)
        here, flat = mask.flatten(1), target.flatten()
        criterion = TrustedCELoss(
            self.balance, self.loss, self.lambda_max, self.annealing, self.conflict_weight,
            self.label_smoothing, self._sample_weight,
        )  # fmt: skip
        if self.train_fused:
            each = {}
            if len(evidence) > 1:
                each = {
                    name: (Opinion(view), present)
                    for name, view, present in zip(self.view_names_, evidence, here, strict=True)
                }
            total: Tensor = criterion(self._fused(evidence, here), each, flat, epoch)
            return members * total
        losses = [
            criterion(Opinion(view[present]), {}, flat[present], epoch)
            for view, present in zip(evidence, here, strict=True)
            if present.any()
        ]
        return members * torch.stack(losses).sum() if losses else logits.sum() * 0.0

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        return self._fused(self._view_evidence(logits), mask).probability

    def _evidence(self, logits: Tensor) -> Tensor:
        if self.activation == "exp":
            # Cut off for each class alone, two strong classes would come out equal.
            logits = logits - (logits.amax(-1, keepdim=True) - _LARGEST).clamp_min(0)
        return evidence_from_logits(logits, self.activation)

    def _view_evidence(self, logits: Tensor) -> Tensor:
        """Return the evidence `(V, B, K)` of the mean belief and uncertainty of the members."""
        evidence = self._evidence(logits)
        if logits.shape[1] == 1:
            return evidence[:, 0]
        each = Opinion(evidence)
        belief, uncertainty = each.belief.mean(1), each.uncertainty.mean(1)
        return belief * (logits.shape[-1] / uncertainty)[..., None]

    def _fused(self, evidence: Tensor, mask: Tensor) -> Opinion:
        discount = None
        if self.failure_rate:
            agreeing = evidence.shape[-1] * (1 - self.failure_rate)
            discount = [agreeing / (agreeing + self.failure_rate)] * len(evidence)
        return fuse(evidence, self.rule, mask, discount)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        choices = {"rule": RULES, "activation": ACTIVATIONS, "confidence": CONFIDENCE_KINDS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}"
                )
        if not 0 <= self.failure_rate < 1:
            raise ValueError(f"failure_rate is {self.failure_rate}; expected 0 <= failure_rate < 1")
        if self.conflict_weight and not self.train_fused:
            raise ValueError("conflict_weight asks views to agree; set train_fused=True with it")


def _given(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
