"""Encoders: from the sound, pictures or numbers of a window to features.

Importing this package registers the built-in ones.
"""

from ter_fast.experts.encoders import cnn, ensemble, pretrained, voice
from ter_fast.experts.encoders.registry import ENCODERS, build_encoder, register_encoder

__all__ = [
    "ENCODERS",
    "build_encoder",
    "cnn",
    "ensemble",
    "pretrained",
    "register_encoder",
    "voice",
]
