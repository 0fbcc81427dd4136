"""Labelled data: manifests, adapters of published corpora, and splits that keep groups apart.

The function that reads a registered corpus is here too: `load_ravdess` is `CORPORA["ravdess"].load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.data import corpora
from ter_fast.data.dataset import EMOTIONS, SPLITS, Dataset, Sample, shared_groups
from ter_fast.data.folders import load_folders
from ter_fast.data.loading import load_dataset, load_datasets
from ter_fast.data.manifest import load_manifest
from ter_fast.data.protocols import with_protocol
from ter_fast.data.registry import CORPORA, Corpus, register_dataset

if TYPE_CHECKING:
    from ter_fast.data.check import DatasetCheck, check_dataset
    from ter_fast.data.splits import holdout, kfold, with_validation

__all__ = [
    "CORPORA",
    "EMOTIONS",
    "SPLITS",
    "Corpus",
    "Dataset",
    "DatasetCheck",
    "Sample",
    "check_dataset",
    "corpora",
    "holdout",
    "kfold",
    "load_dataset",
    "load_datasets",
    "load_folders",
    "load_manifest",
    "register_dataset",
    "shared_groups",
    "with_protocol",
    "with_validation",
]


def __getattr__(name: str) -> Any:
    # Checks load the decoders and torch, splits NumPy; names of corpora need neither.
    if name in ("DatasetCheck", "check_dataset"):
        from ter_fast.data import check

        return getattr(check, name)
    if name in ("holdout", "kfold", "with_validation"):
        from ter_fast.data import splits

        return getattr(splits, name)
    corpus = CORPORA.get(name.removeprefix("load_"))
    if corpus is not None and name.startswith("load_"):
        return corpus.load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *(f"load_{name}" for name in CORPORA)})
