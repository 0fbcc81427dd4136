"""Where media files lie, and what their names say about sound and pictures."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

from ter_fast.errors import DataError

_SOUND = ".wav .flac .opus .ogg .oga .mp3 .m4a .aac .wma .aiff .amr"
_FILM = ".mp4 .mov .mkv .webm .avi .m4v .mpg .mpeg .ts .flv .wmv .3gp .ogv .gif"
_PICTURE = ".png .jpg .jpeg .bmp .tif .tiff .webp"
SOUND, FILM, PICTURE = (tuple(each.split()) for each in (_SOUND, _FILM, _PICTURE))


def find_media(
    folder: Path,
    suffixes: tuple[str, ...] = FILM + SOUND,
    unreadable: Callable[[OSError], object] | None = None,
) -> list[Path]:
    """List the media files below a folder, in the order of their paths.

    Args:
        folder: Where to look, recursively. Hidden files, such as the ``._x.wav`` that macOS
            leaves in archives, are not media.
        suffixes: Lower-case endings to look for.
        unreadable: Called for each folder that may not be listed, whose files are left out; None passes
            over these.

    Raises:
        DataError: The folder is not there, or holds no such file.

    Example:
        >>> find_media(Path("no/such/folder"))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder. Give the folder that holds the corpus.")
    found = sorted(
        Path(place, name)
        for place, _, names in os.walk(folder, onerror=unreadable)
        for name in names
        if Path(name).suffix.lower() in suffixes and not name.startswith(".")
    )
    if not found:
        raise DataError(
            f"{folder} holds no file that ends in {', '.join(suffixes)}. "
            f"Give the folder that holds the corpus."
        )
    return found


def modalities_of(path: str | Path) -> tuple[str, ...]:
    """Tell from a file's ending what it may hold; a film may still turn out to be silent.

    Example:
        >>> modalities_of("a.wav"), modalities_of("a.png"), modalities_of("a.mp4")
        (('audio',), ('video',), ('audio', 'video'))
    """
    suffix = Path(path).suffix.lower()
    if suffix in SOUND:
        return ("audio",)
    if suffix in PICTURE:
        return ("video",)
    return ("audio", "video")


FileKey = tuple[int, int] | str
"""What all names of a file have in common."""


def file_key(path: str) -> FileKey:
    """Return what is equal for every spelling of a file: relative or absolute, by a link, in other letters.

    A file that is there is known by its number in the file system, so that hard links and names in another
    case (where the system does not tell them apart) are one; of others the absolute path has to do.

    Example:
        >>> file_key("no/such.wav") == file_key("./no/where/../such.wav")
        True
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.path.normcase(os.path.abspath(path))
    # Some file systems of Windows give no numbers.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def locate(folder: Path, name: str) -> Path:
    """Return the file of a folder that a table names, also where one composes accents and the other does not.

    macOS and archives made there write "e" and an accent where others write one letter.

    Example:
        >>> locate(Path("no"), "such.wav").as_posix()
        'no/such.wav'
    """
    path = folder / name
    if name.isascii() or os.path.lexists(path):
        return path
    others = (folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
    return next(filter(os.path.lexists, others), path)
