"""What the readers of layouts have in common."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

Bytes = bytes | mmap.mmap

Span = tuple[int, int]
"""First byte, and the one behind the last."""

Found = tuple[list[int], bool]
"""Where later parts of a file begin, and whether its end is missing."""

UNKNOWN_SIZE = 0x7FFF_0000
"""Sizes from here on are those that writers leave in a header that they cannot come back to."""


@contextmanager
def mapped(path: str) -> Iterator[mmap.mmap]:
    """Give the bytes of a file that is not empty, without reading them."""
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


def find_all(data: Bytes, mark: bytes) -> list[int]:
    """Return where a mark stands behind the beginning.

    Example:
        >>> find_all(b"ab ab ab", b"ab")
        [3, 6]
    """
    found, at = [], data.find(mark, 1)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found
