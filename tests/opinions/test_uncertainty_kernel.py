"""The operators of uncertainty against the reference, forward and backward."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch
from torch import Tensor

from helpers.needs import needs_compiler, needs_kernels
from ter_fast.opinions import _ops, reference
from ter_fast.opinions.reference import FIELDS
from ter_fast.opinions.uncertainty import uncertainty

FLOATS = (torch.float32, torch.float64)
# Allowed errors of values and gradients, each relative to max(1, |value|).
TOLERANCE = {torch.float32: (2e-6, 1e-6), torch.float64: (1e-12, 1e-12)}


def make(rows: int, classes: int, dtype: torch.dtype) -> Tensor:
    """Concentrations from 0.1 to 1e6, and rows of one, many and no classes with evidence."""
    generator = torch.Generator().manual_seed(rows + 1000 * classes)
    exponent = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * 10 - 4
    alpha = 1 + 10**exponent
    few = torch.rand(rows, classes, generator=generator) < 0.2
    alpha[few] = 1
    if rows > 7:
        alpha[0] = 1
        alpha[1] = 1e6
        alpha[2, 1:] = 1
        alpha[3] = torch.rand(classes, generator=generator, dtype=torch.float64) * 0.9 + 0.1
    return alpha.to(dtype)


def both(alpha: Tensor, fields: tuple[str, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Measures and the gradient of their sum, by the operator and by the reference in float64."""
    outcomes = []
    for run, given in ((_ops.uncertainty, alpha), (reference.uncertainty, alpha.double())):
        leaf = given.detach().clone().requires_grad_()
        measures = run(leaf, fields)
        upstream = [
            torch.linspace(-1, 1 + i, len(x), dtype=x.dtype) for i, x in enumerate(measures)
        ]
        (gradient,) = torch.autograd.grad(measures, leaf, upstream)
        outcomes.append((*(x.detach() for x in measures), gradient))
    return outcomes[0], outcomes[1]


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    error = (found.double() - expected).abs() / expected.abs().clamp(min=1)
    assert error.isfinite().all()
    assert error.numel() == 0 or float(error.max()) <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [2, 3, 6, 7, 16, 17, 33, 101])
@pytest.mark.parametrize("rows", [0, 1, 7, 33, 1000])
def test_measures_and_gradients_match_the_reference(
    rows: int, classes: int, dtype: torch.dtype
) -> None:
    # The dissonance of the reference takes seconds for a thousand rows of a hundred classes.
    alpha = make(min(rows, 20_000 // classes), classes, dtype)
    # The gradient of its dissonance cancels in float64; it has tests of its own.
    for fields in (FIELDS[:5], *((name,) for name in FIELDS[:5])):
        found, expected = both(alpha, fields)
        for ours, theirs in zip(found[:-1], expected[:-1], strict=True):
            assert ours.dtype is dtype
            close(ours, theirs, TOLERANCE[dtype][0])
        close(found[-1], expected[-1], TOLERANCE[dtype][1])
        # Without a gradient the same bits come out of a shorter way.
        for ours, theirs in zip(_ops.uncertainty(alpha, fields), found, strict=False):
            assert torch.equal(ours, theirs)
    (dissonance,) = _ops.uncertainty(alpha, ("dissonance",))
    close(dissonance, reference.uncertainty(alpha.double(), ("dissonance",))[0], 2e-6)


def test_a_thousand_classes() -> None:
    alpha = make(9, 1000, torch.float32)
    found, expected = both(alpha, FIELDS[:5])
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, 4e-6)
    (dissonance,) = _ops.uncertainty(alpha, ("dissonance",))
    close(dissonance, reference.uncertainty(alpha.double(), ("dissonance",))[0], 2e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [2, 3, 6, 16, 17, 40])
def test_the_gradient_of_the_dissonance(classes: int, dtype: torch.dtype) -> None:
    """Where no class dominates; equal beliefs, and none, included."""
    generator = torch.Generator().manual_seed(classes)
    alpha = 1 + torch.randint(4, (50, classes), generator=generator).to(dtype)
    alpha[::2] += torch.rand(25, classes, generator=generator, dtype=dtype)
    alpha[:4, 0] = 0.5
    found, expected = both(alpha, ("dissonance",))
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, 3e-7 if dtype is torch.float32 else 1e-14)


