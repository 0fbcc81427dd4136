"""Prepared shards: a dataset decoded once, cropped, and kept as WebDataset tars.

`prepare_shards` writes them, `load_shards` reads them as a `Dataset` (``shards:PATH`` in
`ter_fast.data.load_dataset`), and DALI and the package `webdataset` read the same tars.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ter_fast.data.shards.settings import ShardSettings

if TYPE_CHECKING:
    from ter_fast.data.shards.manifest import ShardReport
    from ter_fast.data.shards.reader import (
        holds,
        load_shards,
        shard_files,
        shard_windows,
        verify_shards,
    )
    from ter_fast.data.shards.writer import prepare_shards

__all__ = [
    "ShardReport",
    "ShardSettings",
    "holds",
    "load_shards",
    "prepare_shards",
    "shard_files",
    "shard_windows",
    "verify_shards",
]


def __getattr__(name: str) -> Any:
    """Import reader and writer when they are used: `ter_fast.data` names this package."""
    if name == "ShardReport":
        from ter_fast.data.shards.manifest import ShardReport

        return ShardReport
    if name == "prepare_shards":
        from ter_fast.data.shards.writer import prepare_shards

        return prepare_shards
    if name in __all__:
        from ter_fast.data.shards import reader

        return getattr(reader, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
