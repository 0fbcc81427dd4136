"""The CUDA kernels, compiled for the host by tests/helpers/cuda_on_host: against the reference, race-free."""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Iterator
from itertools import product

import pytest
import torch
from torch import Tensor

from helpers.cuda_on_host import harness
from helpers.cuda_on_host.harness import Buffers, address, call
from ter_fast.opinions import reference
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, RULES

pytestmark = pytest.mark.slow

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
CODES = {dtype: code for code, dtype in enumerate(DTYPES)}
ACTIVATIONS = (None, "softplus", "relu", "exp")
LOSSES = ("log", "digamma", "mse")
CLASSES = (2, 6, 7, 16, 17, 33, 101, 1000)
VIEWS = (1, 2, 3, 5, 16)


@pytest.fixture(scope="session")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The launchers of csrc/cuda in a shared library."""
    compiler = harness.compiler()
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C++ compiler: install g++ or set CXX")
    return harness.build(compiler, tmp_path_factory.mktemp("cuda_on_host"))


class Case:
    """One call of fusion, its inputs drawn from a seed."""

    def __init__(
        self,
        views: int,
        rows: int,
        classes: int,
        dtype: torch.dtype,
        rule: str = "dempster",
        activation: str | None = None,
        masked: bool = False,
        discounted: bool = False,
        offset: int = 0,
        scale: float = 3.0,
    ) -> None:
        generator = torch.Generator().manual_seed(views + 100 * rows + 10_000 * classes)
        shape = (views, rows, classes)
        values = torch.empty(shape, dtype=torch.float64).exponential_(
            1 / scale, generator=generator
        )
        if activation is not None:
            values -= scale
        mask = torch.rand(views, rows, generator=generator) > 0.3 if masked else None
        if mask is not None:
            values[~mask] = math.nan
        self.buffers = Buffers(offset)
        self.evidence = self.buffers.copy(values.to(dtype))
        self.mask = mask
        reliability = torch.rand(views, rows, generator=generator, dtype=torch.float64).to(dtype)
        self.discount = self.buffers.copy(reliability) if discounted else None
        self.rule, self.activation, self.dtype = rule, activation, dtype
        self.views, self.rows, self.classes = views, rows, classes
        self.limit = torch.finfo(dtype).max / 2
        self.generator = generator

    def arguments(self) -> harness.FuseArguments:
        return harness.FuseArguments(
            address(self.evidence),
            address(self.mask),
            address(self.discount),
            self.views,
            self.rows,
            self.classes,
            RULES.index(self.rule),
            ACTIVATIONS.index(self.activation),
            CODES[self.dtype],
            self.limit,
            math.log(reference.MAX_EXP_EVIDENCE),
        )

    def forward(self, library: ctypes.CDLL, device: int = 0) -> tuple[Tensor, ...]:
        outputs = (
            self.buffers.empty(self.rows, self.classes, dtype=self.dtype),
            *(self.buffers.empty(self.rows, dtype=self.dtype) for _ in range(3)),
        )
        structure = harness.FuseForward(self.arguments(), *map(address, outputs))
        call(library, "fuse_forward", structure, device)
        self.buffers.check()
        return outputs

    def backward(
        self, library: ctypes.CDLL, gradients: tuple[Tensor | None, ...]
    ) -> tuple[Tensor, ...]:
        outputs = (
            self.buffers.empty(*self.evidence.shape, dtype=self.dtype),
            *(
                self.buffers.empty(self.views, self.rows, dtype=self.dtype)
                for _ in range(self.discount is not None)
            ),
        )
        given = (None if g is None else self.buffers.copy(g) for g in gradients)
        kept = tuple(given)
        targets = (*map(address, outputs), *([None] * (2 - len(outputs))))
        structure = harness.FuseBackward(self.arguments(), *map(address, kept), *targets)
        call(library, "fuse_backward", structure)
        self.buffers.check()
        return outputs

    def upstream(self) -> tuple[Tensor, ...]:
        shapes = ((self.rows, self.classes), *((self.rows,) for _ in range(3)))
        return tuple(torch.randn(s, generator=self.generator).to(self.dtype) for s in shapes)

    def reference(
        self, gradients: tuple[Tensor | None, ...] | None = None
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return outputs and gradients, both in float64 and not yet rounded to the dtype."""
        exact = [
            x.double().requires_grad_() for x in (self.evidence, self.discount) if x is not None
        ]
        discount = exact[1] if self.discount is not None else None
        outputs = reference.fuse(
            exact[0], self.rule, self.mask, discount, self.limit, self.activation
        )
        if gradients is None:
            return tuple(x.detach() for x in outputs), ()
        pairs = [
            (x, g.double())
            for x, g in zip(outputs, gradients, strict=True)
            if g is not None and x.requires_grad
        ]
        found = torch.autograd.grad([x for x, _ in pairs], exact, [g for _, g in pairs])
        return tuple(x.detach() for x in outputs), found


