"""Files that are written whole or not at all: whoever reads the name finds the old content or the new."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ter_fast.errors import TerFastError

PARTIAL = ".part"
"""Ending of a file that is being written, by which one that a killed process left behind is known."""

Content = str | bytes | Sequence[bytes | memoryview] | Callable[[Path], object]
"""Text (in UTF-8, lone surrogates as escapes), bytes, parts that follow each other, or a function that fills a file."""


def write_atomically(
    path: str | Path, content: Content, *, durable: bool = False, parents: bool = False
) -> None:
    """Write a file as `replace_file` does; errors of the system say what to do.

    Args:
        path: The file.
        content: What it shall hold; a function is given a path with the same ending to write to.
        durable: Whether it must have reached the disk before it takes the place of the old one.
        parents: Whether to make the folder where it is missing.

    Raises:
        TerFastError: The folder is missing, cannot be written to, or is full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(f"{folder}/a.txt", "whole")
        ...     write_atomically(f"{folder}/b.txt", lambda place: place.write_text("as well"))
        ...     sorted(each.name for each in Path(folder).iterdir())
        ['a.txt', 'b.txt']
    """
    target = Path(path)
    try:
        replace_file(target, content, durable=durable, parents=parents)
    except OSError as error:
        raise _cannot_write(target, error) from error


def check_writable(path: str | Path) -> None:
    """Refuse a file that could not be written, before the work that it is for; nothing is left there.

    Raises:
        TerFastError: The folder is missing or cannot be written to, or a folder has that name.

    Example:
        >>> check_writable("no/such/folder/a.txt")
        Traceback (most recent call last):
        ter_fast.errors.TerFastError: cannot write no/such/folder/a.txt: No such file or directory; ...
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _new_file(target, PARTIAL).unlink()
    except OSError as error:
        raise _cannot_write(target, error) from error


def _cannot_write(target: Path, error: OSError) -> TerFastError:
    advice = (
        "make room there or choose another place"
        if os.path.isdir(target.parent)
        else "choose a folder that exists"
    )
    return TerFastError(f"cannot write {target}: {error.strerror or error}; {advice}")


def replace_file(
    path: str | Path, content: Content, *, durable: bool = False, parents: bool = False
) -> None:
    """Write beside a file and move the result there; on failure the old file stays, and nothing else.

    For callers with their own words for what went wrong; `write_atomically` takes the same arguments.

    Raises:
        OSError: The file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     replace_file(Path(folder) / "a.bin", [b"head", b"body"])
        ...     (Path(folder) / "a.bin").read_bytes()
        b'headbody'
    """
    target = Path(path)
    if parents:
        target.parent.mkdir(parents=True, exist_ok=True)
    # Writers of pictures, films and arrays go by the ending, so that theirs has to be the target's.
    temporary = _new_file(target, target.suffix if callable(content) else PARTIAL)
    try:
        if callable(content):
            content(temporary)
        else:
            _fill(temporary, content)
        if durable:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as indented JSON, as `write_atomically` does.

    A file name need not be text; its stray bytes are written as escapes.

    Raises:
        TerFastError: As for `write_atomically`.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, text.encode("utf-8", "backslashreplace"))


def file_sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _new_file(target: Path, suffix: str) -> Path:
    """Make an empty file in the folder of the target, which alone can be moved there at once."""
    while True:
        # Of the name only the beginning, since a longer one than the target's might not be allowed.
        place = target.with_name(f".{target.stem[:40]}-{secrets.token_hex(4)}{suffix}")
        try:
            # `tempfile` makes files that only their owner can read; these get what the umask leaves.
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            continue
        return place


def _fill(place: Path, content: str | bytes | Sequence[bytes | memoryview]) -> None:
    if isinstance(content, str):
        # A file name in it need not be text; its stray bytes are written as escapes.
        content = content.encode("utf-8", "backslashreplace")
    with place.open("wb") as file:
        file.writelines([content] if isinstance(content, bytes) else content)


class Closing(ABC):
    """Something that is closed at the end of a `with` statement, whatever ends it."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Let go of what is held."""
