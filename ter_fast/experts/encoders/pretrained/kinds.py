"""Which kind of media a backbone of Hugging Face transformers reads."""

from __future__ import annotations

import importlib
from typing import Any

AUDIO, IMAGE, VIDEO = "audio", "image", "video"
EXAMPLES = {
    AUDIO: "wav2vec2, hubert, wavlm, whisper, audio-spectrogram-transformer or wav2vec2-bert",
    IMAGE: "vit, dinov2, clip, convnext or resnet",
    VIDEO: "videomae, timesformer or vivit",
}
# Towers of larger models, which transformers lists under no task of their own.
_TOWERS = ("clip_vision_model", "siglip_vision_model", "siglip2_vision_model", "vit_mae", "deit")


def kind_of(config: Any) -> str:
    """Say what a model of this configuration reads: audio, image, video, text, or its type."""
    auto: Any = importlib.import_module("transformers.models.auto.modeling_auto")
    model_type = str(config.model_type)
    if model_type in auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES:
        return AUDIO
    if model_type in auto.MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING_NAMES:
        return VIDEO
    images = (auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, auto.MODEL_FOR_IMAGE_MAPPING_NAMES)
    if any(model_type in names for names in images) or model_type in _TOWERS:
        return IMAGE
    try:
        reads = auto.MODEL_MAPPING[type(config)].main_input_name
    except (KeyError, AttributeError):
        return model_type
    return "text" if reads == "input_ids" else model_type
