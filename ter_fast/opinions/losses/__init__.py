"""Losses on opinions: how well a Dirichlet predicts a label, and how honest its confidence is.

`evidential_loss` and its kernels, what later papers proposed (`focal_loss`, `fisher_loss`,
`relaxed_loss`), and `TrustedCELoss`, which joins one of them with trust over all modalities.
"""

from ter_fast.opinions.losses.evidential import KINDS, evidential_loss, kl_to_uniform
from ter_fast.opinions.losses.trusted import LOSSES, TrustedCELoss
from ter_fast.opinions.losses.variants import fisher_loss, focal_loss, relaxed_loss

__all__ = [
    "KINDS",
    "LOSSES",
    "TrustedCELoss",
    "evidential_loss",
    "fisher_loss",
    "focal_loss",
    "kl_to_uniform",
    "relaxed_loss",
]
