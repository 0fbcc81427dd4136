"""Long files: windows one by one through the experts, in memory that their length does not move."""

from __future__ import annotations

import json
import math
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.looped import loop_media
from helpers.tiny import (
    RATE,
    film,
    noisy_tone,
    same_evidence,
    tiny_model,
    tone_corpus,
    with_threshold,
    write_wav,
)
from ter_fast import Clip, DataError, MediaError, Model, ModelError, Predictions, TerFastError, cli
from ter_fast.data import load_dataset
from ter_fast.media import decode
from ter_fast.media import memory as _memory
from ter_fast.predict.source import Source
from ter_fast.predict.streaming import stream_windows

BOTH = "audio+video"


@pytest.fixture(scope="module")
def model() -> Model:
    return with_threshold(tiny_model("audio", "video"), 0.1, "audio", "video", BOTH)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pieces = [noisy_tone(hertz, 1.0, hertz) for hertz in (300, 2500, 800, 400, 1900, 700, 600)]
    return write_wav(tmp_path_factory.mktemp("long") / "sound.wav", np.concatenate(pieces))


# -- how a clip is cut ----------------------------------------------------------------------------


@pytest.mark.slow
@given(
    duration=st.floats(0.0, 500.0),
    seconds=st.floats(0.5, 30.0),
    share=st.one_of(st.none(), st.floats(0.05, 3.0)),
)
@settings(max_examples=100, deadline=None)
def test_windows_follow_the_hop_and_reach_the_end(
    duration: float, seconds: float, share: float | None
) -> None:
    hop = None if share is None else share * seconds
    step = seconds if hop is None else hop
    clip = Clip(None, None, None, None, 0.0, duration)
    found = [(part.start, part.end) for part in decode.cut(clip, seconds, 4, hop)]
    assert [start for start, _ in found] == pytest.approx([i * step for i in range(len(found))])
    assert all(end - start == pytest.approx(seconds) for start, end in found[:-1])
    start, end = found[-1]
    if step <= seconds:
        assert end == duration
        if len(found) > 1:
            assert seconds - 0.75 * step - 1e-6 <= end - start <= seconds + 0.25 * step + 1e-6
    else:
        assert end == min(duration, start + seconds)
        # The next window would have had less than a quarter of itself.
        assert duration - len(found) * step <= 0.25 * seconds + 1e-6


def test_end_to_end_is_a_hop_of_one_window() -> None:
    clip = Clip(None, None, None, None, 3.0, 29.2)
    plain = [(part.start, part.end) for part in decode.cut(clip, 2.1, 4)]
    assert plain == [(part.start, part.end) for part in decode.cut(clip, 2.1, 4, 2.1)]


@pytest.mark.parametrize("hop", [0.0, -1.0, math.nan, math.inf, 1e-9])
def test_a_hop_that_cannot_be_is_refused(model: Model, sound: Path, hop: float) -> None:
    with pytest.raises(MediaError, match=r"hop of .* s was asked for; give at least 0\.01 s"):
        next(decode.windows(sound, hop=hop, video=False))
    with pytest.raises(ModelError, match=r"hop is .*; expected seconds, from"):
        model.predict(sound, hop=hop)


@pytest.mark.parametrize("window", [0.0, -2.0, math.nan, math.inf])
def test_a_window_that_cannot_be_is_refused(model: Model, sound: Path, window: float) -> None:
    with pytest.raises(ModelError, match=r"window is .*; expected seconds, from"):
        model.predict(sound, window=window)


# -- windows and their predictions ----------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("window", "hop"), [(None, None), (1.5, None), (2.0, 0.7), (1.0, 3.0)])
def test_every_window_says_what_it_says_alone(
    model: Model, sound: Path, window: float | None, hop: float | None
) -> None:
    found = model.predict(sound, window=window, hop=hop, batch_size=3)
    parts = list(decode.windows(sound, seconds=window or 2.0, hop=hop, video=False))
    assert [(w.start, w.end) for w in found.windows] == [(p.start, p.end) for p in parts]
    for each, part in zip(found.windows, parts, strict=True):
        alone = model.predict(part, window=100.0)
        same_evidence(each, alone, 1e-6)
        assert each.label == alone.label
        assert each.path == str(sound)
    mean = torch.stack([each.opinions["audio"].evidence for each in found.windows]).mean(0)
    torch.testing.assert_close(found.opinions["audio"].evidence, mean, rtol=1e-6, atol=1e-6)
    assert (found.start, found.end) == (parts[0].start, parts[-1].end)


def test_a_clip_that_is_not_cut_is_its_own_window(model: Model, tmp_path: Path) -> None:
    found = model.predict(film(tmp_path / "a.mp4", "high"))
    assert list(found.windows) == [found]
    assert found.windows[0].trusted is True


