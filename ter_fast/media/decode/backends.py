"""Which decoder reads a file: the backends, the rule that chooses one, and what they offer."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, cast, get_args

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip, MediaInfo

BACKENDS = {
    "pyav": "ter_fast.media.decode.pyav",
    "torchcodec": "ter_fast.media.decode.torchcodec",
    "dali": "ter_fast.media.decode.dali_media",
}
"""Name of each backend and the module that implements it, the default first.

The module has `open_media(path, *, sampling, threads) -> Media`, and `offer() -> str`, which says what
it would decode on this machine.
"""

Sampling = Literal["exact", "keyframe"]
"""Which picture stands for a wanted time: the one shown then, or the nearest key frame."""

_NEEDS = {"pyav": "av", "torchcodec": "torchcodec", "dali": "nvidia.dali"}
_EXTRAS = {"dali": "dali-cuda13"}
_REMEDIES = {
    "torchcodec": "install the FFmpeg libraries that it needs",
    "dali": "install the DALI built for this machine's CUDA (extra dali-cuda12 or dali-cuda13)",
}
_EXACT_ONLY = ("torchcodec", "dali")


class Media(Protocol):
    """An open media file, as a backend offers it."""

    info: MediaInfo

    def upright(self) -> MediaInfo:
        """Return `info` with the size and rotation of the upright picture, decoding one frame."""

    def read(
        self,
        start: float,
        end: float,
        times: Sequence[float],
        *,
        audio: bool,
        video: bool,
        max_side: int | None,
    ) -> Clip:
        """Return the pictures shown at `times` and the sound of [start, end)."""

    def __enter__(self) -> Self:
        """Return itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""


class _Module(Protocol):
    def offer(self) -> str: ...

    def open_media(self, path: str, *, sampling: Sampling, threads: int | None) -> Media: ...


@dataclass(frozen=True)
class Choice:
    """A backend and why it is used.

    Attributes:
        name: One of `BACKENDS`.
        why: One sentence.
    """

    name: str
    why: str


@dataclass(frozen=True)
class State:
    """A backend on this machine.

    Attributes:
        name: One of `BACKENDS`.
        state: "loads", "does not load" or "not installed".
        detail: What it would decode here, or what to do to have it.
    """

    name: str
    state: str
    detail: str


def states() -> tuple[State, ...]:
    """Load each backend, and say of each what it would decode on this machine.

    Example:
        >>> states()[0].name, states()[0].state
        ('pyav', 'loads')
    """
    found = []
    for name, installed in available().items():
        try:
            choose(name)
            found.append(State(name, "loads", _module(name).offer()))
        except MediaError as error:
            found.append(State(name, "does not load" if installed else "not installed", str(error)))
    return tuple(found)


def available() -> dict[str, bool]:
    """Say of each backend whether the library that it needs is installed.

    Example:
        >>> available()["pyav"]
        True
    """
    return {name: _is_installed(_NEEDS[name]) for name in BACKENDS}


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it would lie in is missing
        return False


def choose(name: str | None = None) -> Choice:
    """Choose the backend: the one asked for, otherwise PyAV.

    PyAV is the rule because it brings its own FFmpeg, reads every kind of file, skips what no
    wanted picture depends on, and so was the quickest with short clips on CPUs. DALI's way through
    NVDEC has not been measured.

    Args:
        name: One of `BACKENDS`, or None to leave the choice to the rule.

    Raises:
        MediaError: There is no backend of that name, or its library is not installed or does not
            load.

    Example:
        >>> choose().name, choose("pyav").why
        ('pyav', 'asked for')
    """
    if name is None:
        return Choice(
            "pyav",
            "PyAV brings its own FFmpeg, reads every container, decodes only what the wanted "
            "pictures depend on, and so was the quickest with short clips on CPUs; NVDEC has not "
            "been measured",
        )
    if name not in BACKENDS:
        raise MediaError(f"Unknown decoding backend {name!r}; choose from {sorted(BACKENDS)}.")
    if not available()[name]:
        raise MediaError(
            f"The decoding backend {name} is not installed; run: pip install "
            f"'ter_fast[{_EXTRAS.get(name, name)}]', or leave the choice out to decode with PyAV."
        )
    _module(name)
    return Choice(name, "asked for")


def check_sampling(backend: str | None, sampling: str) -> None:
    """Refuse a way of sampling that there is not, or that the backend does not offer.

    Raises:
        MediaError: The message names it and what is expected.

    Example:
        >>> check_sampling(None, "keyframe")
    """
    if sampling not in get_args(Sampling):
        raise MediaError(f"sampling={sampling!r}, expected one of {get_args(Sampling)}.")
    if backend in _EXACT_ONLY and sampling != "exact":
        raise MediaError(
            f"The backend {backend} samples exactly only, sampling={sampling!r} was asked for; "
            "use the backend pyav for key frames."
        )


def _module(name: str) -> _Module:
    try:
        return cast(_Module, importlib.import_module(BACKENDS[name]))
    except (ImportError, OSError, RuntimeError) as error:
        # torchcodec is found without the FFmpeg libraries that it loads.
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        remedy = _REMEDIES.get(name, "install it again")
        raise MediaError(
            f"The decoding backend {name} is installed but does not load ({reason}); {remedy}, or "
            "leave the choice out to decode with PyAV."
        ) from error


def open_file(
    path: str | Path, backend: str | None, sampling: Sampling, threads: int | None
) -> Media:
    """Open a file with the chosen backend.

    Raises:
        MediaError: The path names no readable file with something in it, or an option is none.

    Example:
        >>> open_file("nowhere.mp4", None, "exact", None)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
    """
    check_sampling(backend, sampling)
    if threads is not None and threads < 1:
        raise MediaError(f"threads={threads}, expected at least 1, or None to leave it to FFmpeg.")
    choice = choose(backend)
    name = os.fspath(path)
    if not os.path.lexists(name):
        raise MediaError(_missing(name))
    if not os.path.isfile(name):
        what = "a folder" if os.path.isdir(name) else "no regular file"
        raise MediaError(f"{name} is {what}; name a media file.")
    if not os.access(name, os.R_OK):
        raise MediaError(f"{name} may not be read; change its permissions.")
    if os.path.getsize(name) == 0:
        raise MediaError(f"{name} is empty (0 bytes); copy or record it again.")
    return _module(choice.name).open_media(name, sampling=sampling, threads=threads)


def _missing(name: str) -> str:
    try:
        os.lstat(name)
    except PermissionError:
        return f"{name} may not be read, because its folder may not be entered; change its permissions."
    except (OSError, ValueError):
        pass
    scheme, separator, rest = name.partition(":/")
    # A drive of Windows has one letter; `pathlib` makes one slash of two.
    if separator and len(scheme) > 1 and scheme.isalnum():
        return (
            f"{scheme}://{rest.lstrip('/')} is a URL, and media are decoded from files; download it first, or "
            "give it to Model.predict; Model.live reads a stream."
        )
    return f"{name} does not exist; check the path."
