"""What is to be predicted or learned from: files, folders, labelled samples, and what lies beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ter_fast.data import shards
from ter_fast.data.files import FILM, PICTURE, SOUND, find_media
from ter_fast.data.modalities import MEDIA
from ter_fast.errors import DataError, MediaError, ModelError, warn
from ter_fast.media.clip import Clip
from ter_fast.media.decode import cut
from ter_fast.media.resampling import SAMPLE_RATE
from ter_fast.predict.in_memory import in_memory
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.remote import address_of, is_pipe, local_path, read_address, read_pipe
from ter_fast.predict.source import Source

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample


def sources_of(source: Any, preprocessor: Preprocessor) -> Sequence[Source] | Iterator[Source]:
    """List what `Model.predict` is given; an iterator is read as its sources are asked for.

    Raises:
        MediaError: One picture or sound of another form than `Clip.from_arrays` takes.
        ModelError: Tensors, or what lies beside a clip, that do not fit the model.
        TypeError: Nothing that could be predicted.
    """
    from ter_fast.data import Dataset

    source = in_memory(source)
    if isinstance(source, Dataset):
        return dataset_sources(source, preprocessor)
    if isinstance(source, Mapping) and not is_one(source):
        return _tensor_sources(source, preprocessor)
    if isinstance(source, (str, Clip, Mapping)):
        return list(_sources_of_one(source, preprocessor, "clip"))
    each = (
        found
        for index, one in enumerate(source)
        for found in _sources_of_one(one, preprocessor, f"clip {index}")
    )
    return each if isinstance(source, Iterator) else list(each)


def is_one(source: object) -> bool:
    """Say whether a source is one clip in memory, or one with what lies beside it."""
    if isinstance(source, Mapping):
        return "path" in source or not all(isinstance(each, Tensor) for each in source.values())
    return isinstance(source, Clip)


def _sources_of_one(source: Any, preprocessor: Preprocessor, name: str) -> Iterator[Source]:
    # What `pathlib` made of an address, only the path itself can say.
    if isinstance(source, Path) and (address := address_of(source)) is not None:
        source = address
    try:
        source = in_memory(source)
    except MediaError as error:
        # As with files, one bad array among many costs only itself.
        yield Source(name, partial(_refuse, str(error)))
        return
    if isinstance(source, Clip):
        yield Source(source.path or name, partial(_windows, source, preprocessor))
    elif isinstance(source, Mapping):
        yield _source_with_extras(source, preprocessor, name)
    elif isinstance(source, str):
        yield from _sources_of_path(source, preprocessor)
    else:
        raise TypeError(f"{name} is {type(source).__name__}; give a file, a folder or a Clip")


def _sources_of_path(path: str, preprocessor: Preprocessor) -> Iterator[Source]:
    """Yield the clips behind a file, a folder, an address on the web or a pipe."""
    if not path:
        # `pathlib` would make the current folder of it.
        text = (
            'the path is empty (""); give a file, a folder or a Clip, or "." for the current folder'
        )
        yield Source("", partial(_refuse, text))
        return
    if (address := address_of(path)) is not None:
        if (file := local_path(address)) is None:
            yield Source(address, partial(read_address, address, preprocessor.read))
            return
        path = file
    name = str(Path(path))
    if is_pipe(name):
        yield Source(name, partial(read_pipe, name, preprocessor.read))
    elif os.path.isdir(name):
        yield from _sources_in(Path(name), preprocessor)
    else:
        yield Source(name, partial(preprocessor.read, name))


def _sources_in(folder: Path, preprocessor: Preprocessor) -> Iterator[Source]:
    """Yield the media files in and below a folder, and what of it cannot be used, which costs only itself."""
    closed: list[OSError] = []
    files: list[Path] = []
    with suppress(DataError):
        files = find_media(folder, FILM + SOUND + PICTURE, closed.append)
    for file in files:
        yield Source(str(file), partial(preprocessor.read, file))
    for error in closed:
        text = f"the folder {error.filename} may not be read ({error.strerror}); change its permissions"
        # A row alone is easily overlooked, and here it stands for any number of files.
        warn(f"{text}; the files in it are left out")
        yield Source(str(error.filename), partial(_refuse, text))
    if not (files or closed):
        text = f"the folder {folder} holds no media files; give a folder with clips, or the clips"
        yield Source(str(folder), partial(_refuse, text))


def _refuse(text: str) -> Iterator[Clip]:
    raise MediaError(text)


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


def _source_with_extras(values: Mapping[str, Any], preprocessor: Preprocessor, name: str) -> Source:
    """Make a source of a clip and what lies beside it: {"path": a file or a Clip, modality: a value}."""
    extras = {key: value for key, value in values.items() if key != "path"}
    path = values.get("path")
    modalities = [modality for modality in preprocessor.config.modalities if modality not in MEDIA]
    if unknown := [key for key in extras if key not in modalities]:
        raise ModelError(
            f"beside a clip's path the model reads {', '.join(modalities) or 'nothing'}; given "
            f"{', '.join(unknown)} (a batch is a mapping of tensors or arrays alone)"
        )
    if path is None or not preprocessor.reads_media:
        label = name if path is None else str(getattr(path, "path", path) or name)
        nothing = Clip(None, None, None, None, 0.0, 0.0)
        return Source(label, lambda: iter([nothing]), extras=extras)
    if not isinstance(path, (str, Path, Clip)) or (
        not isinstance(path, Clip) and os.path.isdir(path)
    ):
        raise ModelError(f"the path beside {', '.join(extras)} is {path!r}; give one file or Clip")
    (found,) = _sources_of_one(path, preprocessor, name)
    return replace(found, extras=extras)


def _windows(clip: Clip, preprocessor: Preprocessor) -> Iterator[Clip]:
    config = preprocessor.config
    return cut(
        clip, config.window_seconds, config.video.frames if config.video else 1, preprocessor.hop
    )


def _tensor_sources(tensors: Mapping[str, Tensor], preprocessor: Preprocessor) -> list[Source]:
    """Make a source of each row of a mapping of tensors."""
    config = preprocessor.config
    if unknown := [name for name in tensors if name not in config.modalities]:
        raise ModelError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(config.modalities)}"
        )
    sizes = {name: len(value) for name, value in tensors.items()}
    if len(set(sizes.values())) != 1:
        raise ModelError(
            f"tensors by modality need the same number of rows; given {sizes or 'no tensors'}"
        )
    forms = {"audio": ("(B, samples) floating point", 2), "video": ("(B, T, H, W, 3) uint8", 5)}
    for name, value in tensors.items():
        form, dimensions = forms.get(name, ("(B, …)", value.ndim))
        if value.ndim != dimensions or (name == "audio" and not value.is_floating_point()):
            raise ModelError(f"{name} is {value.dtype} {tuple(value.shape)}; expected {form}")
    others = {name: value for name, value in tensors.items() if name not in forms}
    preprocessor.empty |= {
        name: value.new_zeros(0, *value.shape[2:]) for name, value in others.items()
    }

    def windows(row: int) -> Iterator[Clip]:
        frames = times = sound = None
        end = 0.0
        if "video" in tensors:
            pictures = Clip.from_arrays(tensors["video"][row].cpu())
            frames, times, end = pictures.frames, pictures.times, pictures.end
        if "audio" in tensors:
            # Not through `from_arrays`, which refuses NaN: here NaN costs this modality, not the row.
            sound = tensors["audio"][row].float().cpu()
            end = max(end, len(sound) / SAMPLE_RATE)
        return _windows(Clip(None, frames, times, sound, 0.0, end), preprocessor)

    return [
        Source(
            f"row {row}",
            partial(windows, row),
            tensors={name: value[row].cpu() for name, value in others.items()},
        )
        for row in range(next(iter(sizes.values())))
    ]
