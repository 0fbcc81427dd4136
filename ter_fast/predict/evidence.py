"""From windows to evidence: what the experts say of them, and the mean over a clip's windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ter_fast.experts.network import Network
from ter_fast.experts.out_of_distribution import collect_ood_weights
from ter_fast.media.features import collate
from ter_fast.media.memory import release
from ter_fast.predict.source import Window


@dataclass(frozen=True)
class Evidence:
    """Evidence of N clips, by modality.

    Attributes:
        values: `(V, N, K)`, zero where masked.
        mask: `(V, N)` bool, True where the modality is present.
    """

    values: Tensor
    mask: Tensor


def window_mean(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Average over the windows in which a modality is present: the evidence of a clip.

    A mean and not a sum, so that length alone makes nothing more certain.

    Args:
        values: `(..., W, K)` of W windows.
        mask: `(..., W)` bool, True where the modality is present.

    Returns:
        The mean `(..., K)`, zero without any such window, and `(...)` bool, True where there is one.

    Example:
        >>> values = torch.tensor([[2.0, 0.0], [4.0, 2.0], [9.0, 9.0]])
        >>> window_mean(values, torch.tensor([True, True, False]))
        (tensor([3., 1.]), tensor(True))
    """
    count = mask.sum(-1)
    total = values.masked_fill(~mask[..., None], 0).sum(-2)
    return total / count.clamp_min(1)[..., None], count > 0


def clip_mean(values: Tensor, mask: Tensor, owner: Tensor, clips: int) -> tuple[Tensor, Tensor]:
    """Take `window_mean` of each of N clips.

    Args:
        values: `(V, W, K)` of the windows of all clips, clip after clip.
        mask: `(V, W)` bool.
        owner: `(W,)` number of each window's clip.
        clips: N.

    Returns:
        The means `(V, N, K)`, and their mask `(V, N)`.
    """
    sizes = torch.bincount(owner, minlength=clips)
    first = sizes.cumsum(0) - sizes
    means = values.new_zeros(len(values), clips, values.shape[-1])
    there = mask.new_zeros(len(values), clips)
    # Clips of as many windows are averaged at once, without padding, which would change
    # the order of the sum.
    for size in set(sizes.tolist()):
        chosen = torch.nonzero(sizes == size)[:, 0]
        windows = first[chosen][:, None] + torch.arange(size)
        means[:, chosen], there[:, chosen] = window_mean(values[:, windows], mask[:, windows])
    return means, there


def clip_evidence(
    model: Network,
    clips: Sequence[Sequence[Window]],
    empty: Mapping[str, Tensor],
    batch_size: int = 16,
) -> Evidence:
    """Run the experts over the windows of N clips: the clips' evidence, on the CPU."""
    return Evidence(*clip_mean(*evidence_of_all(model, clips, empty, batch_size), len(clips)))


@torch.no_grad()
def evidence_of_all(
    model: Network,
    clips: Sequence[Sequence[Window]],
    empty: Mapping[str, Tensor],
    batch_size: int,
    after: Callable[[Sequence[int]], None] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the experts over the windows of N clips, windows of like length together.

    Args:
        model: In evaluation mode.
        clips: Windows of each.
        empty: By modality, a tensor without rows.
        batch_size: Windows at once.
        after: Called after each batch with the numbers of its windows.

    Returns:
        Of all W windows, clip after clip and on the CPU: Evidence `(V, W, K)`, mask `(V, W)`, and the
        number of the clip `(W,)`.
    """
    flat = [(owner, window) for owner, windows in enumerate(clips) for window in windows]
    order = sorted(range(len(flat)), key=lambda place: flat[place][1].length)
    shape = len(model.config.modalities), len(flat)
    evidence = torch.zeros(*shape, len(model.config.labels), dtype=torch.float32)
    mask = torch.zeros(shape, dtype=torch.bool)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        values, there = window_evidence(model, [flat[row][1] for row in rows], empty)
        evidence[:, rows], mask[:, rows] = values.cpu(), there.cpu()
        if after is not None:
            after(rows)
        release()
    owner = torch.tensor([owner for owner, _ in flat], dtype=torch.int64)
    return evidence, mask, owner


def evidence_by_window(
    model: Network, windows: Sequence[Window], empty: Mapping[str, Tensor]
) -> list[tuple[Tensor, Tensor, dict[str, float]]]:
    """Run the experts over B windows at once, and collect the OOD weights of each.

    Returns:
        By window, on the CPU: Evidence `(V, K)`, mask `(V,)` bool, and the OOD weight by present modality.
    """
    with collect_ood_weights(dict(model.experts.items())) as weights:
        values, mask = window_evidence(model, windows, empty)
    shares = {name: weight.tolist() for name, weight in weights.items()}
    names = model.config.modalities
    return [
        # A view would keep the whole batch in memory for as long as the prediction.
        (
            value.clone(),
            present.clone(),
            {
                n: shares[n][row]
                for n, is_present in zip(names, present.tolist(), strict=True)
                if is_present and n in shares
            },
        )
        for row, (value, present) in enumerate(
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
        nothing = torch.zeros(*shape, len(model.config.labels), dtype=torch.float32, device=device)
        return nothing, torch.zeros(shape, dtype=torch.bool, device=device)
    return model.evidence(collate([window.values for window in windows], empty).to(device))
