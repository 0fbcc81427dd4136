"""The operator of the evidential losses against the reference, forward and backward."""

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
from ter_fast.opinions.losses import evidential_loss

FLOATS = (torch.float32, torch.float64)
KINDS = ("log", "digamma", "mse")
# Allowed errors of loss and gradient, each relative to max(1, |value|). In float64 they are mostly
# those of the reference, whose regularizer of a thousand classes without evidence is 2e-12 and not 0.
TOLERANCE = {torch.float32: (2e-6, 1e-6), torch.float64: (5e-12, 1e-13)}


def make(rows: int, classes: int, dtype: torch.dtype, soft: bool) -> tuple[Tensor, Tensor]:
    """Evidence of every size up to 1e6 and none, under targets of either sort."""
    generator = torch.Generator().manual_seed(rows + 1000 * classes)
    exponent = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * 10 - 4
    evidence = 10**exponent
    evidence[torch.rand(rows, classes, generator=generator) < 0.2] = 0
    evidence[:1] = 0
    evidence[1:2] = 1e6
    evidence[2:3, 1:] = 0
    if not soft:
        return evidence.to(dtype), torch.randint(classes, (rows,), generator=generator)
    votes = torch.rand(rows, classes, generator=generator, dtype=torch.float64) ** 4 + 1e-9
    return evidence.to(dtype), (votes / votes.sum(-1, keepdim=True)).to(dtype)


