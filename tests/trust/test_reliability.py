"""Learned reliabilities against exhaustive search, and what the likelihood says they must be."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ter_fast.errors import DataError
from ter_fast.trust.reliability import Reliability, fit_reliability

RULES = ("dempster", "cumulative", "averaging", "weighted")


def discounted(evidence: Tensor, weight: float) -> Tensor:
    """Discount one modality's `(N, K)` evidence by the definition: b' = w b, u' = 1 - w (1 - u)."""
    classes = evidence.shape[-1]
    total = evidence.sum(-1, keepdim=True) + classes
    belief, uncertainty = weight * evidence / total, 1 - weight * (1 - classes / total)
    return belief * classes / uncertainty


def fused(views: list[Tensor], rule: str) -> Tensor:
    """Fuse opinions literally, from beliefs: `(N, K)` evidence."""
    classes = views[0].shape[-1]
    if rule == "cumulative":
        return sum(views)  # type: ignore[return-value]
    if rule == "averaging":
        return sum(views) / len(views)  # type: ignore[return-value]
    if rule == "weighted":
        known = [1 - classes / (view.sum(-1, keepdim=True) + classes) for view in views]
        top = sum(c * view for c, view in zip(known, views, strict=True))
        return top / sum(known).clamp_min(1e-300)  # type: ignore[union-attr]
    belief, vacuity = None, None
    for view in views:
        total = view.sum(-1, keepdim=True) + classes
        b, u = view / total, classes / total
        if belief is None or vacuity is None:
            belief, vacuity = b, u
            continue
        agreed = belief * b + belief * u + b * vacuity
        lost = 1 - agreed.sum(-1, keepdim=True) - vacuity * u
        belief, vacuity = agreed / (1 - lost), vacuity * u / (1 - lost)
    assert belief is not None
    assert vacuity is not None
    return belief * classes / vacuity


def nll(views: Tensor, mask: Tensor, label: Tensor, rule: str, weights: Any) -> float:
    """Return the loss sample by sample, over those that have a modality."""
    losses = []
    for row, true in enumerate(label.tolist()):
        there = [
            discounted(views[v, row : row + 1], float(w))
            for v, w in enumerate(weights)
            if mask[v, row]
        ]
        if there:
            alpha = fused(there, rule)[0] + 1
            losses.append(float(-torch.log(alpha[true] / alpha.sum())))
    return sum(losses) / len(losses)


