"""An epoch of Music_video from its films, from prepared shards, and from shards through DALI."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ter_fast import Model, VideoInput
from ter_fast.data import Dataset, load_dataset
from ter_fast.data.shards import ShardSettings, prepare_shards
from ter_fast.data.shards.dali import ShardLoader
from ter_fast.media.decode.dali import DaliSettings
from ter_fast.predict.sources import dataset_sources
from ter_fast.predict.streaming import prepare_clips

SIZE, FRAMES = 48, 16
STORED_SIDE = 112
THREADS = 2
FEW = 4
"""Clips read where rows are run but not timed."""


@dataclass(frozen=True)
class Epoch:
    """The same clips twice, and a model that says how it reads them."""

    films: Dataset
    folder: Path
    model: Model

    def windows(self, dataset: Dataset) -> int:
        preprocessor = self.model.preprocessor()
        sources = dataset_sources(dataset, preprocessor)
        total = 0
        for _, windows in prepare_clips(sources, preprocessor, THREADS):
            assert not isinstance(windows, Exception), windows
            total += len(windows)
        return total


def by_dali(epoch: Epoch) -> int:
    settings = DaliSettings(size=SIZE, channels=1, threads=THREADS)
    return sum(len(each.records) for each in ShardLoader(epoch.folder, None, settings))


ROWS: dict[str, Callable[[Epoch], int]] = {
    "ter_fast": lambda epoch: epoch.windows(load_dataset(f"shards:{epoch.folder}")),
    "DALI": by_dali,
    "films": lambda epoch: epoch.windows(epoch.films),
}


@pytest.fixture(scope="module")
def epoch(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Epoch:
    folder = os.environ.get("TER_FAST_DATA")
    if not folder:
        pytest.skip("TER_FAST_DATA names no folder with clips")
    films = load_dataset(f"music_video:{folder}/music_video?split=clean")
    if request.config.getoption("benchmark_disable"):
        films = Dataset(
            films.name,
            films.labels,
            films.samples[:: len(films) // FEW],
            films.terms,
            films.modalities,
        )
    out = tmp_path_factory.mktemp("shards")
    prepare_shards(films, out, ShardSettings("whole", STORED_SIDE, FRAMES))
    video = VideoInput(FRAMES, SIZE, 1, "whole")
    model = Model.build(films.labels, films.modalities, video=video)
    return Epoch(films, out, model)


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.benchmark(min_rounds=1, max_time=1.0, warmup=False)
def test_epoch(benchmark: Any, epoch: Epoch, row: str) -> None:
    if row == "DALI" and importlib.util.find_spec("nvidia.dali") is None:
        pytest.skip("DALI is not installed")
    count = len(epoch.films)
    benchmark.group = f"epoch of {count} clips, {FRAMES} frames at {SIZE} px + 16 kHz"
    expected = ROWS["films"](epoch) if row != "films" else None
    answer = ROWS[row](epoch)
    assert expected is None or answer == expected
    benchmark(ROWS[row], epoch)
    if benchmark.stats is not None:
        rate = count / benchmark.stats.stats.median
        benchmark.extra_info |= {"row": row, "device": "cpu", "clips_per_second": round(rate, 1)}
