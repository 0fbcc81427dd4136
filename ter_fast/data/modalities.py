"""Modalities beyond sound and pictures: how text, physiology or feature vectors are read.

A modality is registered with a reader, from what a manifest's cell holds to a tensor. Its encoder is
registered apart (`ter_fast.register_encoder`), and nothing else in the package knows the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import torch
from torch import Tensor

from ter_fast.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reader = Callable[[Any], Any]

MEDIA = ("audio", "video")
"""The modalities that come with the package."""

LARGEST_BYTES = 1 << 28
"""Largest file of features that `read_vectors` takes: what describes one clip is far smaller."""

_RESERVED = ("path", "label", "split", "group", "start", "end", *MEDIA)


@dataclass(frozen=True)
class Modality:
    """How the values of a modality are read.

    Attributes:
        name: Of the modality, and of the column of a manifest.
        read: From what is given (the text of a cell, a path, anything) to a tensor or an array; None
            where there is nothing.
        shape: Of one sample; None in the first place for sequences of any length, which are padded.
        dtype: Of the tensor.
        files: Cells of a manifest are paths, relative to the manifest's folder.
    """

    name: str
    read: Reader
    shape: tuple[int | None, ...]
    dtype: torch.dtype = torch.float32
    files: bool = False

    @property
    def empty(self) -> Tensor:
        """A tensor without rows, of this dtype and trailing shape."""
        return torch.zeros(0, *(size or 0 for size in self.shape[1:]), dtype=self.dtype)

    def tensor(self, given: Any) -> tuple[Tensor | None, str]:
        """Read what is given: the tensor and "", or None and why there is none.

        A reader may fail in any way; that costs this modality of this clip, and nothing else.

        Example:
            >>> length = Modality("text", lambda text: [len(text)], (1,))
            >>> length.tensor("hello")
            (tensor([5.]), '')
            >>> length.tensor("")
            (None, 'not given')
        """
        if given is None or (isinstance(given, str) and not given.strip()):
            return None, "not given"
        try:
            value = given if isinstance(given, Tensor) else self.read(given)
            if value is None:
                return None, f"the reader found nothing in {_short(given)}"
            value = self._sequence(torch.as_tensor(value).detach().to("cpu", self.dtype))
        except Exception as error:
            return None, f"{_short(given)} could not be read ({_reason(error)})"
        if not self._fits(tuple(value.shape)):
            return None, (
                f"{_short(given)} has shape {tuple(value.shape)}; expected "
                f"({', '.join('any' if size is None else str(size) for size in self.shape)})"
            )
        return value, ""

    def _sequence(self, value: Tensor) -> Tensor:
        # One line of a table, or one column, comes as a vector: it is one step, or steps of one number.
        steps = len(self.shape) == 2 and self.shape[0] is None and value.dim() == 1
        if steps and self.shape[1] in (1, len(value)):
            return value.reshape(-1, self.shape[1] or 1)
        return value

    def _fits(self, shape: tuple[int, ...]) -> bool:
        return (
            len(shape) == len(self.shape)
            and shape[0] > 0
            and all(want in (None, size) for want, size in zip(self.shape, shape, strict=True))
        )


MODALITIES: dict[str, Modality] = {}


def register_modality(
    name: str,
    read: Reader | None = None,
    *,
    shape: tuple[int | None, ...],
    dtype: torch.dtype = torch.float32,
    files: bool | None = None,
) -> Modality:
    """Say how a modality is read, so that manifests with a column of its name carry it.

    Register before the manifest is loaded. The last registration of a name counts. In long clips, what
    is given for the clip belongs to each of its windows, and, as evidence is averaged over windows,
    counts once for the clip.

    Args:
        name: Of the modality: the column of manifests, the key of `Model.predict` and of `Model.build`.
        read: From a cell's text (or a path, with `files`) to a tensor or an array; None for
            `read_vectors`, which reads files of numbers.
        shape: Of one sample, such as `(35,)` for vectors or `(None, 300)` for sequences of vectors of any
            length. What has another shape is masked, with a note.
        dtype: Of the tensor that the encoder is given.
        files: Cells are paths, relative to the manifest's folder; None for: with `read_vectors` alone.

    Raises:
        DataError: A name that means something else in manifests or models, or a shape that is none.

    Example:
        >>> register_modality("doctest_pulse", shape=(4,)).files
        True
        >>> register_modality("label", len, shape=(1,))
        Traceback (most recent call last):
        ter_fast.errors.DataError: a modality cannot be called 'label'; ...
    """
    if not name.isidentifier() or name in _RESERVED:
        raise DataError(
            f"a modality cannot be called {name!r}; give letters, digits and _, and none of "
            f"{', '.join(_RESERVED)}"
        )
    sizes = [size for size in shape if size is not None]
    if not shape or None in shape[1:] or any(size < 1 for size in sizes):
        raise DataError(
            f"the shape of {name} is {shape}; give the sizes of one sample, each at least 1, and None at "
            "most for the first"
        )
    files = read is None if files is None else files
    MODALITIES[name] = Modality(name, read or read_vectors, tuple(shape), dtype, files)
    return MODALITIES[name]


def read_vectors(path: str | Path) -> NDArray[Any]:
    """Read features of one clip from a file of numbers.

    `.npy` holds one array, `.npz` one array (or several: name it behind a "#", as in
    "clips.npz#clip3"), `.csv` and `.txt` numbers separated by commas, of which one line, or one column,
    is a vector `(D,)`, and several lines are a sequence `(T, D)`; a first line that is not numbers is a
    header.

    Raises:
        DataError: The file is missing, empty, cut, too large, holds no numbers, or is of another kind.

    Example:
        >>> read_vectors("gone.npy")
        Traceback (most recent call last):
        ter_fast.errors.DataError: gone.npy is not there; ...
    """
    name, mark, key = str(path).rpartition("#")
    if not mark or not name.lower().endswith(".npz"):
        # Then the mark, if there is one, is a part of the file's own name.
        name, key = str(path), ""
    file = Path(name)
    kind = file.suffix.lower()
    if kind not in (".npy", ".npz", ".csv", ".txt"):
        raise DataError(f"{name} is no .npy, .npz, .csv or .txt; convert it, or give a reader")
    try:
        if not file.is_file():
            raise DataError(f"{name} is not there; correct the path")
        size = file.stat().st_size
        if not 0 < size <= LARGEST_BYTES:
            raise DataError(
                f"{name} has {size} bytes; expected features of one clip, at most {LARGEST_BYTES}"
            )
        found = _read_text(file) if kind in (".csv", ".txt") else _read_arrays(file, key)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, KeyError, BadZipFile, SyntaxError) as error:
        raise DataError(f"{name} is damaged or not what its name says: {_reason(error)}") from error
    if found.dtype.kind not in "biuf" or not found.size:
        raise DataError(f"{name} holds {found.dtype} {found.shape}; expected numbers")
    # torch takes no numbers in another machine's order of bytes.
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def _read_arrays(file: Path, key: str) -> NDArray[Any]:
    import numpy as np

    # Opened here: numpy leaves a damaged archive open.
    with file.open("rb") as stream:
        arrays: Any = np.load(stream, allow_pickle=False)
        if isinstance(arrays, np.ndarray):
            return arrays
        with arrays:
            return _pick_array(file, arrays, key)


def _pick_array(file: Path, arrays: Any, key: str) -> NDArray[Any]:
    if not key and len(arrays.files) != 1:
        raise DataError(
            f"{file} holds {len(arrays.files)} arrays; name one of them: {file.name}#NAME"
        )
    key = key or arrays.files[0]
    if key not in arrays.files:
        raise DataError(f"{file} holds no array {key!r}; it has {_short(arrays.files)}")
    # A few bytes may unpack to any number of them.
    if arrays.zip.getinfo(f"{key}.npy").file_size > LARGEST_BYTES:
        raise DataError(f"{key} of {file} unpacks to more than {LARGEST_BYTES} bytes")
    found: NDArray[Any] = arrays[key]
    return found


def _read_text(file: Path) -> NDArray[Any]:
    import numpy as np

    lines = [line for line in file.read_text("utf-8-sig").splitlines() if line.strip()]
    if lines and not _are_numbers(lines[0]):
        del lines[0]
    if not lines:
        raise DataError(f"{file} holds no numbers")
    table = np.array([[float(cell) for cell in line.split(",")] for line in lines])
    return table.reshape(-1) if 1 in table.shape else table


def _are_numbers(line: str) -> bool:
    try:
        [float(cell) for cell in line.split(",")]
    except ValueError:
        return False
    return True


def _short(given: Any) -> str:
    text = f"a {type(given).__name__}" if isinstance(given, Tensor) else repr(str(given))
    return text if len(text) <= 60 else f"{text[:57]}…'"


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
