"""Films through DALI: NVDEC on the GPU, and on a CPU what DALI decodes there; sound through PyAV."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ter_fast.errors import MediaError
from ter_fast.media.decode.backends import open_file
from ter_fast.media.decode.dali import (
    DaliBatch,
    DaliSettings,
    build,
    explain_refusal,
    stream_of,
    to_batch,
)
from ter_fast.media.decode.dali_excerpt import (
    JOINED,
    Excerpt,
    NotForDaliError,
    excerpt,
    left_to_pyav,
)
from ter_fast.media.decode.dali_graph import Node, pad_rows, square_frames
from ter_fast.media.decode.pyav import PyAVMedia
from ter_fast.media.decode.reading import read
from ter_fast.media.features import longest_side
from ter_fast.media.threads import in_order

# A pipeline holds the sound of a film about five times over: an hour of it would fill a gigabyte.
_LONGEST = 1800.0


class FilmLoader:
    """Iterate over whole films in batches, one window each, as `ter_fast.media.decode.read` takes them.

    Pictures are picked by their number among the timestamps of the file, which are read without
    decoding: so a variable frame rate gives the same pictures as PyAV. What DALI does not decode goes
    through PyAV and then the same pipeline, and its record's ``note`` says why. A film that cannot be
    read has length 0 and says why in its record's ``error``.

    Args:
        paths: Media files.
        frames: Pictures sampled from each.
        settings: Sizes and device; of every `num_shards` films it reads the one at `shard_id`.
            `threads` read films ahead, and as many CPU threads belong to the pipeline.
        audio: Whether to decode the sound.
        video: Whether to decode the pictures.

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
        *,
        audio: bool = True,
        video: bool = True,
    ) -> None:
        """Keep what to read; nothing is opened yet."""
        self.settings = settings or DaliSettings()
        self.paths = [str(p) for p in paths][self.settings.shard_id :: self.settings.num_shards]
        self.frames = frames
        self.audio = audio
        self.video = video

    def __len__(self) -> int:
        """Return the number of batches."""
        return (len(self.paths) + self.settings.batch_size - 1) // self.settings.batch_size

    def __iter__(self) -> Iterator[DaliBatch]:
        """Yield the batches in the order of the paths; the last may be smaller."""
        with closing(in_order(self._row, self.paths, workers=self.settings.threads)) as rows:
            fed: deque[list[_Row]] = deque()
            ahead = self._in_batches(rows)
            pipeline = build(_film_nodes, self.settings, _feed(ahead, fed))
            for _ in range(len(self)):
                try:
                    nodes = list(pipeline.run(stream_of(self.settings)))
                except RuntimeError as error:
                    # A pipeline that failed is of no more use, and does not say at which film: those
                    # of the batch go through PyAV, and what was fed beyond it is fed again.
                    why = left_to_pyav(error)
                    repaired = [
                        row if row.film is None else self._by_pyav(row.record["path"], why)
                        for row in fed.popleft()
                    ]
                    ahead = chain([repaired], fed, ahead)
                    fed = deque()
                    pipeline = build(_film_nodes, self.settings, _feed(ahead, fed))
                    try:
                        nodes = list(pipeline.run(stream_of(self.settings)))
                    except RuntimeError as again:
                        raise explain_refusal(again) from again
                done = fed.popleft()
                yield to_batch(nodes, len(done), tuple(row.record for row in done))

    def _in_batches(self, rows: Iterator[_Row]) -> Iterator[list[_Row]]:
        while part := list(islice(rows, self.settings.batch_size)):
            yield part

    def _row(self, path: str | Path) -> _Row:
        name = str(path)
        try:
            return _read_or_explain(name, self._cut) or self._by_pyav(name, "")
        except NotForDaliError as why:
            return self._by_pyav(name, left_to_pyav(why))

    def _cut(self, path: str) -> _Row | None:
        """Cut out what DALI decodes, and decode the sound; None leaves all of it to PyAV."""
        with open_file(path, None, "exact", 1) as opened:
            if not isinstance(opened, PyAVMedia):
                raise JOINED
            media = opened
            info = media.info
            if self.video and media.display.aspect != 1:
                raise NotForDaliError("its pixels are not square")
            plain = info.has_video and not info.is_image and 0 < info.duration <= _LONGEST
            if not (self.video and plain):
                return None
            centres = [(i + 0.5) * info.duration / self.frames for i in range(self.frames)]
            film = excerpt(media, centres, self.settings.device)
            if film is None:
                return None
            clip = media.read(0.0, info.duration, [], audio=self.audio, video=False, max_side=None)
            sound = None if clip.audio is None else clip.audio.numpy()
            record = _record(path, (film.times - info.start).tolist(), note=clip.note)
            return _Row(record, film, sound=sound)

    def _by_pyav(self, path: str, note: str) -> _Row:
        return _read_or_explain(path, partial(self._read, note=note))

    def _read(self, path: str, note: str) -> _Row:
        with open_file(path, None, "exact", 1) as media:
            side = longest_side(media.info, self.settings.size)
            if media.info.duration > _LONGEST:
                raise MediaError(
                    f"{path}: {media.info.duration:.0f} s are too long for a batch through DALI (at most "
                    f"{_LONGEST:.0f} s); read it with ter_fast.media.decode.windows."
                )
        clip = read(
            path, frames=self.frames, audio=self.audio, video=self.video, max_side=side, threads=1
        )
        times = [] if clip.times is None else clip.times.tolist()
        pictures = None if clip.frames is None else np.ascontiguousarray(clip.frames.numpy())
        sound = None if clip.audio is None else clip.audio.numpy()
        said = "; ".join(filter(None, [clip.note, note]))
        return _Row(_record(path, times, note=said), None, pictures, sound)


