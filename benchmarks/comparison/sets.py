"""Feature sets of several views, as the trusted multi-view papers publish them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison.folds import Protocol
from ter_fast.errors import DataError
from ter_fast.multiview.views import Array


@dataclass(frozen=True)
class ViewSet:
    """Samples seen through several views.

    Attributes:
        name: Of the set.
        views: Per view, (N, D_v) features.
        labels: (N,) classes 0 … K - 1.
        names: Of the views, where they have any.
        groups: (N,) group of each sample, where it is known.
    """

    name: str
    views: tuple[Array, ...]
    labels: Array
    names: tuple[str, ...] = ()
    groups: Array | None = None


def load_views(path: str | Path, name: str | None = None) -> ViewSet:
    """Read a feature set from a .mat or .npz file.

    MATLAB files hold either `X`, a cell of (D_v, N) views, and `gt`; or `x1_train`, `x1_test`, … and
    `gt_train`, `gt_test`, which are put together. NumPy files hold `view0`, `view1`, … (N, D_v), and
    `y` or `y_true`.

    Args:
        path: The file.
        name: Name of the set; that of the file when left out.

    Raises:
        DataError: The file cannot be read, or holds something else; the message says what.

    Example:
        >>> load_views("nowhere.npz")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere.npz cannot be read (No such file or directory); check the ...
    """
    file = Path(path)
    content = _read(file)
    try:
        return _as_views(content, file, name)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{file} holds views in part, or no numbers ({error}); check the file"
        ) from error


def load_grouped(path: str | Path, protocol: Protocol, name: str | None = None) -> ViewSet:
    """Read a feature set whose samples come from groups, such as speakers.

    Args:
        path: A NumPy archive.
        protocol: Names of its arrays.
        name: Name of the set; that of the file when left out.

    Raises:
        DataError: The file cannot be read, lacks an array, or its arrays do not fit together.
    """
    file = Path(path)
    content = _read(file)
    wanted = [*protocol.views.values(), protocol.labels, protocol.group]
    if absent := [each for each in wanted if each not in content]:
        raise DataError(
            f"{file} holds {sorted(content)}, but no {absent[0]}; name its arrays in the protocol"
        )
    views = [np.asarray(content[each]) for each in protocol.views.values()]
    labels, groups = np.asarray(content[protocol.labels]), np.asarray(content[protocol.group])
    if labels.ndim != 1 or groups.shape != labels.shape or not len(labels):
        raise DataError(
            f"{file}: {protocol.labels} has shape {labels.shape}, {protocol.group} has {groups.shape}; "
            "expected (N,) each"
        )
    for key, view in zip(protocol.views.values(), views, strict=True):
        numeric = np.issubdtype(view.dtype, np.number)
        if view.ndim != 2 or len(view) != len(labels) or not numeric or not np.isfinite(view).all():
            raise DataError(
                f"{file}: {key} is {view.dtype} of shape {view.shape}; expected finite numbers "
                f"({len(labels)}, features)"
            )
    _, classes = np.unique(labels, return_inverse=True)
    arrays = tuple(view.astype(np.float64) for view in views)
    return ViewSet(name or file.stem, arrays, classes, tuple(protocol.views), groups)


def _as_views(content: dict[str, Any], file: Path, name: str | None) -> ViewSet:
    if "X" in content and "gt" in content:
        views, labels = [view.T for view in content["X"].ravel()], content["gt"]
    elif "x1_train" in content:
        numbers = range(
            1, 1 + sum(key.startswith("x") and key.endswith("_train") for key in content)
        )
        views = [np.concatenate([content[f"x{n}_train"], content[f"x{n}_test"]]) for n in numbers]
        labels = np.concatenate([content["gt_train"], content["gt_test"]])
    elif "view0" in content:
        numbers = range(sum(key.startswith("view") for key in content))
        views = [content[f"view{n}"] for n in numbers]
        labels = content.get("y_true", content.get("y"))
    else:
        raise DataError(
            f"{file} holds {sorted(content)}; expected X and gt, x1_train … and gt_train …, or "
            "view0 … and y"
        )
    if labels is None or any(len(view) != len(np.ravel(labels)) for view in views):
        sizes = [len(view) for view in views]
        raise DataError(f"{file}: views of {sizes} samples, and labels that do not fit them")
    _, classes = np.unique(np.ravel(labels), return_inverse=True)
    if any(np.ndim(view) != 2 for view in views):
        shapes = [np.shape(view) for view in views]
        raise DataError(f"{file}: views have the shapes {shapes}; expected (N, features) each")
    arrays = tuple(np.asarray(view, np.float64) for view in views)
    return ViewSet(name or file.stem, arrays, classes)


def _read(file: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        if file.suffix == ".mat":
            return {key: value for key, value in loadmat(file).items() if not key.startswith("__")}
        # NumPy leaves a file open that it opened and could not read.
        with file.open("rb") as opened, np.load(opened) as archive:
            return {key: archive[key] for key in archive.files}
    except (EOFError, MatReadError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{file} is cut off or damaged ({error}); fetch it again") from error
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{file} cannot be read ({reason}); check the path") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise DataError(
            f"{file} is no .mat or .npz of features ({error}); check the file"
        ) from error
