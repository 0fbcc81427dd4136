"""Reads prepared shards back, as a `Dataset` and as windows."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.shards.codec import decode_sound, decode_strip
from ter_fast.data.shards.extras import read_back, verify_files
from ter_fast.data.shards.settings import CROPS, MANIFEST, digest, read_json
from ter_fast.errors import DataError, MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.files import file_sha256

_MARK = ".tar#"


def load_shards(path: str | Path) -> Dataset:
    """Read a folder of prepared shards as a dataset, without opening a tar.

    The path of a sample is ``"FOLDER/train-00000.tar#00000012"``: a tar and a key in it.

    Args:
        path: Folder that `prepare_shards` finished.

    Raises:
        DataError: It is not such a folder, or a shard is missing or cut short; the message names it
            and says what to do.

    Example:
        >>> load_shards("nowhere")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/manifest.json cannot be read (No such file or ...
    """
    folder = Path(path)
    manifest = read_json(folder / MANIFEST)
    samples: list[Sample] = []
    try:
        for shard in manifest["shards"]:
            tar = folder / f"{shard['name']}.tar"
            if not tar.is_file() or tar.stat().st_size != shard["bytes"]:
                raise _broken(tar, "is missing or cut short")
            crop = manifest["settings"]["crop"]
            samples += [_sample(tar, clip, crop) for clip in _index(tar)["clips"]]
        return Dataset(
            manifest["name"],
            tuple(manifest["labels"]),
            tuple(samples),
            manifest["terms"],
            tuple(manifest["modalities"]),
            frozenset(manifest["known_overlap"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _broken(folder / MANIFEST, f"is damaged (no {error})") from error


def holds(path: str) -> bool:
    """Say whether a sample's path names a clip in a shard.

    Example:
        >>> holds("shards/train-00000.tar#00000012"), holds("a.mp4")
        (True, False)
    """
    return _MARK in path


def shard_windows(
    path: str,
    seconds: float | None = None,
    frames: int | None = None,
    *,
    audio: bool = True,
    video: bool = True,
) -> Iterator[Clip]:
    """Yield the windows of a clip that lies in a shard.

    Args:
        path: ``"TAR#KEY"``, as in the samples of `load_shards`.
        seconds: Cut stored windows to this length, where they are longer.
        frames: Most pictures of a window.
        audio: Whether to decode the sound.
        video: Whether to decode the pictures.

    Raises:
        MediaError: The clip is not there, or its bytes are not those that were written.

    Example:
        >>> next(shard_windows("nowhere/train-00000.tar#00000012"))
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/train-00000.json cannot be read (No such file or ...
    """
    name, _, key = path.partition(_MARK)
    tar = Path(f"{name}.tar")
    entry = _index(tar)["by_key"].get(key)
    if entry is None:
        raise MediaError(f"{path}: the shard holds no clip {key!r}; load the folder again.")
    try:
        file = tar.open("rb")
    except OSError as error:
        raise MediaError(f"{tar} cannot be read ({error.strerror}); restore it.") from error
    endings = {ending for ending, wanted in (("flac", audio), ("jpg", video)) if wanted}
    with file:
        for stored in entry["windows"]:
            try:
                clip = _window(path, file, stored, endings)
            except (KeyError, TypeError, ValueError) as error:
                raise _broken(tar.with_suffix(".json"), f"is damaged ({error})") from error
            length = clip.duration if seconds is None else min(seconds, clip.duration)
            if clip.duration > 0 and (seconds is not None or frames is not None):
                yield from decode.cut(clip, length, frames or max(1, len(stored["times"])))
            else:
                yield clip


def verify_shards(path: str | Path) -> int:
    """Compare every byte of a folder of shards with its checksums; return how many tars there are.

    Raises:
        DataError: A tar or an index is not what was written; the message names it.

    Example:
        >>> verify_shards("nowhere")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/manifest.json cannot be read (No such file or ...
    """
    folder = Path(path)
    shards = read_json(folder / MANIFEST)["shards"]
    for shard in shards:
        tar = folder / f"{shard['name']}.tar"
        try:
            found = file_sha256(tar)
        except OSError as error:
            raise _broken(tar, f"cannot be read ({error.strerror})") from error
        if found != shard["sha256"]:
            raise _broken(tar, "has other bytes than were written")
        index = read_json(tar.with_suffix(".json"))
        if digest(index) != shard["index"]:
            raise _broken(tar.with_suffix(".json"), "has other contents than were written")
        verify_files(folder, index["clips"])
    return len(shards)


def shard_files(path: str | Path, split: str | None = None) -> tuple[list[str], list[str]]:
    """List the tars of a folder, or of one split of it, and DALI's index of each.

    Raises:
        DataError: It is no finished folder, or has no such split.

    Example:
        >>> shard_files("nowhere")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/manifest.json cannot be read (No such file or ...
    """
    folder = Path(path)
    names = [shard["name"] for shard in read_json(folder / MANIFEST)["shards"]]
    chosen = [n for n in names if split is None or n.rpartition("-")[0] == (split or "all")]
    if not chosen:
        present = sorted({name.rpartition("-")[0] for name in names})
        raise DataError(f"{folder} has no shards of split {split!r}; it has {present}.")
    return [str(folder / f"{n}.tar") for n in chosen], [str(folder / f"{n}.idx") for n in chosen]


def _index(tar: Path) -> dict[str, Any]:
    file = tar.with_suffix(".json")
    try:
        changed = os.stat(file).st_mtime_ns
    except OSError:
        changed = 0
    return _read_index(file, changed)


@lru_cache(maxsize=256)
def _read_index(file: Path, changed: int) -> dict[str, Any]:
    index = read_json(file)
    try:
        index["by_key"] = {clip["key"]: clip for clip in index["clips"] if clip["windows"]}
    except (KeyError, TypeError) as error:
        raise _broken(file, f"is damaged ({error})") from error
    return index


def _sample(tar: Path, clip: dict[str, Any], crop: str) -> Sample:
    attributes = {**clip["attributes"], "source": clip["source"]}
    if crop == CROPS[0]:
        attributes["crop"] = crop
    target = clip["target"]
    return Sample(
        path=f"{tar}#{clip['key']}",
        label=clip["label"],
        split=clip["split"],
        group=clip["group"],
        target=None if target is None else tuple(target),
        attributes=attributes,
        extras=read_back(tar.parent, clip),
    )


def _window(path: str, file: Any, stored: dict[str, Any], endings: set[str]) -> Clip:
    parts = {
        ending: _part(path, file, place)
        for ending, place in stored["parts"].items()
        if ending in endings
    }
    frames: Tensor | None = None
    times: Tensor | None = None
    if "jpg" in parts:
        times = torch.tensor(stored["times"], dtype=torch.float64)
        frames = decode_strip(parts["jpg"], len(times), path)
    sound = decode_sound(parts["flac"], path) if "flac" in parts else None
    return Clip(path, frames, times, sound, stored["start"], stored["end"], stored["note"])


def _part(path: str, file: Any, place: list[int]) -> bytes:
    offset, size, checksum = place
    file.seek(offset)
    content: bytes = file.read(size)
    if zlib.crc32(content) != checksum:
        raise MediaError(f"{path}: its bytes are not those written; prepare the shards again.")
    return content


def _broken(path: Path, what: str) -> DataError:
    what_to_remove = "it" if path.suffix == ".json" else "its .json"
    return DataError(
        f"{path} {what}. Remove {what_to_remove} and run `ter-fast data prepare` again, or restore it."
    )
