"""What this installation can do: versions, kernels, CUDA, decoders and the face detector, and why."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import asdict
from typing import Any

import torch

from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.faces.cropper import default_face_model
from ter_fast.opinions import _ops


def information() -> dict[str, Any]:
    """Return versions and backends as plain values, which JSON can hold.

    Example:
        >>> values = information()
        >>> values["kernels"]["name"] != "", list(values)[:3]
        (True, ['python', 'platform', 'versions'])
    """
    names = (
        "ter_fast",
        "torch",
        "numpy",
        "numba",
        "av",
        "torchcodec",
        "opencv-python-headless",
        "lightning",
        "pandas",
        "pyarrow",
    )
    versions: dict[str, str | None] = {}
    for name in names:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    choice = decode.choose()
    face_model, without = None, "give --face-model, or run: ter-fast data fetch-models"
    try:
        face_model = default_face_model()
    except MediaError as error:
        # What is wrong here is what this is asked for.
        without = str(error)
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions,
        "kernels": asdict(_ops.backend()),
        "cuda": {
            "available": torch.cuda.is_available(),
            "torch_built_for": torch.version.cuda,
            "kernels": asdict(_ops.backend("cuda")),
        },
        "decode": {
            "backend": choice.name,
            "why": choice.why,
            "backends": [asdict(state) for state in decode.states()],
        },
        "face_model": None if face_model is None else str(face_model),
        "face_model_why": without if face_model is None else "",
    }