@needs_kernels
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("others", [0, 20])
@pytest.mark.parametrize("large", [2.0, 1e3, 1e6, 1e12])
def test_dissonance_beside_a_dominating_class(
    large: float, others: int, dtype: torch.dtype
) -> None:
    """Two classes have a closed form, 2 min(e_1, e_2) / S, and classes without belief no part."""
    alpha = torch.ones(1, 2 + others, dtype=dtype)
    alpha[0, 0] += large
    alpha[0, 1] += 0.01
    alpha.requires_grad_()
    (dissonance,) = _ops.uncertainty(alpha, ("dissonance",))
    (gradient,) = torch.autograd.grad(dissonance, alpha)
    found = float(dissonance.detach())
    small = float(alpha.detach()[0, 1].double()) - 1
    strength = float(alpha.detach().double().sum())
    tolerance = 4 * float(torch.finfo(dtype).eps)
    assert found == pytest.approx(2 * small / strength, rel=tolerance)
    along = -2 * small / strength**2
    assert float(gradient[0, 0]) == pytest.approx(along, rel=1e3 * tolerance, abs=tolerance / 8)
    assert float(gradient[0, 1]) == pytest.approx(2 / strength + along, rel=4 * tolerance)


@needs_kernels
@pytest.mark.parametrize("classes", [6, 40])
def test_mutual_information_keeps_its_digits(classes: int) -> None:
    alpha = 1e5 * (1 + torch.rand(20, classes, generator=torch.Generator().manual_seed(0)))
    found, expected = both(alpha, ("mutual_information",))
    torch.testing.assert_close(found[0].double(), expected[0], rtol=2e-6, atol=0)
    torch.testing.assert_close(found[1].double(), expected[1], rtol=2e-5, atol=0)


@pytest.mark.parametrize("classes", [6, 40])
def test_large_concentrations_stay_finite(classes: int) -> None:
    """Up to the end of float32, and where only the sum over the row is beyond it."""
    alpha = torch.full((3, classes), 1e38)
    alpha[0, 1:] = 1.0
    alpha[1] = 1e38 / classes
    found, expected = both(alpha, FIELDS)
    for ours, theirs in zip(found, expected, strict=True):
        close(ours, theirs, 2e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [6, 40])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 0.0, -1.0])
def test_an_invalid_row_is_nan_and_passes_no_gradient(
    bad: float, classes: int, dtype: torch.dtype
) -> None:
    alpha = make(37, classes, dtype)
    alpha[5, 2] = bad
    valid = torch.arange(37) != 5
    found, expected = both(alpha, FIELDS[:5])
    for ours, theirs in zip(found[:-1], expected[:-1], strict=True):
        assert ours[5].isnan()
        assert theirs[5].isnan()
        close(ours[valid], theirs[valid], TOLERANCE[dtype][0])
    assert not found[-1][5].any()
    close(found[-1][valid], expected[-1][valid], TOLERANCE[dtype][1])
    leaf = alpha.requires_grad_()
    (dissonance,) = _ops.uncertainty(leaf, ("dissonance",))
    assert dissonance.isnan().tolist() == [i == 5 for i in range(37)]
    (gradient,) = torch.autograd.grad(dissonance.sum(), leaf)
    assert gradient.isfinite().all()
    assert not gradient[5].any()


def test_inputs_need_not_be_contiguous() -> None:
    alpha = make(33, 6, torch.float32)
    dense = both(alpha, FIELDS)[0]
    spread = both(alpha.T.contiguous().T, FIELDS)[0]
    for left, right in zip(spread, dense, strict=True):
        assert torch.equal(left, right)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype) -> None:
    alpha = make(33, 6, dtype).clamp(max=1e3).requires_grad_()
    found = _ops.uncertainty(alpha, FIELDS)
    for ours, theirs in zip(found, reference.uncertainty(alpha.double(), FIELDS), strict=True):
        assert ours.dtype is dtype
        eps = torch.finfo(dtype).eps
        torch.testing.assert_close(ours, theirs.to(dtype), rtol=eps, atol=eps / 100)
    torch.stack(found).sum().backward()
    assert alpha.grad is not None
    assert alpha.grad.dtype is dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("classes", [3, 18])
def test_first_and_second_derivatives(classes: int, name: str) -> None:
    generator = torch.Generator().manual_seed(classes)
    alpha = torch.rand(3, classes, generator=generator, dtype=torch.float64).mul(5).add(0.2)
    # Finite differences must not step over the kink at 1.
    alpha = torch.where((alpha - 1).abs() < 0.01, 1.5, alpha).requires_grad_()

    def run(a: Tensor) -> Tensor:
        return _ops.uncertainty(a, (name,))[0]

    assert torch.autograd.gradcheck(run, (alpha,))
    assert torch.autograd.gradgradcheck(run, (alpha,))


def test_a_field_without_upstream_gradient_costs_none() -> None:
    alpha = make(9, 6, torch.float64).requires_grad_()
    measures = _ops.uncertainty(alpha, FIELDS)
    (gradient,) = torch.autograd.grad(measures[1].sum(), alpha)
    (alone,) = torch.autograd.grad(_ops.uncertainty(alpha, ("entropy",))[0].sum(), alpha)
    assert torch.equal(gradient, alone)


