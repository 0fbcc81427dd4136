"""Trusted multimodal emotion recognition: evidence, fusion, and knowing when not to answer."""

from typing import TYPE_CHECKING

from ter_fast import _ops, losses, metrics, thresholds
from ter_fast.clip import Clip
from ter_fast.config import ExpertConfig, ModelConfig, TrustedThreshold, VideoInput
from ter_fast.decision import Decision, decide
from ter_fast.encoders import register_encoder
from ter_fast.errors import DataError, MediaError, ModelError, TerFastError
from ter_fast.features import Batch
from ter_fast.fusion import fuse
from ter_fast.modalities import read_vectors, register_modality
from ter_fast.model import Model
from ter_fast.opinion import Opinion, evidence_from_logits
from ter_fast.prediction import Prediction, Predictions
from ter_fast.uncertainty import DirichletUncertainty, uncertainty

if TYPE_CHECKING:
    from ter_fast.multiview import TrustedClassifier

_ops.warn_if_uncompiled()

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Clip",
    "DataError",
    "Decision",
    "DirichletUncertainty",
    "ExpertConfig",
    "MediaError",
    "Model",
    "ModelConfig",
    "ModelError",
    "Opinion",
    "Prediction",
    "Predictions",
    "TerFastError",
    "TrustedClassifier",
    "TrustedThreshold",
    "VideoInput",
    "__version__",
    "decide",
    "evidence_from_logits",
    "fuse",
    "losses",
    "metrics",
    "read_vectors",
    "register_encoder",
    "register_modality",
    "thresholds",
    "uncertainty",
]


def __getattr__(name: str) -> object:
    # scikit-learn takes a second to load, and most who import the package do not need it.
    if name == "TrustedClassifier":
        from ter_fast.multiview import TrustedClassifier

        return TrustedClassifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
