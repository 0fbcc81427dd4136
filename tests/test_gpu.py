"""The operators on an NVIDIA GPU: against the reference, streams, graphs, and several devices.

Nothing here runs without a GPU; `test_cuda_on_host.py` runs the same sources on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ter_fast import decide, fuse, uncertainty
from ter_fast.opinions import _ops, reference
from ter_fast.opinions._ops.fusion import largest_strength
from ter_fast.opinions.losses import evidential_loss
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, RULES

pytestmark = pytest.mark.gpu

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SHAPES = [
    (1, 5, 2),
    (2, 0, 6),
    (2, 1, 6),
    (2, 1000, 6),
    (3, 257, 16),
    (2, 65, 17),
    (16, 33, 101),
    (2, 7, 1000),
]


def tolerance(dtype: torch.dtype) -> float:
    return max(4e-6, 2 * torch.finfo(dtype).eps) if dtype is not torch.float64 else 1e-12


def close(got: Tensor, expected: Tensor) -> None:
    bound = tolerance(got.dtype)
    torch.testing.assert_close(got.cpu(), expected, rtol=bound, atol=bound, equal_nan=True)


def make(shape: tuple[int, int, int], dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(sum(shape))
    evidence = torch.rand(shape, generator=generator, dtype=torch.float64) * 20
    mask = torch.rand(shape[:2], generator=generator) > 0.3
    discount = torch.rand(shape[:2], generator=generator, dtype=torch.float64)
    return evidence.to(dtype), mask, discount.to(dtype)


def test_the_kernels_run_and_not_the_reference() -> None:
    assert _ops.backend("cuda").name == "CUDA extension"


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", [None, "softplus", "exp"])
def test_fuse(
    rule: str, dtype: torch.dtype, shape: tuple[int, int, int], activation: str | None
) -> None:
    evidence, mask, discount = make(shape, dtype)
    if activation is not None:
        evidence = evidence / 4 - 2
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        leaves = [x.to(device).requires_grad_() for x in (evidence, discount)]
        there = mask.to(device)
        if device == "cpu":
            found = reference.fuse(
                leaves[0], rule, there, leaves[1], largest_strength(dtype), activation
            )
        else:
            found = _ops.fuse(leaves[0], rule, there, leaves[1], activation)
        values.append(found)
        loss = sum(x.double().sum() * (i + 1) for i, x in enumerate(found))
        gradients.append(torch.autograd.grad(loss, leaves))
    for got, expected in zip(values[1], values[0], strict=True):
        close(got, expected)
    for got, expected in zip(gradients[1], gradients[0], strict=True):
        close(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 6, 16, 17, 101, 1000])
@pytest.mark.parametrize("kind", ["log", "digamma", "mse"])
@pytest.mark.parametrize("soft", [False, True])
def test_loss(dtype: torch.dtype, classes: int, kind: str, soft: bool) -> None:
    evidence, _, _ = make((1, 129, classes), dtype)
    target = torch.arange(129) % classes
    chosen = torch.rand(129, classes).softmax(-1).to(dtype) if soft else target
    found = []
    for device in ("cpu", "cuda"):
        leaf = evidence[0].to(device).requires_grad_()
        compute = reference.evidential_loss if device == "cpu" else _ops.evidential_loss
        loss = compute(leaf, chosen.to(device), kind, 0.3)
        found.append((loss, *torch.autograd.grad(loss.double().sum(), leaf)))
    for got, expected in zip(found[1], found[0], strict=True):
        close(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [2, 6, 16, 17, 101])
def test_uncertainty(dtype: torch.dtype, classes: int) -> None:
    alpha = make((1, 129, classes), dtype)[0][0] + 1
    found = []
    for device in ("cpu", "cuda"):
        leaf = alpha.to(device).requires_grad_()
        compute = reference.uncertainty if device == "cpu" else _ops.uncertainty
        measures = compute(leaf, reference.FIELDS)
        total = sum(x.double().sum() for x in measures)
        found.append((*measures, *torch.autograd.grad(total, leaf)))
    for got, expected in zip(found[1], found[0], strict=True):
        close(got, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", CONFIDENCE_KINDS)
def test_predict(dtype: torch.dtype, shape: tuple[int, int, int], kind: str) -> None:
    evidence, mask, discount = make(shape, dtype)
    threshold = torch.rand(shape[1]).to(dtype)
    arguments = (evidence, "dempster", mask, discount)
    rest = (None, kind, threshold, 0.4)
    expected = reference.predict(*arguments, *rest)
    got = _ops.predict(
        *(x.cuda() if isinstance(x, Tensor) else x for x in arguments),
        *(x.cuda() if isinstance(x, Tensor) else x for x in rest),
    )
    for name in ("probability", "confidence", "uncertainty", "conflict", "disagreement"):
        close(getattr(got, name), getattr(expected, name))
    bound = 2 * tolerance(dtype)
    near = (expected.confidence - threshold).abs() <= bound
    near |= (expected.disagreement - 0.4).abs() <= bound
    assert ((got.trusted.cpu() == expected.trusted) | near).all()


def calls() -> dict[str, Callable[[Tensor], Any]]:
    """Return every operator as a function of evidence `(2, B, 6)`, without a gradient."""
    return {
        "fuse": lambda e: fuse(e).uncertainty,
        "loss": lambda e: evidential_loss(
            e[0], torch.zeros(e.shape[1], dtype=torch.int64, device=e.device), kl_weight=1.0
        ),
        "uncertainty": lambda e: uncertainty(e[0] + 1).dissonance,
        "decide": lambda e: decide(e, activation=None, threshold=0.5).probability,
    }


@pytest.mark.parametrize("name", calls())
def test_a_call_runs_on_the_current_stream(name: str) -> None:
    call = calls()[name]
    evidence = torch.rand(2, 100_000, 6, device="cuda") * 9
    expected = call(evidence)
    torch.cuda.synchronize()
    late = torch.zeros_like(evidence)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(evidence)
        got = call(late)
    stream.synchronize()
    assert torch.equal(got, expected)


@pytest.mark.parametrize("name", calls())
def test_a_call_can_be_captured_in_a_graph(name: str) -> None:
    call = calls()[name]
    evidence = torch.rand(2, 1000, 6, device="cuda")
    call(evidence)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = call(evidence)
    evidence.copy_(torch.rand(2, 1000, 6) * 9)
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(got, call(evidence))


@pytest.mark.parametrize("name", calls())
def test_a_call_does_not_synchronize_and_repeats_its_bits(name: str) -> None:
    call = calls()[name]
    evidence = torch.rand(2, 10_000, 6, device="cuda") * 9
    first = call(evidence)
    torch.cuda.set_sync_debug_mode("error")
    try:
        second = call(evidence)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(first, second)


@pytest.mark.gpu(2)
def test_a_call_runs_where_its_tensors_are() -> None:
    evidence = torch.rand(2, 1000, 6, device="cuda:1")
    with torch.cuda.device(0):
        opinion = fuse(evidence)
    assert opinion.evidence.device == evidence.device
    close(opinion.uncertainty, fuse(evidence.cpu()).uncertainty)


def test_sizes_beyond_the_kernels_run_the_reference() -> None:
    for shape in ((17, 9, 6), (2, 9, 1025)):
        evidence = torch.rand(shape, device="cuda")
        close(fuse(evidence).uncertainty, fuse(evidence.cpu()).uncertainty)
