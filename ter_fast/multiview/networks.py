"""Networks of several members that learn side by side, one network a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn


class MemberLinear(nn.Module):
    """Apply to each member's rows a linear layer of its own: `(M, B, in)` to `(M, B, out)`.

    One batched product serves all members, so five small networks cost little more than one.

    Example:
        >>> MemberLinear(5, 3, 2)(torch.zeros(5, 7, 3)).shape
        torch.Size([5, 7, 2])
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        """Draw weights as `torch.nn.Linear` does."""
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(
            torch.empty(members, inputs, outputs, dtype=torch.float32).uniform_(-bound, bound)
        )
        self.bias = nn.Parameter(
            torch.empty(members, 1, outputs, dtype=torch.float32).uniform_(-bound, bound)
        )

    def forward(self, values: Tensor) -> Tensor:
        """Return weight and bias applied to each member's rows."""
        return torch.baddbmm(self.bias, values, self.weight)


def view_network(
    members: int, inputs: int, hidden: Sequence[int | float], classes: int, dropout: float
) -> nn.Sequential:
    """Build the network of one view: `(M, B, inputs)` features to `(M, B, classes)` logits.

    Args:
        members: Networks side by side, M.
        inputs: Features of the view.
        hidden: Widths of hidden layers: whole numbers, or fractions as multiples of `inputs`.
        classes: K.
        dropout: Share of hidden units that are left out in training.

    Example:
        >>> view_network(1, 4, (8, 8), 3, 0.1)(torch.zeros(1, 5, 4)).shape
        torch.Size([1, 5, 3])
    """
    widths = [
        int(w) if isinstance(w, (int, np.integer)) else max(1, round(w * inputs)) for w in hidden
    ]
    sizes = [inputs, *widths]
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [MemberLinear(members, before, after), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, MemberLinear(members, sizes[-1], classes))
