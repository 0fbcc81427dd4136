"""Problems to time: inputs, the answer they must be given, and the bytes that have to move.

A case names a problem; `lru_cache` keeps one problem at a time for the rows that are timed on it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from benchmarks import peers
from ter_fast.opinions.reference import FIELDS

THRESHOLD, LIMIT = 0.7, 0.5
"""Confidence and disagreement at which `decide` trusts: about half of the random samples."""

STRAY = 1e-4


@dataclass(frozen=True, kw_only=True)
class Case:
    """Name a problem by its shape and options.

    Attributes:
        rows: B.
        classes: K.
        device: `"cpu"` or `"cuda"`.
        gpu_only: True for a size that only a GPU is asked for.
    """

    rows: int
    classes: int = 6
    device: str = "cpu"
    gpu_only: bool = False

    @property
    def group(self) -> str:
        """Name of the group of rows that are timed on this problem."""
        place = "" if self.device == "cpu" else f", {self.device}"
        return f"{self.title} B={self.rows:,} K={self.classes}{self.note}{place}"

    @property
    def title(self) -> str:
        """What is computed."""
        raise NotImplementedError

    @property
    def note(self) -> str:
        """What sets the problem apart from the plain one."""
        return ""


@dataclass(frozen=True, kw_only=True)
class FuseCase(Case):
    """Fusion of V views; with its gradient where `backward`."""

    views: int = 2
    rule: str = "dempster"
    masked: bool = False
    discounted: bool = False
    dtype: torch.dtype = torch.float32
    activation: str | None = None
    backward: bool = False

    @property
    def title(self) -> str:
        return f"fuse{' + gradient' if self.backward else ''} V={self.views}"

    @property
    def note(self) -> str:
        notes = [
            "" if self.rule == "dempster" else self.rule,
            "mask" if self.masked else "",
            "discount" if self.discounted else "",
            "" if self.dtype is torch.float32 else str(self.dtype).removeprefix("torch."),
            "" if self.activation is None else "from logits",
        ]
        return "".join(f", {note}" for note in notes if note)


@dataclass(frozen=True, kw_only=True)
class LossCase(Case):
    """An evidential loss and its gradient."""

    kind: str = "digamma"
    kl_weight: float = 0.1
    soft: bool = False

    @property
    def title(self) -> str:
        return f"loss + gradient, {self.kind}{' + KL' if self.kl_weight else ''}"

    @property
    def note(self) -> str:
        return ", soft targets" if self.soft else ""


@dataclass(frozen=True, kw_only=True)
class UncertaintyCase(Case):
    """Uncertainties of Dirichlets; with their gradient where `backward`."""

    fields: tuple[str, ...] = FIELDS
    backward: bool = False

    @property
    def title(self) -> str:
        what = "all six" if self.fields == FIELDS else " + ".join(self.fields)
        return f"uncertainty{' + gradient' if self.backward else ''}, {what}"


@dataclass(frozen=True, kw_only=True)
class DecideCase(Case):
    """Logits of two views to trusted predictions."""

    @property
    def title(self) -> str:
        return "decide V=2"


@dataclass(frozen=True)
class Problem:
    """Hold a case's inputs and what is known about its answer.

    Attributes:
        case: What is asked.
        inputs: Tensors by name; None for those the case leaves out.
        exact: The answer in float64.
        moved: Bytes if each input is read and each output written once.
        rtol: Relative tolerance of an answer.
        atol: Absolute tolerance of an answer.
        stray: Share of an output that may be off: where rounding decides a comparison of nearly
            equal numbers (the kink of an absolute value, a threshold), hardly ever in random ones.
    """

    case: Case
    inputs: dict[str, Tensor]
    exact: tuple[Tensor, ...]
    moved: int
    rtol: float
    atol: float
    stray: float = 0.0

    def check(self, answer: Tensor | Sequence[Tensor]) -> None:
        """Assert that an answer, or the part of it that a row computes, is right."""
        answer = [answer] if isinstance(answer, Tensor) else answer
        for given, exact in zip(answer, self.exact, strict=False):
            right = torch.isclose(given.detach().to(exact.dtype), exact, self.rtol, self.atol)
            wrong = (~right).float().mean().item()
            assert wrong <= self.stray, f"{wrong:.2g} of an output is wrong in {self.case.group}"


def copy(problem: Problem) -> Callable[[], Tensor]:
    """Return a copy of as many bytes as the problem moves: half of them read, half written."""
    device = problem.case.device
    source = torch.rand((problem.moved + 7) // 8, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def clone(problem: Problem) -> Callable[[], Tensor]:
    """Return the same copy into memory of its own, as a call gets that returns new tensors.

    Beyond 32 MB the allocator asks the system for it each time, whose page faults cost more than
    the copy.
    """
    source = torch.rand((problem.moved + 7) // 8, device=problem.case.device)
    return source.clone


def gradient(
    outputs: Sequence[Tensor], source: Tensor, upstream: Sequence[Tensor]
) -> tuple[Tensor, ...]:
    """Return outputs and the gradient of their products with `upstream` with respect to `source`."""
    (found,) = torch.autograd.grad(outputs, source, upstream)
    return (*outputs, found)


def _exact(case: Case, function: Callable[[slice], Sequence[Tensor]]) -> tuple[Tensor, ...]:
    """Compute an answer a slice of the samples at a time: in float64 it may not fit at once."""
    step = max(1, 16_000_000 // case.classes**2)
    slices = [slice(start, start + step) for start in range(0, case.rows, step)]
    parts = zip(*(function(rows) for rows in slices), strict=True)
    return tuple(_joined([x.detach() for x in part]) for part in parts)


def _joined(parts: list[Tensor]) -> Tensor:
    """Join scalars by their sum, `(B, ...)` and `(V, B, K)` along B."""
    dimensions = parts[0].ndim
    return sum(parts[1:], parts[0]) if dimensions == 0 else torch.cat(parts, int(dimensions == 3))


def _upstream(dtype: torch.dtype, outputs: Sequence[Tensor]) -> dict[str, Tensor]:
    """Make gradients of outputs, by name."""
    return {f"upstream_{i}": torch.full_like(x, 0.5, dtype=dtype) for i, x in enumerate(outputs)}


def _random(case: Case, *shape: int) -> Tensor:
    generator = torch.Generator(case.device).manual_seed(sum(shape))
    return torch.rand(*shape, generator=generator, device=case.device)


def _nbytes(*tensors: Tensor) -> int:
    return sum(t.nbytes for t in tensors)


@lru_cache(maxsize=1)
def fuse_problem(case: FuseCase) -> Problem:
    """Build `evidence (V, B, K)`, mask and discount `(V, B)`, and gradients of the outputs."""
    shape = (case.views, case.rows, case.classes)
    evidence = _random(case, *shape) * 10 - (0 if case.activation is None else 5)
    inputs = {"evidence": evidence.to(case.dtype)}
    if case.masked:
        inputs["mask"] = _random(case, *shape[:2]) < 0.8
    if case.discounted:
        inputs["discount"] = _random(case, *shape[:2]).to(case.dtype)

    def answer(rows: slice) -> Sequence[Tensor]:
        evidence = inputs["evidence"].detach()[:, rows].double().requires_grad_(case.backward)
        mask, discount = (inputs[k][:, rows] if k in inputs else None for k in ("mask", "discount"))
        discount = None if discount is None else discount.double()
        outputs = peers.fuse(evidence, case.rule, mask, discount, case.activation)
        if not case.backward:
            return outputs
        return gradient(outputs, evidence, [torch.full_like(x, 0.5) for x in outputs])

    exact = _exact(case, answer)
    stored = sum(x.numel() for x in exact[:4]) * case.dtype.itemsize
    moved = _nbytes(*inputs.values()) + stored
    if case.backward:
        # Once more the evidence for the way back, the outputs' gradients, and the result.
        moved += stored + 2 * inputs["evidence"].nbytes
        inputs |= _upstream(case.dtype, exact[:4])
        inputs["evidence"].requires_grad_()
    half = case.dtype in (torch.bfloat16, torch.float16)
    # The closed form as it is written, product minus one, loses digits as K grows.
    rtol, atol = (1e-2, 1e-2) if half else (1e-4, 1e-6 * max(10, case.classes))
    return Problem(case, inputs, exact, moved, rtol, atol, STRAY if case.backward else 0.0)


@lru_cache(maxsize=1)
def loss_problem(case: LossCase) -> Problem:
    """Build `evidence (B, K)` and a target; the answer is the summed loss and its gradient."""
    evidence = _random(case, case.rows, case.classes) * 10
    if case.soft:
        target = torch.softmax(evidence.flip(-1) / 4, -1)
    else:
        target = evidence.flip(0).argmax(-1)

    def answer(rows: slice) -> Sequence[Tensor]:
        wide = evidence.detach()[rows].double().requires_grad_()
        label = target[rows].double() if case.soft else target[rows]
        loss = peers.evidential_loss(wide, label, case.kind, case.kl_weight)
        return gradient([loss], wide, [torch.ones_like(loss)])

    exact = _exact(case, answer)
    inputs = {"evidence": evidence.requires_grad_(), "target": target}
    moved = _nbytes(evidence, target) + evidence.nbytes
    return Problem(case, inputs, exact, moved, 1e-3, 1e-4)


@lru_cache(maxsize=1)
def uncertainty_problem(case: UncertaintyCase) -> Problem:
    """Build `alpha (B, K)`, and gradients of the outputs."""
    alpha = 1 + _random(case, case.rows, case.classes) * 10

    def answer(rows: slice) -> Sequence[Tensor]:
        wide = alpha.detach()[rows].double().requires_grad_(case.backward)
        outputs = peers.uncertainty(wide, case.fields)
        if not case.backward:
            return outputs
        return gradient(outputs, wide, [torch.full_like(x, 0.5) for x in outputs])

    exact = _exact(case, answer)
    measures = exact[: len(case.fields)]
    stored = sum(x.numel() for x in measures) * alpha.element_size()
    inputs = {"alpha": alpha.requires_grad_(case.backward)}
    moved = alpha.nbytes + stored
    if case.backward:
        moved += stored + 2 * alpha.nbytes
        inputs |= _upstream(alpha.dtype, measures)
    return Problem(case, inputs, exact, moved, 1e-3, 1e-4, STRAY if case.backward else 0.0)


@lru_cache(maxsize=1)
def decide_problem(case: DecideCase) -> Problem:
    """Build `logits (2, B, K)`."""
    logits = _random(case, 2, case.rows, case.classes) * 10 - 5
    exact = _exact(case, lambda rows: peers.decide(logits[:, rows].double(), THRESHOLD, LIMIT))
    wide = sum(x.numel() for x in exact if x.dtype is torch.float64)
    others = _nbytes(*(x for x in exact if x.dtype is not torch.float64))
    moved = logits.nbytes + wide * logits.element_size() + others
    return Problem(case, {"logits": logits}, exact, moved, 1e-4, 1e-5, STRAY)