def both(
    evidence: Tensor, target: Tensor, kind: str, kl_weight: float
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Loss and gradient of the operator, and of the reference in float64."""
    exact = target.double() if target.is_floating_point() else target
    found = []
    for run, given, labels in (
        (_ops.evidential_loss, evidence, target),
        (reference.evidential_loss, evidence.double(), exact),
    ):
        leaf = given.detach().clone().requires_grad_()
        loss = run(leaf, labels, kind, kl_weight)
        upstream = torch.linspace(-1, 1, loss.numel(), dtype=loss.dtype)
        (gradient,) = torch.autograd.grad(loss, leaf, upstream)
        found.append((loss.detach(), gradient))
    return found[0], found[1]


def close(found: Tensor, expected: Tensor, tolerance: float) -> None:
    error = (found.double() - expected).abs() / expected.abs().clamp(min=1)
    assert error.isfinite().all()
    assert error.numel() == 0 or float(error.max()) <= tolerance


@pytest.mark.slow
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 6, 7, 16, 17, 33, 101, 1000])
@pytest.mark.parametrize("rows", [0, 1, 7, 33, 1000])
def test_losses_and_gradients_match_the_reference(
    rows: int, classes: int, soft: bool, dtype: torch.dtype
) -> None:
    # The reference of a thousand rows of a thousand classes would take seconds.
    evidence, target = make(min(rows, 40_000 // classes), classes, dtype, soft)
    for kind, kl_weight in (("log", 0.0), ("digamma", 0.3), ("mse", 1.0), ("digamma", 0.0)):
        found, expected = both(evidence, target, kind, kl_weight)
        for ours, theirs, tolerance in zip(found, expected, TOLERANCE[dtype], strict=True):
            assert ours.dtype is dtype
            close(ours, theirs, tolerance)
        # Without a gradient the same bits come out of a shorter way.
        assert torch.equal(_ops.evidential_loss(evidence, target, kind, kl_weight), found[0])


@pytest.mark.parametrize("most", [1e-3, 0.1, 0.5, 2.0, 30.0])
@pytest.mark.parametrize("classes", [6, 16, 101, 1000])
def test_the_regularizer_of_little_evidence(classes: int, most: float) -> None:
    """It is of second order in the evidence, while its terms are of first."""
    generator = torch.Generator().manual_seed(classes)
    evidence = most * torch.rand(20_000 // classes, classes, generator=generator)
    target = torch.randint(classes, (len(evidence),), generator=generator)
    found, expected = both(evidence, target, "mse", 1.0)
    close(found[0], expected[0], 2e-6 * max(1.0, classes / 100))
    close(found[1], expected[1], 1e-6)


@needs_kernels
@pytest.mark.parametrize("classes", [2, 6, 40])
@pytest.mark.parametrize("dtype", FLOATS)
def test_no_evidence_costs_exactly_nothing_to_regularize(classes: int, dtype: torch.dtype) -> None:
    evidence, target = torch.zeros(20, classes, dtype=dtype), torch.arange(20) % classes
    plain = _ops.evidential_loss(evidence, target, "log", 0.0)
    assert torch.equal(_ops.evidential_loss(evidence, target, "log", 1.0), plain)


@pytest.mark.parametrize("kl_weight", [0.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [6, 40])
def test_large_evidence_stays_finite(classes: int, kind: str, kl_weight: float) -> None:
    """Up to the end of float32, and where only the sum over the row is beyond it."""
    evidence = torch.full((3, classes), 1e38)
    evidence[0, 1:] = 1.0
    evidence[1] = 1e38 / classes
    found, expected = both(evidence, torch.tensor([1, 1, 0]), kind, kl_weight)
    close(found[0], expected[0], 2e-6)
    close(found[1], expected[1], 1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("classes", [6, 40])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, -1e-3])
def test_invalid_evidence_spoils_its_own_row_only(
    bad: float, soft: bool, classes: int, dtype: torch.dtype
) -> None:
    evidence, target = make(37, classes, dtype, soft)
    evidence[5, 2] = bad
    valid = torch.arange(37) != 5
    found, expected = both(evidence, target, "digamma", 0.3)
    for ours, theirs, tolerance in zip(found, expected, TOLERANCE[dtype], strict=True):
        assert ours[5].isnan().all()
        assert theirs[5].isnan().all()
        close(ours[valid], theirs[valid], tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [6, 40])
@pytest.mark.parametrize("label", [-1, 0, 1 << 40, -(1 << 63), (1 << 63) - 1])
def test_an_unknown_class_spoils_its_own_row_only(label: int, classes: int, kind: str) -> None:
    evidence, target = make(37, classes, torch.float32, False)
    target[9] = label if label else classes
    valid = torch.arange(37) != 9
    found, expected = both(evidence, target, kind, 0.3)
    for ours, theirs, tolerance in zip(found, expected, TOLERANCE[torch.float32], strict=True):
        assert ours[9].isnan().all()
        close(ours[valid], theirs[valid], tolerance)


@pytest.mark.parametrize("soft", [False, True])
def test_inputs_need_not_be_contiguous(soft: bool) -> None:
    evidence, target = make(33, 6, torch.float32, soft)
    dense = both(evidence, target, "digamma", 0.3)[0]
    spread = target.repeat_interleave(2, 0)[::2]
    found = both(evidence.T.contiguous().T, spread, "digamma", 0.3)[0]
    assert torch.equal(found[0], dense[0])
    assert torch.equal(found[1], dense[1])


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(dtype: torch.dtype, soft: bool) -> None:
    evidence, target = make(33, 6, dtype, soft)
    evidence = evidence.clamp(max=1e3).requires_grad_()
    loss = _ops.evidential_loss(evidence, target, "digamma", 0.3)
    exact = target.double() if soft else target
    expected = reference.evidential_loss(evidence.double(), exact, "digamma", 0.3)
    assert loss.dtype is dtype
    torch.testing.assert_close(
        loss, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=torch.finfo(dtype).eps
    )
    loss.sum().backward()
    assert evidence.grad is not None
    assert evidence.grad.dtype is dtype


@pytest.mark.slow
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [3, 18])
def test_first_and_second_derivatives(classes: int, kind: str, soft: bool) -> None:
    generator = torch.Generator().manual_seed(classes)
    evidence = torch.rand(3, classes, generator=generator, dtype=torch.float64).mul(9).add(0.1)
    target = make(3, classes, torch.float64, soft)[1]

    def run(e: Tensor) -> Tensor:
        return _ops.evidential_loss(e, target, kind, 0.3)

    assert torch.autograd.gradcheck(run, (evidence.requires_grad_(),))
    assert torch.autograd.gradgradcheck(run, (evidence,))


def test_targets_get_no_gradient() -> None:
    evidence, target = make(7, 6, torch.float32, True)
    target.requires_grad_()
    assert not _ops.evidential_loss(evidence, target, "log", 0.1).requires_grad
    loss = _ops.evidential_loss(evidence.requires_grad_(), target, "log", 0.1)
    assert torch.autograd.grad(loss.sum(), target, allow_unused=True) == (None,)


@needs_kernels
@pytest.mark.parametrize("differentiated", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_opcheck(soft: bool, differentiated: bool) -> None:
    evidence, target = make(5, 3, torch.float32, soft)
    torch.library.opcheck(
        torch.ops.ter_fast.evidential_loss, (evidence, target, "mse", 0.1, differentiated)
    )


@needs_kernels
@pytest.mark.parametrize(
    ("evidence", "target", "message"),
    [
        (torch.ones(3), torch.ones(3).long(), "takes torch.float32, torch.float64"),
        (torch.ones(3, 2).half(), torch.ones(3).long(), "takes torch.float32, torch.float64"),
        (torch.ones(3, 2), torch.ones(2).long(), r"takes torch.int64 \(3,\) or torch.float32"),
        (torch.ones(3, 2), torch.ones(3).int(), r"takes torch.int64 \(3,\)"),
        (torch.ones(3, 2), torch.ones(3, 2).double(), r"torch.float32 \(3, 2\)"),
        (torch.ones(3, 2), torch.ones(3, 1), r"target is torch.float32 \(3, 1\)"),
    ],
)
def test_an_operator_never_reads_beyond_its_buffers(
    evidence: Tensor, target: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        torch.ops.ter_fast.evidential_loss(evidence, target, "log", 0.0, False)


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("gradient", [False, True])
# torch.compile trips over deprecated parts of torch itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_keeps_one_graph(gradient: bool) -> None:
    def mean(logits: Tensor, target: Tensor) -> Tensor:
        evidence = torch.nn.functional.softplus(logits)
        return evidential_loss(evidence, target, "digamma", 0.2)

    torch._dynamo.reset()
    fast = torch.compile(mean, fullgraph=True)
    for rows in (4, 9):
        logits, target = make(rows, 6, torch.float32, False)
        outcomes = []
        for run in (mean, fast):
            leaf = logits.clone().requires_grad_(gradient)
            value = run(leaf, target)
            found = torch.autograd.grad(value, leaf) if gradient else ()
            outcomes.append((value.detach(), *found))
        for left, right in zip(*outcomes, strict=True):
            torch.testing.assert_close(left, right)


def test_other_devices_run_the_reference() -> None:
    evidence, target = torch.ones(3, 4, device="meta"), torch.ones(3, 4, device="meta")
    assert _ops.evidential_loss(evidence, target, "log", 0.1).shape == (3,)


@pytest.mark.parametrize("soft", [False, True])
def test_every_number_of_threads_gives_the_same_bits(soft: bool) -> None:
    evidence, target = make(30_000, 6, torch.float32, soft)
    threads = torch.get_num_threads()
    outcomes = []
    try:
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            leaf = evidence.clone().requires_grad_()
            loss = _ops.evidential_loss(leaf, target, "digamma", 0.3)
            outcomes.append((loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]))
    finally:
        torch.set_num_threads(threads)
    for outcome in outcomes[1:]:
        assert torch.equal(outcome[0], outcomes[0][0])
        assert torch.equal(outcome[1], outcomes[0][1])


EVERY_BIT = """
import hashlib, torch
from ter_fast.opinions import _ops
digest = hashlib.sha256()
for dtype in (torch.float32, torch.float64):
    for classes in (2, 6, 11, 16):
        generator = torch.Generator().manual_seed(0)
        evidence = torch.rand(21, classes, generator=generator, dtype=dtype) ** 8 * 1e3
        soft = torch.rand(21, classes, generator=generator, dtype=dtype)
        for target in (soft, torch.arange(21) % classes):
            for kind in ("log", "digamma", "mse"):
                leaf = evidence.clone().requires_grad_()
                loss = _ops.evidential_loss(leaf, target, kind, 0.3)
                loss.sum().backward()
                for x in (loss, leaf.grad):
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
