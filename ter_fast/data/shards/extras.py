"""What shards keep of modalities beyond sound and pictures: texts in the index, files beside the tars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ter_fast.data.modalities import MODALITIES
from ter_fast.errors import DataError
from ter_fast.media.files import file_sha256, replace_file

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample

_FOLDER = "extras"
_DIGITS = 64


def describe_extras(sample: Sample) -> dict[str, dict[str, str]]:
    """Return what an index says of a sample's extras: nothing where it has none.

    A text stands there as it is, and a file under the SHA-256 of its content, which is its name beside
    the tars: shards may be moved, and the same corpus elsewhere gives the same bytes. A file that is
    missing keeps its name, and is missing there as well.

    Example:
        >>> from ter_fast.data import Sample
        >>> describe_extras(Sample("a.wav", "fear", "", "1", extras={"doctest_words": "Not again"}))
        {'extras': {'doctest_words': 'Not again'}, 'extra_files': {}}
    """
    if not sample.extras:
        return {}
    files, texts = {}, {}
    for name, value in sample.extras.items():
        if name in MODALITIES and MODALITIES[name].files:
            files[name] = _kept_name(value)
        else:
            texts[name] = value
    return {"extras": texts, "extra_files": files}


def keep_files(dataset: Dataset, facts: Iterable[Mapping[str, Any]], folder: Path) -> None:
    """Copy the files that extras name into a folder of shards, each content once.

    Raises:
        OSError: A file cannot be read any more, or the folder cannot be written.
    """
    for sample, known in zip(dataset, facts, strict=True):
        for name, kept in known.get("extra_files", {}).items():
            source, _ = _file_and_key(sample.extras[name])
            target = folder / _FOLDER / kept.partition("#")[0]
            if len(target.stem) == _DIGITS and not target.exists():
                target.parent.mkdir(exist_ok=True)
                replace_file(target, source.read_bytes(), durable=True)


def read_back(folder: Path, clip: Mapping[str, Any]) -> dict[str, str]:
    """Return the extras of a clip of an index; shards from before extras were kept have none."""
    files = {
        name: str(folder / _FOLDER / kept) for name, kept in clip.get("extra_files", {}).items()
    }
    return {**clip.get("extras", {}), **files}


def verify_files(folder: Path, clips: Iterable[Mapping[str, Any]]) -> None:
    """Compare every file of extras with its checksum.

    Raises:
        DataError: A file is missing or not what was written; the message names it.
    """
    for kept in {each for clip in clips for each in clip.get("extra_files", {}).values()}:
        file = folder / _FOLDER / kept.partition("#")[0]
        if len(file.stem) == _DIGITS and _checksum(file) != file.stem:
            raise DataError(
                f"{file} is missing or has other bytes than were written. Restore it, or remove the folder "
                "and run `ter-fast data prepare` again."
            )


def _kept_name(value: str) -> str:
    file, key = _file_and_key(value)
    found = _checksum(file)
    return (f"{found}{file.suffix}" if found else file.name) + key


def _file_and_key(value: str) -> tuple[Path, str]:
    """Part a file's path from "#" and the name of an array in it."""
    if Path(value).is_file():
        return Path(value), ""
    name, mark, key = value.partition("#")
    return Path(name), mark + key


def _checksum(file: Path) -> str:
    try:
        return file_sha256(file)
    except OSError:
        return ""