@dataclass(frozen=True)
class _Row:
    """One film on its way into the pipeline: cut out for DALI, or decoded by PyAV."""

    record: dict[str, Any]
    film: Excerpt | None = None
    pictures: npt.NDArray[np.uint8] | None = None
    sound: npt.NDArray[np.float32] | None = None

    def inputs(self) -> tuple[npt.NDArray[Any], ...]:
        """Return what `_film_nodes` takes; what is missing is empty."""
        film = self.film
        return (
            np.zeros(0, np.uint8) if film is None else film.film,
            np.zeros(0, np.int32) if film is None else film.numbers,
            np.zeros((0, 1, 1, 3), np.uint8) if self.pictures is None else self.pictures,
            np.zeros(0, np.float32) if self.sound is None else self.sound,
        )


_Given = TypeVar("_Given", _Row, _Row | None)


def _read_or_explain(path: str, read: Callable[[str], _Given]) -> _Given | _Row:
    """Return what is read of a film, or a row that says why nothing is."""
    try:
        return read(path)
    except NotForDaliError:
        raise
    except MediaError as error:
        return _Row(_record(path, error=str(error)))
    except Exception as error:  # a decoder's own complaint about one film
        why = f"{path} could not be read ({type(error).__name__}: {error}); check the file"
        return _Row(_record(path, error=why))


def _record(
    path: str, times: Sequence[float] = (), *, error: str = "", note: str = ""
) -> dict[str, Any]:
    return {"path": path, "times": list(times), "error": error, "note": note}


def _feed(
    batches: Iterator[list[_Row]], fed: deque[list[_Row]]
) -> Iterator[tuple[list[npt.NDArray[Any]], ...]]:
    """Yield the inputs of batch after batch, and keep what was fed until its batch is handed over."""
    for rows in batches:
        fed.append(rows)
        yield tuple(list(column) for column in zip(*(row.inputs() for row in rows), strict=True))


def _film_nodes(settings: DaliSettings, feed: Iterator[tuple[list[Any], ...]]) -> tuple[Node, ...]:
    from nvidia.dali import fn, types

    given: Any = fn.external_source(
        source=feed,
        num_outputs=4,
        dtype=[types.UINT8, types.INT32, types.UINT8, types.FLOAT],
        ndim=[1, 1, 4, 1],
        layout=["", "", "FHWC", ""],
    )
    film, numbers, decoded, sound = given
    if film.shape()[0] > 0:
        decoder = "mixed" if settings.device == "gpu" else "cpu"
        frames = fn.decoders.video(film, frames=numbers, device=decoder, pad_mode="none")
        pictures = square_frames(frames, settings)
    elif decoded.shape()[0] > 0:
        frames = decoded.gpu() if settings.device == "gpu" else decoded
        pictures = square_frames(frames, settings)
    else:
        blank = np.zeros((1, settings.channels, settings.size, settings.size), np.uint8)
        pictures = fn.reshape(types.Constant(blank, device=settings.device), layout="FCHW")
    count = numbers.shape()[0] + decoded.shape()[0]
    samples = sound.shape()[0]
    # A spectrogram of nothing is an error: one sample at least.
    heard = fn.pad(sound, axes=[0], shape=[1])
    if settings.device == "gpu":
        heard = heard.gpu()
    return pad_rows(pictures, count, heard, samples, settings)
