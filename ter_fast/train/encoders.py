"""Encoders from short descriptions, and how they want pictures taken."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ter_fast.errors import ModelError
from ter_fast.experts.config import VideoInput
from ter_fast.experts.encoders.pretrained import wanted_video
from ter_fast.experts.network import DEFAULT_ENCODERS

Encoders = Mapping[str, tuple[str, Mapping[str, Any]]]


def parse_encoders(
    given: Sequence[str], modalities: Sequence[str], channels: int = 1
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the encoder of each modality: those given, else the built-in ones.

    Args:
        given: Entries such as "audio=hf_audio:facebook/wav2vec2-base", "video=frame_cnn" or
            "face=vector_mlp:size=35,width=64".
        modalities: What the model reads.
        channels: Of the pictures that the built-in encoder of frames reads.

    Raises:
        ModelError: An entry of another form or for a modality that the model does not read, or a
            modality without an encoder.

    Example:
        >>> parse_encoders(["audio=hf_audio:folder"], ["audio"], 1)
        {'audio': ('hf_audio', {'name': 'folder'})}
        >>> parse_encoders(["face=vector_mlp:size=35"], ["face"], 1)
        {'face': ('vector_mlp', {'size': 35})}
    """
    encoders: dict[str, tuple[str, dict[str, Any]]] = {}
    for text in given:
        modality, _, encoder = text.partition("=")
        encoder, colon, options = encoder.partition(":")
        if not modality or not encoder or "," in encoder or (colon and not options):
            raise ModelError(
                f"--encoder {text!r}: expected MODALITY=ENCODER or MODALITY=ENCODER:NAME,OPTION=VALUE, such "
                "as audio=hf_audio:facebook/wav2vec2-base or face=vector_mlp:size=35"
            )
        if modality not in modalities:
            raise ModelError(
                f"--encoder {text!r}: the model reads {' and '.join(modalities)}, not {modality}"
            )
        encoders[modality] = (encoder, _options(options) if options else {})
    for modality in modalities:
        if modality not in encoders and modality in DEFAULT_ENCODERS:
            encoders[modality] = (DEFAULT_ENCODERS[modality], {})
        elif modality not in encoders:
            raise ModelError(
                f"there is no built-in encoder for {modality}; give --encoder {modality}=ENCODER, or leave it out "
                "by --modalities"
            )
    if encoders.get("video") == ("frame_cnn", {}):
        encoders["video"] = ("frame_cnn", {"channels": channels})
    return {name: encoders[name] for name in modalities}


def _options(text: str) -> dict[str, Any]:
    """Return what stands behind the colon: a name that may come first, and options."""
    options: dict[str, Any] = {}
    for part in re.split(r",(?=[A-Za-z_]\w*=)", text):
        key, equals, value = part.partition("=")
        if not equals or not key.isidentifier():
            options["name"] = part
            continue
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options


def video_input(
    encoders: Encoders,
    frames: int | None = None,
    size: int | None = None,
    color: bool = False,
    faces: str = "detect",
) -> VideoInput:
    """Return how pictures are taken: as asked for, else as the encoder of "video" wants them.

    Args:
        encoders: By modality, the name and options of a registered encoder.
        frames: Of a window.
        size: Side of the square frame in pixels.
        color: RGB, whatever the encoder wants.
        faces: "detect" or "whole".

    Example:
        >>> video_input({"video": ("frame_cnn", {})}, frames=8).frames
        8
    """
    wanted = wanted_video(encoders) or VideoInput()
    return VideoInput(
        frames or wanted.frames, size or wanted.size, 3 if color else wanted.channels, faces
    )
