"""Cameras, microphones and URLs as streams: FFmpeg's own test sources, and a web server of ours."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.media import number_of, numbered, write_media
from helpers.tiny import RATE, noisy_tone, tiny_model
from ter_fast import MediaError, Model
from ter_fast.cli import main
from ter_fast.media import decode
from ter_fast.media.decode.live import LiveStats, live_windows
from ter_fast.media.decode.live_buffer import WindowGrid

CAMERA = "testsrc2=size=160x96:rate=10"
MICROPHONE = "sine=frequency=440:sample_rate=16000"
BOTH = f"lavfi:{CAMERA},realtime[out0];{MICROPHONE},arealtime[out1]"
SECONDS = 2.4

needs_lavfi = pytest.mark.skipif(
    "lavfi" not in av.formats_available,
    reason="needs a PyAV whose FFmpeg has test sources: pip install av",
)


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("audio", "video", window_seconds=0.8)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """2.4 s in a container that can be read as it comes, a numbered picture every 0.1 s."""
    return write_media(
        tmp_path_factory.mktemp("live") / "film.mkv", frame_times=[i * 0.1 for i in range(24)],
        picture=numbered, sound=[(0.0, noisy_tone(500, SECONDS))], rate=RATE,
        audio_codec="pcm_s16le",
    )  # fmt: skip


@pytest.fixture
def unpaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stream come as fast as it can, where its pace is not what is tested."""
    monkeypatch.setattr("ter_fast.media.decode.live._wait_until", lambda due, stopped: 0.0)


