"""Pictures by DALI, everything else by PyAV: the backend `dali` of `ter_fast.media.decode`.

DALI decodes with NVDEC where torch sees a GPU, and what its CPU decoder takes elsewhere. A pipeline
belongs to an open file, as a decoder of PyAV does: on a CPU it is built in about 2 ms, far less than
a window takes, it goes with the file, and nothing is shared between threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from nvidia.dali import __version__, fn, pipeline_def, types
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from ter_fast.media.clip import Clip
from ter_fast.media.decode.backends import Media, Sampling, check_sampling
from ter_fast.media.decode.dali_excerpt import (
    CPU_CODECS,
    GPU_CODECS,
    JOINED,
    Excerpt,
    NotForDaliError,
    default_device,
    excerpt,
    left_to_pyav,
)
from ter_fast.media.decode.pyav import PyAVMedia
from ter_fast.media.decode.pyav_joined import open_parts


def offer() -> str:
    """Say what DALI decodes on this machine."""
    gpu = default_device() == "gpu"
    codecs = (codec for codec in (GPU_CODECS if gpu else CPU_CODECS) if "dav1d" not in codec)
    where = "the GPU (NVDEC)" if gpu else "the CPU, as torch sees no GPU"
    return f"DALI {__version__}, pictures on {where}: {', '.join(codecs)}; all else, and the sound, by PyAV"


def open_media(path: str, *, sampling: Sampling = "exact", threads: int | None = None) -> Media:
    """Open a file for `ter_fast.media.decode`.

    Times are those of PyAV. Colours differ by the conversion from YUV, and scaled pictures by the
    filter (triangular instead of area).

    Args:
        path: An existing, readable, non-empty file.
        sampling: "exact"; the way to DALI is not made for key frames.
        threads: CPU threads of the pipeline and of PyAV; None for one, and as many as PyAV likes.

    Raises:
        MediaError: As for PyAV; also where key frames are asked for.

    Example:
        >>> open_media(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """
    check_sampling("dali", sampling)
    return open_parts(DaliMedia(path, sampling, threads), left_to_pyav(JOINED))


class DaliMedia(PyAVMedia):
    """Keep a media file open between reads.

    Sound, photographs and whatever DALI does not decode as PyAV does (on a CPU all but VP8, VP9 and
    Motion JPEG; turned pictures; timestamps that do not tell; damage that DALI stops at) are left to
    PyAV. Where DALI should have decoded pictures and did not, the clip's note says why.

    Example:
        >>> DaliMedia(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """

    _pipeline: Any = None

    def read(
        self,
        start: float,
        end: float,
        times: Sequence[float],
        *,
        audio: bool,
        video: bool,
        max_side: int | None,
    ) -> Clip:
        """Return the pictures shown at `times` and the sound of [start, end)."""
        if not video or self._video is None or self.info.is_image:
            return super().read(start, end, times, audio=audio, video=video, max_side=max_side)
        try:
            cut = excerpt(self, times, default_device())
            frames = None if cut is None else self._decode(cut, max_side)
        except (NotForDaliError, RuntimeError) as error:
            clip = super().read(start, end, times, audio=audio, video=video, max_side=max_side)
            return replace(clip, note="; ".join(filter(None, [clip.note, left_to_pyav(error)])))
        clip = super().read(start, end, times, audio=audio, video=False, max_side=max_side)
        if cut is None or frames is None:
            return clip
        return replace(clip, frames=frames, times=torch.from_numpy(cut.times - self.info.start))

    def close(self) -> None:
        """Close the file, and end the pipeline's threads."""
        self._pipeline = None
        super().close()

    def _decode(self, cut: Excerpt, max_side: int | None) -> Tensor:
        """Return (T, H, W, 3) uint8 pictures on the device that decoded them."""
        if self._pipeline is None:
            self._pipeline = _pipeline(default_device(), self.threads or 1)
        width, height = self.info.width or 1, self.info.height or 1
        scale = 1.0 if max_side is None else min(1.0, max_side / max(width, height))
        size = [max(1, round(height * scale)), max(1, round(width * scale))]
        try:
            for name, value in (
                ("film", cut.film),
                ("numbers", cut.numbers),
                ("size", np.array(size, np.float32)),
            ):
                self._pipeline.feed_input(name, [value])
            # On torch's stream, so that DALI's memory is not filled again while torch works on it.
            stream = torch.cuda.current_stream() if default_device() == "gpu" else None
            (pictures,) = self._pipeline.run(stream)
        except RuntimeError:
            # DALI does not go on with a pipeline that has failed.
            self._pipeline = None
            raise
        frames = from_dlpack(pictures.as_tensor())[0]
        if frames.shape != (len(cut.numbers), *size, 3):
            raise NotForDaliError(f"DALI gave pictures of another shape, {tuple(frames.shape)}")
        return frames


def _pipeline(device: str, threads: int) -> Any:
    define = pipeline_def(
        batch_size=1,
        num_threads=threads,
        device_id=torch.cuda.current_device() if device == "gpu" else None,
        prefetch_queue_depth=1,
        # New outputs for each run, which torch may keep.
        exec_dynamic=True,
    )
    pipeline = define(_nodes)(device)
    pipeline.build()
    return pipeline


def _nodes(device: str) -> Any:
    film = fn.external_source(name="film", dtype=types.UINT8, ndim=1)
    numbers = fn.external_source(name="numbers", dtype=types.INT32, ndim=1)
    size = fn.external_source(name="size", dtype=types.FLOAT, ndim=1)
    frames = fn.decoders.video(
        film, frames=numbers, device="mixed" if device == "gpu" else "cpu", pad_mode="none"
    )
    return fn.resize(frames, size=size, interp_type=types.INTERP_LINEAR, antialias=True)
