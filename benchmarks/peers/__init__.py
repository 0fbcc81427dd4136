"""What ter_fast is timed against: the published formulas, written out in plain torch.

They share nothing with the package: what both compute has to be the same before either is timed.
"""

from peers.decision import decide
from peers.dirichlet import evidential_loss, tmc_loss, uncertainty
from peers.fusion import closed_form, fuse, tmc_combine

__all__ = [
    "closed_form",
    "decide",
    "evidential_loss",
    "fuse",
    "tmc_combine",
    "tmc_loss",
    "uncertainty",
]
