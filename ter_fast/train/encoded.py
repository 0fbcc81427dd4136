"""One pass of a model over clips: evidence, and the features that its encoders pooled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ter_fast.predict.evidence import clip_mean, evidence_of_all
from ter_fast.predict.source import Window

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


@dataclass(frozen=True, eq=False)
class Encoded:
    """Windows of N clips as a model's experts see them.

    Attributes:
        evidence: `(V, W, K)`, zero where masked.
        mask: `(V, W)`.
        features: By modality, `(W, D)` what the encoder pooled; zero where masked.
        owner: `(W,)` number of each window's clip.
        count: N.
    """

    evidence: Tensor
    mask: Tensor
    features: Mapping[str, Tensor]
    owner: Tensor
    count: int

    def clip_evidence(self) -> tuple[Tensor, Tensor]:
        """Return the clips' evidence `(V, N, K)` and mask `(V, N)`."""
        return clip_mean(self.evidence, self.mask, self.owner, self.count)

    def clip_features(self) -> dict[str, NDArray[np.float64]]:
        """Return the clips' features by modality, (N, D); NaN where it is missing."""
        features_by_name = {}
        for view, (name, values) in enumerate(self.features.items()):
            mask = self.mask[view, None]
            mean, present = clip_mean(values.double()[None], mask, self.owner, self.count)
            features_by_name[name] = mean.masked_fill(~present[..., None], np.nan)[0].numpy()
        return features_by_name


def encode(
    model: Network,
    clips: Sequence[Sequence[Window]],
    empty: Mapping[str, Tensor],
    batch_size: int = 64,
) -> Encoded:
    """Run a model's experts over the windows of N clips, windows of like length together.

    Args:
        model: In evaluation mode.
        clips: Windows of each.
        empty: By modality, a tensor without rows.
        batch_size: Windows at once.
    """
    names = model.config.modalities
    count = sum(map(len, clips))
    sizes = {name: int(model.experts[name].head.in_features) for name in names}  # type: ignore[union-attr, arg-type]
    features = {name: torch.zeros(count, size, dtype=torch.float32) for name, size in sizes.items()}
    caught: dict[str, Tensor] = {}

    def catch(name: str) -> Any:
        def hook(_: Any, inputs: tuple[Tensor, ...]) -> None:
            caught[name] = inputs[0].float().cpu()

        return hook

    def keep(rows: Sequence[int]) -> None:
        for name in list(caught):
            features[name][rows] = caught.pop(name)

    hooks = [model.experts[n].head.register_forward_pre_hook(catch(n)) for n in names]  # type: ignore[union-attr]
    try:
        evidence, mask, owner = evidence_of_all(model, clips, empty, batch_size, keep)
    finally:
        for hook in hooks:
            hook.remove()
    return Encoded(evidence, mask, features, owner, len(clips))
