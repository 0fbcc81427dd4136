"""The folder that shards are written to: held by one run, of one plan, and what is done in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ter_fast.data.shards.plan import Shard, ShardPlan
from ter_fast.data.shards.settings import read_json
from ter_fast.errors import DataError
from ter_fast.media.files import PARTIAL

_LOCK = ".lock"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a lock that goes with the process, so that two runs never write the same folder.

    The lock is on a file that stays: were it removed, a run that had opened it before would hold a
    lock that the next one does not see. On the folder itself NFS grants none.
    """
    try:
        import fcntl
    except ImportError:  # Windows, where an open file cannot be replaced anyway
        yield
        return
    with (folder / _LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(
                f"Another run is writing {folder}; wait for it, or give another folder."
            ) from None
        for left_over in folder.glob(f"*{PARTIAL}"):
            left_over.unlink()
        yield


def check_same(folder: Path, plan: ShardPlan) -> None:
    """Refuse a folder that holds shards of other data or settings."""
    for index in sorted(folder.glob("*.json")):
        if read_json(index).get("plan") != plan.digest:
            raise DataError(
                f"{folder} holds shards made from other data or with other settings, or the data have "
                f"changed since ({index.name}). Give another folder, or remove this one."
            )


def is_done(folder: Path, shard: Shard) -> bool:
    """Say whether a shard is there, whole."""
    index, tar = folder / f"{shard.name}.json", folder / f"{shard.name}.tar"
    if not (index.is_file() and tar.is_file() and tar.with_suffix(".idx").is_file()):
        return False
    return tar.stat().st_size == read_json(index).get("bytes")