def drawn(probability: Tensor, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.multinomial(probability, 1, generator=generator)[:, 0]


def made(
    seed: int, count: int = 300, classes: int = 3, trust: tuple[float, ...] = (1.0, 0.5, 0.0)
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw modalities that see the class in a share of the samples, and elsewhere shout another."""
    rng = np.random.default_rng(seed)
    label = rng.integers(classes, size=count)
    label[:2] = 0, 1
    views = rng.gamma(0.3, 1.0, (len(trust), count, classes))
    for view, share in zip(views, trust, strict=True):
        said = np.where(rng.random(count) < share, label, rng.integers(classes, size=count))
        view[np.arange(count), said] += rng.gamma(2.0, 4.0, count)
    mask = torch.from_numpy(rng.random(views.shape[:2]) < 0.85)
    return torch.from_numpy(views), mask, torch.from_numpy(label)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_no_point_of_a_grid_is_likelier(rule: str) -> None:
    views, mask, label = made(1, 60, 3, (0.9, 0.3))
    found = fit_reliability(views, mask, label, rule)
    assert found.converged
    assert found.nll == pytest.approx(nll(views, mask, label, rule, found.weights), abs=1e-9)
    assert found.nll_before == pytest.approx(nll(views, mask, label, rule, (1, 1)), abs=1e-9)
    grid = [0.001, 0.1, 0.25, 0.4, 0.55, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0]
    best = min(itertools.product(grid, grid), key=lambda w: nll(views, mask, label, rule, w))
    assert found.nll <= nll(views, mask, label, rule, best) + 1e-9
    # Finer around what was found: nothing nearby is likelier either.
    for view, step in itertools.product(range(2), (-0.02, -0.005, 0.005, 0.02)):
        near = list(found.weights)
        near[view] = min(max(near[view] + step, 1e-3), 1.0)
        assert found.nll <= nll(views, mask, label, rule, near) + 1e-9


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.sampled_from(RULES), st.integers(2, 4), st.integers(2, 5))
def test_no_random_point_is_likelier(seed: int, rule: str, views: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    evidence, mask, label = made(seed, 40, classes, tuple(rng.random(views)))
    mask[:2, 0] = True
    found = fit_reliability(evidence, mask, label, rule)
    assert all(0 < weight <= 1 for weight in found.weights)
    assert found.nll <= found.nll_before
    for _ in range(12):
        other = rng.random(views).clip(1e-3) ** rng.choice([0.1, 1, 3])
        assert found.nll <= nll(evidence, mask, label, rule, other) + 1e-6


def test_confident_noise_is_not_believed() -> None:
    views, mask, label = made(2, 600, 5, (0.95, 0.0, 0.9))
    found = fit_reliability(views, mask, label)
    assert found.weights[1] < 0.02
    assert min(found.weights[0], found.weights[2]) > 0.5
    assert found.nll < found.nll_before - 0.1


@pytest.mark.slow
@pytest.mark.parametrize("loud", [1e2, 1e6])
def test_noise_is_not_believed_however_loud(loud: float) -> None:
    views, mask, label = made(3, 300, 4, (0.9, 0.0))
    views[1] *= loud
    found = fit_reliability(views, mask, label)
    assert found.weights[1] < 0.02
    quiet = torch.stack([views[0], torch.zeros_like(views[1])])
    without = fit_reliability(quiet, mask, label)
    assert found.nll == pytest.approx(without.nll, abs=0.01)


@pytest.mark.slow
def test_calibrated_independent_modalities_are_believed() -> None:
    """Each modality counts draws of its own from the clip's class probabilities, p ~ Dir(1).

    Then the posterior is Dir(1 + all counts), which is cumulative fusion itself: w = 1 is the truth.
    """
    rng = np.random.default_rng(4)
    chances = rng.dirichlet(np.ones(4), 4000)
    label = (chances.cumsum(1) > rng.random((4000, 1))).argmax(1)
    views = torch.from_numpy(
        np.stack([rng.multinomial(count, chances) for count in (3, 12)]).astype(float)
    )
    found = fit_reliability(views, None, label, "cumulative")
    assert min(found.weights) > 0.93
    assert found.nll_before - found.nll < 0.001
    # A modality whose counts are tenfold what it saw is held to less.
    views[1] *= 10
    shouting = fit_reliability(views, None, label, "cumulative")
    assert shouting.weights[1] < found.weights[1] - 0.02
    assert shouting.nll_before - shouting.nll > 0.05


@pytest.mark.slow
def test_what_is_masked_does_not_matter() -> None:
    views, mask, label = made(5)
    plain = fit_reliability(views, mask, label)
    views[~mask] = math.nan
    dirty = fit_reliability(views, mask, label)
    assert dirty == plain
    keep = mask.any(0)
    assert plain.samples == int(keep.sum()) < len(label)
    kept = fit_reliability(views[:, keep], mask[:, keep], label[keep])
    np.testing.assert_allclose(kept.weights, plain.weights, atol=1e-3)


@pytest.mark.slow
def test_a_modality_without_samples_keeps_its_word() -> None:
    views, mask, label = made(6)
    mask[2] = False
    found = fit_reliability(views, mask, label)
    assert found.weights[2] == 1.0
    pair = fit_reliability(views[:2], mask[:2], label)
    np.testing.assert_allclose(found.weights[:2], pair.weights, atol=1e-3)


@pytest.mark.slow
def test_order_of_modalities_and_kind_of_target_do_not_matter() -> None:
    views, mask, label = made(7)
    found = fit_reliability(views, mask, label)
    turned = fit_reliability(list(views.flip(0)), mask.flip(0), label)
    np.testing.assert_allclose(turned.weights[::-1], found.weights, atol=1e-3)
    votes = torch.nn.functional.one_hot(label, 3).double()
    np.testing.assert_allclose(fit_reliability(views, mask, votes).weights, found.weights)


@pytest.mark.slow
def test_groups_count_alike() -> None:
    """One speaker with nine times as many clips counts as the other: as if each clip came nine times."""
    views, mask, label = made(8, 200, 3, (0.8, 0.4))
    mask[:] = True
    groups = ["few"] * 20 + ["many"] * 180
    found = fit_reliability(views, mask, label, groups=groups)
    rows = [*list(range(20)) * 9, *range(20, 200)]
    alike = fit_reliability(views[:, rows], mask[:, rows], label[rows])
    np.testing.assert_allclose(found.weights, alike.weights, atol=1e-4)
    assert found.nll == pytest.approx(alike.nll)


@pytest.mark.slow
def test_it_says_how_the_search_went() -> None:
    views, mask, label = made(9)
    found = fit_reliability(views, mask, label)
    assert isinstance(found, Reliability)
    assert found.converged
    assert found.starts == 8
    assert 1 <= found.agreeing <= 8


GOOD = torch.tensor([[[2.0, 0.0], [0.0, 2.0]], [[1.0, 0.0], [1.0, 0.0]]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"evidence": GOOD[:1]}, "evidence of one modality"),
        ({"evidence": GOOD[0]}, r"evidence has shape \(2, 2\); give \(V, N, K\)"),
        ({"evidence": GOOD[:, :0], "target": []}, "at least one sample"),
        ({"evidence": GOOD.long()}, "floating-point"),
        ({"evidence": -GOOD}, "negative or not finite"),
        ({"evidence": GOOD * math.nan}, "negative or not finite"),
        ({"evidence": GOOD * 0}, "all evidence is 0"),
        ({"mask": torch.tensor([[True, False], [False, True]])}, "no sample has two modalities"),
        ({"mask": torch.ones(2, 3, dtype=torch.bool)}, r"mask has shape \(2, 3\)"),
        ({"mask": torch.ones(2, 2)}, "torch.bool"),
        ({"target": [0, 0]}, "every sample is of class 0"),
        ({"target": [0]}, "1 labels"),
        ({"target": [0, 5]}, "labels up to 5"),
        ({"rule": "yager"}, "rule is 'yager'; expected one of dempster"),
        ({"groups": ["a"]}, "one group per sample"),
    ],
)
def test_bad_input_is_named(arguments: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"evidence": GOOD, "mask": None, "target": [0, 1], **arguments}
    with pytest.raises(DataError, match=message):
        fit_reliability(**given)
