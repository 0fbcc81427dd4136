"""Other people's classifiers: their formulas by hand, and that they learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from benchmarks.peers import multiview as peers
from ter_fast.multiview.base import ViewNetworkClassifier

CLASSIFIERS: list[type[ViewNetworkClassifier]] = [
    peers.SoftmaxClassifier,
    peers.ProductClassifier,
    peers.MCDropoutClassifier,
    peers.QMFClassifier,
    peers.DBFClassifier,
    peers.FUMLClassifier,
]
QUICK: dict[str, Any] = {
    "epochs": 25,
    "hidden": (64,),
    "learning_rate": 1e-2,
    "random_state": 0,
}
THERE = torch.ones(2, 3, dtype=torch.bool)


def digits() -> tuple[list[Any], Any]:
    pictures, labels = load_digits(return_X_y=True)
    halves = pictures.reshape(-1, 8, 8)
    return [halves[:, :, :4].reshape(-1, 32), halves[:, :, 4:].reshape(-1, 32)], labels


@pytest.mark.slow
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_each_learns_and_takes_missing_views(classifier: type[ViewNetworkClassifier]) -> None:
    views, labels = digits()
    train, test = slice(0, 600), slice(600, 1000)
    holes = [view[train].copy() for view in views]
    holes[0][::5] = np.nan
    model = classifier(members=2, **QUICK).fit(holes, labels[train])
    tested = [view[test] for view in views]
    assert model.score(tested, labels[test]) > 0.85
    chances = model.predict_proba(tested)
    np.testing.assert_allclose(chances.sum(1), 1)
    np.testing.assert_array_equal(chances, model.predict_proba(tested))
    confidence = model.confidence_of(tested)
    right = model.predict(tested) == labels[test]
    assert confidence[right].mean() > confidence[~right].mean()
    half = [tested[0], np.full_like(tested[1], np.nan)]
    assert model.score(half, labels[test]) > 0.6
    nothing = [np.full_like(view[:2], np.nan) for view in tested]
    np.testing.assert_allclose(model.predict_proba(nothing), 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_class_weights_move_the_border_of_each(classifier: type[ViewNetworkClassifier]) -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(300) % 10 == 0).astype(int)
    views = [rng.normal(labels[:, None] * 1.2, 1.0, (300, 2)) for _ in range(2)]
    shares = [
        classifier(class_weight=weight, **QUICK).fit(views, labels).predict(views).mean()
        for weight in (None, {1: 20.0})
    ]
    assert shares[0] < shares[1]


def test_what_qmf_remembers_of_a_missing_view_is_nothing() -> None:
    model = peers.QMFClassifier()
    model._history = torch.zeros(2, 1, 3, dtype=torch.float64)
    mask = torch.tensor([[[True, True, True]], [[True, False, True]]])
    model._sample_weight = None
    target = torch.zeros(1, 3, dtype=torch.long)
    model._loss(logits(), mask, target, torch.arange(3)[None], 0.0)
    assert (model._history > 0).tolist() == mask.tolist()


def logits() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2, 1, 3, 4, generator=generator, dtype=torch.float64)


def test_mean_and_product() -> None:
    z = logits()
    p = z.softmax(-1)[:, 0]
    torch.testing.assert_close(peers.SoftmaxClassifier()._probability(z, THERE), p.mean(0))
    product = p.prod(0)
    torch.testing.assert_close(
        peers.ProductClassifier()._probability(z, THERE), product / product.sum(-1, keepdim=True)
    )


def test_qmf_weighs_by_energy_and_ranks_by_history() -> None:
    z = logits()
    energy = z.exp().sum(-1, keepdim=True).log() / 10
    model = peers.QMFClassifier()
    torch.testing.assert_close(model._probability(z, THERE), (z * energy).sum(0)[0].softmax(-1))
    # One view, two samples: the first has lost 1 so far, the second nothing.
    model._history = torch.tensor([[[1.0, 0.0]]], dtype=torch.float64)
    pair = logits()[:1, :, :2]
    target, index = torch.tensor([[0, 1]]), torch.tensor([[0, 1]])
    mask = torch.ones(1, 1, 2, dtype=torch.bool)
    model._sample_weight = None
    found = model._loss(pair, mask, target, index, 0.0)
    losses = -pair.log_softmax(-1)[0, 0, [0, 1], [0, 1]]
    scale = pair.logsumexp(-1)[0, 0] / 10
    fused = -(pair[0, 0] * scale[:, None]).log_softmax(-1)[[0, 1], [0, 1]]
    past = torch.tensor([1.0, 0.0], dtype=torch.float64) + losses
    past = (past - past.min()) / (past.max() - past.min())
    # The easier sample is to lead by the difference of their histories, which is 1 after scaling;
    # the pair is met twice, once from each side.
    lead = scale[past.argmin()] - scale[past.argmax()]
    rank = (1 - lead).clamp_min(0)
    expected = (fused + losses + 0.1 * rank).mean()
    torch.testing.assert_close(found, expected)


def test_dbf_discounts_by_conflict_and_averages() -> None:
    evidence = torch.tensor(
        [[[8.0, 0.0]], [[8.0, 0.0]], [[0.0, 8.0]]], dtype=torch.float64
    )  # (V, 1, K)
    fused = peers.DBFClassifier()._fuse(evidence, torch.ones(3, 1, dtype=torch.bool))
    # u = 2 / 10, p = (.9, .1): DC between the odd one and each other is .8 * .64 = .512.
    conflict = 0.8 * 0.8 * 0.8

    def discounted(w: float) -> float:
        return 2 * w * 8 / (10 - w * 8)

    agreeing, odd = discounted(1 - conflict), discounted((1 - conflict) ** 2)
    expected = torch.tensor([[2 * agreeing / 3, odd / 3]], dtype=torch.float64)
    torch.testing.assert_close(fused.evidence, expected)
    assert fused.prediction.tolist() == [0]


def test_fuml_by_hand() -> None:
    z = torch.tensor([3.0, -1.0, 2.0, 1.0], dtype=torch.float64)
    members = peers._memberships(z)
    norm = (27 + 1 + 8 + 1) ** (1 / 3)
    torch.testing.assert_close(members, torch.tensor([3, 0, 2, 1.0]).double() / norm)
    credibility = peers._credibility(members)
    by_hand = [
        (m + 1 - max(o for j, o in enumerate(members) if j != i)) / 2 for i, m in enumerate(members)
    ]
    torch.testing.assert_close(credibility, torch.stack(by_hand))
    # In training the true class (2) takes the place of the largest other one.
    hot = torch.tensor([0.0, 0.0, 1.0, 0.0]).double()
    trained = peers._credibility_of(members, hot)
    expected = [(m + 1 - (members[0] if i == 2 else members[2])) / 2 for i, m in enumerate(members)]
    torch.testing.assert_close(trained, torch.stack(expected))
    h = [
        0.0 if c in (0, 1) else -(c * math.log2(c) + (1 - c) * math.log2(1 - c))
        for c in credibility.tolist()
    ]
    assert float(peers._entropy(credibility)) == pytest.approx(sum(h) / 4, abs=1e-5)


def test_fuml_weighs_views_by_uncertainty_and_conflict() -> None:
    z = logits()
    members = peers._memberships(z)
    each = peers._credibility(members)
    lengths = members.norm(dim=-1)
    # A view whose logits are all negative has no membership at all, and is like no other.
    assert (lengths == 0).any()
    likeness = (members[0] * members[1]).sum(-1) / (lengths[0] * lengths[1]).clamp_min(1e-9)
    weight = torch.stack([(1 - peers._entropy(c)) * likeness for c in each]).softmax(0)
    fused = peers._credibility((weight[..., None] * members).sum(0))[0]
    model = peers.FUMLClassifier()
    torch.testing.assert_close(model._credibility(z, THERE), fused)
    gone = torch.stack([THERE[0], ~THERE[1]])
    torch.testing.assert_close(model._credibility(z, gone), each[0, 0])
