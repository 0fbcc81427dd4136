"""From windows to evidence: what the experts say of them, and the one mean over a clip's windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ter_fast.experts.network import Network
from ter_fast.experts.out_of_distribution import noted_familiarity
from ter_fast.media.features import collate
from ter_fast.media.memory import release
from ter_fast.predict.windows import Window


@dataclass(frozen=True)
class Evidence:
    """Evidence of N clips, by modality.

    Attributes:
        values: `(V, N, K)`, zero where masked.
        mask: `(V, N)` bool, True where the modality is present.
    """

    values: Tensor
    mask: Tensor


@torch.no_grad()
def clip_evidence(
    model: Network,
    clips: Sequence[Sequence[Window]],
    empty: dict[str, Tensor],
    batch_size: int = 16,
) -> Evidence:
    """Run the experts over the windows of N clips: the clips' evidence.

    A clip's evidence for a modality is the mean over the windows where it is present, so that length
    alone makes nothing more certain. Windows of like length are run together.
    """
    flat = [(owner, window) for owner, windows in enumerate(clips) for window in windows]
    flat.sort(key=lambda pair: pair[1].length)
    device = next(model.parameters()).device
    shape = (len(model.config.modalities), len(clips))
    total = torch.zeros(*shape, len(model.config.labels), device=device)
    count = torch.zeros(shape, device=device)
    for begin in range(0, len(flat), batch_size):
        part = flat[begin : begin + batch_size]
        values, mask = window_evidence(model, [window for _, window in part], empty)
        owner = torch.tensor([each for each, _ in part], device=device)
        total.index_add_(1, owner, values)
        count.index_add_(1, owner, mask.to(count.dtype))
        release()
    return Evidence(total / count.clamp_min(1)[..., None], count > 0)


def noted_evidence(
    model: Network, windows: Sequence[Window], empty: Mapping[str, Tensor]
) -> list[tuple[Tensor, Tensor, dict[str, float]]]:
    """Run the experts over B windows at once, and note how familiar each is to them.

    Returns:
        By window, on the CPU: evidence `(V, K)`, mask `(V,)` bool, and familiarity by present modality.
    """
    with noted_familiarity(dict(model.experts.items())) as weights:
        values, mask = window_evidence(model, windows, empty)
    shares = {name: weight.tolist() for name, weight in weights.items()}
    names = model.config.modalities
    return [
        # A view would keep the whole batch in memory for as long as the prediction.
        (
            value.clone(),
            there.clone(),
            {
                n: shares[n][row]
                for n, here in zip(names, there.tolist(), strict=True)
                if here and n in shares
            },
        )
        for row, (value, there) in enumerate(
            zip(values.cpu().unbind(1), mask.cpu().unbind(1), strict=True)
        )
    ]


@torch.no_grad()
def window_evidence(
    model: Network, windows: Sequence[Window], empty: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Run the experts over B windows at once: evidence `(V, B, K)` and mask `(V, B)`."""
    device = next(model.parameters()).device
    if not empty:
        shape = (len(model.config.modalities), len(windows))
        nothing = torch.zeros(*shape, len(model.config.labels), device=device)
        return nothing, torch.zeros(shape, dtype=torch.bool, device=device)
    return model.evidence(collate([each.values for each in windows], empty).to(device))