@needs_kernels
@pytest.mark.parametrize("fields", [FIELDS, ("entropy",), ("vacuity", "dissonance")])
def test_opcheck(fields: tuple[str, ...]) -> None:
    alpha = make(9, 3, torch.float32)
    wanted = [name in fields for name in FIELDS]
    torch.library.opcheck(torch.ops.ter_fast.uncertainty, (alpha, wanted))
    upstream = [torch.ones(9) if is_wanted else None for is_wanted in wanted]
    torch.library.opcheck(torch.ops.ter_fast.uncertainty_backward, (alpha, *upstream))


@needs_kernels
@pytest.mark.parametrize("alpha", [torch.ones(3), torch.ones(3, 2).half(), torch.ones(2, 3, 4)])
def test_an_operator_never_reads_beyond_its_buffers(alpha: Tensor) -> None:
    upstream = torch.ones(alpha.shape[0])
    with pytest.raises(ValueError, match=r"takes torch.float32, torch.float64 \(B, K\)"):
        torch.ops.ter_fast.uncertainty(alpha, [1] * 6)
    with pytest.raises(ValueError, match=r"takes torch.float32, torch.float64 \(B, K\)"):
        torch.ops.ter_fast.uncertainty_backward(alpha, *[upstream] * 6)


@needs_kernels
def test_an_upstream_gradient_of_another_length_is_refused() -> None:
    upstream = [None, torch.ones(2), None, None, None, None]
    with pytest.raises(ValueError, match=r"gradient is \(2,\).*takes \(3,\)"):
        torch.ops.ter_fast.uncertainty_backward(torch.ones(3, 2), *upstream)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("gradient", [False, True])
# torch.compile trips over deprecated parts of torch itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_keeps_one_graph(gradient: bool) -> None:
    def total(logits: Tensor) -> Tensor:
        measured = uncertainty(torch.nn.functional.softplus(logits) + 1)
        return sum(getattr(measured, name).sum() for name in FIELDS)  # type: ignore[return-value]

    torch._dynamo.reset()
    fast = torch.compile(total, fullgraph=True)
    for rows in (4, 9):
        logits = torch.randn(rows, 6, generator=torch.Generator().manual_seed(rows))
        outcomes = []
        for run in (total, fast):
            leaf = logits.clone().requires_grad_(gradient)
            value = run(leaf)
            found = torch.autograd.grad(value, leaf) if gradient else ()
            outcomes.append((value.detach(), *found))
        for left, right in zip(*outcomes, strict=True):
            torch.testing.assert_close(left, right)


def test_other_devices_run_the_reference() -> None:
    measures = _ops.uncertainty(torch.ones(3, 4, device="meta"), FIELDS)
    assert [tuple(x.shape) for x in measures] == [(3,)] * len(FIELDS)


def test_every_number_of_threads_gives_the_same_bits() -> None:
    alpha = make(20_000, 6, torch.float32)
    threads = torch.get_num_threads()
    outcomes = []
    try:
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            leaf = alpha.clone().requires_grad_()
            measures = _ops.uncertainty(leaf, FIELDS)
            (gradient,) = torch.autograd.grad(torch.stack(measures).sum(), leaf)
            outcomes.append((*(x.detach() for x in measures), gradient))
    finally:
        torch.set_num_threads(threads)
    for outcome in outcomes[1:]:
        for left, right in zip(outcome, outcomes[0], strict=True):
            assert torch.equal(left, right)


EVERY_BIT = """
import hashlib, torch
from ter_fast.opinions import _ops, reference
digest = hashlib.sha256()
for dtype in (torch.float32, torch.float64):
    for classes in (2, 6, 11, 16):
        generator = torch.Generator().manual_seed(0)
        alpha = torch.rand(21, classes, generator=generator, dtype=dtype) ** 8 * 1e3 + 0.5
        leaf = alpha.requires_grad_()
        measures = _ops.uncertainty(leaf, reference.FIELDS)
        torch.stack(measures).sum().backward()
        for x in (*measures, leaf.grad):
            digest.update(x.detach().numpy().tobytes())
print(_ops.backend().reason.split(",")[0], digest.hexdigest())
"""


@pytest.mark.slow
@needs_kernels
def test_every_instruction_set_gives_the_same_bits() -> None:
    said = {}
    for wish in ("baseline", "AVX2", "AVX-512"):
        done = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-c", EVERY_BIT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TER_FAST_INSTRUCTION_SET": wish},
        )
        name, digest = done.stdout.split()
        said[name] = digest
    assert "baseline" in said
    assert len(set(said.values())) == 1
