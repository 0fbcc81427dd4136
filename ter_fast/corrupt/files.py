"""A corrupted copy of a media file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from ter_fast import decode
from ter_fast.clip import SAMPLE_RATE, Clip, MediaInfo
from ter_fast.corrupt.suite import corrupt
from ter_fast.errors import MediaError
from ter_fast.prediction import write_atomically

if TYPE_CHECKING:
    from ter_fast.faces import FaceCropper

PIECE_SECONDS = 10.0
"""Sound and pictures that are in memory at once, in seconds: a piece is corrupted by itself."""

_SOUND = {".wav": "pcm_s16le", ".flac": "flac", ".mkv": "flac", ".mp4": "aac"}
_FILM = (".mkv", ".mp4")
_TICKS = 90_000
_FRAME_RATE = 25.0


def corrupt_file(
    source: str | Path,
    target: str | Path,
    name: str,
    severity: int,
    *,
    seed: int = 0,
    others: Sequence[Tensor] = (),
    cropper: FaceCropper | None = None,
) -> Path:
    """Write a corrupted copy of a media file, all of it or nothing, in constant memory.

    Pictures are compressed as H.264 at a quality beyond what the eye sees (CRF 12), sound is 16 kHz
    mono, without loss but in .mp4 (AAC). So the copy is what `corrupt` makes, up to the coding.

    Args:
        source: any file that FFmpeg reads.
        target: ends in .mkv or .mp4; or in .wav or .flac, for the sound alone.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: another seed, other noise.
        others: the sound of other clips, for "babble" and "other_sound".
        cropper: finds the face that "occlusion" hides.

    Returns:
        The target.

    Raises:
        MediaError: the source cannot be read, the target has another ending, or would hold nothing.
        TerFastError: the target cannot be written.
        DataError: as for `corrupt`.

    Example:
        >>> corrupt_file("nowhere.mp4", "noisy.mkv", "babble", 3)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
    """
    import av

    goal = Path(target)
    if goal.suffix.lower() not in _SOUND:
        raise MediaError(f"{goal} ends in none of {', '.join(_SOUND)}; choose one of these.")
    info = decode.probe(source)
    film = goal.suffix.lower() in _FILM
    if not info.has_audio and not (film and info.has_video):
        raise MediaError(f"{source} has no sound to write to {goal}; choose .mkv or .mp4.")

    def write(place: Path) -> None:
        try:
            with _Writer(str(place), goal.suffix.lower()) as writer:
                for piece in _pieces(source, info, film):
                    change = partial(corrupt, seed=seed, others=others, cropper=cropper)
                    writer.add(change(piece, name, severity))
                if writer.empty:
                    raise MediaError(f"{source}: nothing is left to write to {goal}.")
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{goal} cannot be written ({error}); choose another ending or folder."
            ) from error

    write_atomically(goal, write)
    return goal


def _pieces(source: str | Path, info: MediaInfo, film: bool) -> Iterator[Clip]:
    """Yield every picture and all the sound, some seconds at a time."""
    video = film and info.has_video
    rate = info.frame_rate or _FRAME_RATE
    # A last piece may be a quarter longer; more samples than pictures find no picture twice.
    frames = math.ceil(1.5 * rate * PIECE_SECONDS)
    yield from decode.windows(
        source, seconds=PIECE_SECONDS, frames=frames, audio=info.has_audio, video=video
    )


class _Writer:
    """Encode clips one after another into one file."""

    def __init__(self, path: str, suffix: str) -> None:
        import av

        self._out: Any = av.open(path, "w")
        self._suffix = suffix
        self._sound: Any = None
        self._film: Any = None
        self.empty = True

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                for stream in (self._film, self._sound):
                    if stream is not None:
                        self._out.mux(stream.encode(None))
        finally:
            self._out.close()

    def add(self, clip: Clip) -> None:
        """Write a clip; the streams are those of the first."""
        if self.empty:
            self._begin(clip)
        if self._film is not None and clip.frames is not None and clip.times is not None:
            self._add_pictures(clip)
        if self._sound is not None and clip.audio is not None:
            self._add_sound(clip)

    def _begin(self, clip: Clip) -> None:
        if clip.frames is not None and self._suffix in _FILM:
            height, width = (side - side % 2 for side in clip.frames.shape[1:3])
            self._film = self._out.add_stream("libx264", rate=25, options={"crf": "12"})
            self._film.width, self._film.height = max(2, width), max(2, height)
            self._film.pix_fmt = "yuv420p"
            self._film.codec_context.time_base = Fraction(1, _TICKS)
        if clip.audio is not None:
            self._sound = self._out.add_stream(
                _SOUND[self._suffix], rate=SAMPLE_RATE, layout="mono"
            )
        self.empty = self._film is None and self._sound is None

    def _add_pictures(self, clip: Clip) -> None:
        import av

        assert clip.frames is not None
        assert clip.times is not None
        for picture, time in zip(clip.frames.numpy(), clip.times.tolist(), strict=True):
            even = np.ascontiguousarray(picture[: self._film.height, : self._film.width])
            frame = av.VideoFrame.from_ndarray(even, format="rgb24")
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            self._out.mux(self._film.encode(frame))

    def _add_sound(self, clip: Clip) -> None:
        import av

        assert clip.audio is not None
        whole = (clip.audio.numpy() * 32767).round().clip(-32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = round(clip.start * SAMPLE_RATE)
        self._out.mux(self._sound.encode(frame))
