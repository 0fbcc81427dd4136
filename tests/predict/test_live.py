"""Streams as they happen: pipes, files at their own pace, what is dropped, and how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.media import number_of, numbered, write_media
from helpers.tiny import RATE, noisy_tone, same_evidence, tiny_model, with_threshold, write_wav
from ter_fast import MediaError, Model
from ter_fast.media.decode.live import LiveStats, _Clock, live_windows
from ter_fast.media.decode.live_buffer import LiveBuffer, WindowGrid

SECONDS = 2.4


@pytest.fixture(scope="module")
def model() -> Model:
    return with_threshold(tiny_model("audio", "video", window_seconds=1.0), 0.0, "audio+video")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 s in a container that can be read as it comes, a numbered picture every 0.1 s."""
    return write_media(
        tmp_path_factory.mktemp("live") / "film.mkv", frame_times=[i * 0.1 for i in range(24)],
        picture=numbered, sound=[(0.0, noisy_tone(500, SECONDS))], rate=RATE,
        audio_codec="pcm_s16le",
    )  # fmt: skip


@pytest.mark.slow
def test_windows_of_a_file_come_at_its_own_pace_and_hold_what_they_should(film: Path) -> None:
    begin, stats = time.monotonic(), LiveStats()
    found, when = [], []
    for clip in live_windows(
        str(film), WindowGrid(1.0, 1.0, 5), stats, lambda: False, max_delay=60.0
    ):
        found.append(clip)
        when.append(time.monotonic() - begin)
    assert [(clip.start, round(clip.end, 2)) for clip in found] == [(0, 1), (1, 2), (2, 2.4)]
    assert when[0] >= 0.9
    assert when[1] >= 1.9
    # Sampled at 0.1, 0.3, … 0.9 s, where pictures 1, 3, … 9 begin.
    assert [number_of(frame) for frame in found[0].frames] == [1, 3, 5, 7, 9]
    assert [number_of(frame) for frame in found[1].frames] == [11, 13, 15, 17, 19]
    sound = noisy_tone(500, SECONDS)
    for clip in found:
        wanted = sound[round(clip.start * RATE) : round(clip.end * RATE)]
        heard = clip.audio.numpy()
        assert len(heard) == round((clip.end - clip.start) * 16_000)
        if RATE == 16_000:
            np.testing.assert_allclose(heard, wanted[: len(heard)], atol=2e-3)
    assert stats.seconds == pytest.approx(SECONDS, abs=0.15)
    assert stats.damaged == 0


@pytest.mark.slow
def test_predictions_are_those_of_the_windows_and_threads_end(model: Model, film: Path) -> None:
    before = threading.active_count()
    # However loaded the machine is, every picture shall be decoded here.
    with model.live(str(film), max_delay=60.0) as stream:
        found = list(stream)
    assert threading.active_count() == before
    assert len(found) + stream.dropped == 3
    grid = WindowGrid(1.0, 1.0, 4)
    clips = live_windows(str(film), grid, LiveStats(), lambda: False, max_delay=60.0)
    by_start = {clip.start: clip for clip in clips}
    for each in found:
        same_evidence(each, model.predict(by_start[each.start]))
        assert each.trusted is True
        assert "each window of the stream is taken for one" in each.reasons[-1]


@pytest.mark.slow
def test_a_clock_that_jumps_ahead_is_not_waited_for(tmp_path: Path) -> None:
    times = [i * 0.1 + (3600 if i > 11 else 0) for i in range(24)]
    film = write_media(tmp_path / "jump.mkv", frame_times=times)
    begin, stats = time.monotonic(), LiveStats()
    grid = WindowGrid(1.0, 1.0, 5, audio=False)
    found = list(live_windows(str(film), grid, stats, lambda: False, max_delay=60.0))
    assert time.monotonic() - begin < 30
    assert [clip.start for clip in found] == [0, 1]
    # The first frame behind the jump takes the place of the last one before it.
    assert stats.seconds == pytest.approx(2.2, abs=0.01)


