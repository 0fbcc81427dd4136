"""Registered operators over the compiled kernels.

Device, dtype, shape and contiguity are settled here, once. A kernel takes addresses and sizes; what
it computes is written down in `ter_fast.opinions.reference`, which also runs wherever no kernel does.
"""

from ter_fast.opinions._ops.decision import predict
from ter_fast.opinions._ops.dirichlet import uncertainty
from ter_fast.opinions._ops.fusion import fuse, fuse_packed
from ter_fast.opinions._ops.loss import evidential_loss
from ter_fast.opinions._ops.native import Backend, backend, is_watched, warn_if_uncompiled

__all__ = [
    "Backend",
    "backend",
    "evidential_loss",
    "fuse",
    "fuse_packed",
    "is_watched",
    "predict",
    "uncertainty",
]

# Once, by whichever part of the package first loads the operators.
warn_if_uncompiled()
