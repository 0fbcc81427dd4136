"""From a labelled sample to the files that a shard stores of it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ter_fast.data.shards.codec import encode_sound, encode_strip
from ter_fast.data.shards.crops import crop
from ter_fast.data.shards.settings import ShardSettings, dump_json
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip, join_sound

if TYPE_CHECKING:
    from ter_fast.data import Sample
    from ter_fast.media.faces.cropper import FaceCropper

# Faces are looked for at up to 640 pixels; more than twice that only costs memory.
_LONGEST_SIDE = 1280


def windows(sample: Sample, settings: ShardSettings, modalities: tuple[str, ...]) -> Iterator[Clip]:
    """Decode a sample's windows, its sound possibly from its own file.

    Args:
        sample: A media file, or a picture that lies inside a table.
        settings: Length of a window, and frames in each.
        modalities: What to decode: ``"audio"``, ``"video"`` or both.

    Raises:
        MediaError: The sample cannot be read, or holds nothing of that.

    Example:
        >>> from ter_fast.data import Sample
        >>> next(windows(Sample("nowhere.wav", "fear", "", "1"), ShardSettings(), ("audio",)))
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.wav does not exist; check the path.
    """
    if sample.image is not None:
        yield _picture(sample.path, sample.image)
        return
    audio, video = "audio" in modalities, "video" in modalities
    apart = sample.attributes.get("audio_path") if audio else None
    cut = partial(
        decode.windows,
        seconds=settings.window_seconds,
        frames=settings.frames,
        max_side=settings.size if settings.crop == "whole" else _LONGEST_SIDE,
    )
    if apart is not None and not video:
        yield from cut(apart, audio=True, video=False)
        return
    start, end = sample.span or (0.0, None)
    pictures = cut(sample.path, start=start, end=end, audio=audio and apart is None, video=video)
    if apart is None:
        yield from pictures
        return
    yield from join_sound(pictures, cut(apart, audio=True, video=False))


def encode_windows(
    sample: Sample,
    settings: ShardSettings,
    modalities: tuple[str, ...],
    finder: FaceCropper | None,
    facts: dict[str, Any],
) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    """Decode, crop and compress a sample: for each window its entry and its files by ending.

    ``jpg`` is the film strip, ``times.npy`` its frames' times, ``flac`` the sound, and ``json``
    the entry with `facts`. A window lacks what the clip lacks.

    Raises:
        MediaError: The sample cannot be read, or no window of it holds anything.
    """
    if sample.attributes.get("crop") == "face" and settings.crop == "face":
        settings, finder = replace(settings, crop="centre"), None
    kept, notes = [], []
    for number, clip in enumerate(windows(sample, settings, modalities)):
        cropped, note = crop(clip, settings, finder)
        parts: dict[str, bytes] = {}
        times: list[float] = []
        if cropped.frames is not None and cropped.times is not None:
            times = cropped.times.tolist()
            parts["jpg"] = encode_strip(cropped.frames, settings.quality)
            parts["times.npy"] = _array(np.asarray(times))
        if cropped.audio is not None and cropped.audio.numel():
            parts["flac"] = encode_sound(cropped.audio)
        entry = {
            "window": number,
            "start": clip.start,
            "end": clip.end,
            "times": times,
            "note": "; ".join(filter(None, (clip.note, note))),
        }
        notes.append(note)
        kept.append((entry, {**parts, "json": dump_json({**facts, **entry})}))
    if all(set(parts) == {"json"} for _, parts in kept):
        reason = next(filter(None, notes), "it holds neither pictures nor sound")
        raise MediaError(f"{sample.name}: {reason}; check the file")
    return kept


def _array(values: np.ndarray[Any, Any]) -> bytes:
    kept = io.BytesIO()
    np.save(kept, values, allow_pickle=False)
    return kept.getvalue()


def _picture(path: str, content: bytes) -> Clip:
    import cv2

    picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise MediaError(f"{path} is not a picture that OpenCV reads; check the table")
    return Clip.from_arrays(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), path=path)
