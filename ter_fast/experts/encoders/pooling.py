"""From the features of many steps to those of a whole: attentive pooling over time."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class AttentivePooling(nn.Module):
    """Average features over time with learned weights w_t = softmax_t(q . f_t + c).

    mean_d = sum_t w_t f_td and, where asked for, deviation_d = sqrt(sum_t w_t (f_td - mean_d)^2) beside it.

    The query starts at 0, so an encoder that has only ever seen one step (pictures) averages evenly
    when it meets many (video), instead of by weights that nothing trained.

    Reference:
        Okabe, Koshinaka & Shinoda, "Attentive statistics pooling", 2018, eq. 1-6 (without the hidden layer).
    """

    def __init__(self, features: int, deviation: bool = False) -> None:
        super().__init__()
        self.deviation = deviation
        self.score = nn.Linear(features, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, features: Tensor, valid: Tensor) -> Tensor:
        """Pool `(B, T, D)` over the steps where `valid` `(B, T)` to float32 `(B, D)`, or `(B, 2 D)`.

        A row without a valid step has mean 0.
        """
        # In float32 also under mixed precision: a deviation is a small difference of large sums.
        features = features.float()
        score = self.score(features).squeeze(-1).float().masked_fill(~valid, -1e30)
        weight = (torch.softmax(score, -1) * valid).unsqueeze(-1)
        mean = (weight * features).sum(1)
        if not self.deviation:
            return mean
        variance = (weight * (features - mean.unsqueeze(1)).square()).sum(1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], -1)
