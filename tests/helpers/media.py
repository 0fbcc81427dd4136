"""Writes small media files for tests, with PyAV: pictures that carry their number, known sound."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

BITS = 10
TICKS = 1000
PIXELS = {"mjpeg": "yuvj420p", "gif": "rgb8"}


def numbered(index: int, width: int = 160, height: int = 96) -> npt.NDArray[np.uint8]:
    """Draw a number as ten black or white bars above a grey half; `number_of` reads it back.

    Example:
        >>> number_of(numbered(300))
        300
    """
    picture = np.full((height, width, 3), 128, np.uint8)
    step = width // BITS
    for bit in range(BITS):
        picture[: height // 2, bit * step : (bit + 1) * step] = 255 * (index >> bit & 1)
    return picture


def number_of(picture: Any) -> int:
    """Read the number that `numbered` drew, from an upright (H, W, 3) picture of any size."""
    pixels = np.asarray(picture).astype(int)
    height, width = pixels.shape[:2]
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(pixels[height // 4, x].mean() > 128) << bit for bit, x in enumerate(centres))


def tone(seconds: float, rate: int, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    """Return a sine of amplitude 0.5, (samples,) float32."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def write_media(
    path: Path,
    *,
    frame_times: Sequence[float] = (),
    picture: Callable[[int], npt.NDArray[np.uint8]] = numbered,
    video_codec: str = "libx264",
    video_options: dict[str, str] | None = None,
    rotation: int = 0,
    sound: Sequence[tuple[float, npt.NDArray[np.float32]]] = (),
    audio_codec: str = "aac",
    rate: int = 48_000,
    channels: int = 1,
    second_sound: npt.NDArray[np.float32] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write pictures at given times and pieces of sound at given times.

    Args:
        path: Its ending chooses the container.
        frame_times: Seconds at which picture 0, 1, ... begins, in whole milliseconds.
        picture: Draws picture i, (H, W, 3) uint8.
        video_codec: An encoder of FFmpeg.
        video_options: Its options.
        rotation: Degrees counter-clockwise to store as the display rotation.
        sound: Pairs of a begin in seconds and samples (samples,) at `rate`.
        audio_codec: An encoder of FFmpeg.
        rate: Samples per second.
        channels: 1, or 2 with the same sound on both.
        second_sound: What a second sound track holds from the beginning on, (samples,) at `rate`.
        container_options: Options of the container.
    """
    with av.open(str(path), "w", options=container_options or {}) as out:
        streams = []
        if len(frame_times):
            first = picture(0)
            video = out.add_stream(video_codec, rate=25)
            assert isinstance(video, av.VideoStream)
            video.width, video.height = first.shape[1], first.shape[0]
            video.pix_fmt = PIXELS.get(video_codec, "yuv420p")
            # MPEG-1 and 2 know only the rates of television.
            fixed = video_codec.startswith(("mpeg1", "mpeg2"))
            video.codec_context.time_base = Fraction(1, 25 if fixed else TICKS)
            video.codec_context.options = video_options or {}
            if rotation:
                video.set_display_rotation(rotation)
            streams.append(video)
        if len(sound):
            audio = out.add_stream(
                audio_codec, rate=rate, layout="stereo" if channels == 2 else "mono"
            )
            assert isinstance(audio, av.AudioStream)
            streams.append(audio)
        if second_sound is not None:
            second = out.add_stream(audio_codec, rate=rate, layout="mono")
            assert isinstance(second, av.AudioStream)
        if len(frame_times):
            for index, time in enumerate(frame_times):
                frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
                frame.pts, frame.time_base = round(time * TICKS), Fraction(1, TICKS)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if len(sound):
            _encode_sound(out, audio, sound, rate, channels)
        if second_sound is not None:
            _encode_sound(out, second, [(0.0, second_sound)], rate, 1)
    return path


def _encode_sound(
    out: Any,
    stream: av.AudioStream,
    sound: Sequence[tuple[float, npt.NDArray[np.float32]]],
    rate: int,
    channels: int,
) -> None:
    layout = "stereo" if channels == 2 else "mono"
    for begin, samples in sound:
        block = 1024
        for first in range(0, len(samples), block):
            piece = np.repeat(samples[None, first : first + block], channels, axis=0)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(piece), format="fltp", layout=layout
            )
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = round(begin * rate) + first
            out.mux(stream.encode(frame))
    out.mux(stream.encode(None))
