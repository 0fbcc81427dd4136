"""`Expert`: one modality's encoder and evidential head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ter_fast.experts.config import ExpertConfig
from ter_fast.experts.encoders import build_encoder
from ter_fast.experts.out_of_distribution import OutOfDistributionGuard
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import evidence_from_logits


class Expert(nn.Module):
    """One modality's encoder and evidential head.

    e = scale * activation(W f + b), with the classes of the head put at their place among the
    model's classes; classes merged into one add their evidence.

    Where it has an out-of-distribution guard, its evidence is discounted by the weight w of the features f
    (see `ter_fast.experts.out_of_distribution`), except in training mode:

    e' = K w e / (S - w (S - K)),  that is b' = w b, u' = 1 - w (1 - u)

    That comes last, on the scaled evidence over the K classes of the model: w is then the share of belief
    that stays, and caps the evidence at K w / (1 - w). A scale put on
    afterwards would lift that cap, the more the more the expert was turned up.
    """

    scale: Tensor
    ood: OutOfDistributionGuard | None

    def __init__(self, config: ExpertConfig, labels: Sequence[str], activation: str) -> None:
        super().__init__()
        self.encoder = build_encoder(config.encoder, config.options)
        features: Any = self.encoder.out_features
        self.head = nn.Linear(features, len(config.labels), dtype=torch.float32)
        self.activation, self.classes = activation, len(labels)
        self.places = tuple(labels.index(label) for label in config.labels)
        self.register_buffer(
            "scale", torch.tensor(config.evidence_scale, dtype=torch.float32), persistent=False
        )
        guard = config.ood
        self.ood = (
            None
            if guard is None
            else OutOfDistributionGuard(guard.classes, features, guard.limit, guard.power)
        )

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return evidence `(B, K)` over the model's classes."""
        if not len(values):  # Fourier transforms and batch norms refuse a batch of none
            return self.head.weight.new_zeros((0, self.classes), dtype=torch.float32)
        features = self.encoder(values, lengths)
        logits = self.head(features).float()
        evidence = self.scale * evidence_from_logits(logits, self.activation)
        if self.places != tuple(range(self.classes)):
            places = torch.tensor(self.places, device=evidence.device)
            nothing = evidence.new_zeros(len(evidence), self.classes)
            evidence = nothing.index_add(1, places, evidence)
        if self.ood is None or self.training:
            return evidence
        weight = self.ood(features)
        # Of one opinion, the sum of evidence is itself: what remains is the discount.
        return fuse(evidence[None], "cumulative", discount=weight[None]).evidence
