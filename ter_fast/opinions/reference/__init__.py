"""The pure-torch twin of every kernel: their specification, and the fallback where none is built.

Everything here is differentiable by torch's own autograd, so the gradient of a kernel is held to
the same contract as its value.
"""

from ter_fast.opinions.reference.dirichlet import (
    FIELDS,
    digamma_remainder,
    evidential_loss,
    kl_to_uniform,
    lgamma_remainder,
    uncertainty,
)
from ter_fast.opinions.reference.fusion import (
    MAX_EXP_EVIDENCE,
    Fused,
    Predicted,
    activate,
    fuse,
    predict,
)

__all__ = [
    "FIELDS",
    "MAX_EXP_EVIDENCE",
    "Fused",
    "Predicted",
    "activate",
    "digamma_remainder",
    "evidential_loss",
    "fuse",
    "kl_to_uniform",
    "lgamma_remainder",
    "predict",
    "uncertainty",
]