def close(got: tuple[Tensor, ...], expected: tuple[Tensor, ...], dtype: torch.dtype) -> None:
    tolerance = {torch.float32: 2e-6, torch.float64: 1e-12}.get(dtype, torch.finfo(dtype).eps)
    for a, b in zip(got, expected, strict=True):
        assert a.dtype is dtype
        # Rounded, so that what the dtype cannot hold is infinite on both sides.
        torch.testing.assert_close(a, b.to(dtype), rtol=tolerance, atol=tolerance, equal_nan=True)


def options() -> Iterator[tuple[str, str | None, bool, bool]]:
    """Every combination of rule, activation, mask and discount, over and over."""
    combinations = list(product(RULES, ACTIVATIONS, (False, True), (False, True)))
    # A step prime to their number takes neighbouring cases far apart.
    for i in range(10**9):
        yield combinations[i * 37 % len(combinations)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_values_and_gradients_match_the_reference(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int
) -> None:
    turn = options()
    for _ in range(CLASSES.index(classes) * 11 + CODES[dtype] * 3):
        next(turn)
    for views in VIEWS:
        # A warp takes thousands of turns for what is one instruction to a GPU.
        by_thread = classes <= 16 and views <= 5
        many = 5 if not by_thread else 127 if views > 2 else 1000
        for rows in (0, 1, many):
            case = Case(views, rows, classes, dtype, *next(turn), offset=rows % 2)
            gradients = case.upstream()
            expected, expected_gradients = case.reference(gradients)
            close(case.forward(kernels), expected, dtype)
            close(case.backward(kernels, gradients), expected_gradients, dtype)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("classes", [6, 33])
def test_every_rule_and_activation(
    kernels: ctypes.CDLL, rule: str, activation: str | None, classes: int
) -> None:
    for masked, discounted in product((False, True), repeat=2):
        case = Case(2, 37, classes, torch.float32, rule, activation, masked, discounted)
        gradients = case.upstream()
        expected, expected_gradients = case.reference(gradients)
        close(case.forward(kernels), expected, torch.float32)
        close(case.backward(kernels, gradients), expected_gradients, torch.float32)


@pytest.mark.parametrize("present", [(True, False, False, False), (False, True, False, True)])
@pytest.mark.parametrize("classes", [6, 33])
def test_gradients_that_are_not_given_count_as_zero(
    kernels: ctypes.CDLL, present: tuple[bool, ...], classes: int
) -> None:
    case = Case(2, 40, classes, torch.float32, discounted=True)
    gradients = tuple(g if p else None for g, p in zip(case.upstream(), present, strict=True))
    close(case.backward(kernels, gradients), case.reference(gradients)[1], torch.float32)


@pytest.mark.parametrize("offset", range(9))
@pytest.mark.parametrize("dtype", DTYPES)
def test_buffers_may_begin_anywhere(kernels: ctypes.CDLL, dtype: torch.dtype, offset: int) -> None:
    for classes, rows in ((7, 129), (8, 130), (33, 3)):
        case = Case(3, rows, classes, dtype, offset=offset)
        gradients = case.upstream()
        expected, expected_gradients = case.reference(gradients)
        close(case.forward(kernels), expected, dtype)
        close(case.backward(kernels, gradients), expected_gradients, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [6, 12, 101])
@pytest.mark.parametrize("views", [2, 4, 16])
def test_what_float32_cannot_hold_is_done_in_float64(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int, views: int
) -> None:
    case = Case(views, 40, classes, dtype)
    # Nearly up to the largest number in every fourth row: those have to come out as in float64, and
    # the others as if they were alone.
    top = 6e4 if dtype is torch.float16 else 1e12
    case.evidence[:, ::4] *= top / case.evidence[:, ::4].max()
    expected, _ = case.reference()
    close(case.forward(kernels)[1:], expected[1:], dtype)
    fused = case.forward(kernels)[0].double()
    assert bool(torch.isfinite(fused).all())
    share = fused / fused.sum(-1, keepdim=True)
    tolerance = max(torch.finfo(dtype).eps, 2e-6)
    exact = expected[0] / expected[0].sum(-1, keepdim=True)
    torch.testing.assert_close(share, exact, rtol=2 * tolerance, atol=2 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [6, 12, 33])
@pytest.mark.parametrize("activation", [None, "softplus"])
def test_invalid_rows_are_nan_and_alone(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int, activation: str | None
) -> None:
    case = Case(2, 9, classes, dtype, activation=activation, discounted=True)
    assert case.discount is not None
    case.evidence[0, 1, 0] = math.nan
    case.evidence[1, 3, 1] = math.inf
    case.evidence[1, 4, 1] = -math.inf
    case.discount[0, 6] = 1.5
    case.discount[1, 7] = math.nan
    gradients = case.upstream()
    expected, expected_gradients = case.reference(gradients)
    bad = [1, 3, 6, 7] if activation else [1, 3, 4, 6, 7]
    assert expected[1].isnan().nonzero().flatten().tolist() == bad
    close(case.forward(kernels), expected, dtype)
    found = case.backward(kernels, gradients)
    assert bool((found[0][:, bad] == 0).all())
    close(found, expected_gradients, dtype)


@pytest.mark.parametrize("views", [2, 3, 16])
@pytest.mark.parametrize("classes", [6, 12, 101])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_order_of_threads_changes_a_bit(
    kernels: ctypes.CDLL, views: int, classes: int, dtype: torch.dtype
) -> None:
    outcomes = []
    rows = 300 if classes <= 16 and views <= 3 else 13
    for seed in range(3):
        kernels.seed(ctypes.c_uint64(seed))
        case = Case(views, rows, classes, dtype, "weighted", "softplus", True, True)
        case.evidence[:, 5] = 1e30
        outcomes.append((*case.forward(kernels), *case.backward(kernels, case.upstream())))
    for outcome in outcomes[1:]:
        for a, b in zip(outcome, outcomes[0], strict=True):
            assert torch.equal(a.nan_to_num(), b.nan_to_num())


def test_a_call_leaves_the_current_device_as_it_was(kernels: ctypes.CDLL) -> None:
    case = Case(2, 3, 4, torch.float32)
    close(case.forward(kernels, device=1), case.reference()[0], torch.float32)
    assert kernels.current_device() == 0


def test_an_error_of_the_runtime_becomes_an_exception(kernels: ctypes.CDLL) -> None:
    case = Case(2, 3, 4, torch.float32)
    with pytest.raises(RuntimeError, match=r"cudaSetDevice\(device\) failed: cudaErrorInvalidDev"):
        case.forward(kernels, device=7)


def test_a_missing_barrier_would_be_noticed(kernels: ctypes.CDLL) -> None:
    """Hold the harness itself to account: a wrong order of loads and stores has to show."""
    kernels.misses_barrier.restype = ctypes.c_bool
    kernels.holds_barrier.restype = ctypes.c_bool
    assert any(kernels.misses_barrier(seed) for seed in range(5))
    assert not any(kernels.holds_barrier(seed) for seed in range(5))


def predicted(
    library: ctypes.CDLL,
    case: Case,
    kind: str,
    threshold: float,
    thresholds: Tensor | None = None,
    limit: float = math.inf,
) -> reference.Predicted:
    rows, dtype, buffers = case.rows, case.dtype, case.buffers
    outputs = reference.Predicted(
        buffers.empty(rows, case.classes, dtype=dtype),
        buffers.empty(rows, dtype=torch.int64),
        *(buffers.empty(rows, dtype=dtype) for _ in range(4)),
        torch.zeros(rows, dtype=torch.bool),
    )
    structure = harness.Predict(
        case.arguments(),
        CONFIDENCE_KINDS.index(kind),
        address(thresholds),
        threshold,
        limit,
        *map(address, outputs),
    )
    call(library, "predict", structure)
    buffers.check()
    return outputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_predictions_match_the_reference(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int
) -> None:
    turn = options()
    for number, kind in enumerate(CONFIDENCE_KINDS):
        views = VIEWS[number % len(VIEWS)]
        many = 150 if classes <= 16 and views <= 3 else 5
        for rows in (0, 1, many):
            case = Case(views, rows, classes, dtype, *next(turn), offset=rows % 2)
            got = predicted(kernels, case, kind, 0.5, limit=0.3)
            exact = case.discount if case.discount is None else case.discount.double()
            expected = reference.predict(
                *(case.evidence.double(), case.rule, case.mask, exact, case.activation),
                *(kind, 0.5, 0.3),
            )
            for name in ("probability", "confidence", "uncertainty", "conflict", "disagreement"):
                if kind != "one_minus_vacuity" or name != "confidence":
                    close((getattr(got, name),), (getattr(expected, name),), dtype)
            if kind == "one_minus_vacuity":
                close((got.confidence,), (1 - got.uncertainty.double(),), dtype)
            # The winner may be another one only where rounding makes it a draw.
            winner = expected.probability.gather(-1, got.prediction.unsqueeze(-1)).squeeze(-1)
            close((winner.to(dtype),), (expected.probability.amax(-1),), dtype)
            valid = got.confidence >= 0.5
            trusted = valid & (got.disagreement <= torch.tensor(0.3).to(dtype))
            assert torch.equal(got.trusted, trusted & (expected.uncertainty < 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [6, 12, 40])
def test_a_threshold_out_of_a_prediction_accepts_it(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int
) -> None:
    case = Case(2, 9, classes, dtype)
    case.evidence[0, 2, 0] = math.nan
    case.evidence[:, 3] = 0
    case.evidence[:, 4] = 1
    for kind in CONFIDENCE_KINDS:
        free = predicted(kernels, case, kind, 0.0)
        assert free.trusted.tolist() == [i not in (2, 3) for i in range(9)]
        assert free.prediction[2:5].tolist() == [0, 0, 0]
        assert bool(free.confidence[2].isnan() & free.probability[2].isnan().all())
        own = predicted(kernels, case, kind, math.nan, thresholds=free.confidence.contiguous())
        assert torch.equal(own.trusted, free.trusted)
        lowest = float(free.confidence[free.trusted].min())
        assert torch.equal(predicted(kernels, case, kind, lowest).trusted, free.trusted)
        assert not predicted(kernels, case, kind, math.nan).trusted.any()


def evidence_and_target(
    rows: int, classes: int, dtype: torch.dtype, soft: bool
) -> tuple[Tensor, Tensor]:
    """Evidence of every size, and none; votes or labels."""
    generator = torch.Generator().manual_seed(rows + 1000 * classes)
    reach = 4 if dtype is torch.float16 else 6
    exponent = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * (reach + 4) - 4
    evidence = (10**exponent).to(dtype)
    evidence[torch.rand(rows, classes, generator=generator) < 0.2] = 0
    if not soft:
        return evidence, torch.randint(classes, (rows,), generator=generator)
    votes = torch.rand(rows, classes, generator=generator, dtype=torch.float64)
    return evidence, (votes / votes.sum(-1, keepdim=True)).to(dtype)


def loss_of(
    library: ctypes.CDLL,
    evidence: Tensor,
    target: Tensor,
    kind: str,
    kl_weight: float,
    offset: int = 0,
    differentiated: bool = True,
) -> tuple[Tensor, Tensor | None]:
    rows, classes = evidence.shape
    buffers = Buffers(offset)
    given, goal = buffers.copy(evidence), buffers.copy(target)
    loss = buffers.empty(rows, dtype=evidence.dtype)
    gradient = buffers.empty(rows, classes, dtype=evidence.dtype) if differentiated else None
    soft = target.is_floating_point()
    structure = harness.LossForward(
        address(given),
        address(goal) if soft else None,
        None if soft else address(goal),
        *(rows, classes, LOSSES.index(kind), kl_weight, CODES[evidence.dtype]),
        *(address(loss), address(gradient)),
    )
    call(library, "loss_forward", structure)
    buffers.check()
    return loss, gradient


def exact_loss(
    evidence: Tensor, target: Tensor, kind: str, kl_weight: float
) -> tuple[Tensor, Tensor]:
    leaf = evidence.double().requires_grad_()
    goal = target.double() if target.is_floating_point() else target
    loss = reference.evidential_loss(leaf, goal, kind, kl_weight)
    return loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]


def near(got: Tensor | None, expected: Tensor, dtype: torch.dtype) -> None:
    """Hold a number to what tests/opinions/test_loss_kernel.py allows the CPU, and to rounding."""
    assert got is not None
    tolerance = {torch.float32: 2e-6, torch.float64: 5e-12}.get(dtype, torch.finfo(dtype).eps)
    error = (got.double() - expected).abs() / expected.abs().clamp(min=1)
    assert error.numel() == 0 or float(error.max()) <= tolerance


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("classes", CLASSES)
def test_losses_and_their_gradients_match_the_reference(
    kernels: ctypes.CDLL, classes: int, soft: bool, dtype: torch.dtype
) -> None:
    for rows in (0, 1, 300 if classes <= 16 else 5):
        evidence, target = evidence_and_target(rows, classes, dtype, soft)
        for kind, weight in product(LOSSES, (0.0, 0.4)):
            loss, gradient = loss_of(kernels, evidence, target, kind, weight, offset=rows % 2)
            expected, slope = exact_loss(evidence, target, kind, weight)
            near(loss, expected, dtype)
            near(gradient, slope, dtype)
            alone, _ = loss_of(kernels, evidence, target, kind, weight, differentiated=False)
            assert torch.equal(alone, loss)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [6, 40])
