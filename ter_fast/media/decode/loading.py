"""Many clips as batches of tensors, decoded in a thread for each clip."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.decode.backends import Sampling, check_sampling, choose, open_file
from ter_fast.media.decode.reading import read
from ter_fast.media.features import Batch, collate, longest_side, resize_frames
from ter_fast.media.threads import in_order, worker_count

_Values = tuple[dict[str, Tensor | None], str, str]


@dataclass(frozen=True)
class ClipBatch:
    """Hold B clips as tensors.

    Attributes:
        paths: The B files.
        batch: `audio` (B, samples) float32 at 16 kHz, `video` (B, T, 3, size, size) uint8, padded;
            a modality that a file lacks has length 0.
        errors: Why a file could not be read, (B,); "" where it was.
        notes: What a reader should know of a file, as `Clip.note` says it, (B,); "" for nothing.
    """

    paths: tuple[str, ...]
    batch: Batch
    errors: tuple[str, ...]
    notes: tuple[str, ...]


def batches(
    paths: Sequence[str | Path],
    *,
    batch_size: int = 16,
    frames: int = 16,
    size: int = 224,
    audio: bool = True,
    video: bool = True,
    sampling: Sampling = "exact",
    workers: int | None = None,
    backend: str | None = None,
) -> Iterator[ClipBatch]:
    """Decode files in threads and yield them in order, `batch_size` at a time.

    The short side of a picture is scaled to `size` and the centre square is kept. A file that
    cannot be read costs only itself. At most two batches and two clips a worker are in memory.

    The backend "dali" decodes, scales and cuts whole batches in one pipeline, on torch's current GPU
    where it sees one, and the tensors stay there; what it leaves to PyAV goes through the same
    pipeline, and its note says why. It makes two batches ahead, and holds the sampled pictures of a
    batch at their full size before they are scaled: with 16 films of 16 pictures, 0.7 GB at 720
    lines.

    Args:
        paths: Files that FFmpeg reads, each a clip of at most four hours.
        batch_size: Clips in a batch; the last may have fewer.
        frames: How many pictures to sample in each.
        size: Side of the square pictures in pixels.
        audio: Whether to decode the sound.
        video: Whether to decode the pictures.
        sampling: "exact" or "keyframe", as for `read`.
        workers: Clips decoded at once, each on a core; None for one per core, at most 8.
        backend: A name in `BACKENDS`; None leaves it to `choose`.

    Raises:
        MediaError: An option makes no sense, or the backend is not installed or does not load.

    Example:
        >>> [loaded] = batches(["nowhere.mp4"])
        >>> loaded.errors, loaded.batch.mask["video"].tolist()
        (('nowhere.mp4 does not exist; check the path.',), [False])
    """
    workers = worker_count(None) if workers is None else workers
    if min(batch_size, frames, size, workers) < 1 or not (audio or video):
        raise MediaError(
            f"batch_size={batch_size}, frames={frames}, size={size}, workers={workers}, "
            f"audio={audio}, video={video}: expected numbers of at least 1, and sound or pictures."
        )
    choose(backend)
    check_sampling(backend, sampling)
    if backend == "dali":
        return _by_dali(paths, batch_size, frames, size, audio, video, workers)
    load = partial(
        _load,
        frames=frames,
        size=size,
        audio=audio,
        video=video,
        sampling=sampling,
        threads=None if workers == 1 else 1,
        backend=backend,
    )
    return _group(
        paths, in_order(load, paths, workers=workers), batch_size, _empty(size, audio, video)
    )


def _by_dali(
    paths: Sequence[str | Path],
    batch_size: int,
    frames: int,
    size: int,
    audio: bool,
    video: bool,
    workers: int,
) -> Iterator[ClipBatch]:
    # Late: DALI's wheel need not be installed, and takes a second to load.
    from ter_fast.media.decode.dali import DaliSettings
    from ter_fast.media.decode.dali_excerpt import default_device
    from ter_fast.media.decode.dali_films import FilmLoader

    device = default_device()
    settings = DaliSettings(
        batch_size,
        size,
        channels=3,
        device=device,
        device_id=torch.cuda.current_device() if device == "gpu" else 0,
        threads=workers,
    )
    for made in FilmLoader(paths, frames, settings, audio=audio, video=video):
        names = [name for name, asked in (("audio", audio), ("video", video)) if asked]
        batch = Batch(
            {name: made.batch.inputs[name] for name in names},
            {name: made.batch.lengths[name] for name in names},
        )
        said = [tuple(r[key] for r in made.records) for key in ("path", "error", "note")]
        yield ClipBatch(said[0], batch, said[1], said[2])


def _empty(size: int, audio: bool, video: bool) -> dict[str, Tensor]:
    empty = {}
    if audio:
        empty["audio"] = torch.zeros(0, dtype=torch.float32)
    if video:
        empty["video"] = torch.zeros(0, 3, size, size, dtype=torch.uint8)
    return empty


def _group(
    paths: Sequence[str | Path],
    loaded: Iterator[_Values],
    batch_size: int,
    empty: dict[str, Tensor],
) -> Iterator[ClipBatch]:
    first = 0
    while part := list(islice(loaded, batch_size)):
        names = tuple(os.fspath(path) for path in paths[first : first + len(part)])
        first += len(part)
        values, errors, notes = zip(*part, strict=True)
        yield ClipBatch(names, collate(values, empty), errors, notes)


def _load(
    path: str | Path,
    *,
    frames: int,
    size: int,
    audio: bool,
    video: bool,
    sampling: Sampling,
    threads: int | None,
    backend: str | None,
) -> _Values:
    values: dict[str, Tensor | None] = {}
    if audio:
        values["audio"] = None
    if video:
        values["video"] = None
    try:
        with open_file(path, None, "exact", threads) as media:
            longest = longest_side(media.info, size)
        clip = read(
            path,
            frames=frames,
            audio=audio,
            video=video,
            max_side=longest,
            sampling=sampling,
            threads=threads,
            backend=backend,
        )
    except MediaError as error:
        return values, str(error), ""
    except Exception as error:  # a decoder's own complaint about one file must not end the run
        why = f"{path} could not be read ({type(error).__name__}: {error}); check the file"
        return values, why, ""
    if audio:
        values["audio"] = clip.audio
    if video and clip.frames is not None:
        values["video"] = resize_frames(clip.frames, size)
    return values, "", clip.note