def test_a_sender_that_begins_anew_goes_on_where_it_was() -> None:
    clock = _Clock()
    said = [("video", 50.0), ("audio", 50.1), ("video", 50.5), ("audio", 50.6), ("video", 7.0),
            ("audio", 50.8), ("video", 7.5), ("audio", 7.2), ("audio", 7.7)]  # fmt: skip
    found = [clock.place(kind, timestamp) for kind, timestamp in said]
    assert found == pytest.approx([0.0, 0.1, 0.5, 0.6, 0.5, 0.8, 1.0, 0.8, 1.3])


def test_channels_may_change_in_the_middle_of_a_stream() -> None:
    buffer = LiveBuffer("s", WindowGrid(1.0, 1.0, 1, video=False), {"audio"})
    for place, layout in enumerate(("mono", "stereo")):
        samples = np.full((place + 1, 8_000), 0.25, np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = 16_000
        buffer.add(frame, place * 0.5)
    [clip] = buffer.ready()
    assert clip.audio is not None
    np.testing.assert_allclose(clip.audio.numpy()[1_000:15_000], 0.25, atol=0.01)


def feed(path: Path, pipe: Path, pause: float, share: float = 1.0) -> threading.Thread:
    data = path.read_bytes()
    data = data[: int(len(data) * share)]

    def write() -> None:
        with pipe.open("wb", buffering=0) as out:
            for begin in range(0, len(data), 4096):
                out.write(data[begin : begin + 4096])
                time.sleep(pause)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.7])
def test_a_pipe_is_read_as_it_is_fed_and_may_break_off(
    model: Model, film: Path, tmp_path: Path, share: float
) -> None:
    os.mkfifo(tmp_path / "pipe")
    size = film.stat().st_size
    feeder = feed(film, tmp_path / "pipe", SECONDS / (size / 4096), share)
    begin = time.monotonic()
    ends = []
    with model.live(str(tmp_path / "pipe")) as stream:
        for each in stream:
            ends.append((each.end, time.monotonic() - begin))
    feeder.join()
    assert ends[-1][0] == pytest.approx(SECONDS * share, abs=0.5)
    assert all(arrived < end + 3.0 for end, arrived in ends)


@pytest.mark.slow
def test_a_slow_reader_gets_the_latest_and_learns_what_was_dropped(
    model: Model, film: Path
) -> None:
    with model.live(str(film), window=0.4) as stream:
        first = next(stream)
        time.sleep(1.5)
        second = next(stream)
        assert first.start == 0
        # Of the windows that ended meanwhile only the last one waited.
        assert second.start >= 0.8
        rest = list(stream)
    starts = [each.start for each in (first, second, *rest)]
    assert starts == sorted(starts)
    assert len(starts) + stream.dropped == 6


def test_stopping_early_lets_go_of_a_silent_pipe(model: Model, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = threading.active_count()
    begin = time.monotonic()
    with model.live(str(tmp_path / "pipe")):
        time.sleep(0.2)
    assert threading.active_count() == before
    assert time.monotonic() - begin < 2.0


def open_files() -> list[str]:
    return sorted(str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.exists())


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/fd").is_dir(), reason="needs a system that lists open files in /proc"
)
@pytest.mark.parametrize("good", [True, False])
def test_a_pipe_is_closed_whatever_came_through_it(
    model: Model, film: Path, tmp_path: Path, good: bool
) -> None:
    (tmp_path / "text").write_text("no media at all\n" * 99)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    feeder = feed(film if good else tmp_path / "text", pipe, 0.0)
    found = live_windows(str(pipe), WindowGrid(1.0, 1.0, 4), LiveStats(), lambda: False)
    if good:
        assert len(list(found)) == 3
    else:
        with pytest.raises(MediaError, match="pipe cannot be opened as a stream"):
            next(found)
    feeder.join()
    assert str(pipe) not in open_files()


def test_no_prediction_follows_the_end(model: Model, film: Path) -> None:
    stream = model.live(str(film), window=0.4)
    while stream._latest is None:
        time.sleep(0.05)
    stream.close()
    assert list(stream) == []


