"""Damaged media never crash, hang, leak or grow; and the tool that says so would notice."""

from __future__ import annotations

import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mutations
from media import tone, write_media
from mutate import MUTATIONS, Original, mutants, originals, png
from mutations import Reader, Result, Step
from ter_fast import decode
from ter_fast.decode import pyav
from ter_fast.errors import MediaError

SECONDS = [i * 0.04 for i in range(26)]
SAMPLE = 2 * len(MUTATIONS)


@pytest.fixture(scope="module")
def sources(data_dir: Path) -> list[Original]:
    return originals(data_dir / "fixtures")


def test_damaged_copies_of_the_fixtures(data_dir: Path, sources: list[Original]) -> None:
    """A sample of the 2,000 that benchmarks/mutations.py reads."""
    results = list(mutations.run(data_dir, mutants(sources, SAMPLE, seed=5)))
    assert {result.kind for result in results} == set(MUTATIONS)
    faults = [(result.name, result.faults) for result in results if result.faults]
    assert not faults
    outcomes = {step.outcome for result in results for step in result.steps.values()}
    assert outcomes == set(mutations.GOOD), "the sample is too tame, or too wild"
    assert all(list(result.steps) == list(mutations.STEPS) for result in results)


def test_mutants_follow_from_their_seed(sources: list[Original]) -> None:
    first, again, other = (list(mutants(sources, 2 * len(MUTATIONS), seed)) for seed in (3, 3, 4))
    assert first == again
    assert sum(a.content != b.content for a, b in zip(first, other, strict=True)) > len(first) // 2
    sound = {(each.name, each.content) for each in sources}
    damaged = [(m.kind, any(m.content == content for _, content in sound)) for m in first]
    assert {kind for kind, same in damaged if same} <= {"wrong ending", "remuxed, flipped"}


# -- what the runs have found ---------------------------------------------------------------------


def test_timestamps_that_jump_by_days_cost_no_search(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "jump.mkv",
        frame_times=[*SECONDS, 1e6, 1e6 + 0.04],
        sound=[(0.0, tone(1.0, 48_000))],
    )
    began = time.perf_counter()
    assert decode.probe(path).duration == pytest.approx(1.04, abs=0.1)
    (clip,) = decode.windows(path, seconds=2.0)
    assert time.perf_counter() - began < mutations.SECONDS / 4
    assert clip.frames is not None
    assert len(clip.frames) == 16
    assert clip.note == "its timestamps jump by more than 60 s; what comes after 1.0 s is left out"


def test_pauses_of_less_than_a_minute_stay(tmp_path: Path) -> None:
    path = write_media(tmp_path / "pause.mkv", frame_times=[*SECONDS, 50.0, 50.04, 100.0, 100.04])
    assert decode.probe(path).duration == pytest.approx(100.08, abs=0.1)
    clip = decode.read(path, times=[0.5, 50.01, 100.01])
    assert clip.frames is not None
    assert len(clip.frames) == 3
    assert clip.note == ""


def test_giant_pictures_are_refused_before_they_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "giant.png"
    path.write_bytes(png(9_000))
    step = mutations._watched(lambda given: (f"{decode.probe(given)}", ""), path)
    assert step.memory < 50 << 20
    with pytest.raises(MediaError, match=r"giant\.png: nothing .*above 67 million pixels"):
        decode.read(path)
    path.write_bytes(png(3_000))
    frames = decode.read(path, max_side=300).frames
    assert frames is not None
    assert frames.shape == (1, 300, 300, 3)


class LosesCount:
    """A container as PyAV's is when a damaged program table made FFmpeg find another stream."""

    def __init__(self, container: Any) -> None:
        self.container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self.container, name)

    def demux(self, *streams: Any) -> Iterator[Any]:
        yield from self.container.demux(*streams)
        raise IndexError("list index out of range")


def test_a_stream_that_appears_on_the_way_ends_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_media(
        tmp_path / "a.ts", frame_times=SECONDS, sound=[(0.0, tone(1.0, 48_000))], audio_codec="mp2"
    )
    expected = decode.read(path)
    real = pyav._open_container
    monkeypatch.setattr(pyav, "_open_container", lambda name: LosesCount(real(name)))
    monkeypatch.setattr(pyav, "_THINNEST", 10**9)
    found = decode.read(path)
    assert found.frames is not None
    assert found.audio is not None
    assert expected.frames is not None
    assert len(found.frames) == len(expected.frames)
    assert found.end == pytest.approx(expected.end, abs=0.1)


