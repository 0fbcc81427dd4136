"""Films through DALI: NVDEC on the GPU, and on a CPU what DALI decodes there; sound through PyAV."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ter_fast import decode
from ter_fast.decode.dali import DaliBatch, DaliSettings, build, handed_over, refused
from ter_fast.decode.dali_graph import Node, padded, square_frames
from ter_fast.errors import MediaError

CPU_CODECS = ("vp8", "vp9", "mjpeg")
"""What DALI decodes without a GPU."""

_LONGEST_SHOWN = 1.0

_Inputs = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32], npt.NDArray[np.float32]]


class FilmLoader:
    """Iterate over whole films in batches, one window each, as `ter_fast.decode.read` takes them.

    Pictures are picked by their number among the timestamps of the file, which are read without
    decoding: so a variable frame rate gives the same pictures as PyAV. A film that cannot be read
    has length 0 and says why in its record's ``error``.

    Args:
        paths: Media files.
        frames: Pictures sampled from each.
        settings: Sizes and device; of every `num_shards` films it reads the one at `shard_id`.

    Raises:
        MediaError: DALI is not installed, or cannot use the device.

    Example:
        >>> len(FilmLoader(["a.mp4", "b.mp4", "c.mp4"], settings=DaliSettings(batch_size=2)))
        2
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        frames: int = 16,
        settings: DaliSettings | None = None,
    ) -> None:
        """Keep what to read; nothing is opened yet."""
        self.settings = settings or DaliSettings()
        self.paths = [str(p) for p in paths][self.settings.shard_id :: self.settings.num_shards]
        self.frames = frames

    def __len__(self) -> int:
        """Return the number of batches."""
        return (len(self.paths) + self.settings.batch_size - 1) // self.settings.batch_size

    def __iter__(self) -> Iterator[DaliBatch]:
        """Yield the batches in the order of the paths; the last may be smaller."""
        records: deque[dict[str, Any]] = deque()
        pipeline = build(_film_nodes, self.settings, self._feed(records))
        for number in range(len(self)):
            try:
                nodes = list(pipeline.run())
            except RuntimeError as error:
                raise refused(error) from error
            left = len(self.paths) - number * self.settings.batch_size
            count = min(left, self.settings.batch_size)
            yield handed_over(nodes, count, tuple(records.popleft() for _ in range(count)))

    def _feed(self, records: deque[dict[str, Any]]) -> Iterator[tuple[list[Any], ...]]:
        for begin in range(0, len(self.paths), self.settings.batch_size):
            rows = []
            for path in self.paths[begin : begin + self.settings.batch_size]:
                record: dict[str, Any] = {"path": path, "times": [], "error": ""}
                try:
                    rows.append(_inputs(path, self.frames, self.settings.device, record))
                except MediaError as error:
                    record["error"] = str(error)
                    rows.append(_nothing())
                except Exception as error:  # a decoder's own complaint about one film
                    record["error"] = (
                        f"{path} could not be read ({type(error).__name__}: {error}); check the file"
                    )
                    rows.append(_nothing())
                records.append(record)
            yield tuple(list(column) for column in zip(*rows, strict=True))


def picture_numbers(
    times: npt.NDArray[np.float64], duration: float, count: int
) -> npt.NDArray[np.int32]:
    """Number the pictures shown at the centres of `count` equal parts of a film, each once.

    Args:
        times: (N,) ascending seconds at which pictures begin.
        duration: Seconds.
        count: How many to sample.

    Example:
        >>> picture_numbers(np.array([0.0, 1.0, 2.0, 3.0]), 4.0, 2).tolist()
        [1, 3]
    """
    wanted = (np.arange(count) + 0.5) * duration / count
    longest = max(_LONGEST_SHOWN, float(np.diff(times).max(initial=0.0)))
    near = (wanted >= times[0] - _LONGEST_SHOWN) & (wanted <= times[-1] + longest)
    shown = np.searchsorted(times, wanted[near], side="right") - 1
    return np.unique(shown.clip(0)).astype(np.int32)


def _inputs(path: str, count: int, device: str, record: dict[str, Any]) -> _Inputs:
    info = decode.probe(path)
    film, numbers, sound = _nothing()
    if info.has_video and info.rotation:
        raise MediaError(
            f"{path} is stored turned by {info.rotation} degrees, which DALI does not undo; decode "
            "it with PyAV."
        )
    if info.has_video and device == "cpu" and info.video_codec not in CPU_CODECS:
        raise MediaError(
            f"{path} is {info.video_codec}, which DALI decodes only on a GPU (on a CPU: "
            f"{', '.join(CPU_CODECS)}); decode it with PyAV."
        )
    if info.has_audio:
        clip = decode.read(path, video=False)
        sound = sound if clip.audio is None else clip.audio.numpy()
    if info.has_video and not info.is_image:
        times = _picture_times(path) - info.start
        numbers = picture_numbers(times, info.duration, count) if len(times) else numbers
        if len(numbers):
            film = np.fromfile(path, np.uint8)
            record["times"] = times[numbers].tolist()
    return film, numbers, sound


def _picture_times(path: str) -> npt.NDArray[np.float64]:
    import av

    with av.open(path) as media:
        packets = media.demux(video=0)
        stamps = [float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base]
    return np.unique(np.array(stamps))


def _nothing() -> _Inputs:
    return np.zeros(0, np.uint8), np.zeros(0, np.int32), np.zeros(0, np.float32)


def _film_nodes(settings: DaliSettings, feed: Iterator[tuple[list[Any], ...]]) -> tuple[Node, ...]:
    from nvidia.dali import fn, types

    given: Any = fn.external_source(
        source=feed, num_outputs=3, dtype=[types.UINT8, types.INT32, types.FLOAT], ndim=[1, 1, 1]
    )
    film, numbers, sound = given
    if film.shape()[0] > 0:
        decoder = "mixed" if settings.device == "gpu" else "cpu"
        frames = fn.decoders.video(film, frames=numbers, device=decoder)
        pictures = square_frames(frames, settings)
    else:
        blank = np.zeros((1, settings.channels, settings.size, settings.size), np.uint8)
        pictures = fn.reshape(types.Constant(blank, device=settings.device), layout="FCHW")
    samples = sound.shape()[0]
    # A spectrogram of nothing is an error: one sample at least.
    heard = fn.pad(sound, axes=[0], shape=[1])
    if settings.device == "gpu":
        heard = heard.gpu()
    return padded(pictures, numbers.shape()[0], heard, samples, settings)
