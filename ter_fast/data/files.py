"""Where media files lie, and what their names say about sound and pictures."""

from __future__ import annotations

import os
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