@contextmanager
def server(
    content: bytes, pause: float = 0.0, share: float = 1.0, stall: float = 0.0
) -> Iterator[str]:
    """Serve bytes over HTTP, 4 KiB at a time; it may stall or, at a share below 1, hang up midway."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/film.mkv":
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for begin in range(0, int(len(content) * share), 4096):
                try:
                    self.wfile.write(content[begin : begin + 4096])
                except OSError:
                    return
                half = begin <= len(content) // 2 < begin + 4096
                time.sleep(pause + stall * half)
            self.close_connection = True

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.daemon_threads = True
        thread = threading.Thread(target=found.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}/film.mkv"
        finally:
            found.shutdown()
            thread.join()


@needs_lavfi
def test_a_camera_and_a_microphone_come_as_they_happen(model: Model) -> None:
    begin = time.monotonic()
    found = []
    with model.live(BOTH) as stream:
        for each in stream:
            found.append((each, time.monotonic() - begin))
            if len(found) == 2:
                break
    for each, arrived in found:
        assert set(each.opinions) == {"audio", "video"}
        assert None not in each.opinions.values()
        # The window had to be over; beyond that, opening the source and the model take their time.
        assert each.end - 0.2 <= arrived < each.end + 3.0
    assert "ter_fast-live" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.slow
@needs_lavfi
@pytest.mark.parametrize(
    ("source", "kind"), [(f"{CAMERA}:duration=1.2", "video"), (f"{MICROPHONE}:d=1.2", "audio")]
)
def test_a_device_of_one_kind_masks_the_other_and_may_end(
    model: Model, source: str, kind: str
) -> None:
    begin = time.monotonic()
    with model.live(f"lavfi:{source}") as stream:
        found = list(stream)
    assert time.monotonic() - begin >= 1.0
    assert len(found) + stream.dropped == 2
    for each in found:
        assert [name for name, opinion in each.opinions.items() if opinion is not None] == [kind]


@needs_lavfi
def test_the_sound_of_a_microphone_is_whole(unpaced: None) -> None:
    grid = WindowGrid(0.5, 0.25, 1, video=False)
    source = f"lavfi:{MICROPHONE}:d=1"
    clips = list(live_windows(source, grid, LiveStats(), lambda: False, max_delay=60.0))
    assert [clip.start for clip in clips] == [0.0, 0.25, 0.5]
    heard = np.concatenate([clips[0].audio.numpy(), clips[2].audio.numpy()])
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) == 440
    # A gap or a click would spread over the other frequencies.
    assert spectrum[440] ** 2 > 0.999 * (spectrum**2).sum()


@pytest.mark.skipif(
    "alsa" not in av.formats_available,
    reason="needs a PyAV whose FFmpeg has ALSA: pip install av, on Linux",
)
def test_the_devices_of_the_system_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alsa.conf").write_text("pcm.hush { type null }\nctl.hush { type null }\n")
    monkeypatch.setenv("ALSA_CONFIG_PATH", "")
    monkeypatch.delenv("ALSA_CONFIG_PATH")
    monkeypatch.setattr("ter_fast.media.decode.live._ALSA", str(tmp_path / "alsa.conf"))
    grid = WindowGrid(0.4, 0.4, 1, video=False)
    with closing(live_windows("alsa:hush", grid, LiveStats(), lambda: False)) as windows:
        clips = [next(windows), next(windows)]
    assert [(clip.start, len(clip.audio)) for clip in clips] == [(0.0, 6_400), (0.4, 6_400)]


@pytest.mark.parametrize(
    "source", ["/dev/video77", "v4l2:/dev/video77", "alsa:nowhere", "lavfi:nosuchfilter"]
)
def test_a_device_that_is_not_there_says_so(
    model: Model, source: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(
            MediaError, match=f"^{source} cannot be opened as a stream .*; name a device"
        ),
        model.live(source) as stream,
    ):
        next(stream)
    capfd.readouterr()


@pytest.mark.slow
def test_a_url_is_read_as_it_comes(model: Model, film: Path) -> None:
    content = film.read_bytes()
    pause = SECONDS / (len(content) / 4096)
    begin = time.monotonic()
    with server(content, pause) as url, model.live(url, max_delay=60.0) as stream:
        found = [(each, time.monotonic() - begin) for each in stream]
    assert len(found) + stream.dropped == 3
    assert stream.stats.seconds == pytest.approx(SECONDS, abs=0.15)
    assert all(arrived < each.end + 4.0 for each, arrived in found)
    assert all(None not in each.opinions.values() for each, _ in found)


@pytest.mark.slow
def test_a_sender_that_stalls_costs_no_pictures(film: Path) -> None:
    content = film.read_bytes()
    grid, stats = WindowGrid(0.4, 0.4, 4, audio=False), LiveStats()
    with server(content, SECONDS / (len(content) / 4096), stall=1.2) as url:
        clips = list(live_windows(url, grid, stats, lambda: False, max_delay=0.6))
    # Late by more than the limit, but not because there was too much to decode.
    assert stats.delay < 0.6
    assert stats.skipped == 0
    assert [number_of(x) for clip in clips for x in clip.frames] == list(range(23))


def test_a_url_that_hangs_up_gives_what_came_before(model: Model, film: Path) -> None:
    found = []
    with (
        server(film.read_bytes(), share=0.6) as url,
        closing(model.live(url)) as stream,
        pytest.raises(MediaError, match=r"broke off after 1\.. s .*; connect again"),
    ):
        found.extend(stream)
    assert found
    assert found[-1].end == pytest.approx(0.6 * SECONDS, abs=0.4)
    assert "ter_fast-live" not in {thread.name for thread in threading.enumerate()}


def test_a_url_that_falls_silent_is_given_up(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ter_fast.media.decode.live._SILENCE", 0.5)
    grid, found = WindowGrid(0.4, 0.4, 4, audio=False), []
    begin = time.monotonic()
    with (
        server(film.read_bytes(), stall=4.0) as url,
        pytest.raises(MediaError, match=r"broke off after 1\.. s \(nothing came for 0\.5 s\)"),
    ):
        found.extend(live_windows(url, grid, LiveStats(), lambda: False))
    assert found
    assert time.monotonic() - begin < 8.0


def test_a_url_that_is_not_there_says_so(model: Model) -> None:
    with server(b"") as url:
        gone = url.replace("film", "gone")
        with pytest.raises(MediaError, match=r"gone.mkv cannot be opened as a stream .*404"):
            next(model.live(gone))
    # Nobody listens there any more.
    with pytest.raises(MediaError, match=r"cannot be opened as a stream .*refused"):
        next(model.live(url))


@pytest.mark.slow
@needs_lavfi
def test_the_command_watches_a_camera_until_it_ends(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    model.save_pretrained(tmp_path / "m")

    def run(source: str) -> tuple[int, str, str]:
        command = ["ter-fast", "live", source, "--model", str(tmp_path / "m")]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capfd.readouterr()

    code, out, err = run(f"lavfi:{CAMERA}:duration=1.6")
    assert code == 0, err
    assert "0:00–0:00.8" in out
    assert "2 s read; dropped to keep up: 0 windows" in err
    code, out, err = run("/dev/video77")
    assert (code, out) == (1, "")
    assert "error: /dev/video77 cannot be opened as a stream" in err


def test_a_model_in_training_stays_in_training(film: Path) -> None:
    model = tiny_model("audio", window_seconds=0.8).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with model.live(str(film)) as stream:
        first = next(stream)
        assert model.training
    assert model.training
    assert all(layer.training for layer in model.modules())
    for name, value in model.state_dict().items():
        assert value.equal(before[name]), name
    again = model.predict(decode.read(film, start=0.0, end=0.8, video=False))
    assert first.opinions["audio"].evidence.numpy() == pytest.approx(
        again.opinions["audio"].evidence.numpy(), rel=1e-3, abs=1e-3
    )


@pytest.mark.parametrize("every", [0.1, 0.5, 0.7, 1.6])
def test_pictures_are_those_that_a_file_shows(unpaced: None, tmp_path: Path, every: float) -> None:
    times = [i * every for i in range(round(3.2 / every) + 1)]
    film = write_media(tmp_path / "film.mkv", frame_times=times)
    grid = WindowGrid(0.8, 0.8, 4, audio=False)
    live = live_windows(str(film), grid, LiveStats(), lambda: False, max_delay=60.0)
    windows = decode.windows(film, seconds=0.8, frames=4, audio=False)
    both = [(a, b) for a, b in zip(live, windows, strict=False) if a.end - a.start > 0.79]
    assert len(both) >= 3
    for clip, wanted in both:
        assert clip.start == pytest.approx(wanted.start)
        # At each window's start the picture of the one before may still stand.
        assert clip.times.tolist() == pytest.approx(wanted.times.tolist(), abs=2e-3)
        assert [number_of(x) for x in clip.frames] == [number_of(x) for x in wanted.frames]
