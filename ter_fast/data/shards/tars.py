"""Writes one shard: a tar whose bytes depend only on what is in it, and DALI's index of it."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_HEADER = 512
INDEX_VERSION = "v1.2"
"""Of DALI's index: this and the count of samples, then for each its files' endings and places."""


class TarWriter:
    r"""Write samples to a tar in the WebDataset layout, noting where each file lies.

    Args:
        path: The tar; overwritten.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with TarWriter(Path(folder) / "a.tar") as tar:
        ...         places = tar.add("0001", {"json": b"{}"})
        ...     tar.index()
        'v1.2 1\njson 512 2 0001.json\n'
        >>> places
        {'json': [512, 2, 2745614147]}
    """

    def __init__(self, path: Path) -> None:
        """Open the tar."""
        self._file = _Hashed(path)
        self._tar = tarfile.open(  # noqa: SIM115 (closed by __exit__)
            fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT
        )
        self._lines: list[str] = []

    def add(self, key: str, parts: Mapping[str, bytes]) -> dict[str, list[int]]:
        """Add the files of one sample; return each one's place, size and CRC-32 by its ending."""
        places = {}
        for ending, content in parts.items():
            entry = tarfile.TarInfo(f"{key}.{ending}")
            entry.size, entry.mode, entry.mtime = len(content), 0o644, 0
            places[ending] = [self._tar.offset + _HEADER, len(content), zlib.crc32(content)]
            self._tar.addfile(entry, io.BytesIO(content))
        self._lines.append(
            " ".join(f"{end} {at[0]} {at[1]} {key}.{end}" for end, at in places.items())
        )
        return places

    def index(self) -> str:
        """Return DALI's index of the tar, as its `wds2idx` writes it."""
        return "\n".join([f"{INDEX_VERSION} {len(self._lines)}", *self._lines, ""])

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written."""
        return self._file.sha256.hexdigest()

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._file.written

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the tar and bring it to the disk, or only close it where something failed."""
        try:
            if error is None:
                self._tar.close()
                self._file.sync()
        finally:
            self._file.close()


class _Hashed(io.RawIOBase):
    """A file that is only ever appended to, and its SHA-256."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.sha256 = hashlib.sha256()
        self.written = 0

    def write(self, content: bytes) -> int:  # type: ignore[override]
        self.sha256.update(content)
        self.written += len(content)
        return self._file.write(content)

    def tell(self) -> int:
        return self.written

    def sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        super().close()
