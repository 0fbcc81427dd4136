"""From logits to a trusted prediction, in closed form."""

from __future__ import annotations

from torch import Tensor

from benchmarks.peers.fusion import fuse

Decision = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""Probability, prediction, confidence, uncertainty, conflict, disagreement and trusted."""


def decide(logits: Tensor, threshold: float, limit: float) -> Decision:
    """Compute what `ter_fast.opinions.decision.decide` returns, with confidence one minus vacuity.

    Args:
        logits: `(V, B, K)`, turned into evidence by softplus.
        threshold: Lowest trusted confidence.
        limit: Highest trusted disagreement.
    """
    evidence, uncertainty, conflict, disagreement = fuse(logits, activation="softplus")
    probability = (evidence + 1) * (uncertainty / evidence.shape[-1]).unsqueeze(-1)
    confidence = 1 - uncertainty
    trusted = (confidence >= threshold) & (disagreement <= limit)
    prediction = evidence.argmax(-1)
    return probability, prediction, confidence, uncertainty, conflict, disagreement, trusted
