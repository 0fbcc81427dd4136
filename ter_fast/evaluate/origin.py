"""Where figures come from: the model, the data, the day and the version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network


def origin_of(model: Network, datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return what a report names besides the figures; "" where nothing is known.

    Args:
        model: That was measured; `from_pretrained` gives it its name.
        datasets: That it was measured on.
    """
    return {
        "model": model.name,
        "data": " and ".join(map(_data, datasets)),
        "date": date.today().isoformat(),
        "version": _version(),
    }


def _version() -> str:
    try:
        return metadata.version("ter_fast")
    except metadata.PackageNotFoundError:  # a checkout on the path
        return "not installed"


def _data(dataset: Dataset) -> str:
    splits = sorted({sample.split for sample in dataset} - {""})
    if not splits:
        return dataset.name
    return f"{dataset.name}, split{'' if len(splits) == 1 else 's'} {', '.join(splits)}"
