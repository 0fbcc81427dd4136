"""Prepared shards through NVIDIA DALI, on the CPU or the GPU."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ter_fast.data.shards.reader import shard_files
from ter_fast.media.decode.dali import (
    DaliBatch,
    DaliSettings,
    build,
    explain_refusal,
    stream_of,
    to_batch,
)
from ter_fast.media.decode.dali_graph import Node, flac_sound, pad_rows, strip_frames


class ShardLoader:
    """Iterate over the windows of prepared shards, in batches that DALI decodes ahead.

    Each iteration is an epoch. A window without sound or without pictures has length 0 there.

    Args:
        path: Folder that `ter_fast.data.shards.prepare_shards` wrote.
        split: ``"train"``, ``"validation"``, ``"test"``, or None for all.
        settings: Sizes, device, part of the data.

    Raises:
        MediaError: DALI is not installed, or cannot use the device.
        DataError: The folder is no finished folder of shards, or lacks the split.

    Example:
        >>> ShardLoader("nowhere")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere/manifest.json cannot be read (No such file or ...
    """

    def __init__(
        self, path: str | Path, split: str | None = None, settings: DaliSettings | None = None
    ) -> None:
        """Build the pipeline."""
        self.settings = settings or DaliSettings()
        self._files = shard_files(path, split)
        self._pipeline = self._build()
        self._begun = False
        windows = int(self._pipeline.reader_meta("shards")["epoch_size"])
        share, parts = self.settings.shard_id, self.settings.num_shards
        self.windows = windows * (share + 1) // parts - windows * share // parts
        """Windows in an epoch of this process."""
        # Every part's epoch is as long as that of the longest.
        self._runs = math.ceil(math.ceil(windows / parts) / self.settings.batch_size)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.windows / self.settings.batch_size)

    def __iter__(self) -> Iterator[DaliBatch]:
        """Yield the batches of one epoch; the last may be smaller."""
        if self._begun:
            # An epoch was left early, and its rest is being decoded: to start again costs less.
            self._pipeline = self._build()
        self._begun = True
        for index in range(self._runs):
            *nodes, records = self._run()
            # The reader fills its last batch up by repetition.
            count = min(self.windows - index * self.settings.batch_size, self.settings.batch_size)
            if count > 0:
                texts = [bytes(np.asarray(records.at(i))) for i in range(count)]
                yield to_batch(nodes, count, tuple(json.loads(text) for text in texts))
        self._begun = False

    def _build(self) -> Any:
        return build(_shard_nodes, self.settings, *self._files)

    def _run(self) -> Any:
        try:
            return self._pipeline.run(stream_of(self.settings))
        except RuntimeError as error:
            raise explain_refusal(error) from error


def _shard_nodes(settings: DaliSettings, tars: list[str], indices: list[str]) -> tuple[Node, ...]:
    """Read prepared shards: pictures, their count, sound, its samples, log-mel if any, record.

    Args:
        settings: Sizes, device, part of the data.
        tars: The tars.
        indices: DALI's index of each.
    """
    from nvidia.dali import fn

    parts: Any = fn.readers.webdataset(
        name="shards",
        paths=tars,
        index_paths=indices,
        ext=["jpg", "times.npy", "flac", "json"],
        missing_component_behavior="empty",
        shard_id=settings.shard_id,
        num_shards=settings.num_shards,
        stick_to_shard=True,
        random_shuffle=settings.shuffle,
        pad_last_batch=True,
        seed=settings.seed,
    )
    strip, times, flac, record = parts
    pictures, count = strip_frames(strip, times, settings)
    sound, samples = flac_sound(flac, settings)
    return (*pad_rows(pictures, count, sound, samples, settings), record)
