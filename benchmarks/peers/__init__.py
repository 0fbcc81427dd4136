"""What ter_fast is timed against: the published formulas, written out in plain torch.

They share nothing with the package: what both compute has to be the same before either is timed. Only the
classifiers in `multiview`, which are compared and not timed, take networks and training from ours.
"""

from benchmarks.peers.decision import decide
from benchmarks.peers.dirichlet import evidential_loss, tmc_loss, uncertainty
from benchmarks.peers.fusion import closed_form, fuse, tmc_combine

__all__ = [
    "closed_form",
    "decide",
    "evidential_loss",
    "fuse",
    "tmc_combine",
    "tmc_loss",
    "uncertainty",
]
