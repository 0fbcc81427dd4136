"""Other people's classifiers of feature views, with the networks and the training of ours.

Written from the papers, to be compared with on equal terms: same networks, splits and budget.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ter_fast.multiview.base import ViewNetworkClassifier
from ter_fast.multiview.classifier import TrustedClassifier
from ter_fast.multiview.views import Features
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import Opinion

_TINY = 1e-12


class SoftmaxClassifier(ViewNetworkClassifier):
    """Classify by the mean of the views' softmax probabilities; each view learns alone.

    With one view of all features it is early concatenation, with several members a deep ensemble.

    Example:
        >>> table = np.repeat([[0.0, 1.0], [1.0, 0.0]], 20, axis=0)
        >>> SoftmaxClassifier(random_state=0).fit(table, [0] * 20 + [1] * 20).predict(table[:1])
        array([0])
    """

    def _loss(
        self, logits: Tensor, mask: Tensor, target: Tensor, index: Tensor, epoch: float
    ) -> Tensor:
        weight = mask.to(logits.dtype)
        if self._sample_weight is not None:
            weight = weight * self._sample_weight[target]
        losses = (_cross_entropy(logits, target) * weight).sum((1, 2))
        return logits.shape[1] * (losses / weight.sum((1, 2)).clamp_min(_TINY)).sum()

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        each = logits.softmax(-1).mean(1) * mask[..., None]
        return _or_uniform(each.sum(0))


class ProductClassifier(SoftmaxClassifier):
    """Classify by the product of the views' softmax probabilities (product of experts)."""

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        each = logits.softmax(-1).mean(1).clamp_min(_TINY).log() * mask[..., None]
        return each.sum(0).softmax(-1)


class MCDropoutClassifier(SoftmaxClassifier):
    """Classify by the mean probability of `SAMPLES` networks with units dropped at random.

    Reference:
        Gal & Ghahramani, "Dropout as a Bayesian approximation", 2016.
    """

    SAMPLES = 20

    @torch.no_grad()
    def _logits(self, X: Features) -> list[tuple[Tensor, Tensor]]:
        # The same answer for the same features.
        with self._seed(0):
            self._networks.train()
            try:
                runs = [super(MCDropoutClassifier, self)._logits(X) for _ in range(self.SAMPLES)]
            finally:
                self._networks.eval()
        return [
            (torch.cat([logits for logits, _ in parts], 1), parts[0][1])
            for parts in zip(*runs, strict=True)
        ]


class QMFClassifier(ViewNetworkClassifier):
    """Weigh each view's logits by its energy, and train energies to rank samples by their losses.

    With logits z_v and c_v = log sum exp z_v / 10, the fused logits are sum_v c_v z_v. The loss is the
    cross-entropy of the fused logits and of each view, and a margin loss on pairs of neighbours in a
    batch: the sample that a view has found easier so far is to have the larger c_v.

    Reference:
        Zhang et al., "Provable dynamic fusion for low-quality multimodal data", 2023.
    """

    RANK_WEIGHT = 0.1
    _history: Tensor

    def _loss(
        self, logits: Tensor, mask: Tensor, target: Tensor, index: Tensor, epoch: float
    ) -> Tensor:
        losses = _cross_entropy(logits, target)
        fused = _cross_entropy(self._joined(logits, mask), target)
        past = self._past(losses.detach() * mask, index)
        easier = past.roll(-1, 2) - past
        energy = logits.logsumexp(-1) / 10
        lead = energy - energy.roll(-1, 2)
        ranks = (easier.abs() - easier.sign() * lead).clamp_min(0) * (easier != 0)
        both = mask & mask.roll(-1, 2)
        total = fused + (losses * mask).sum(0) + self.RANK_WEIGHT * (ranks * both).sum(0)
        return self._weighted_sum(total, target)

    def _past(self, losses: Tensor, index: Tensor) -> Tensor:
        """Add to the losses of each sample so far, and return them from 0 (easiest) to 1."""
        where = index.expand(len(losses), -1, -1)
        self._history.scatter_add_(2, where, losses)
        low, high = self._history.amin(2, keepdim=True), self._history.amax(2, keepdim=True)
        return (self._history.gather(2, where) - low) / (high - low).clamp_min(_TINY)

    def _joined(self, logits: Tensor, mask: Tensor) -> Tensor:
        energy = logits.logsumexp(-1, keepdim=True) / 10
        return (logits * energy * mask[..., None]).sum(0)

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        members = mask[:, None].expand(logits.shape[:3])
        return self._joined(logits, members).softmax(-1).mean(0)

    def _train(self, values: list[Tensor], mask: Tensor, labels: Tensor) -> None:
        self._history = torch.zeros(len(values), self.members, len(labels), device=self.device)
        super()._train(values, mask, labels)
        del self._history


