"""What a folder of prepared shards looks like: its settings, its files, and their errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ter_fast.errors import DataError

FORMAT = "ter_fast shards 1"
"""Written into every index; another value is another layout."""

MANIFEST = "manifest.json"
"""The file that closes a finished folder of shards; without it, the folder is not finished."""

CROPS = ("face", "centre", "whole")
BLOCK = 8
"""Side of JPEG's blocks in pixels: frames of whole blocks do not leak into each other."""

_MOST_ROWS = 65_000
_OF_MANIFEST = (
    "plan", "name", "labels", "terms", "modalities", "known_overlap", "settings", "shards", "failed",
)  # fmt: skip
_OF_INDEX = ("plan", "bytes", "sha256", "clips", "failed")


@dataclass(frozen=True)
class ShardSettings:
    """How clips are cut, cropped and stored.

    Attributes:
        crop: ``"face"`` (the largest face, its box smoothed over time), ``"centre"`` (the centre
            square) or ``"whole"`` (the whole picture).
        size: Side of the stored square in pixels; of a whole picture, its longest side. A
            multiple of 8.
        frames: Pictures sampled from each window.
        window_seconds: Length of a window, in seconds.
        quality: JPEG quality, 1 to 100.
        clips_per_shard: Most clips that one tar holds.
        smoothing: Standard deviation, in seconds, of the Gaussian that smooths face boxes; 0 for
            none.
        margin: Added around a face on each side, as a fraction of the longer side of its box.
        seed: Of the order in which clips are spread over the shards.

    Raises:
        DataError: A value is out of range; the message names it and what is allowed.

    Example:
        >>> ShardSettings(crop="nose")
        Traceback (most recent call last):
        ter_fast.errors.DataError: crop='nose'; expected one of ['face', 'centre', 'whole'].
    """

    crop: str = "face"
    size: int = 112
    frames: int = 16
    window_seconds: float = 10.0
    quality: int = 90
    clips_per_shard: int = 128
    smoothing: float = 0.25
    margin: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no reader could use."""
        if self.crop not in CROPS:
            raise DataError(f"crop={self.crop!r}; expected one of {list(CROPS)}.")
        if self.size < 16 or self.size % BLOCK:
            raise DataError(
                f"size={self.size}; expected a multiple of {BLOCK} pixels, at least 16 (such as "
                f"{max(16, round(self.size / BLOCK) * BLOCK)})."
            )
        if self.frames < 1 or self.frames * self.size > _MOST_ROWS:
            raise DataError(
                f"frames={self.frames} of size={self.size}; expected at least 1 frame and at most "
                f"{_MOST_ROWS // self.size}, for a JPEG has at most {_MOST_ROWS} rows."
            )
        if not 0 < self.window_seconds <= 3600 or not 1 <= self.quality <= 100:
            raise DataError(
                f"window_seconds={self.window_seconds}, quality={self.quality}; expected a window "
                "of up to 3600 s and a quality of 1 to 100."
            )
        if self.clips_per_shard < 1 or not self.smoothing >= 0 or not self.margin >= 0:
            raise DataError(
                f"clips_per_shard={self.clips_per_shard}, smoothing={self.smoothing}, "
                f"margin={self.margin}; expected at least 1 clip and no negative number."
            )


def digest(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys.

    Example:
        >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
        True
    """
    return hashlib.sha256(dump_json(value)).hexdigest()


def dump_json(value: Any) -> bytes:
    """Write a JSON value as the same bytes every time."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogateescape")


def settings_record(settings: ShardSettings) -> dict[str, Any]:
    """Return the settings as they stand in a manifest."""
    return asdict(settings)


def read_json(path: Path) -> dict[str, Any]:
    """Read an index or a manifest.

    Raises:
        DataError: It is missing, unreadable, damaged, or of another layout; the message names it
            and says what to do.

    Example:
        >>> read_json(Path("nowhere/manifest.json"))
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/manifest.json cannot be read (No such file or ...
    """
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Give a folder that `ter-fast data prepare` "
            "has finished."
        ) from error
    except ValueError as error:
        raise DataError(
            f"{path} is damaged ({error}). Remove it and run `ter-fast data prepare` again."
        ) from error
    if not isinstance(value, Mapping) or value.get("format") != FORMAT:
        raise DataError(
            f"{path} is not of the layout {FORMAT!r}. Give a folder that this version's "
            "`ter-fast data prepare` wrote."
        )
    for name in _OF_MANIFEST if path.name == MANIFEST else _OF_INDEX:
        if name not in value:
            raise DataError(
                f"{path} is damaged (no {name!r}). Remove it and run `ter-fast data prepare` again."
            )
    return dict(value)