@pytest.mark.parametrize("rate", [1, 999, 2**31 - 1])
def test_sound_of_an_absurd_rate_is_refused(tmp_path: Path, rate: int) -> None:
    path = write_media(
        tmp_path / "odd.wav", sound=[(0.0, tone(1.0, 8000))], audio_codec="pcm_s16le", rate=8000
    )
    content = bytearray(path.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    path.write_bytes(bytes(content))
    with pytest.raises(MediaError, match=r"odd\.wav holds neither .* sound of a rate that can be"):
        decode.probe(path)


# -- the tool would notice ------------------------------------------------------------------------


def leaves_a_file_open(path: Path) -> tuple[str, str]:
    KEPT.append(path.open("rb"))
    return "done", ""


def leaves_a_thread(path: Path) -> tuple[str, str]:
    threading.Thread(target=ENDED.wait).start()
    return "done", ""


def grows(path: Path) -> tuple[str, str]:
    # Above 32 MiB the C library always asks the kernel; less may come out of memory freed before.
    return "done", str(int(np.ones(8 << 20).sum()))


def is_slow(path: Path) -> tuple[str, str]:
    time.sleep(0.3)
    return "done", ""


def raises_what_nobody_foresaw(path: Path) -> tuple[str, str]:
    raise OverflowError("too large")


def wraps_what_nobody_foresaw(path: Path) -> tuple[str, str]:
    raise MediaError(f"{path} could not be read (KeyError: 3); convert it with ffmpeg")


def names_no_file(path: Path) -> tuple[str, str]:
    raise MediaError("no")


def answers_nonsense(path: Path) -> tuple[str, str]:
    mutations._require(path.name == "", "nonsense")
    return "done", ""


def refuses(path: Path) -> tuple[str, str]:
    raise MediaError(f"{path} is empty")


KEPT: list[Any] = []
ENDED = threading.Event()


@pytest.fixture
def tidy() -> Iterator[None]:
    ENDED.clear()
    yield
    ENDED.set()
    while KEPT:
        KEPT.pop().close()


@pytest.mark.usefixtures("tidy")
@pytest.mark.parametrize(
    ("call", "outcome"),
    [
        (leaves_a_file_open, "leak"),
        (leaves_a_thread, "leak"),
        (grows, "memory"),
        (is_slow, "hang"),
        (raises_what_nobody_foresaw, "uncaught"),
        (wraps_what_nobody_foresaw, "uncaught"),
        (names_no_file, "wrong"),
        (answers_nonsense, "wrong"),
        (refuses, "refused"),
    ],
)
def test_each_fault_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Any, outcome: str
) -> None:
    monkeypatch.setattr(mutations, "MEMORY", 40 << 20)
    monkeypatch.setattr(mutations, "SECONDS", 0.2)
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    step = mutations._watched(call, path)
    assert step.outcome == outcome
    assert bool(Result("cut", "clip.mp4", {"read": step}).faults) == (outcome != "refused")


@pytest.mark.parametrize(
    ("act", "outcome", "message"),
    [
        ("os.abort()", "crash", "Aborted"),
        ("os._exit(3)", "crash", "3"),
        ("time.sleep(60)", "hang", "killed"),
        ("print('next'); sys.stdout.flush()", "done", ""),
        ("os.write(2, b'noise'); print('next'); sys.stdout.flush()", "wrong", "terminal: noise"),
    ],
)
def test_a_reader_that_dies_is_seen_and_begun_anew(
    monkeypatch: pytest.MonkeyPatch, act: str, outcome: str, message: str
) -> None:
    monkeypatch.setattr(mutations, "SECONDS", 0.1)
    code = (
        "import os, sys, time\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        """    print('["probe", {"outcome": "done"}]', flush=True)\n"""
        f"    {act}\n"
    )
    reader = Reader([sys.executable, "-c", code])
    try:
        for _ in range(2):
            steps = reader.read(Path("clip.mp4"))
            assert list(steps.values())[-1].outcome == outcome
            assert message in list(steps.values())[-1].message
    finally:
        reader.close()
        reader.errors.close()


def test_the_page_counts_every_fault(sources: list[Original]) -> None:
    good, bad = Step("done", "", 0.1, 1 << 20), Step("crash", "Aborted", 2.0)
    results = [
        Result("cut", "1.mp4", dict.fromkeys(mutations.STEPS, good)),
        Result("cut", "2.mp4", {"probe": good, "read": bad}),
    ]
    text = mutations.page(results, sources, 0)
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("|")}
    assert rows["| read"] == "| read | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 2.000 | 2.00 | 1 |"
    assert rows["| cut"] == "| cut | 2 | 1 | 0 | 0 | 1 |"
    assert "- 2.mp4: read: crash: Aborted" in text
