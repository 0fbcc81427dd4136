"""What is to be predicted or learned from: files, folders, labelled samples, and what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.data import shards
from ter_fast.data.files import FILM, PICTURE, SOUND, find_media
from ter_fast.errors import DataError, MediaError
from ter_fast.media.clip import Clip
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.source import Source

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample


def sources_of(paths: Sequence[str | Path], preprocessor: Preprocessor) -> list[Source]:
    """List the clips behind files and folders; a folder stands for the media files in and below it."""
    found: list[Source] = []
    for given in paths:
        path = Path(given)
        if not str(given):
            # `pathlib` would make the current folder of it.
            found.append(Source("", _no_path))
            continue
        if not os.path.isdir(path):
            # A URL keeps its slashes for the message that nothing reads it.
            name = str(given) if "://" in str(given) else str(path)
            found.append(Source(name, partial(preprocessor.read, name)))
            continue
        try:
            files = find_media(path, FILM + SOUND + PICTURE)
        except DataError:
            # One empty folder among many paths costs only itself, as one bad file does.
            found.append(Source(str(path), partial(_nothing_in, path)))
            continue
        found += [Source(str(file), partial(preprocessor.read, file)) for file in files]
    return found


def _no_path() -> Iterator[Clip]:
    raise MediaError(
        'the path is empty (""); give a file, a folder or a Clip, or "." for the current folder'
    )


def _nothing_in(folder: Path) -> Iterator[Clip]:
    raise MediaError(
        f"the folder {folder} holds no media files; give a folder with clips, or the clips"
    )


def dataset_sources(dataset: Dataset, preprocessor: Preprocessor) -> list[Source]:
    """List the clips of a labelled dataset; pictures that lie inside a table are decoded from it.

    A sample whose attribute `crop` is "face" has pictures that are face crops already.
    """

    def windows(sample: Sample) -> Iterator[Clip]:
        if not preprocessor.reads_media:
            return iter([Clip(sample.path, None, None, None, *(sample.span or (0.0, 0.0)))])
        if sample.image is not None:
            return iter([_picture(sample)])
        if shards.holds(sample.path):
            return preprocessor.read_shard(sample.path)
        return preprocessor.read(sample.path, sample.attributes.get("audio_path"), sample.span)

    return [
        Source(
            sample.name,
            partial(windows, sample),
            sample.attributes.get("crop") == "face",
            extras=sample.extras,
        )
        for sample in dataset
    ]


def _picture(sample: Sample) -> Clip:
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(sample.image or b"", np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise MediaError(f"{sample.path} is not a picture that OpenCV reads; check the table")
    return Clip.from_arrays(picture[:, :, ::-1].copy(), path=sample.path)
