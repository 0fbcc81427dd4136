"""Stores pictures as one JPEG film strip and sound as FLAC, and reads both back."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.resampling import SAMPLE_RATE

_FULL_SCALE = 32768.0


def encode_strip(frames: Tensor, quality: int) -> bytes:
    """Store frames below one another in one JPEG, at full colour resolution.

    One header and one decoder call for all the frames of a window; with sides of whole 8 x 8
    blocks and no subsampling of colour, no frame touches a block of its neighbour.

    Args:
        frames: (T, H, W, 3) uint8 RGB.
        quality: 1 to 100.

    Example:
        >>> strip = encode_strip(torch.full((3, 16, 24, 3), 90, dtype=torch.uint8), 90)
        >>> tuple(decode_strip(strip, 3, "a strip").shape)
        (3, 16, 24, 3)
    """
    import cv2

    count, height, width, _ = frames.shape
    strip = frames.cpu().numpy().reshape(count * height, width, 3)
    options = [
        *(cv2.IMWRITE_JPEG_QUALITY, quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(strip, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise MediaError(f"OpenCV could not store {count} frames of {width} x {height} as a JPEG.")
    return bytes(encoded)


def decode_strip(content: bytes, count: int, where: str) -> Tensor:
    """Read the frames of a strip back, (T, H, W, 3) uint8 RGB.

    Args:
        content: What `encode_strip` returned.
        count: Its number of frames T.
        where: What to call it in an error.

    Raises:
        MediaError: It is no JPEG, or not one of as many frames.
    """
    import cv2

    strip = None
    if content and count:
        strip = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if strip is None or strip.shape[0] % count:
        raise MediaError(
            f"{where}: its pictures are no JPEG of {count} frames; prepare the shards again."
        )
    frames = cv2.cvtColor(strip, cv2.COLOR_BGR2RGB)
    return torch.from_numpy(frames.reshape(count, -1, *frames.shape[1:]))


def encode_sound(audio: Tensor) -> bytes:
    """Store (samples,) float32 in [-1, 1] at 16 kHz as 16-bit FLAC: at most 1.6e-5 off, or 3.1e-5 at +1.

    Example:
        >>> tone = torch.sin(torch.arange(16_000) * 0.1) / 2
        >>> float((decode_sound(encode_sound(tone), "a tone") - tone).abs().max()) < 1.6e-5
        True
    """
    import av

    samples = (audio.numpy() * _FULL_SCALE).round().clip(-_FULL_SCALE, _FULL_SCALE - 1)
    kept = io.BytesIO()
    # Bit-exact: without it FFmpeg writes its version into the file, and equal sounds would differ.
    with av.open(kept, "w", format="flac", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.codec_context.format = "s16"
        frame = av.AudioFrame.from_ndarray(
            samples.astype(np.int16)[None], format="s16", layout="mono"
        )
        frame.sample_rate, frame.pts = SAMPLE_RATE, 0
        blocks = av.AudioFifo()
        blocks.write(frame)
        for block in (*blocks.read_many(stream.codec_context.frame_size or 4096), blocks.read()):
            if block is not None:
                out.mux(stream.encode(block))
        out.mux(stream.encode(None))
    return kept.getvalue()


def decode_sound(content: bytes, where: str) -> Tensor:
    """Read a FLAC sound back, (samples,) float32 in [-1, 1] at 16 kHz.

    Args:
        content: What `encode_sound` returned.
        where: What to call it in an error.

    Raises:
        MediaError: It is no FLAC file.
    """
    import av

    blocks: list[npt.NDArray[np.int16]] = []
    try:
        with av.open(io.BytesIO(content), "r") as media:
            blocks = [frame.to_ndarray()[0] for frame in media.decode(audio=0)]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise MediaError(
            f"{where}: its sound is no FLAC ({error}); prepare the shards again."
        ) from error
    if not blocks:
        raise MediaError(f"{where}: its sound holds no samples; prepare the shards again.")
    return torch.from_numpy(np.concatenate(blocks).astype(np.float32) / np.float32(_FULL_SCALE))