class DBFClassifier(TrustedClassifier):
    """Discount each view's opinion by its conflict with the others, then average.

    With DC(v, w) = 1/2 ||p_v - p_w||_1 (1 - u_v) (1 - u_w), view v is discounted with the reliability
    prod_{w != v} (1 - DC(v, w)^lambda)^(1/lambda), lambda = 1. Our reading of the paper.

    Reference:
        Bezirganyan et al., "Multimodal learning with uncertainty quantification based on discounted
        belief fusion", 2025.
    """

    def _fuse(self, evidence: Tensor, mask: Tensor, failure_rate: float | None = None) -> Opinion:
        views = Opinion(evidence)
        p, sure = views.probability, (1 - views.uncertainty) * mask
        distance = 0.5 * (p.unsqueeze(0) - p.unsqueeze(1)).abs().sum(-1)
        conflict = distance * sure.unsqueeze(0) * sure.unsqueeze(1)
        return fuse(evidence, "averaging", mask, (1 - conflict).prod(0))


class FUMLClassifier(ViewNetworkClassifier):
    """Classify by the credibility of fuzzy memberships, weighed by uncertainty and conflict.

    Memberships are m = relu(z / ||z||_3), the credibility of class k is (m_k + 1 - max_{j != k} m_j) / 2;
    in training, the true class takes the place of the largest other one. With H the mean binary
    entropy of a view's credibilities in bits and o its mean cosine distance to the other views, the
    weights of the views are the softmax of (1 - H)(1 - o). Each view's credibility and that of the
    weighted memberships are trained by binary cross-entropy.

    Reference:
        Duan et al., "Deep fuzzy multi-view learning for reliable classification", 2025.
    """

    def _loss(
        self, logits: Tensor, mask: Tensor, target: Tensor, index: Tensor, epoch: float
    ) -> Tensor:
        hot = functional.one_hot(target, len(self.classes_)).to(logits.dtype)
        members = _memberships(logits)
        each = _credibility_of(members, hot)
        fused = _credibility_of(self._weighted(members, each, mask), hot)
        losses = _binary(fused, hot) + (_binary(each, hot) * mask).sum(0)
        return self._weighted_sum(losses, target)

    def _probability(self, logits: Tensor, mask: Tensor) -> Tensor:
        credibility = self._credibility(logits, mask)
        return credibility / credibility.sum(-1, keepdim=True)

    def confidence_of(self, X: Features) -> npt.NDArray[np.float64]:
        """Return 1 - H of the fused credibility, (N,)."""
        parts = [1 - _entropy(self._credibility(*part)) for part in self._logits(X)]
        return torch.cat(parts).double().cpu().numpy()

    def _credibility(self, logits: Tensor, mask: Tensor) -> Tensor:
        members = _memberships(logits)
        here = mask[:, None].expand(logits.shape[:3])
        return _credibility(self._weighted(members, _credibility(members), here)).mean(0)

    def _weighted(self, members: Tensor, credibility: Tensor, mask: Tensor) -> Tensor:
        views = len(members)
        likeness = functional.cosine_similarity(members.unsqueeze(0), members.unsqueeze(1), dim=-1)
        pairs = mask.unsqueeze(0) & mask.unsqueeze(1)
        others = (pairs.sum(0) - 1).clamp_min(1)
        conflict = ((1 - likeness) * pairs).sum(0) / others if views > 1 else 0.0
        weight = (1 - _entropy(credibility)) * (1 - conflict)
        share = weight.masked_fill(~mask, -torch.inf).softmax(0).nan_to_num()
        return (share[..., None] * members).sum(0)


def _memberships(logits: Tensor) -> Tensor:
    return functional.relu(logits / logits.norm(p=3, dim=-1, keepdim=True).clamp_min(_TINY))


def _credibility(members: Tensor) -> Tensor:
    """Return (m_k + 1 - max of the others) / 2."""
    largest = members.topk(2, -1).values
    first, second = largest[..., :1], largest[..., 1:]
    others = torch.where(members == first, second, first)
    return (members + 1 - others) / 2


def _credibility_of(members: Tensor, hot: Tensor) -> Tensor:
    """Return the credibilities of training, in which the true class is known."""
    largest_other = (members * (1 - hot)).amax(-1, keepdim=True)
    true = (members * hot).amax(-1, keepdim=True)
    return (members + hot * (1 - largest_other) + (1 - hot) * (1 - true)) / 2


def _entropy(credibility: Tensor) -> Tensor:
    """Return the mean binary entropy of the classes in bits."""
    c = credibility.clamp(1e-7, 1 - 1e-7)
    return -(c * c.log2() + (1 - c) * (1 - c).log2()).mean(-1)


def _binary(credibility: Tensor, hot: Tensor) -> Tensor:
    c = credibility.clamp(1e-7, 1 - 1e-7)
    return functional.binary_cross_entropy(c, hot.expand_as(c), reduction="none").sum(-1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the losses of logits `(..., M, B, K)` and target `(M, B)`: `(..., M, B)`."""
    chosen = target.expand(logits.shape[:-1]).unsqueeze(-1)
    return -logits.log_softmax(-1).gather(-1, chosen).squeeze(-1)


def _or_uniform(weights: Tensor) -> Tensor:
    """Return weights as probabilities; alike where there are none."""
    total = weights.sum(-1, keepdim=True)
    return torch.where(total > 0, weights / total.clamp_min(_TINY), 1 / weights.shape[-1])