@pytest.mark.slow
def test_windows_are_calibrated_apart_from_clips(tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "tones", {"validation": 3})
    data = load_dataset(str(manifest))
    model = tiny_model("audio", labels=data.labels, window_seconds=0.2)
    with pytest.raises(DataError, match="unit is 'frame'; expected clip or window"):
        model.calibrate(data, unit="frame", progress=False)
    with pytest.raises(DataError, match="windows of one clip are too alike"):
        model.calibrate(data, unit="window", risk=0.5, guarantee_for="clips", progress=False)
    model.calibrate(data, unit="window", progress=False)
    assert model.config.thresholds == {}
    record = model.config.window_thresholds["audio"]
    windows = [window for path in data for window in model.predict(path.path).windows]
    assert record.samples == len(windows) > len(data)
    assert {each.threshold for each in windows} == {record.threshold}
    model.calibrate(data, progress=False)
    assert model.config.window_thresholds["audio"] == record
    assert model.config.thresholds["audio"].samples == len(data)
    model.save_pretrained(tmp_path / "m")
    again = Model.from_pretrained(tmp_path / "m")
    assert again.config.window_thresholds == model.config.window_thresholds
    model.calibrate(data, confidence="margin", progress=False)
    assert model.config.window_thresholds == {}


def test_thresholds_of_clips_do_not_hold_for_windows(model: Model, sound: Path) -> None:
    found = model.predict(sound)
    assert found.trusted is True
    for window in found.windows:
        assert window.trusted is None
        assert window.threshold is None
        assert "not calibrated for windows with audio" in window.reasons[0]
    held = Model(replace(model.config, window_thresholds=model.config.thresholds))
    held.load_state_dict(model.state_dict())
    again = held.eval().predict(sound)
    assert [window.trusted for window in again.windows] == [
        window.confidence >= 0.1 for window in again.windows
    ]


@pytest.mark.slow
def test_windows_of_another_length_say_so(model: Model, sound: Path) -> None:
    held = Model(replace(model.config, window_thresholds=model.config.thresholds))
    held.load_state_dict(model.state_dict())
    said = "a window of 1 s; the threshold was set on windows of 2 s"
    for window, hop, other in ((None, None, False), (2.0, 0.5, False), (1.0, None, True)):
        found = held.eval().predict(sound, window=window, hop=hop).windows
        assert {said in each.reasons for each in found} == {other}
    assert not any(said in each.reasons for each in model.predict(sound, window=1.0).windows)
    with held.live(str(sound), window=1.0) as stream:
        assert said in next(stream).reasons


def test_other_windows_than_the_threshold_was_set_on_are_said(model: Model, sound: Path) -> None:
    assert not any("cut in windows" in reason for reason in model.predict(sound).reasons)
    said = model.predict(sound, window=1.0, hop=0.5).reasons
    assert "cut in windows of 1 s every 0.5 s; the threshold was set on windows of 2 s" in said
    short = Clip.from_arrays(audio=noisy_tone(500, 0.8))
    assert not any("cut in" in reason for reason in model.predict(short, window=1.0).reasons)


def test_the_table_has_a_row_for_every_window_and_every_failure(
    model: Model, sound: Path, tmp_path: Path
) -> None:
    found = model.predict([sound, tmp_path / "gone.wav", film(tmp_path / "a.mp4", "low")])
    rows = found.windows
    assert isinstance(rows, Predictions)
    count = len(found[0].windows)
    assert count > 2
    assert rows.paths == [str(sound)] * count + [found[1].path, found[2].path]
    assert rows.failed.paths == [str(tmp_path / "gone.wav")]
    rows.to_csv(tmp_path / "windows.csv")
    assert len((tmp_path / "windows.csv").read_text().splitlines()) == len(rows) + 1
    frame = rows.to_pandas()
    assert frame["start"].tolist()[:count] == [window.start for window in found[0].windows]


def test_predictions_with_windows_survive_pickling(model: Model, sound: Path) -> None:
    found = model.predict(sound)
    again = pickle.loads(pickle.dumps(found))
    assert [window.row() for window in again.windows] == [window.row() for window in found.windows]


# -- streaming ------------------------------------------------------------------------------------


def test_only_a_few_windows_wait_and_threads_and_files_are_let_go(model: Model) -> None:
    made = closed = 0

    def endless() -> object:
        nonlocal made, closed
        try:
            while True:
                made += 1
                yield Clip.from_arrays(audio=noisy_tone(500, 0.1), start=float(made))
        finally:
            closed += 1

    before = threading.active_count()
    sources = [Source(str(i), endless) for i in range(5)]  # type: ignore[arg-type]
    stream = stream_windows(sources, model.preprocessor(), workers=2)
    for _ in range(50):
        assert next(stream)[0] == 0
    assert made < 50 + 2 * 10
    stream.close()
    assert threading.active_count() == before
    assert closed == 2


def test_a_clip_that_breaks_in_the_middle_costs_only_itself(model: Model) -> None:
    def breaks() -> object:
        for i in range(40):
            yield Clip.from_arrays(audio=noisy_tone(500, 0.2), start=float(i))
        raise ValueError("worn out")

    good = Source("good", lambda: iter([Clip.from_arrays(audio=noisy_tone(500, 0.5))]))
    from ter_fast.predict.predict import _predict_sources

    sources = [good, Source("bad", breaks), good]  # type: ignore[arg-type]
    found = list(_predict_sources(model, sources, model.preprocessor(), 4, 2))
    assert [each.path for each in found] == ["good", "bad", "good"]
    assert found[1].error.startswith("bad could not be read (ValueError: worn out)")
    assert list(found[1].windows) == [found[1]]
    same_evidence(found[0], found[2])


