"""Several encoders of one modality side by side: the features of an ensemble of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ter_fast.experts.encoders.registry import build_encoder, register_encoder


@register_encoder("ensemble")
class Ensemble(nn.Module):
    """Encoders side by side: features [f_1, …, f_M] / M.

    A linear layer [W_1, …, W_M] on them gives the mean of the logits that each member's layer gives.

    Args:
        members: Of each member its "encoder" and its "options".

    Raises:
        ValueError: No members.

    Reference:
        Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
        ensembles", 2017, for members trained apart; Genest and Zidek, "Combining probability
        distributions", 1986, for the mean of logits (the logarithmic opinion pool).
    """

    def __init__(self, members: Sequence[Mapping[str, Any]]) -> None:
        super().__init__()
        if not members:
            raise ValueError("an ensemble needs members, each with its encoder and options")
        self.members = nn.ModuleList(
            build_encoder(member["encoder"], member["options"]) for member in members
        )
        self.out_features = sum(int(getattr(member, "out_features")) for member in self.members)  # noqa: B009

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode what the members encode, to `(B, out_features)`."""
        features = [member(values, lengths) for member in self.members]
        return torch.cat(features, -1) / len(self.members)