def test_nothing_is_kept_of_what_lies_between_windows() -> None:
    grid = WindowGrid(1.0, 50.0, 4)
    buffer = LiveBuffer("s", grid, {"video", "audio"})
    pixels, sound = np.zeros((8, 8, 3), np.uint8), np.full((1, 1_600), 0.5, np.float32)
    clips, most = [], 0
    for tenth in range(1_030):
        picture = av.VideoFrame.from_ndarray(pixels + tenth // 10 % 250, format="rgb24")
        block = av.AudioFrame.from_ndarray(sound, format="flt", layout="mono")
        block.sample_rate = 16_000
        for frame in (picture, block):
            buffer.add(frame, tenth / 10)
        clips += buffer.ready()
        most = max(most, len(buffer.pictures) + len(buffer.sounds))
    assert most < 30
    assert [(clip.start, clip.end) for clip in clips] == [(0, 1), (50, 51), (100, 101)]
    for clip in clips:
        assert clip.times.tolist() == pytest.approx([clip.start + x for x in (0.1, 0.3, 0.6, 0.8)])
        assert int(clip.frames.max()) == int(clip.start)
        np.testing.assert_allclose(clip.audio.numpy()[1_000:-1_000], 0.5, atol=0.01)


def test_a_clock_that_stands_still_fills_no_memory() -> None:
    grid = WindowGrid(2.0, 2.0, 4, video=False)
    buffer = LiveBuffer("microphone", grid, {"audio"})
    block = av.AudioFrame.from_ndarray(np.ones((1, RATE // 10), np.float32), "flt", "mono")
    block.sample_rate = RATE
    for _ in range(300):
        buffer.add(block, 1.0)
        assert list(buffer.ready()) == []
    assert sum(len(each) for _, each in buffer.sounds) <= 6 * RATE
    buffer.add(block, 1.9)
    assert next(buffer.ready()).audio.abs().max() > 0


def test_what_cannot_be_opened_says_so(model: Model, tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no media at all\n" * 9)
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name in ("gone.mp4", "text.mp4", "empty.mp4"):
        with pytest.raises(MediaError, match=f"{name} cannot be opened as a stream .*; name a dev"):
            next(model.live(str(tmp_path / name)))
    with pytest.raises(MediaError, match="the model reads text, which no stream holds"):
        tiny_model("text").live("alsa:default")
    mute = write_wav(tmp_path / "sound.wav", noisy_tone(400, 0.5))
    with pytest.raises(MediaError, match="holds no pictures that the model could use"):
        next(tiny_model("video").live(str(mute)))


@pytest.mark.slow
def test_control_c_ends_the_command_with_what_was_dropped(film: Path, tmp_path: Path) -> None:
    model = tiny_model("audio", "video", window_seconds=0.4)
    model.save_pretrained(tmp_path / "m")
    command = [sys.executable, "-m", "ter_fast", "live", "-", "--model", str(tmp_path / "m")]
    with subprocess.Popen(
        [*command, "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=False, cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(film.read_bytes())
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert b'"start": 0' in first
    assert b"dropped to keep up" in said
    assert b"Traceback" not in said
    assert process.returncode == 0


@pytest.mark.parametrize("seconds", [0.1, 0.3])
@pytest.mark.parametrize(("pictures", "sound"), [(True, True), (True, False), (False, True)])
def test_a_stream_shorter_than_a_window_gets_an_answer(
    tmp_path: Path, seconds: float, pictures: bool, sound: bool
) -> None:
    model = tiny_model("audio", "video", window_seconds=4.0)
    path = write_media(
        tmp_path / "short.mkv",
        frame_times=[i * 0.05 for i in range(round(seconds / 0.05))] if pictures else [],
        sound=[(0.0, noisy_tone(500, seconds))] if sound else [],
        rate=RATE,
    )
    (found,) = model.live(str(path))
    assert found.label in model.labels
    assert (found.opinions["audio"] is not None) == sound
    assert (found.opinions["video"] is not None) == pictures
