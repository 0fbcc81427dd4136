"""Feature views: how a table of features is cut into them, and how each is scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
import numpy.typing as npt
import torch
from scipy.sparse import issparse
from sklearn.preprocessing import StandardScaler
from torch import Tensor

Array: TypeAlias = npt.NDArray[Any]
Views: TypeAlias = Sequence[int] | Mapping[str, Sequence[int]] | None
Features: TypeAlias = Array | Sequence[Array] | Mapping[str, Array]

# Deviations from the mean beyond which a feature says no more: a value of 1e6 would drown all others.
_FARTHEST = 10.0


def is_cut(features: object) -> bool:
    """Say whether features come as one array a view, and not as one table of all.

    Example:
        >>> is_cut([np.zeros((2, 3)), np.zeros((2, 5))]), is_cut([[0.0, 1.0], [2.0, 3.0]])
        (True, False)
    """
    # One of SciPy's sparse tables is a dictionary, too.
    if isinstance(features, Mapping):
        return not issparse(features)
    if not isinstance(features, Sequence) or not features:
        return False
    return all(getattr(part, "ndim", None) == 2 for part in features)


def join_views(
    features: Sequence[Array] | Mapping[str, Array],
) -> tuple[Array, dict[str, list[int]]]:
    """Put views side by side in one table; return it and the columns of each view by name.

    Raises:
        ValueError: There is no view, or views differ in their number of samples.

    Example:
        >>> table, columns = join_views({"audio": np.ones((4, 2)), "video": np.ones((4, 1))})
        >>> table.shape, columns
        ((4, 3), {'audio': [0, 1], 'video': [2]})
    """
    named = dict(features) if isinstance(features, Mapping) else _number_views(features)
    arrays = {name: np.asarray(part) for name, part in named.items()}
    for name, part in arrays.items():
        if part.ndim != 2:
            raise ValueError(f"view {name!r} has shape {part.shape}; expected (N, features)")
    if len({len(part) for part in arrays.values()}) != 1:
        sizes = {name: len(part) for name, part in arrays.items()}
        raise ValueError(
            f"views have {sizes} samples; expected at least one view, and as many in each"
        )
    ends = np.cumsum([part.shape[1] for part in arrays.values()])
    columns = {
        name: list(range(end - part.shape[1], end))
        for (name, part), end in zip(arrays.items(), ends, strict=True)
    }
    return np.concatenate(list(arrays.values()), axis=1), columns


def columns_of(views: Views, count: int) -> dict[str, list[int]]:
    """Return the columns of each view of a table of `count` features.

    Args:
        views: Widths of the views, in their order; or columns by name; None for one view of all.
        count: Columns of the table.

    Raises:
        ValueError: Widths that do not add up, or a view without columns or with columns that there
            are not.

    Example:
        >>> columns_of((2, 1), 3)
        {'view_0': [0, 1], 'view_1': [2]}
    """
    if views is None:
        return {"view_0": list(range(count))}
    if isinstance(views, Mapping) and views:
        named = {name: [int(c) for c in columns] for name, columns in views.items()}
        for name, columns in named.items():
            if not columns or not all(0 <= c < count for c in columns):
                raise ValueError(
                    f"view {name!r} has the columns {columns}; expected some of 0 to {count - 1}"
                )
        return named
    widths = [int(width) for width in views]
    if sum(widths) != count or min(widths, default=0) < 1:
        raise ValueError(
            f"views are {widths} features wide, X has {count}; expected widths of at least 1 that "
            "add up to that"
        )
    ends = np.cumsum(widths)
    return _number_views(
        [list(range(end - width, end)) for width, end in zip(widths, ends, strict=True)]
    )


def _number_views(parts: Sequence[Any]) -> dict[str, Any]:
    return {f"view_{number}": part for number, part in enumerate(parts)}


class ViewScaler:
    """Cut a table into views and scale each feature to mean 0 and deviation 1.

    A view whose features are all NaN in a row is missing there. Scaled features end at 10 deviations.
    Scales are those of the rows that
    `fit` sees, so fit it on training data only.

    Args:
        columns: Columns of each view by name.
        scale: Whether to scale; without it features are used as they come.

    Example:
        >>> scaler = ViewScaler({"a": [0], "b": [1]}).fit(np.array([[0.0, 5.0], [2.0, np.nan]]))
        >>> values, mask = scaler.transform(np.array([[1.0, np.nan]]))
        >>> [v.tolist() for v in values], mask.tolist()
        ([[[0.0]], [[0.0]]], [[True], [False]])
    """

    def __init__(self, columns: dict[str, list[int]], scale: bool = True) -> None:
        """Keep the columns."""
        self.columns = columns
        self.scale = scale
        self._scalers: list[StandardScaler] = []

    def fit(self, table: Array) -> ViewScaler:
        """Learn the scales from `(N, D)` features.

        Raises:
            ValueError: A view is missing everywhere, or partly NaN in a row.
        """
        present = self._present(table)
        for name, here in zip(self.columns, present, strict=True):
            if not here.any():
                raise ValueError(f"view {name!r} is missing (NaN) in every sample; leave it out")
        self._scalers = [
            StandardScaler(with_mean=self.scale, with_std=self.scale).fit(table[:, columns])
            for columns in self.columns.values()
        ]
        return self

    def transform(self, table: Array) -> tuple[list[Tensor], Tensor]:
        """Return each view `(N, D_v)` float32, zeros where it is missing, and the mask `(V, N)`.

        Raises:
            ValueError: A view is partly NaN in a row.
        """
        present = self._present(table)
        values = []
        for scaler, columns in zip(self._scalers, self.columns.values(), strict=True):
            scaled = cast(Array, scaler.transform(table[:, columns]))
            filled = np.nan_to_num(scaled, nan=0.0)
            if self.scale:
                filled = filled.clip(-_FARTHEST, _FARTHEST)
            values.append(torch.from_numpy(filled.astype(np.float32)))
        return values, torch.from_numpy(np.stack(present))

    def _present(self, table: Array) -> list[npt.NDArray[np.bool_]]:
        present: list[npt.NDArray[np.bool_]] = []
        for name, columns in self.columns.items():
            unknown = np.isnan(table[:, columns])
            partly = unknown.any(1) & ~unknown.all(1)
            if partly.any():
                raise ValueError(
                    f"Input X contains NaN in part of view {name!r}, as in sample "
                    f"{int(partly.argmax())}; fill the gap, or make the whole view NaN where it is "
                    "missing"
                )
            present.append(np.asarray(~unknown.all(1)))
        return present
