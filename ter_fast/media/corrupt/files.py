"""A corrupted copy of a media file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip, MediaInfo
from ter_fast.media.corrupt.apply import corrupt
from ter_fast.media.files import write_atomically
from ter_fast.media.resampling import SAMPLE_RATE

if TYPE_CHECKING:
    from ter_fast.media.faces.cropper import FaceCropper

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
        source: Any file that FFmpeg reads.
        target: Ends in .mkv or .mp4; or in .wav or .flac, for the sound alone.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Another seed, other noise.
        others: The sound of other clips, for corruptions that are made of it.
        cropper: Finds faces, for corruptions of them.

    Returns:
        The target.

    Raises:
        MediaError: The source cannot be read, the target has another ending, or would hold nothing.
        TerFastError: The target cannot be written.
        DataError: As for `corrupt`.

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
    film = goal.suffix.lower() in _FILM and info.has_video
    if not info.has_audio and not film:
        raise MediaError(f"{source} has no sound to write to {goal}; choose .mkv or .mp4.")
    change = partial(
        corrupt, name=name, severity=severity, seed=seed, others=others, cropper=cropper
    )

    def write(place: Path) -> None:
        try:
            hold = _copy(place, goal.suffix.lower(), info, change, film, info.has_audio)
            if hold == (False, False):
                raise MediaError(f"{source}: nothing is left to write to {goal}.")
            if hold != (film, info.has_audio):
                # A track of nothing would pass for pictures or sound; what is in it is known at the end.
                _copy(place, goal.suffix.lower(), info, change, *hold)
        except av.error.FFmpegError as error:
            raise MediaError(
                f"{goal} cannot be written ({error}); choose another ending or folder."
            ) from error

    write_atomically(goal, write)
    return goal


def _copy(
    place: Path,
    suffix: str,
    info: MediaInfo,
    change: Callable[[Clip], Clip],
    film: bool,
    sound: bool,
) -> tuple[bool, bool]:
    """Write a file with a track of pictures, of sound or both; return which of them hold anything."""
    with _Writer(str(place), suffix, info, film, sound) as writer:
        for piece in _pieces(info, film, sound):
            writer.add(change(piece))
    return writer.seen, writer.heard


def _pieces(info: MediaInfo, film: bool, sound: bool) -> Iterator[Clip]:
    """Yield every picture and all the sound, some seconds at a time."""
    rate = info.frame_rate or _FRAME_RATE
    # A last piece may be a quarter longer; more samples than pictures find no picture twice.
    frames = math.ceil(1.5 * rate * PIECE_SECONDS)
    yield from decode.windows(
        info.path, seconds=PIECE_SECONDS, frames=frames, audio=sound, video=film
    )


class _Writer:
    """Encode clips one after another into one file.

    Its tracks are laid before the first clip, since pictures or sound may begin after it.

    Attributes:
        seen: There was a picture.
        heard: There was sound.
    """

    def __init__(self, path: str, suffix: str, info: MediaInfo, film: bool, sound: bool) -> None:
        import av

        self.seen = self.heard = False
        self._film: Any = None
        self._sound: Any = None
        self._out: Any = av.open(path, "w")
        try:
            if film:
                self._film = self._out.add_stream("libx264", rate=25, options={"crf": "12"})
                self._film.width, self._film.height = (
                    max(2, (side or 2) // 2 * 2) for side in (info.width, info.height)
                )
                self._film.pix_fmt = "yuv420p"
                self._film.codec_context.time_base = Fraction(1, _TICKS)
            if sound:
                self._sound = self._out.add_stream(_SOUND[suffix], rate=SAMPLE_RATE, layout="mono")
        except BaseException:
            self._out.close()
            raise

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
        """Write a clip; silence where it has no sound, so that later sound stays in its place."""
        if self._film is not None and clip.frames is not None and clip.times is not None:
            self._add_pictures(clip.frames.cpu().numpy(), clip.times.tolist())
            self.seen = True
        if self._sound is not None:
            self.heard = self.heard or clip.audio is not None
            silence = np.zeros(round(SAMPLE_RATE * clip.duration), np.float32)
            self._add_sound(silence if clip.audio is None else clip.audio.numpy(), clip.start)

    def _add_pictures(self, pictures: NDArray[np.uint8], times: Sequence[float]) -> None:
        import av

        width, height = self._film.width, self._film.height
        for picture, time in zip(pictures, times, strict=True):
            # H.264 takes even sides, so that one row or column may be left out.
            odd = picture.shape[0] - height in (0, 1) and picture.shape[1] - width in (0, 1)
            whole = picture[:height, :width] if odd else picture
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(whole), format="rgb24")
            if not odd:
                # Some streams change their size on the way, which a track cannot.
                frame = frame.reformat(width=width, height=height)
            frame.pts, frame.time_base = round(time * _TICKS), Fraction(1, _TICKS)
            self._out.mux(self._film.encode(frame))

    def _add_sound(self, samples: NDArray[np.float32], start: float) -> None:
        import av

        whole = (samples * 32767).round().clip(-32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(whole[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = SAMPLE_RATE, Fraction(1, SAMPLE_RATE)
        frame.pts = round(start * SAMPLE_RATE)
        self._out.mux(self._sound.encode(frame))
