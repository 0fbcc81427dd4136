"""What is to be predicted or learned from: files, folders, labelled samples, and what lies beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ter_fast.data import shards
from ter_fast.data.files import FILM, PICTURE, SOUND, find_media
from ter_fast.errors import DataError, MediaError
from ter_fast.media.clip import Clip

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample
    from ter_fast.predict.inference import Preparer


@dataclass(frozen=True)
class Source:
    """Something to predict.

    Attributes:
        name: what the table calls it.
        windows: yields its windows.
        cropped: its pictures are face crops already, so no face is looked for.
        tensors: by modality, what a clip does not hold (text, physiology, features).
        extras: by modality, what is still to be read by its registered reader.
        notes: by modality, why what was given for it could not be read.
    """

    name: str
    windows: Callable[[], Iterator[Clip]]
    cropped: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


def sources_of(paths: Sequence[str | Path], preparer: Preparer) -> list[Source]:
    """List the clips behind files and folders; a folder stands for the media files in and below it."""
    found: list[Source] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Source(str(path), partial(preparer.read, path)))
            continue
        try:
            files = find_media(path, FILM + SOUND + PICTURE)
        except DataError:
            # One empty folder among many paths costs only itself, as one bad file does.
            found.append(Source(str(path), partial(_nothing_in, path)))
            continue
        found += [Source(str(each), partial(preparer.read, each)) for each in files]
    return found


def _nothing_in(folder: Path) -> Iterator[Clip]:
    raise MediaError(
        f"the folder {folder} holds no media files; give a folder with clips, or the clips"
    )


def dataset_sources(dataset: Dataset, preparer: Preparer) -> list[Source]:
    """List the clips of a labelled dataset; pictures that lie inside a table are decoded from it.

    A sample whose attribute `crop` is "face" has pictures that are face crops already.
    """

    def windows(sample: Sample) -> Iterator[Clip]:
        if not preparer.reads_media:
            return iter([Clip(sample.path, None, None, None, *(sample.span or (0.0, 0.0)))])
        if sample.image is not None:
            return iter([_picture(sample)])
        if shards.holds(sample.path):
            return preparer.read_shard(sample.path)
        return preparer.read(sample.path, sample.attributes.get("audio_path"), sample.span)

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