@pytest.mark.parametrize("kind", LOSSES)
def test_losses_of_what_is_not_valid_or_beyond_float32(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int, kind: str
) -> None:
    evidence, target = evidence_and_target(9, classes, dtype, soft=False)
    evidence[1, 2], evidence[2, 0], evidence[3, 1] = math.nan, math.inf, -1.0
    target[5], target[6] = classes, -1
    bad = [1, 2, 3, 5, 6]
    good = [i for i in range(9) if i not in bad]
    evidence[7] = torch.finfo(dtype).max if dtype is not torch.float64 else 1e200
    loss, gradient = loss_of(kernels, evidence, target, kind, 0.5)
    assert gradient is not None
    assert bool(loss[bad].isnan().all() & gradient[bad].isnan().all())
    expected, slope = exact_loss(evidence[good], target[good], kind, 0.5)
    near(loss[good], expected, dtype)
    near(gradient[good], slope, dtype)


def alphas(rows: int, classes: int, dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(rows + 1000 * classes)
    exponent = torch.rand(rows, classes, generator=generator, dtype=torch.float64) * 5 - 1
    alpha = (10**exponent).to(dtype)
    alpha[torch.rand(rows, classes, generator=generator) < 0.2] = 1
    return alpha


def measures_of(
    library: ctypes.CDLL, alpha: Tensor, fields: tuple[str, ...], offset: int = 0
) -> tuple[Tensor, ...]:
    rows, classes = alpha.shape
    buffers = Buffers(offset)
    given = buffers.copy(alpha)
    outputs = {name: buffers.empty(rows, dtype=alpha.dtype) for name in fields}
    places = (address(outputs.get(name)) for name in reference.FIELDS)
    structure = harness.UncertaintyForward(
        address(given), rows, classes, CODES[alpha.dtype], *places
    )
    call(library, "uncertainty_forward", structure)
    buffers.check()
    return tuple(outputs.values())


def slopes_of(
    library: ctypes.CDLL, alpha: Tensor, gradients: dict[str, Tensor], offset: int = 0
) -> Tensor:
    rows, classes = alpha.shape
    buffers = Buffers(offset)
    given = buffers.copy(alpha)
    kept = {name: buffers.copy(x) for name, x in gradients.items()}
    output = buffers.empty(rows, classes, dtype=alpha.dtype)
    structure = harness.UncertaintyBackward(
        *(address(given), rows, classes, CODES[alpha.dtype]),
        *(address(kept.get(name)) for name in reference.FIELDS),
        address(output),
    )
    call(library, "uncertainty_backward", structure)
    buffers.check()
    return output


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", CLASSES)
def test_uncertainties_match_the_reference(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int
) -> None:
    # Every pair of a thousand classes is a million turns of the emulated lanes.
    some = reference.FIELDS if classes <= 101 else reference.FIELDS[:-1]
    for rows in (0, 1, 200 if classes <= 16 else 3):
        alpha = alphas(rows, classes, dtype)
        for fields in (some, some[1:2], some[2::3]):
            leaf = alpha.double().requires_grad_()
            expected = reference.uncertainty(leaf, fields)
            close(
                measures_of(kernels, alpha, fields, rows % 2),
                tuple(x.detach() for x in expected),
                dtype,
            )
            generator = torch.Generator().manual_seed(rows)
            upstream = [torch.randn(rows, generator=generator).to(dtype) for _ in fields]
            (slope,) = torch.autograd.grad(expected, leaf, [x.double() for x in upstream])
            given = dict(zip(fields, upstream, strict=True))
            near(slopes_of(kernels, alpha, given, rows % 2), slope, dtype)


def test_dissonance_of_a_thousand_classes(kernels: ctypes.CDLL) -> None:
    alpha = alphas(1, 1000, torch.float32)
    leaf = alpha.double().requires_grad_()
    (expected,) = reference.uncertainty(leaf, ("dissonance",))
    close(measures_of(kernels, alpha, ("dissonance",)), (expected.detach(),), torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("classes", [6, 40])
def test_uncertainties_of_what_is_no_dirichlet(
    kernels: ctypes.CDLL, dtype: torch.dtype, classes: int
) -> None:
    alpha = alphas(300, classes, dtype) if classes == 6 else alphas(9, classes, dtype)
    alpha[1, 2], alpha[2, 0], alpha[3, 1], alpha[4, 0] = math.nan, math.inf, 0.0, -2.0
    bad = [1, 2, 3, 4]
    fields = reference.FIELDS
    leaf = alpha.double().requires_grad_()
    expected = reference.uncertainty(leaf, fields)
    assert expected[0].isnan().nonzero().flatten().tolist() == bad
    close(measures_of(kernels, alpha, fields), tuple(x.detach() for x in expected), dtype)
    upstream = {name: torch.ones(len(alpha), dtype=dtype) for name in fields}
    slope = slopes_of(kernels, alpha, upstream)
    assert bool((slope[bad] == 0).all())
    near(slope, torch.autograd.grad([x.nansum() for x in expected], leaf)[0], dtype)


def test_nothing_wanted_is_nothing_done(kernels: ctypes.CDLL) -> None:
    assert measures_of(kernels, alphas(3, 4, torch.float32), ()) == ()
