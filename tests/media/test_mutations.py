"""Damaged media never crash, hang, leak or grow; and the tool that says so would notice."""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import mutation_steps, mutations
from benchmarks.mutations import Reader, Result, Step
from helpers.media import tone, write_media
from helpers.mutate import MUTATIONS, Mutant, mutants, png
from helpers.originals import Original, originals, picture
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.decode import pyav, pyav_duration

SECONDS = [i * 0.04 for i in range(26)]
SAMPLE = len(MUTATIONS)


@pytest.fixture(scope="module")
def sources(data_dir: Path) -> list[Original]:
    return originals(data_dir / "fixtures")


@pytest.mark.slow
def test_damaged_copies_of_the_fixtures(data_dir: Path, sources: list[Original]) -> None:
    """A sample of the 2,000 that benchmarks/mutations.py reads."""
    results = list(mutations.run(data_dir, mutants(sources, SAMPLE, seed=5)))
    assert {result.kind for result in results} == set(MUTATIONS)
    faults = [(result.name, result.faults) for result in results if result.faults]
    assert not faults
    outcomes = {step.outcome for result in results for step in result.steps.values()}
    assert outcomes == set(mutation_steps.GOOD), "the sample is too tame, or too wild"
    assert all(list(result.steps) == list(mutations.STEPS) for result in results)


def test_mutants_follow_from_their_seed(sources: list[Original]) -> None:
    first, again, other = (list(mutants(sources, 2 * len(MUTATIONS), seed)) for seed in (3, 3, 4))
    assert first == again
    assert sum(a.content != b.content for a, b in zip(first, other, strict=True)) > len(first) // 2
    sound = {(source.name, source.content) for source in sources}
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
    assert time.perf_counter() - began < mutation_steps.SECONDS / 4
    assert clip.frames is not None
    assert len(clip.frames) == 16
    assert clip.note == (
        "its timestamps jump by more than 60 minutes; what comes after 1.0 s is left out"
    )


def test_pauses_of_less_than_an_hour_stay(tmp_path: Path) -> None:
    """A slide may stand for many minutes."""
    path = write_media(tmp_path / "pause.mkv", frame_times=[*SECONDS, 50.0, 50.04, 2000.0, 2000.04])
    assert decode.probe(path).duration == pytest.approx(2000.08, abs=0.1)
    clip = decode.read(path, times=[0.5, 50.01, 2000.01])
    assert clip.frames is not None
    assert len(clip.frames) == 3
    assert clip.note == ""


@pytest.mark.slow
def test_giant_pictures_are_refused_before_they_fill_memory(tmp_path: Path) -> None:
    path = tmp_path / "giant.png"
    path.write_bytes(png(9_000))
    step = mutation_steps.watched(lambda given: (f"{decode.probe(given)}", ""), path)
    assert step.memory < 50 << 20
    with pytest.raises(MediaError, match=r"giant\.png: nothing .*above 67 million pixels"):
        decode.read(path)
    path.write_bytes(png(3_000))
    frames = decode.read(path, max_side=300).frames
    assert frames is not None
    assert frames.shape == (1, 300, 300, 3)


