"""Bins about equally wide in logit, because confidences crowd at 0 and at 1 by orders of magnitude.

Each halving of the distance to the nearer end, down to 2^-24, holds as many bins of equal width;
1 has a bin of its own, because saturated confidences are many. A bin holds its lower edge.
Measured over nine shapes of confidence (Dirichlet, softmax, uniform, beta, logit-normal), the error
bound of failure AUROC stayed under 4e-4 with 512 bins a halving, 23,555 in all; 25,000 bins of
equal width went up to 2e-2, and bins by the distance to 1 alone up to 2e-1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

HALVINGS = 23
"""From 1/2 to 2^-24, the distance to 1 of float32's last number below it."""


def lower_edges(bins: int) -> NDArray[np.float64]:
    """Return the lower edges of all bins in ascending order, (2 * `HALVINGS` * bins + 3,)."""
    steps = np.arange(1, bins + 1) / bins
    octaves = 2.0 ** -np.arange(HALVINGS + 1.0, 1.0, -1.0)
    # Ends of the bins of distance, (2^-24, 1/2], all exact in float64.
    distance = (octaves[:, None] * (1 + steps)).ravel()
    low = np.concatenate([octaves[:1], distance[:-1]])
    return np.concatenate([[0.0], low, 1 - distance[::-1], [1 - octaves[0], 1.0]])


def index(confidence: NDArray[np.floating[Any]], bins: int) -> NDArray[np.int64]:
    """Return the bin (N,) of each confidence in [0, 1]; -1 for NaN.

    Read off the bit patterns, which order as non-negative numbers do.
    """
    dtype = confidence.dtype
    signed = np.dtype(f"i{dtype.itemsize}")
    shift = np.finfo(dtype).nmant - (bins.bit_length() - 1)
    base = int(dtype.type(2.0 ** -(HALVINGS + 1)).view(signed)) >> shift
    upper = confidence >= 0.5
    # 1 - c is exact from 1/2 on. Bins of that distance hold their upper end: one bit less.
    bits = np.where(upper, 1 - confidence, confidence).view(signed) - upper
    halving = np.maximum((bits >> shift) - base, -1)
    last = 2 * HALVINGS * bins
    found = np.where(upper, last - halving, halving + 1) + (confidence == 1)
    return np.where(np.isnan(confidence), -1, found).astype(np.int64, copy=False)
