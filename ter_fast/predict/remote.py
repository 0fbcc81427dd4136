"""Media that is no file here: an address on the web, or what comes through a pipe."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import stat
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip

STANDARD_INPUT = "-"
SILENCE_SECONDS = 10.0
"""Without a byte for so long, a download is given up."""
LONGEST_SECONDS = 600.0
"""A download that takes longer is a stream without an end, or better done by other means."""

_FETCHED = ("http", "https", "ftp")
_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "mms")
_PLAYLISTS = (".m3u8", ".mpd")
# A path library takes one of the two slashes away.
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(.*)", re.DOTALL)
_KNOWN = frozenset({*_FETCHED, *_STREAMS, "file", "s3", "gs", "hf", "sftp", "ssh", "data"})
_Fetch = Callable[[Path], None]


def address_of(path: str | Path) -> str | None:
    """Return an address as it was meant, also where a path library took a slash away; None for a path.

    Example:
        >>> address_of(Path("https://example.org/a.mp4"))
        'https://example.org/a.mp4'
        >>> address_of("clips/a.mp4") is None
        True
    """
    text = str(path)
    match = _ADDRESS.fullmatch(text)
    if match is None or not ("://" in text or match[1].lower() in _KNOWN):
        return None
    return f"{match[1]}://{'/' if match[1].lower() == 'file' else ''}{match[2]}"


def local_path(address: str) -> str | None:
    """Return the path behind a `file://` address; None for any other.

    Example:
        >>> local_path("file:///clips/my%20film.mp4")
        '/clips/my film.mp4'
    """
    if not address.lower().startswith("file:"):
        return None
    return urllib.request.url2pathname(urllib.parse.urlsplit(address).path)


def is_pipe(path: str) -> bool:
    """Say whether a name stands for a pipe: standard input, or one in the file system.

    Example:
        >>> is_pipe("-"), is_pipe("clip.mp4")
        (True, False)
    """
    if path == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def read_pipe(path: str, read: Callable[[Path], Iterator[Clip]]) -> Iterator[Clip]:
    """Read a pipe to its end, then its windows: media is searched back and forth, which a pipe is not.

    Raises:
        MediaError: Nothing is piped in, or it is no media.
    """

    def fetch(file: Path) -> None:
        if path != STANDARD_INPUT:
            with open(path, "rb") as pipe:
                _copy(pipe, file)
            return
        if sys.stdin is None or sys.stdin.isatty():
            raise MediaError(
                "standard input is a terminal; pipe a file in: ter-fast predict - < clip.mp4"
            )
        _copy(sys.stdin.buffer, file)

    return _windows("standard input" if path == STANDARD_INPUT else path, "", fetch, read)


def read_address(address: str, read: Callable[[Path], Iterator[Clip]]) -> Iterator[Clip]:
    """Download a file from the web, then yield its windows; nothing of it stays on the disk.

    Raises:
        MediaError: There is no such file, the server does not answer in time, it is no media, or the
            address is that of a live stream or of something that cannot be downloaded.
    """
    try:
        parts = urllib.parse.urlsplit(address)
    except ValueError as error:
        raise MediaError(f"{address} is no address ({error}); check how it is spelt") from None
    scheme, suffix = parts.scheme.lower(), Path(parts.path).suffix.lower()
    if scheme in _STREAMS or suffix in _PLAYLISTS:
        raise MediaError(
            f"{address} is a live stream, which has no end to wait for; predict it as it comes: "
            f"ter-fast live {address} (in Python: model.live)"
        )
    if scheme not in _FETCHED:
        raise MediaError(
            f"{address}: {scheme}:// cannot be read; give an address that begins with http:// or https://, "
            "or copy the file here first"
        )
    return _windows(address, suffix, lambda file: _download(address, file), read)


def _windows(
    name: str, suffix: str, fetch: _Fetch, read: Callable[[Path], Iterator[Clip]]
) -> Iterator[Clip]:
    with tempfile.TemporaryDirectory(prefix="ter_fast-") as folder:
        file = Path(folder) / f"clip{suffix}"
        try:
            fetch(file)
            yield from read(file)
        except MediaError as error:
            # What the reader says of its copy is meant of the original.
            raise MediaError(str(error).replace(str(file), name)) from None


def _download(address: str, file: Path) -> None:
    advice = "check the address in a browser, or download the file and give its path"
    # Some servers refuse what gives no name.
    request = urllib.request.Request(address, headers={"User-Agent": "ter_fast"})
    try:
        with urllib.request.urlopen(request, timeout=SILENCE_SECONDS) as answer:
            kind = answer.headers.get_content_type()
            if kind == "text/html":
                raise MediaError(
                    f"{address} is a web page, not a media file; give the address of the file itself, or "
                    "download it and give its path"
                )
            length = int(answer.headers.get("Content-Length") or 0)
            size = _copy(answer, file, address)
    except urllib.error.HTTPError as error:
        said = f"the server answered {error.code} {error.reason}".rstrip()
        error.close()
        raise MediaError(f"{address} cannot be downloaded: {said}; {advice}") from None
    except TimeoutError:
        raise _silent(address) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise _silent(address) from None
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise MediaError(f"{address} cannot be downloaded: {reason}; {advice}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise MediaError(f"{address} cannot be downloaded: {reason}; {advice}") from None
    if length and size < length:
        raise MediaError(
            f"{address} broke off after {size:,} of {length:,} bytes; try again, or download the file and give "
            "its path"
        )


def _copy(source: BinaryIO, file: Path, address: str = "") -> int:
    begun = time.monotonic()
    with file.open("wb") as target:
        if not address:
            shutil.copyfileobj(source, target)
            return target.tell()
        while block := source.read(1 << 18):
            target.write(block)
            if time.monotonic() - begun > LONGEST_SECONDS:
                raise MediaError(
                    f"{address} took longer than {LONGEST_SECONDS:g} s to download; download the file and give "
                    f"its path, or, where it is a live stream: ter-fast live {address}"
                )
        return target.tell()


def _silent(address: str) -> MediaError:
    return MediaError(
        f"{address} cannot be downloaded: the server sent nothing for {SILENCE_SECONDS:g} s; try again later, or "
        "download the file and give its path"
    )
