"""The registered operators: against the reference, their gradients, torch.compile, backends."""

from __future__ import annotations

import copy
import math
import os
import pickle
import subprocess
import sys

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from helpers.needs import needs_compiler, needs_kernels
from ter_fast import decide, uncertainty
from ter_fast.opinions import _ops, reference
from ter_fast.opinions._ops import native
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.losses import evidential_loss
from ter_fast.opinions.opinion import ACTIVATIONS, RULES, Opinion

FLOATS = (torch.float32, torch.float64)


def make(
    views: int, rows: int, classes: int, dtype: torch.dtype, masked: bool, discounted: bool
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    generator = torch.Generator().manual_seed(views + 10 * rows + 1000 * classes)
    evidence = torch.empty(views, rows, classes, dtype=torch.float64)
    evidence.exponential_(0.3, generator=generator)
    mask = torch.rand(views, rows, generator=generator) > 0.3 if masked else None
    discount = torch.rand(views, rows, generator=generator).to(dtype) if discounted else None
    if mask is not None:
        evidence[~mask] = math.nan
    return evidence.to(dtype), mask, discount


def close(left: tuple[Tensor, ...], right: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    tolerance = 1e-12 if dtype is torch.float64 else 2e-6
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("masked", "discounted"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize(
    ("views", "rows", "classes"),
    [
        (1, 9, 6),
        (2, 0, 6),
        (2, 1, 6),
        (2, 33, 6),
        (2, 8, 7),
        (2, 9, 8),
        (2, 7, 11),
        (2, 5, 16),
        (2, 37, 10),
        (2, 5, 17),
        (2, 5, 101),
        (2, 2, 1000),
        (3, 4, 33),
        (5, 3, 40),
        (3, 17, 2),
        (4, 0, 3),
        (5, 9, 6),
    ],
)
def test_values_and_gradients_match_the_reference(
    rule: str,
    dtype: torch.dtype,
    masked: int,
    discounted: int,
    views: int,
    rows: int,
    classes: int,
) -> None:
    evidence, mask, discount = make(views, rows, classes, dtype, bool(masked), bool(discounted))
    generator = torch.Generator().manual_seed(1)
    results, gradients = [], []
    for run in (
        lambda e, w: _ops.fuse(e, rule, mask, w),
        lambda e, w: reference.fuse(e, rule, mask, w, torch.finfo(dtype).max / 2),
    ):
        leaves = [x.clone().requires_grad_() for x in (evidence, discount) if x is not None]
        outputs = run(leaves[0], leaves[1] if discounted else None)
        upstream = [
            torch.randn(x.shape, generator=generator.manual_seed(i), dtype=dtype)
            for i, x in enumerate(outputs)
        ]
        # One view alone cannot disagree, and the reference knows that as a constant.
        loss = sum((x * g).sum() for x, g in zip(outputs, upstream, strict=True))
        assert isinstance(loss, Tensor)
        results.append(tuple(x.detach() for x in outputs))
        gradients.append(torch.autograd.grad(loss, leaves))
    close(results[0], results[1], dtype)
    close(gradients[0], gradients[1], dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("views", "classes"), [(1, 3), (2, 6), (2, 21), (3, 7), (5, 4)])
def test_from_logits_values_and_gradients_match_the_reference(
    activation: str, rule: str, dtype: torch.dtype, views: int, classes: int
) -> None:
    logits, mask, discount = make(views, 21, classes, dtype, True, True)
    logits = (logits - 9) * 2
    limit = torch.finfo(dtype).max / 2
    results, gradients = [], []
    for run in (
        lambda z: _ops.fuse(z, rule, mask, discount, activation),
        lambda z: reference.fuse(z, rule, mask, discount, limit, activation),
    ):
        leaf = logits.clone().requires_grad_()
        outputs = run(leaf)
        loss = sum((x * (i + 1)).sum() / x[0].numel() for i, x in enumerate(outputs))
        assert isinstance(loss, Tensor)
        results.append(tuple(x.detach() for x in outputs))
        gradients.append(torch.autograd.grad(loss, leaf))
    close(results[0], results[1], dtype)
    close(gradients[0], gradients[1], dtype)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradcheck_from_logits(activation: str) -> None:
    logits = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: _ops.fuse(z, "dempster", None, None, activation), logits
    )
    assert torch.autograd.gradgradcheck(
        lambda z: _ops.fuse(z, "dempster", None, None, activation), logits
    )


@pytest.mark.parametrize("classes", [6, 21])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_infinite_and_nan_logits(activation: str, classes: int) -> None:
    logits = torch.zeros(2, 4, classes)
    logits[0, 0, 1] = float("inf")
    logits[1, 1, 0] = float("nan")
    logits[0, 2] = -float("inf")
    got = _ops.fuse(logits, "dempster", None, None, activation)
    expected = reference.fuse(logits, "dempster", None, None, 1.7e38, activation)
    close(got, expected, torch.float32)
    assert got[1].isnan().tolist() == [True, True, False, False]


@pytest.mark.parametrize("classes", [2, 6, 21])
@pytest.mark.parametrize("size", [1e12, 1e20, 1e30, 3e38])
def test_evidence_beyond_float32_sums_falls_back_to_float64(classes: int, size: float) -> None:
    evidence = torch.rand(2, 40, classes)
    evidence[:, ::3] *= size
    got = _ops.fuse(evidence, "dempster", None, None)
    exact = reference.fuse(
        evidence.double(), "dempster", None, None, torch.finfo(torch.float32).max / 2
    )
    close(got, tuple(x.float() for x in exact), torch.float32)


@needs_kernels
@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_buffer_or_four_hold_the_same_bits(activation: str | None, dtype: torch.dtype) -> None:
    evidence = torch.rand(2, 9, 6, dtype=dtype) * 9
    small, large = (
        fuse(evidence, activation=activation),
        fuse(evidence.repeat(1, 1000, 1), activation=activation),
    )
    assert "packed" in vars(small)
    assert "packed" not in vars(large)
    assert repr(small).startswith("Opinion(evidence=")
    assert type(copy.deepcopy(small)) is Opinion
    for name in ("evidence", "uncertainty", "conflict", "disagreement"):
        assert torch.equal(getattr(small, name), getattr(large, name)[:9])
    again = pickle.loads(pickle.dumps(small.with_confidence("margin")))
    assert type(again) is Opinion
    assert torch.equal(again.confidence, small.confidence_of("margin"))


@needs_kernels
def test_a_small_call_fills_memory_of_its_own_device() -> None:
    evidence = torch.rand(2, 3, 4)
    expected = fuse(evidence).uncertainty
    with torch.device("meta"):
        assert torch.equal(fuse(evidence).uncertainty, expected)


CALLS = {
    "fuse": lambda e: fuse(e).uncertainty,
    "masked": lambda e: fuse(e, mask=torch.ones(2, 3, dtype=torch.bool)).conflict,
    "loss": lambda e: evidential_loss(e[0], torch.tensor([0, 1, 2]), kl_weight=0.5),
    "uncertainty": lambda e: uncertainty(e[0] + 1).entropy,
    "decide": lambda e: decide(e, activation=None).confidence,
}


@needs_kernels
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore::DeprecationWarning")
def test_what_torch_traces_is_the_operator_and_not_one_result(name: str) -> None:
    call = CALLS[name]
    first, second = torch.rand(2, 3, 4), torch.rand(2, 3, 4) * 9
    for trace in (torch.jit.trace, lambda f, e: make_fx(f)(*e)):
        traced = trace(call, (first,))
        torch.testing.assert_close(traced(second), call(second))


@needs_kernels
@pytest.mark.parametrize("name", ["fuse", "loss", "uncertainty"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_transforms_without_a_rule_are_refused_and_not_wrong(name: str) -> None:
    call, evidence = CALLS[name], torch.rand(2, 3, 4)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError):
        call(forward_ad.make_dual(evidence, torch.ones_like(evidence)))
    with pytest.raises(RuntimeError, match="vmap"):
        torch.func.vmap(call)(evidence.expand(5, 2, 3, 4))


@needs_kernels
def test_a_negative_view_is_read_with_its_sign() -> None:
    evidence = torch.complex(torch.zeros(2, 3, 4), -torch.rand(2, 3, 4)).conj().imag
    assert evidence.is_neg()
    torch.testing.assert_close(fuse(evidence).uncertainty, fuse(evidence.clone()).uncertainty)
    assert fuse(evidence).uncertainty.isfinite().all()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rows", [1, 60_000])
def test_large_batches_and_threads_give_the_same_bits(rule: str, rows: int) -> None:
    evidence, mask, discount = make(3, rows, 6, torch.float32, True, True)
    threads = torch.get_num_threads()
    outcomes = []
    try:
        for count in (1, 2, 7):
            torch.set_num_threads(count)
            leaf = evidence.clone().requires_grad_()
            outputs = _ops.fuse(leaf, rule, mask, discount)
            (gradient,) = torch.autograd.grad(outputs[0].sum() + outputs[3].sum(), leaf)
            outcomes.append((*(x.detach() for x in outputs), gradient))
    finally:
        torch.set_num_threads(threads)
    for outcome in outcomes[1:]:
        for a, b in zip(outcome, outcomes[0], strict=True):
            assert torch.equal(a, b)
    limit = torch.finfo(torch.float32).max / 2
    expected = reference.fuse(evidence, rule, mask, discount, limit)
    close(outcomes[0][:4], expected, torch.float32)


@pytest.mark.parametrize("rule", RULES)
def test_inputs_need_not_be_contiguous(rule: str) -> None:
    evidence = torch.rand(6, 9, 2).permute(2, 1, 0)
    mask = torch.tensor([True, False, True] * 3)[:, None].expand(9, 2).T
    discount = torch.rand(9, 2).T
    assert not evidence.is_contiguous()
    got = _ops.fuse(evidence, rule, mask, discount)
    dense = _ops.fuse(evidence.contiguous(), rule, mask.contiguous(), discount.contiguous())
    for a, b in zip(got, dense, strict=True):
        assert torch.equal(a, b)
    leaf = evidence.clone(memory_format=torch.preserve_format).requires_grad_()
    (gradient,) = torch.autograd.grad(_ops.fuse(leaf, rule, mask, discount)[0].mT.sum(), leaf)
    assert gradient.shape == leaf.shape


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_rounded_once(rule: str, dtype: torch.dtype) -> None:
    evidence = torch.rand(2, 9, 6).mul(20).to(dtype).requires_grad_()
    outputs = _ops.fuse(evidence, rule, None, None)
    exact = reference.fuse(evidence.double(), rule, None, None, 1e300)
    for got, expected in zip(outputs, exact, strict=True):
        assert got.dtype is dtype
        torch.testing.assert_close(got, expected.to(dtype), rtol=torch.finfo(dtype).eps, atol=0)
    outputs[1].sum().backward()
    assert evidence.grad is not None
    assert evidence.grad.dtype is dtype


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("views", [2, 3])
def test_gradcheck(rule: str, masked: bool, views: int) -> None:
    evidence, mask, discount = make(views, 5, 4, torch.float64, masked, True)
    if mask is not None:
        evidence[~mask] = 1.0  # finite differences of a masked NaN are not numbers
    assert discount is not None

    def run(e: Tensor, w: Tensor) -> reference.Fused:
        return _ops.fuse(e, rule, mask, w)

    leaves = (evidence.requires_grad_(), (discount * 0.9 + 0.05).requires_grad_())
    assert torch.autograd.gradcheck(run, leaves)


def test_the_gradient_of_saturated_evidence_is_that_of_what_is_stored() -> None:
    evidence = torch.rand(9, 5, 4).mul(1e6)
    outcomes = []
    for run in (
        lambda e: _ops.fuse(e, "dempster", None, None),
        lambda e: reference.fuse(e, "dempster", None, None, torch.finfo(torch.float32).max / 2),
    ):
        leaf = evidence.clone().requires_grad_()
        fused = run(leaf)[0]
        assert bool((fused.sum(-1) > 1e38).all())
        (gradient,) = torch.autograd.grad((fused * torch.arange(4)).sum() / 1e38, leaf)
        outcomes.append(gradient)
    torch.testing.assert_close(outcomes[0], outcomes[1], rtol=1e-4, atol=1e-12)


@pytest.mark.slow
@needs_kernels
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("masked", "discounted"), [(0, 0), (1, 1)])
@pytest.mark.parametrize("activation", [None, "softplus"])
def test_opcheck(rule: str, masked: int, discounted: int, activation: str | None) -> None:
    evidence, mask, discount = make(2, 5, 3, torch.float32, bool(masked), bool(discounted))
    if mask is not None:
        evidence = torch.where(mask[..., None], evidence, 0.5)
    forward = (evidence, rule, mask, discount, 1e38, activation)
    torch.library.opcheck(torch.ops.ter_fast.fuse_forward, forward)
    upstream = (torch.ones(5, 3), None, torch.ones(5), None)
    torch.library.opcheck(torch.ops.ter_fast.fuse_backward, (*forward, *upstream))


@needs_kernels
@pytest.mark.parametrize(
    ("evidence", "mask", "discount", "message"),
    [
        (torch.ones(3, 2), None, None, r"takes torch\.float32, torch\.float64"),
        (torch.ones(2, 3, 2).half(), None, None, r"takes torch\.float32, torch\.float64"),
        (torch.ones(2, 3, 2), torch.ones(2, 2, dtype=torch.bool), None, r"takes torch\.bool"),
        (torch.ones(2, 3, 2), torch.ones(2, 3), None, r"takes torch\.bool"),
        (torch.ones(2, 3, 2), None, torch.ones(2, 3).double(), r"takes torch\.float32"),
    ],
)
def test_an_operator_never_reads_beyond_its_buffers(
    evidence: Tensor, mask: Tensor | None, discount: Tensor | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        torch.ops.ter_fast.fuse_forward(evidence, "dempster", mask, discount, 1e38, None)


def test_an_unsupported_dtype_is_refused() -> None:
    with pytest.raises(TypeError, match=r"evidence is torch\.float8.*convert it to one of"):
        fuse(torch.ones(2, 3, 4).to(torch.float8_e4m3fn))


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("gradient", [False, True])
# torch.compile trips over deprecated parts of torch itself.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compile_keeps_one_graph(gradient: bool) -> None:
    def confidence(logits: Tensor, mask: Tensor, discount: Tensor) -> Tensor:
        evidence = torch.nn.functional.softplus(logits)
        opinion = fuse(evidence, "dempster", mask=mask, discount=discount)
        assert opinion.conflict is not None
        assert opinion.disagreement is not None
        return opinion.confidence + opinion.conflict + opinion.disagreement + opinion.belief[..., 0]

    torch._dynamo.reset()
    fast = torch.compile(confidence, fullgraph=True)
    generator = torch.Generator().manual_seed(0)
    for rows in (4, 9):
        logits = torch.randn(2, rows, 6, generator=generator)
        mask = torch.rand(2, rows, generator=generator) > 0.2
        discount = torch.rand(2, generator=generator)
        outcomes = []
        for run in (confidence, fast):
            leaves = [x.clone().requires_grad_(gradient) for x in (logits, discount)]
            value = run(leaves[0], mask, leaves[1])
            found = torch.autograd.grad(value.sum(), leaves) if gradient else ()
            outcomes.append((value.detach(), *found))
        close(outcomes[1], outcomes[0], torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize("rule", RULES)
def test_second_derivatives(rule: str) -> None:
    evidence, _, discount = make(3, 3, 3, torch.float64, False, True)
    assert discount is not None

    def run(e: Tensor, w: Tensor) -> reference.Fused:
        return _ops.fuse(e, rule, None, w)

    leaves = (evidence.requires_grad_(), (discount * 0.9 + 0.05).requires_grad_())
    assert torch.autograd.gradgradcheck(run, leaves)


def test_other_devices_run_the_reference() -> None:
    outputs = _ops.fuse(torch.ones(2, 3, 4, device="meta"), "weighted", None, None)
    assert [tuple(x.shape) for x in outputs] == [(3, 4), (3,), (3,), (3,)]


def test_an_unknown_rule_is_refused_by_the_reference() -> None:
    with pytest.raises(ValueError, match="'bayes' is unknown: choose one of dempster"):
        reference.fuse(torch.ones(2, 3, 4), "bayes", None, None, 1e38)


WITHOUT_EXTENSION = """
import sys, warnings
sys.modules["ter_fast._C"] = None
import torch
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from ter_fast.opinions import _ops
    _ops.warn_if_uncompiled()
said = [str(w.message) for w in caught if "ter_fast" in str(w.message)]
assert said, said
assert said[-1].startswith("ter_fast runs on pure torch: "), said
assert _ops.backend().name == "pure torch", _ops.backend()
from ter_fast.opinions.fusion import fuse
evidence = torch.tensor([[[6.0, 0.0]], [[0.0, 2.0]]], requires_grad=True)
opinion = fuse(evidence)
opinion.uncertainty.sum().backward()
print(opinion.evidence.tolist(), opinion.conflict.item(), evidence.grad is not None)
"""


@pytest.mark.slow
def test_without_the_extension_the_reference_runs_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT_EXTENSION], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[[6.0, 2.0]] 0.375 True"


def test_the_backend_says_what_runs_and_why() -> None:
    backend = _ops.backend()
    assert str(backend) == f"{backend.name} ({backend.reason})"
    if backend.name == "C++ extension":
        assert backend.reason.split(",")[0] in ("AVX-512", "AVX2", "baseline")


class Built:
    """What the extension says of its CUDA kernels."""

    def __init__(self, architectures: str, supported: bool = False) -> None:
        self.cuda_architectures = architectures
        self.without_cuda = "no NVIDIA GPU was found"
        self.cuda_supports = lambda device: supported


@pytest.mark.parametrize("gpu", [True, False])
@pytest.mark.parametrize(
    ("built", "name", "reason"),
    [
        (
            Built(""),
            "pure torch",
            "built without CUDA kernels, because no NVIDIA GPU was found; to build them, in a checkout: "
            "pip install -C cmake.define.TER_FAST_CUDA=ON .",
        ),
        (Built("86, 90", supported=True), "CUDA extension", "compute capabilities 86, 90"),
        (
            Built("86"),
            "pure torch",
            "built for compute capabilities 86, and this GPU has 90; to build for it, in a checkout on "
            "this machine: pip install .",
        ),
    ],
)
def test_the_backend_says_why_a_gpu_has_no_kernels(
    built: Built, name: str, reason: str, gpu: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "COMPILED", True)
    monkeypatch.setattr(native, "_C", built, raising=False)
    monkeypatch.setattr(native, "_has_image", native._has_image.__wrapped__)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    if not gpu and built.cuda_architectures:
        name, reason = "CUDA extension", f"compute capabilities {built.cuda_architectures}"
    assert _ops.backend("cuda") == _ops.Backend(name, reason)


EVERY_BIT = """
import hashlib, torch
from ter_fast.opinions import _ops
from ter_fast.opinions.opinion import RULES
digest = hashlib.sha256()
for dtype in (torch.float32, torch.float64):
    for views, rows, classes in ((2, 21, 6), (3, 9, 11), (2, 9, 16)):
        generator = torch.Generator().manual_seed(0)
        evidence = torch.rand(views, rows, classes, generator=generator, dtype=dtype) * 9
        mask = torch.rand(views, rows, generator=generator) > 0.2
        discount = torch.rand(views, rows, generator=generator, dtype=dtype)
        for rule in RULES:
            leaf = evidence.clone().requires_grad_()
            outputs = _ops.fuse(leaf, rule, mask, discount)
            found = torch.autograd.grad([x.sum() for x in outputs], leaf)
            for x in (*outputs, *found):
                digest.update(x.detach().numpy().tobytes())
            for x in _ops.predict(evidence, rule, mask, discount, None, "margin", 0.3, 0.5):
                digest.update(x.numpy().tobytes())
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


@pytest.mark.slow
@needs_kernels
def test_an_unknown_instruction_set_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import ter_fast; ter_fast.fuse"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TER_FAST_INSTRUCTION_SET": "avx512"},
    )
    assert done.returncode == 1
    assert "TER_FAST_INSTRUCTION_SET is 'avx512': set it to one of baseline" in done.stderr


AFTER_FORK = """
import os, sys, torch
from ter_fast.opinions.fusion import fuse
evidence = torch.rand(2, 100_000, 6)
expected = fuse(evidence).uncertainty
child = os.fork()
if child == 0:
    os._exit(0 if torch.equal(fuse(evidence).uncertainty, expected) else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.slow
@needs_kernels
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork, which Windows lacks")
def test_a_forked_worker_can_fuse() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-W", "ignore", "-c", AFTER_FORK],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
