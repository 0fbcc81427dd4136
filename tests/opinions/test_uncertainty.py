"""Uncertainties of a Dirichlet: against definitions, sampling, scipy, torch.distributions."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import stats
from scipy.special import digamma
from torch import Tensor
from torch.distributions import Categorical, Dirichlet

import ter_fast
from ter_fast.opinions.opinion import Opinion
from ter_fast.opinions.reference import FIELDS
from ter_fast.opinions.uncertainty import DirichletUncertainty, uncertainty

INF, NAN = math.inf, math.nan

ALPHA = torch.tensor(
    [[1.0, 1.0, 1.0], [5.0, 2.0, 1.5], [1.1, 31.0, 3.0], [1.0, 1.0, 8.0], [0.2, 0.7, 3.0]],
    dtype=torch.float64,
)


def alphas(low: float = 1, high: float = 1e6) -> st.SearchStrategy[np.ndarray]:
    shapes = st.tuples(st.integers(1, 4), st.integers(2, 9))
    return npst.arrays(np.float64, shapes, elements=st.floats(low, high))


def all_of(alpha: Tensor) -> dict[str, Tensor]:
    """Every field, none of them missing."""
    measured = uncertainty(alpha)
    found = {name: getattr(measured, name) for name in FIELDS}
    assert all(isinstance(value, Tensor) for value in found.values())
    return found


def dissonance_by_definition(alpha: Tensor) -> list[float]:
    found = []
    for row in alpha.double().tolist():
        belief = [max(a - 1, 0) / sum(row) for a in row]
        total = 0.0
        for k, b in enumerate(belief):
            others = [c for j, c in enumerate(belief) if j != k]
            balance = [1 - abs(c - b) / (c + b) if c + b else 0 for c in others]
            if sum(others):
                total += b * sum(c * w for c, w in zip(others, balance, strict=True)) / sum(others)
        found.append(total)
    return found


def test_the_package_exports_the_function_under_the_name_of_its_module() -> None:
    module = importlib.import_module("ter_fast.opinions.uncertainty")
    assert module.uncertainty is ter_fast.uncertainty
    measured = ter_fast.uncertainty(torch.ones(3))
    assert isinstance(measured, DirichletUncertainty)
    assert measured.vacuity is not None
    assert measured.vacuity.item() == 1


def test_entropies_are_those_of_torch_and_scipy() -> None:
    found = all_of(ALPHA)
    probability = ALPHA / ALPHA.sum(-1, keepdim=True)
    torch.testing.assert_close(found["entropy"], Categorical(probability).entropy())
    expected = [stats.dirichlet(row).entropy() for row in ALPHA.numpy()]
    torch.testing.assert_close(found["differential_entropy"], torch.tensor(expected).double())
    torch.testing.assert_close(found["differential_entropy"], Dirichlet(ALPHA).entropy())


def test_the_aleatoric_part_is_the_expected_entropy() -> None:
    rng = np.random.default_rng(0)
    for row, found in zip(ALPHA.numpy(), all_of(ALPHA)["aleatoric"].tolist(), strict=True):
        drawn = stats.entropy(rng.dirichlet(row, 100_000), axis=-1)
        assert found == pytest.approx(drawn.mean(), abs=5 * drawn.std() / math.sqrt(100_000))


@given(alphas(low=0.01, high=1e3))
@settings(deadline=None, max_examples=60)
def test_the_parts_are_their_definitions_and_add_up(alpha: np.ndarray) -> None:
    found = all_of(torch.from_numpy(alpha))
    strength = alpha.sum(-1, keepdims=True)
    p = alpha / strength
    aleatoric = -(p * (digamma(alpha + 1) - digamma(strength + 1))).sum(-1)
    torch.testing.assert_close(found["aleatoric"], torch.from_numpy(aleatoric), rtol=0, atol=1e-13)
    together = found["aleatoric"] + found["mutual_information"]
    torch.testing.assert_close(together, found["entropy"], rtol=0, atol=1e-14)
    entropy = torch.from_numpy(stats.entropy(p, axis=-1).reshape(-1))
    torch.testing.assert_close(found["entropy"], entropy, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(alpha=alphas())
@settings(deadline=None, max_examples=60)
def test_every_measure_stays_in_its_range(dtype: torch.dtype, alpha: np.ndarray) -> None:
    classes = alpha.shape[-1]
    found = all_of(torch.from_numpy(alpha).to(dtype))
    slack = 32 * torch.finfo(dtype).eps
    for name in ("entropy", "aleatoric", "mutual_information"):
        assert (found[name] >= 0).all()
        assert (found[name] <= math.log(classes) * (1 + slack)).all()
    assert ((found["vacuity"] > 0) & (found["vacuity"] <= 1)).all()
    assert ((found["dissonance"] >= 0) & (found["dissonance"] <= 1)).all()
    # An absolute slack as well: the density's entropy is 0 for two classes and no evidence.
    highest = -math.lgamma(classes)
    assert (found["differential_entropy"] <= highest + slack * max(1, abs(highest))).all()


@given(alphas())
@settings(deadline=None, max_examples=60)
def test_vacuity_and_beliefs_sum_to_one_and_dissonance_is_beneath_them(alpha: np.ndarray) -> None:
    opinion = Opinion(torch.from_numpy(alpha - 1))
    found = all_of(opinion.alpha)
    belief = opinion.belief.sum(-1)
    torch.testing.assert_close(found["vacuity"] + belief, torch.ones_like(belief))
    assert (found["dissonance"] <= belief * (1 + 1e-12)).all()


@given(alphas(low=0.5, high=1e4))
@settings(deadline=None, max_examples=60)
def test_dissonance_is_its_definition(alpha: np.ndarray) -> None:
    rows = torch.from_numpy(alpha)
    found = all_of(rows)["dissonance"].tolist()
    assert found == pytest.approx(dissonance_by_definition(rows), abs=1e-13)


@given(st.floats(1, 1e6), st.integers(0, 4), st.floats(0.1, 1))
@settings(deadline=None, max_examples=40)
def test_a_single_belief_is_not_dissonant(amount: float, label: int, low: float) -> None:
    """Concentrations below one are no belief either."""
    alpha = torch.full((5,), low, dtype=torch.float64)
    alpha[label] = 1 + amount
    assert all_of(alpha)["dissonance"].item() == 0


def test_equal_beliefs_are_as_dissonant_as_there_is_belief() -> None:
    alpha = torch.tensor([[11.0, 11.0, 11.0], [4.0, 4.0, 1.0]], dtype=torch.float64)
    assert all_of(alpha)["dissonance"].tolist() == pytest.approx([30 / 33, 6 / 9], rel=1e-14)


@pytest.mark.parametrize("strength", [1e4, 1e6, 1e9])
def test_mutual_information_keeps_its_digits_where_the_difference_has_none(strength: float) -> None:
    """For large S it is (K - 1) / (2 S) - sum_k (1 / p_k - 1) / (12 S^2) and so on."""
    alpha = strength * torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    found = all_of(alpha)["mutual_information"].item()
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    second = ((1 / p).sum().item() - 1) / (12 * strength**2)
    assert found == pytest.approx(2 / (2 * strength) - second, rel=max(1e-13, 20 / strength**2))


@pytest.mark.parametrize("classes", [2, 6, 101, 1000])
def test_single_precision_follows_double_up_to_a_million_evidence(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    alpha = 1 + 10 ** (torch.rand(12, classes, generator=generator) * 14 - 8)
    alpha[:4] = 1
    alpha[1:3, 0], alpha[2, 1], alpha[3] = 1e6, 1e6, 1e6
    single, double = alpha.requires_grad_(), alpha.detach().double().requires_grad_()
    ours, exact = all_of(single), all_of(double)
    for name in FIELDS:
        assert ours[name].dtype == torch.float32
        torch.testing.assert_close(ours[name].double(), exact[name], rtol=2e-6, atol=2e-6)
        (gradient,) = torch.autograd.grad(ours[name].sum(), single, retain_graph=True)
        (expected,) = torch.autograd.grad(exact[name].sum(), double, retain_graph=True)
        torch.testing.assert_close(gradient.double(), expected, rtol=2e-6, atol=2e-6)


def test_gradients_are_right() -> None:
    alpha = (ALPHA + torch.tensor([0.1, 0.2, 0.3])).requires_grad_()

    def run(a: Tensor) -> tuple[Tensor, ...]:
        return tuple(all_of(a).values())

    assert torch.autograd.gradcheck(run, (alpha,))


@pytest.mark.parametrize("bad", [NAN, INF, -INF, 0.0, -2.0])
def test_a_broken_row_is_nan_in_every_field_and_passes_no_gradient(bad: float) -> None:
    alpha = ALPHA[1:4].clone()
    alpha[1, 2] = bad
    alpha.requires_grad_()
    for name, value in all_of(alpha).items():
        assert value.isnan().tolist() == [False, True, False], name
        (gradient,) = torch.autograd.grad(value[[0, 2]].sum(), alpha, retain_graph=True)
        assert bool(torch.isfinite(gradient).all()), name
        assert (gradient[1] == 0).all(), name


@pytest.mark.parametrize("batch", [(), (0,), (3,), (2, 3), (2, 0, 3)])
def test_any_batch_shape(batch: tuple[int, ...]) -> None:
    alpha = 1 + torch.rand(*batch, 4)
    for name, value in all_of(alpha).items():
        assert value.shape == batch
        flat = getattr(uncertainty(alpha.reshape(-1, 4)), name)
        assert torch.equal(value.reshape(-1), flat)
    swapped = uncertainty((1 + torch.rand(4, 5)).T).entropy
    assert swapped is not None
    assert swapped.shape == (5,)


def test_only_what_is_asked_for_is_measured() -> None:
    everything = all_of(ALPHA)
    for wanted in ("entropy", ("entropy",), ["dissonance", "vacuity"], ("entropy", "entropy")):
        measured = uncertainty(ALPHA, wanted)
        for name in FIELDS:
            value = getattr(measured, name)
            if name in wanted:
                torch.testing.assert_close(value, everything[name])
            else:
                assert value is None


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(3, dtype=torch.int64),), TypeError, r"alpha is torch\.int64: give a floating"),
        (([1.0, None],), TypeError, "alpha is list: give a tensor, an array or lists"),
        ((torch.tensor(1.0),), ValueError, r"alpha has shape \(\): expected \(\.\.\., K\)"),
        ((torch.ones(3, 1),), ValueError, r"\(3, 1\): .* at least two classes"),
        ((torch.ones(3), "surprise"), ValueError, "'surprise' is unknown: choose out of vacuity"),
        ((torch.ones(3), ("entropy", "x")), ValueError, "field 'x' is unknown"),
        ((torch.ones(3), ()), ValueError, "fields is empty: .* or leave it out for all"),
    ],
)
def test_errors_say_what_was_expected(
    arguments: tuple[object, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        uncertainty(*arguments)  # type: ignore[arg-type]
