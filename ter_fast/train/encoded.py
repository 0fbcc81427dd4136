"""One pass of a model over clips: evidence, and the features that its encoders pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ter_fast.predict.evidence import window_evidence
from ter_fast.predict.windows import Window

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


@dataclass(frozen=True, eq=False)
class Encoded:
    """Windows of N clips as a model's experts see them.

    Attributes:
        evidence: `(V, W, K)`, zero where masked.
        mask: `(V, W)`.
        features: by modality, `(W, D)` what the encoder pooled; zero where masked.
        owner: `(W,)` number of each window's clip.
        count: N.
    """

    evidence: Tensor
    mask: Tensor
    features: Mapping[str, Tensor]
    owner: Tensor
    count: int

    def clip_mean(self, values: Tensor, mask: Tensor) -> Tensor:
        """Return the mean over each clip's windows where a modality is there: `(W, D)` to `(N, D)`."""
        weight = mask.to(values.dtype)
        total = values.new_zeros(self.count, values.shape[1])
        total.index_add_(0, self.owner, values * weight[:, None])
        there = values.new_zeros(self.count).index_add_(0, self.owner, weight)
        return total / there.clamp_min(1)[:, None]

    def clip_evidence(self) -> tuple[Tensor, Tensor]:
        """Return the clips' evidence `(V, N, K)` and mask `(V, N)`."""
        pairs = list(zip(self.evidence, self.mask, strict=True))
        there = [torch.zeros(self.count).index_add_(0, self.owner, m.float()) > 0 for _, m in pairs]
        return torch.stack([self.clip_mean(*pair) for pair in pairs]), torch.stack(there)

    def clip_features(self) -> dict[str, NDArray[np.float64]]:
        """Return the clips' features by modality, (N, D); NaN where it is missing."""
        found = {}
        for view, (name, values) in enumerate(self.features.items()):
            mean = self.clip_mean(values.double(), self.mask[view])
            there = torch.zeros(self.count).index_add_(0, self.owner, self.mask[view].float()) > 0
            found[name] = np.where(there[:, None].numpy(), mean.numpy(), np.nan)
        return found


@torch.no_grad()
def encode(
    model: Network,
    clips: Sequence[Sequence[Window]],
    empty: Mapping[str, Tensor],
    batch_size: int = 64,
) -> Encoded:
    """Run a model's experts over the windows of N clips, windows of like length together.

    Args:
        model: in evaluation mode.
        clips: windows of each.
        empty: by modality, a tensor without rows.
        batch_size: windows at once.
    """
    flat = [(owner, window) for owner, windows in enumerate(clips) for window in windows]
    order = sorted(range(len(flat)), key=lambda place: flat[place][1].length)
    names = model.config.modalities
    shape = len(names), len(flat), len(model.config.labels)
    evidence, mask = torch.zeros(shape), torch.zeros(shape[:2], dtype=torch.bool)
    sizes = {name: int(model.experts[name].head.in_features) for name in names}  # type: ignore[union-attr, arg-type]
    features = {name: torch.zeros(len(flat), size) for name, size in sizes.items()}
    caught: dict[str, Tensor] = {}

    def catch(name: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            caught[name] = inputs[0].float().cpu()

        return hook

    hooks = [model.experts[n].head.register_forward_pre_hook(catch(n)) for n in names]  # type: ignore[union-attr]
    try:
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            caught.clear()
            values, there = window_evidence(model, [flat[row][1] for row in rows], empty)
            evidence[:, rows], mask[:, rows] = values.cpu().float(), there.cpu()
            for name, pooled in caught.items():
                features[name][rows] = pooled
    finally:
        for hook in hooks:
            hook.remove()
    owners = torch.tensor([owner for owner, _ in flat], dtype=torch.int64)
    return Encoded(evidence, mask, features, owners, len(clips))
