"""Trusted multimodal emotion recognition: evidence, fusion, and knowing when not to answer."""

from typing import TYPE_CHECKING

from ter_fast.data.modalities import read_vectors, register_modality
from ter_fast.errors import DataError, MediaError, ModelError, TerFastError
from ter_fast.experts.config import ExpertConfig, ModelConfig, VideoInput
from ter_fast.experts.encoders.registry import register_encoder
from ter_fast.media.clip import Clip
from ter_fast.media.features import Batch
from ter_fast.model import Model
from ter_fast.opinions import _ops, losses
from ter_fast.opinions.decision import Decision, decide
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import Opinion, evidence_from_logits
from ter_fast.opinions.uncertainty import DirichletUncertainty, uncertainty
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.trust import metrics, thresholds
from ter_fast.trust.trusted_threshold import TrustedThreshold

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
