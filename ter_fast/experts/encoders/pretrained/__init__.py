"""Pretrained models of Hugging Face transformers as encoders: `hf_audio`, `hf_image`, `hf_video`.

They need `pip install 'ter_fast[hf]'`; transformers is imported when one of them is built.
"""

from __future__ import annotations

from ter_fast.experts.encoders.pretrained.audio import PretrainedAudio
from ter_fast.experts.encoders.pretrained.base import (
    PretrainedEncoder,
    complete_config,
    wanted_video,
)
from ter_fast.experts.encoders.pretrained.pictures import PretrainedImage, PretrainedVideo

__all__ = [
    "PretrainedAudio",
    "PretrainedEncoder",
    "PretrainedImage",
    "PretrainedVideo",
    "complete_config",
    "wanted_video",
]