@pytest.mark.extra("torchcodec")
def test_torchcodec_decodes_large_pictures_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It returns a picture as often as it is asked for, and 16 of a giant one filled memory."""
    from ter_fast.media.decode import torchcodec

    path = write_media(tmp_path / "a.mp4", frame_times=[0.0, 0.5, 1.0, 1.5])
    expected = decode.read(path, frames=16, backend="torchcodec")
    assert expected.frames is not None
    assert len(expected.frames) >= 3
    asked: list[int] = []
    real = torchcodec._frames_at

    def counted(decoder: Any, wanted: Any, *limits: float) -> Any:
        asked.append(len(wanted))
        return real(decoder, wanted, *limits)

    monkeypatch.setattr(torchcodec, "_frames_at", counted)
    height, width = expected.frames.shape[1:3]
    for most in (1, 2, 3):
        monkeypatch.setattr(torchcodec, "_MOST_BYTES", most * 3 * width * height)
        asked.clear()
        found = decode.read(path, frames=16, backend="torchcodec")
        assert found.frames is not None
        assert found.times is not None
        assert expected.times is not None
        assert found.times.tolist() == expected.times.tolist()
        assert bool((found.frames == expected.frames).all())
        assert max(asked) == most
    still = tmp_path / "still.gif"
    still.write_bytes(picture(path.read_bytes(), "gif", "rgb8").content)
    monkeypatch.setattr(torchcodec, "_MOST_BYTES", 1)
    asked.clear()
    assert decode.read(still, frames=16, backend="torchcodec").frames is not None
    # The other 15 fall on the picture at hand.
    assert asked == [1]


@pytest.mark.extra("torchcodec")
def test_torchcodec_leaves_giant_pictures_to_pyav(tmp_path: Path) -> None:
    path = tmp_path / "giant.gif"
    film = write_media(tmp_path / "a.mp4", frame_times=SECONDS)
    content = bytearray(picture(film.read_bytes(), "gif", "rgb8").content)
    content[6:10] = struct.pack("<HH", 8_000, 16_000)
    path.write_bytes(content)
    with pytest.raises(MediaError, match="above 67 million pixels"):
        decode.read(path, backend="torchcodec")


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
    real = pyav.open_container
    monkeypatch.setattr(pyav, "open_container", lambda *given: LosesCount(real(*given)))
    monkeypatch.setattr(pyav_duration, "_THINNEST", 10**9)
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
    mutation_steps.require(path.name == "", "nonsense")
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


@pytest.mark.slow
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
    monkeypatch.setattr(mutation_steps, "MEMORY", 40 << 20)
    monkeypatch.setattr(mutation_steps, "SECONDS", 0.2)
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"x")
    step = mutation_steps.watched(call, path)
    assert step.outcome == outcome
    assert bool(Result("cut", "clip.mp4", {"read": step}).faults) == (outcome != "refused")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("act", "outcome", "message"),
    [
        ("os.abort()", "crash", "Aborted"),
        ("os._exit(3)", "crash", "3"),
        ("time.sleep(60)", "hang", "killed"),
        ("os.kill(os.getpid(), 11)", "crash", "Segmentation fault, in decode of test_file.py"),
        ("say()", "done", ""),
    ],
)
def test_a_reader_that_dies_is_seen_and_begun_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: str, outcome: str, message: str
) -> None:
    """Every step but the first is that act: each is reached, whatever became of the one before."""
    monkeypatch.setattr(mutations, "SECONDS", 0.1)
    script = tmp_path / "test_file.py"
    script.write_text(
        "import faulthandler, json, os, sys, time\n"
        "faulthandler.enable()\n"
        "def say(): print(json.dumps([name, {'outcome': 'done'}]), flush=True)\n"
        f"def decode(): {act}\n"
        "print('ready', flush=True)\n"
        "for line in sys.stdin:\n"
        "    for name in json.loads(line)[1]:\n"
        "        say() if name == 'probe' else decode()\n"
        "    print('next', flush=True)\n"
    )
    monkeypatch.setattr(mutations, "STEPS", ("probe", "read", "predict, small model"))
    reader = Reader([sys.executable, str(script)])
    try:
        for _ in range(2):
            first, *others = reader.read(Path("clip.mp4")).values()
            assert first.outcome == "done"
            assert [other.outcome for other in others] == [outcome] * 2
            assert all(message in other.message for other in others)
    finally:
        reader.close()
        reader.errors.close()


def test_a_reader_that_dies_after_its_answer_does_not_end_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = (
        "import json, os\n"
        "print('ready', flush=True)\n"
        "(name,) = json.loads(input())[1]\n"
        "print(json.dumps([name, {'outcome': 'done'}]) + '\\nnext', flush=True)\n"
        "os._exit(3)\n"
    )
    monkeypatch.setattr(mutations, "STEPS", ("read",))
    reader = Reader([sys.executable, "-c", script])
    try:
        found = []
        for _ in range(3):
            found.append(reader.read(Path("clip.mp4"))["read"])
            if reader.process is not None:
                reader.process.wait()
    finally:
        reader.close()
        reader.errors.close()
    assert [each.outcome for each in found] == ["done", "crash", "done"]
    assert found[1].message == "3"


def test_a_run_that_fails_or_is_left_ends_its_readers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    taken: list[int] = []

    def cases() -> Iterator[Mutant]:
        for index in range(10_000):
            taken.append(index)
            yield Mutant("cut", f"{index}.mp4", b"x")

    def read(self: Reader, path: Path, names: list[str]) -> dict[str, Step]:
        time.sleep(0.01)
        if path.name == "5.mp4":
            raise RuntimeError("the reading process did not start")
        return {"probe": Step("done")}

    monkeypatch.setattr(Reader, "read", read)
    threads = threading.active_count()
    with pytest.raises(RuntimeError, match="did not start"):
        list(mutations.run(tmp_path, cases(), jobs=3))
    assert len(taken) < 20
    assert threading.active_count() == threads
    running = mutations.run(tmp_path, cases(), jobs=2)
    assert next(running).name in ("0.mp4", "1.mp4")
    running.close()
    assert threading.active_count() == threads


SERVES_NOISE = """
import os, sys
from pathlib import Path
from benchmarks import mutation_steps

def loud(path):
    os.write(2, b"bad vlc")
    return "masked", ""

mutation_steps._steps = lambda data: {"read": loud, "read, DALI": loud}
mutation_steps.serve(Path("nowhere"))
"""


@pytest.mark.slow
def test_noise_of_other_libraries_is_counted_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sources: list[Original]
) -> None:
    monkeypatch.setattr(mutations, "STEPS", ("read", "read, DALI"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    reader = Reader([sys.executable, "-c", SERVES_NOISE])
    try:
        steps = reader.read(tmp_path / "clip.mp4")
    finally:
        reader.close()
        reader.errors.close()
    assert [step.outcome for step in steps.values()] == ["wrong", "masked"]
    assert steps["read"].message == "wrote to the terminal: bad vlc"
    assert steps["read, DALI"].noise == "bad vlc"
    text = mutations.page([Result("cut", "clip.mp4", steps)], sources, 0)
    assert "In the step *read, DALI*, the library's own FFmpeg wrote complaints" in text
    assert "for 1 files" in text


def test_the_page_counts_every_fault(sources: list[Original]) -> None:
    good, bad = Step("done", "", 0.1, 1 << 20), Step("crash", "Aborted, /tmp/x/2.mp4", 2.0)
    results = [
        Result("cut", "1.mp4", dict.fromkeys(mutations.STEPS, good)),
        Result("cut", "2.mp4", {"probe": good, "read": bad}),
        Result("cut", "3.mp4", {"probe": good, "read, DALI": Step("hang", "killed")}),
    ]
    text = mutations.page(results, sources, 0)
    rows = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("|")}
    assert rows["| read"] == "| read | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 0 | 0 | 2.000 | 2.00 | 1 |"
    assert rows["| cut"] == "| cut | 3 | 1 | 0 | 0 | 2 |"
    assert "Faults:\n\n- 2.mp4: read: crash: Aborted, FILE" in text
    assert "Faults while torchcodec or DALI read:\n\n- 3.mp4: read, DALI: hang: killed" in text
