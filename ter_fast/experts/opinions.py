"""What a model's configuration makes of its experts' evidence: opinions, and the thresholds they meet."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ter_fast.experts.config import ModelConfig
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import Opinion


def opinions_of(
    config: ModelConfig, evidence: Tensor, mask: Tensor, discount: Tensor | None = None
) -> tuple[Opinion, dict[str, Opinion]]:
    """Fuse `(V, B, K)` evidence under a `(V, B)` mask: the fused opinion and each modality's own.

    The fused opinion, its conflict and its disagreement are of the opinions discounted by each
    modality's reliability, also where one modality is all there is; each modality's own opinion is
    what its expert says, not discounted.

    Args:
        config: Of the model.
        evidence: Of its experts.
        mask: True where a modality is present.
        discount: `(V,)` reliabilities in place of the configuration's, such as those being learned.
    """
    kind = config.confidence
    each = {
        name: Opinion(view, confidence_kind=kind)
        for name, view in zip(config.modalities, evidence, strict=True)
    }
    weights = config.discount if discount is None else discount
    return fuse(evidence, config.rule, mask, weights).with_confidence(kind), each


def thresholds_of(config: ModelConfig, mask: Tensor) -> Tensor | None:
    """Return the threshold of each row of a `(V, B)` mask, `(B,)`: NaN where there is none; None without any."""
    if not config.thresholds:
        return None
    found = torch.full(mask.shape[1:], math.nan, dtype=torch.float64, device=mask.device)
    for names, record in config.thresholds.items():
        wanted = [name in names.split("+") for name in config.modalities]
        here = (mask == torch.tensor(wanted, device=mask.device)[:, None]).all(0)
        found[here] = record.threshold
    return found
