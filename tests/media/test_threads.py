"""Worker threads compute on one core each, and leave every other thread as it is."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from helpers.tiny import noisy_tone
from ter_fast import Clip, DataError, Model
from ter_fast.data import Dataset, check_dataset
from ter_fast.data.shards import prepare_shards
from ter_fast.evaluate.robustness import evaluate_corrupted
from ter_fast.media.threads import in_order, leaving_cores, thread_pool, use_one_core, worker_count

CORES = 4


@pytest.fixture(autouse=True)
def four_cores() -> Iterator[None]:
    """Let torch compute on four cores, whatever this machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(CORES)
    yield
    torch.set_num_threads(before)


def in_a_new_thread(call: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(call).result()


def native_threads() -> int:
    return len(os.listdir("/proc/self/task"))


# -- the settings ---------------------------------------------------------------------------------


def test_a_pool_computes_on_one_core_and_changes_no_other_thread() -> None:
    with thread_pool(3, "test") as pool:
        together = threading.Barrier(3)

        def cores() -> int:
            together.wait(30)
            return torch.get_num_threads()

        assert [each.result() for each in [pool.submit(cores) for _ in range(3)]] == [1, 1, 1]
        assert torch.get_num_threads() == CORES
        assert in_a_new_thread(torch.get_num_threads) == CORES


def test_pools_that_start_at_once_do_not_hand_their_one_core_on() -> None:
    for _ in range(5):
        with thread_pool(8, "test") as one, thread_pool(8, "test") as other:
            both = [pool.submit(torch.get_num_threads) for pool in (one, other) * 8]
            assert {each.result() for each in both} == {1}
        assert in_a_new_thread(torch.get_num_threads) == CORES


def test_a_thread_that_had_computed_before_is_set_too() -> None:
    def cores() -> tuple[int, int]:
        torch.ones(1 << 17).exp()
        before = torch.get_num_threads()
        use_one_core()
        return before, torch.get_num_threads()

    assert in_a_new_thread(cores) == (CORES, 1)


def test_a_pool_begins_on_the_gpu_that_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[tuple[int, str]] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(
        torch.cuda, "set_device", lambda gpu: chosen.append((gpu, threading.current_thread().name))
    )
    with thread_pool(1, "test") as pool:
        name = pool.submit(lambda: threading.current_thread().name).result()
    assert chosen == [(3, name)]


@pytest.mark.parametrize(("workers", "left"), [(1, 4), (2, 2), (3, 2), (8, 2)])
def test_what_workers_leave(workers: int, left: int) -> None:
    with leaving_cores(workers):
        assert torch.get_num_threads() == left
        assert in_a_new_thread(torch.get_num_threads) == CORES
    assert torch.get_num_threads() == in_a_new_thread(torch.get_num_threads) == CORES


def test_cores_come_back_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), leaving_cores(4):
        1 / 0  # noqa: B018
    assert torch.get_num_threads() == CORES


# -- who uses them --------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux, which lists threads in /proc")
def test_a_worker_starts_no_threads_of_its_own() -> None:
    workers, together = 4, threading.Barrier(4)
    sound = torch.randn(1 << 18)

    def load(path: str | Path) -> int:
        # Both of these ask OpenMP for a team: torch's own loops, and those of its matrix library.
        sound.exp() @ sound
        sound.view(512, 512) @ sound.view(512, 512)
        together.wait(60)
        found = native_threads()
        together.wait(60)
        return found

    before = native_threads()
    assert max(in_order(load, ["clip"] * workers, workers=workers)) <= before + workers


def spied(model: Model, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, int]]:
    """Note whether the model computes in the test's own thread, and on how many cores."""
    seen: list[tuple[bool, int]] = []
    own, evidence = threading.get_ident(), model.evidence

    def noting(*given: Any) -> tuple[Tensor, Tensor]:
        seen.append((threading.get_ident() == own, torch.get_num_threads()))
        return evidence(*given)

    monkeypatch.setattr(model, "evidence", noting)
    return seen


def test_prediction_leaves_cores_to_the_decoding_of_many_clips(
    voice: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = spied(voice, monkeypatch)
    clips = [Clip.from_arrays(audio=noisy_tone(500, 0.5, seed)) for seed in range(3)]
    voice.predict(clips, workers=3)
    assert set(seen) == {(True, 2)}
    seen.clear()
    voice.predict(clips[0], workers=3)
    assert set(seen) == {(True, CORES)}
    assert torch.get_num_threads() == CORES


@pytest.mark.parametrize("workers", [1, 3])
def test_corrupted_clips_are_encoded_on_one_core_each(
    voice: Model, tones: Dataset, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    seen = spied(voice, monkeypatch)
    test = tones.split("test")
    evaluate_corrupted(voice, test, "white_noise", severities=[1], resamples=20, workers=workers)
    assert set(seen) == {(False, 1)}


# -- numbers of workers that cannot be ------------------------------------------------------------


def test_by_default_there_is_one_worker_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, expected in ((1, 1), (6, 6), (64, 8), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        assert worker_count(None) == expected
    assert worker_count(20) == 20


@pytest.mark.parametrize("workers", [0, -1, 2.5, True, "2", np.nan])
def test_a_number_of_workers_that_cannot_be_is_refused(
    voice: Model, tones: Dataset, tmp_path: Path, workers: Any
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: worker_count(workers),
        lambda: voice.predict([Clip.from_arrays(audio=noisy_tone(500, 0.1))], workers=workers),
        lambda: evaluate_corrupted(voice, tones, "white_noise", workers=workers),
        lambda: check_dataset(tones, workers=workers),
        lambda: prepare_shards(tones, tmp_path / "shards", workers=workers),
        lambda: voice.evaluate(tones.split("test"), workers=workers, progress=False),
    ]
    for call in calls:
        with pytest.raises(
            DataError, match=r"workers is .*; expected a whole number of at least 1"
        ):
            call()
    assert not (tmp_path / "shards").exists()
