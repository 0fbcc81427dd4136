"""Corruptions of sound, pictures and what joins them: five severities each, the same bits by seed.

They are for measuring, not for training (see `ter_fast.media.augment`): a trustworthy model may err on
noise, but must then be less sure. `CORRUPTIONS` describes each of them, `register_corruption` adds
one, and `ter_fast.evaluate.robustness` measures a model under them. SciPy filters, and OpenCV scales, blurs
and compresses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.media.corrupt import audio, cross, video  # noqa: F401 - which register what they hold
from ter_fast.media.corrupt.apply import corrupt
from ter_fast.media.corrupt.suite import (
    CORRUPTIONS,
    KINDS,
    SEVERITIES,
    Corruption,
    chosen,
    register_corruption,
    suite,
)

if TYPE_CHECKING:
    from ter_fast.media.corrupt.files import corrupt_file
    from ter_fast.media.corrupt.tensors import corrupt_audio, corrupt_frames

__all__ = [
    "CORRUPTIONS", "KINDS", "SEVERITIES", "Corruption", "chosen", "corrupt", "corrupt_audio",
    "corrupt_file", "corrupt_frames", "register_corruption", "suite",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    # These need torch and the decoders; names of corruptions need neither.
    if name == "corrupt_file":
        from ter_fast.media.corrupt import files

        return files.corrupt_file
    if name in ("corrupt_audio", "corrupt_frames"):
        from ter_fast.media.corrupt import tensors

        return getattr(tensors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
