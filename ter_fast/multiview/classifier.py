"""The trusted classifier: evidence from each view, fused as opinions, and a threshold of trust."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ter_fast.multiview.parameters import check_trusted_parameters
from ter_fast.multiview.thresholded import ThresholdedClassifier
from ter_fast.multiview.validated import class_indices, likeliest_rate
from ter_fast.multiview.views import Features, Views
from ter_fast.opinions._views import drop_views
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.losses import TrustedCELoss
from ter_fast.opinions.opinion import Opinion, evidence_from_logits

# The failure rate that takes the place of none in fusion of certain opinions.
_RAREST = 1e-6

# The logarithm of the largest evidence that the activation "exp" gives.
_LARGEST = math.log(1e6)


class TrustedClassifier(ThresholdedClassifier):
    """Classify feature views, and say which answers to trust.

    Each view v has a network whose logits z give evidence and so an opinion (b_v, u_v); the opinions
    are fused by a rule. A view may be about something else than the others: a microphone that hears
    a neighbour, a mismatched file. If that happens with probability epsilon, `failure_rate`, and such
    a view says nothing about the class, then for views that are independent given the class::

        P(y | x)  ~  prod_v ( (1 - epsilon) p_v(y) + epsilon / K )

    Dempster's rule over opinions discounted with the reliability
    w = K (1 - epsilon) / (K (1 - epsilon) + epsilon) has these ratios in b_k + u where views are certain; its
    probabilities b_k + u / K lie further apart. However loud one view is, its evidence then ends at
    K w / (1 - w), and two that agree outvote one that does not.

    With `projected` the fused probabilities are the formula's, for uncertain views too: the fused
    probability is that product, normalized, and the fused uncertainty is the share of it where all
    views failed, u = K prod_v (epsilon / K) / sum_k prod_v ((1 - epsilon) p_v(k) + epsilon / K), which
    says little: trust by the largest probability or the entropy.

    Several members are averaged per view before fusion: mean belief and mean uncertainty, so that
    what members disagree about turns into smaller belief.

    With `max_evidence_share` p < 1, the logits z of a view become beta z / |z|, in training as ever
    after, where beta = log((K - 1) p / (1 - p)) sqrt(1 - 1 / K) lets the largest share e_k / sum_j e_j be p.
    However far a sample lies from those of training, no view is surer than of such evidence, and one that
    is wrong is outvoted more easily. The length of the logits then says nothing, and vacuity little.

    Args:
        views: Widths of the views of a table X, or columns by name; None for one view, or where X
            comes as one array a view.
        rule: Fusion rule, one of `ter_fast.opinions.opinion.RULES`.
        loss: Kind of `ter_fast.losses.TrustedCELoss`.
        activation: From logits to evidence, one of `ter_fast.opinions.opinion.ACTIVATIONS`.
        failure_rate: Epsilon in [0, 1); `choose_failure_rate` finds one on validation data.
        projected: Fuse the projected probabilities of the views instead of their opinions. Needs
            Dempster's rule and another confidence than "one_minus_vacuity".
        max_evidence_share: Largest share of its evidence that a view can give a class, above 1 / K; 1
            sets no limit. Less needs the activation "exp"; 0.998 is a good first guess.
        train_fused: Train on the loss of the fused opinion too, as TMC and its successors do. Without
            it each view learns alone, so that no view comes to lean on another.
        balance: Weight of classification in the loss, see `TrustedCELoss`.
        lambda_max: Final weight of the regularizer.
        annealing: Epochs until it is reached.
        conflict_weight: Weight of the disagreement of views; needs `train_fused`.
        view_dropout: Chance with which a view is left out of the fused opinion in training, never the
            last one of a sample; needs `train_fused`.
        label_smoothing: Share of a label that is spread over all classes.
        confidence: Kind of confidence, one of `ter_fast.opinions.opinion.CONFIDENCE_KINDS`.
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
            nothing can be guaranteed.
        guarantee_: What `calibrate` guarantees, where a risk was asked for.
        failure_rate_: The failure rate in use, once `choose_failure_rate` has found one.

    Reference:
        Jøsang, Subjective Logic, 2016, chapter 14 (trust discounting); Han et al., Trusted multi-view
        classification, 2021; Wei et al., Mitigating neural network overconfidence with logit
        normalization, 2022 (`max_evidence_share`).

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
        projected: bool = False,
        max_evidence_share: float = 1.0,
        train_fused: bool = False,
        balance: float = 1.0,
        lambda_max: float = 0.0,
        annealing: float = 10.0,
        conflict_weight: float = 0.0,
        view_dropout: float = 0.0,
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
        self.projected = projected
        self.max_evidence_share = max_evidence_share
        self.train_fused = train_fused
        self.balance = balance
        self.lambda_max = lambda_max
        self.annealing = annealing
        self.conflict_weight = conflict_weight
        self.view_dropout = view_dropout
        self.label_smoothing = label_smoothing
        self.confidence = confidence

    @on_cpu_by_default
    def fit(self, X: Features, y: npt.ArrayLike) -> Self:
        """Learn from features and labels, as `ViewNetworkClassifier.fit`; what validation data said is forgotten."""
        for name in ("threshold_", "guarantee_", "failure_rate_"):
            if hasattr(self, name):
                delattr(self, name)
        return super().fit(X, y)

    @on_cpu_by_default
    def opinions(self, X: Features) -> tuple[Opinion, dict[str, Opinion]]:
        """Return the fused opinion of each sample, over (N, K), and each view's by name.

        A view that is missing in a sample has evidence 0 there, and takes no part in the fusion.
        """
        fused: list[Opinion] = []
        views: list[Tensor] = []
        for logits, mask in self._logits(X):
            evidence = torch.where(mask[..., None], self._view_evidence(logits), 0.0)
            fused.append(self._fuse(evidence, mask))
            views.append(evidence)
        names = ("conflict", "disagreement")
        scalars: dict[str, Any] = {
            name: torch.cat([_not_none(getattr(o, name)) for o in fused]) for name in names
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

    def choose_failure_rate(self, X: Features, y: npt.ArrayLike) -> Self:
        """Use the failure rate that makes the labels of validation data likeliest.

        It takes the place of `failure_rate` in every answer from here on, so call it before
        `calibrate`: an earlier threshold is forgotten.

        Args:
            X: Features of data that took no part in training.
            y: (N,) labels.

        Raises:
            DataError: There is not one label for each sample, or one that the classifier never saw.

        Example:
            >>> x, y = np.repeat([[0.0], [1.0]], 20, axis=0), [0] * 20 + [1] * 20
            >>> model = TrustedClassifier(epochs=5, random_state=0).fit([x, x], y)
            >>> 0 <= model.choose_failure_rate([x, x], y).failure_rate_ < 1
            True
        """
        parts = self._logits(X)
        target = class_indices(y, self.classes_, sum(mask.shape[1] for _, mask in parts))

        def probability_at(rate: float) -> npt.NDArray[np.float64]:
            fused = [self._fuse(self._view_evidence(z), mask, rate) for z, mask in parts]
            return torch.cat([opinion.probability for opinion in fused]).double().cpu().numpy()

        self.failure_rate_ = likeliest_rate(probability_at, target)
        for name in ("threshold_", "guarantee_"):
            if hasattr(self, name):
                delattr(self, name)
        return self

    def _check_classes(self, count: int) -> None:
        if self.max_evidence_share <= 1 / count:
            raise ValueError(
                f"max_evidence_share is {self.max_evidence_share}; expected more than 1 / K = "
                f"{1 / count:g} for {count} classes"
            )

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
            fused = self._fuse(evidence, drop_views(here, self.view_dropout))
            total: Tensor = criterion(fused, each, flat, epoch)
            return members * total
        losses = [
            criterion(Opinion(view[present]), {}, flat[present], epoch)
            for view, present in zip(evidence, here, strict=True)
            if present.any()
        ]
        return members * torch.stack(losses).sum() if losses else logits.sum() * 0.0

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        return self._fuse(self._view_evidence(logits), mask).probability

    def _evidence(self, logits: Tensor) -> Tensor:
        if self.max_evidence_share < 1:
            others = logits.shape[-1] - 1
            # Of vectors of length 1, that with equal others is furthest above them: by sqrt(K / (K - 1)).
            beyond = math.log(others * self.max_evidence_share / (1 - self.max_evidence_share))
            beta = beyond * math.sqrt(others / (others + 1))
            logits = beta * functional.normalize(logits, dim=-1)
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

    def _fuse(self, evidence: Tensor, mask: Tensor, failure_rate: float | None = None) -> Opinion:
        rate = failure_rate
        if rate is None:
            rate = getattr(self, "failure_rate_", self.failure_rate)
        agreeing = evidence.shape[-1] * (1 - rate)
        discount = [agreeing / (agreeing + rate)] * len(evidence) if rate else None
        said = fuse(evidence, self.rule, mask, discount)
        if self.projected:
            # A certain opinion discounted with w has the evidence K w / (1 - w) p, which no failure makes infinite.
            odds = agreeing / max(rate, _RAREST)
            certain = evidence.shape[-1] * odds * Opinion(evidence).probability
            fused = fuse(certain, self.rule, mask)
            # Dempster's b_k + u is in the ratios of the formula: as probabilities, those of 1 / K of the evidence.
            # Conflict is that of what the views said: made certain, one that knows nothing would contradict.
            return Opinion(
                fused.evidence / evidence.shape[-1],
                conflict=said.conflict,
                disagreement=said.disagreement,
            )
        return said

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_trusted_parameters(self)


def _not_none(value: Tensor | None) -> Tensor:
    assert value is not None
    return value
