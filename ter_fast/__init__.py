"""Trusted multimodal emotion recognition: evidence, fusion, and knowing when not to answer."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ter_fast.data.modalities import read_vectors, register_modality
    from ter_fast.errors import DataError, MediaError, ModelError, TerFastError
    from ter_fast.experts.config import ExpertConfig, ModelConfig, VideoInput
    from ter_fast.experts.encoders.registry import register_encoder
    from ter_fast.media.clip import Clip
    from ter_fast.media.features import Batch
    from ter_fast.model import Model
    from ter_fast.multiview import TrustedClassifier
    from ter_fast.opinions import losses
    from ter_fast.opinions.decision import Decision, decide
    from ter_fast.opinions.fusion import fuse
    from ter_fast.opinions.opinion import Opinion, evidence_from_logits
    from ter_fast.opinions.uncertainty import DirichletUncertainty, uncertainty
    from ter_fast.predict.prediction import Prediction, Predictions
    from ter_fast.trust import metrics, thresholds
    from ter_fast.trust.trusted_threshold import TrustedThreshold

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

# Public names load when they are first asked for: torch takes seconds, which `ter-fast --help` and
# whoever needs only a part should not wait for. Type checkers read the imports above instead.
_HOMES = {
    "Batch": "ter_fast.media.features",
    "Clip": "ter_fast.media.clip",
    "DataError": "ter_fast.errors",
    "Decision": "ter_fast.opinions.decision",
    "DirichletUncertainty": "ter_fast.opinions.uncertainty",
    "ExpertConfig": "ter_fast.experts.config",
    "MediaError": "ter_fast.errors",
    "Model": "ter_fast.model",
    "ModelConfig": "ter_fast.experts.config",
    "ModelError": "ter_fast.errors",
    "Opinion": "ter_fast.opinions.opinion",
    "Prediction": "ter_fast.predict.prediction",
    "Predictions": "ter_fast.predict.prediction",
    "TerFastError": "ter_fast.errors",
    "TrustedClassifier": "ter_fast.multiview",
    "TrustedThreshold": "ter_fast.trust.trusted_threshold",
    "VideoInput": "ter_fast.experts.config",
    "decide": "ter_fast.opinions.decision",
    "evidence_from_logits": "ter_fast.opinions.opinion",
    "fuse": "ter_fast.opinions.fusion",
    "read_vectors": "ter_fast.data.modalities",
    "register_encoder": "ter_fast.experts.encoders.registry",
    "register_modality": "ter_fast.data.modalities",
    "uncertainty": "ter_fast.opinions.uncertainty",
}
_MODULES = (
    *("data", "errors", "evaluate", "experts", "losses", "media", "metrics", "model", "multiview"),
    *("opinions", "predict", "thresholds", "train", "trust"),
)

if not TYPE_CHECKING:
    # Hidden from type checkers, who would take every misspelt name for one that this resolves.
    def __getattr__(name: str) -> object:
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        elif name in _MODULES:
            value = import_module(f"ter_fast.{name}")
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # The next access finds it without a call.
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