PEAK = """
import json, re, sys
import torch
from ter_fast import Model, VideoInput

def peak():
    # Not ru_maxrss, which begins with what the process that started this one had.
    return int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]) / 1024

torch.set_num_threads(1)
model = Model.build(["a", "b", "c"], video=VideoInput(4, 32, 1, "whole"), window_seconds=10.0)
model.predict(sys.argv[1])
before = peak()
found = model.predict(sys.argv[2])
after = peak()
print(json.dumps([before, after, found.end, len(found.windows)]))
"""


def peaks(short: Path, long: Path) -> list[float]:
    """Return the peak memory in MiB after a short and then a long file, its end and its windows."""
    run = subprocess.run(
        [sys.executable, "-c", PEAK, str(short), str(long)],
        capture_output=True, text=True, check=True, timeout=500,
        cwd=Path(decode.__file__).parents[2],
    )  # fmt: skip
    return list(json.loads(run.stdout.splitlines()[-1]))


HOLES = """
import re, time
from ter_fast.media import memory as _memory

def held():
    return int(re.search(r"RssAnon:\\s*(\\d+)", open("/proc/self/status").read())[1]) >> 10

# Small blocks that stay keep the holes of the large ones apart.
blocks = [(bytes(100_000), bytes(1_000)) for _ in range(2_000)]
full = held()
blocks = [small for _, small in blocks]
_memory._done["at"] = time.monotonic()
_memory.release()
waiting = held()
_memory._done["at"] = 0.0
_memory.release()
print(full, waiting, held())
"""


@pytest.mark.slow
@pytest.mark.skipif(_memory._trim() is None, reason="needs a C library with malloc_trim, as glibc")
def test_what_is_let_go_of_is_given_back_once_a_second_at_most() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HOLES], capture_output=True, text=True, check=True, timeout=100,
        cwd=Path(decode.__file__).parents[2],
    )  # fmt: skip
    full, waiting, after = map(int, run.stdout.split())
    assert full - waiting < 20
    assert full - after > 90


@pytest.fixture(scope="module")
def clip_of_nine_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from helpers.media import write_media

    return write_media(
        tmp_path_factory.mktemp("loop") / "nine.mp4", frame_times=[i * 0.1 for i in range(90)],
        sound=[(0.0, noisy_tone(500, 9.0))], rate=RATE,
    )  # fmt: skip


@pytest.mark.slow
def test_nothing_of_a_long_file_is_kept(clip_of_nine_seconds: Path, tmp_path: Path) -> None:
    short = loop_media(clip_of_nine_seconds, tmp_path / "short.mp4", 300)
    long = loop_media(clip_of_nine_seconds, tmp_path / "long.mp4", 2400)
    before, after, end, windows = peaks(short, long)
    assert end >= 2400
    assert windows >= 240
    # The sound of these 35 minutes alone would be 128 MiB. On a busy machine what waits to be
    # computed differs between two runs by up to 60 MiB.
    assert after - before < 100


@pytest.mark.slow
def test_an_hour_stays_under_a_gigabyte(clip_of_nine_seconds: Path, tmp_path: Path) -> None:
    short = loop_media(clip_of_nine_seconds, tmp_path / "short.mp4", 300)
    long = loop_media(clip_of_nine_seconds, tmp_path / "long.mp4", 3600)
    _, after, end, windows = peaks(short, long)
    assert end >= 3600
    assert windows >= 360
    assert after < 1024


def test_the_command_writes_windows_timeline_and_subtitles(
    model: Model, sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save_pretrained(tmp_path / "m")
    given = ["predict", str(sound), "--model", str(tmp_path / "m"), "--window", "2", "--hop", "1"]
    names = {"--out": "w.csv", "--timeline": "t.svg", "--subtitles": "s.vtt"}
    files = [part for option, name in names.items() for part in (option, str(tmp_path / name))]
    with pytest.raises(SystemExit) as ended:
        cli.app([*given, "--per-window", *files])
    assert ended.value.code == 0
    rows = (tmp_path / "w.csv").read_text().splitlines()
    assert len(rows) == 1 + len(model.predict(sound, window=2, hop=1).windows)
    assert (tmp_path / "t.svg").read_text().startswith("<?xml")
    assert (tmp_path / "s.vtt").read_text().startswith("WEBVTT")
    with pytest.raises(TerFastError, match="are of one clip; name one file"):
        cli.app(["predict", str(sound), str(sound), *files])
    monkeypatch.chdir(tmp_path)
    for option, bad in (("--timeline", "t.txt"), ("--subtitles", "s.txt")):
        with pytest.raises(TerFastError, match=f"{bad}: expected a name that ends in"):
            cli.app([*given, option, bad])
