"""The manifest that closes a folder of shards, and the report of the run that wrote it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ter_fast.data.shards.plan import ShardPlan
from ter_fast.data.shards.settings import (
    FORMAT,
    MANIFEST,
    ShardSettings,
    digest,
    dump_json,
    read_json,
    settings_record,
)
from ter_fast.errors import DataError
from ter_fast.media.files import replace_file

if TYPE_CHECKING:
    from ter_fast.data import Dataset


@dataclass(frozen=True)
class ShardReport:
    """What `prepare_shards` wrote.

    Attributes:
        path: The folder.
        shards: How many there are.
        resumed: How many of them were there already.
        clips: Clips stored.
        windows: Windows stored.
        bytes: Size of the tars together.
        failed: What was wrong with clips that could not be used.
    """

    path: Path
    shards: int
    resumed: int
    clips: int
    windows: int
    bytes: int
    failed: tuple[str, ...]

    def summary(self) -> str:
        """Say it in a line.

        Example:
            >>> ShardReport(Path("shards"), 2, 1, 200, 230, 5_000_000, ()).summary()
            '200 clips in 230 windows, 2 shards (1 there already), 5.0 MB: shards'
        """
        there = f" ({self.resumed} there already)" if self.resumed else ""
        lost = f"; {len(self.failed)} clips could not be used" if self.failed else ""
        return (
            f"{self.clips} clips in {self.windows} windows, {self.shards} shards{there}, "
            f"{self.bytes / 1e6:.1f} MB: {self.path}{lost}"
        )


def close_folder(
    dataset: Dataset, settings: ShardSettings, plan: ShardPlan, folder: Path, resumed: int
) -> ShardReport:
    """Write the manifest over what the shards' own indices say."""
    shards, failed, counts = [], [], Counter[tuple[str, str]]()
    for shard in plan.shards:
        index = read_json(folder / f"{shard.name}.json")
        counts.update((clip["split"], clip["label"]) for clip in index["clips"])
        failed += index["failed"]
        shards.append(
            {
                "name": shard.name,
                "clips": len(index["clips"]),
                "windows": sum(len(clip["windows"]) for clip in index["clips"]),
                "bytes": index["bytes"],
                "sha256": index["sha256"],
                "index": digest(index),
            }
        )
    if not counts:
        raise DataError(f"No clip of {dataset.name} could be used; the first said: {failed[0][1]}")
    manifest = {
        "format": FORMAT,
        "plan": plan.digest,
        "name": dataset.name,
        "labels": dataset.labels,
        "terms": dataset.terms,
        "modalities": dataset.modalities,
        "known_overlap": sorted(dataset.known_overlap),
        "settings": settings_record(settings),
        "counts": [[*key, count] for key, count in sorted(counts.items())],
        "shards": shards,
        "failed": failed,
    }
    replace_file(folder / MANIFEST, dump_json(manifest), durable=True)
    return ShardReport(
        folder,
        len(shards),
        resumed,
        counts.total(),
        sum(shard["windows"] for shard in shards),
        sum(shard["bytes"] for shard in shards),
        tuple(reason for _, reason in failed),
    )
