"""Addresses and pipes as sources: read, or one clear sentence each."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from helpers.tiny import noisy_tone, same_evidence, tiny_model, write_wav
from ter_fast import MediaError, Model
from ter_fast.predict import remote
from ter_fast.predict.remote import address_of


class Handler(BaseHTTPRequestHandler):
    def __init__(self, sound: bytes, *arguments: Any) -> None:
        self.sound = sound
        super().__init__(*arguments)

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        if name == "/gone.wav":
            self.send_error(404)
            return
        if name == "/moved.wav":
            self.send_response(302)
            self.send_header("Location", "/a.wav")
            self.end_headers()
            return
        kind = {"/page": "text/html", "/notes.wav": "text/plain"}.get(name, "audio/wav")
        body = b"some text\n" * 99 if kind.startswith("text") else self.sound
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if name == "/silent.wav":
            time.sleep(1.0)
        self.wfile.write(body[: len(body) // 2] if name == "/half.wav" else body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("audio")


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    return write_wav(tmp_path / "a.wav", noisy_tone(500))


@pytest.fixture
def server(sound: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, sound.read_bytes())) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{found.server_port}"
        found.shutdown()
        thread.join()


@pytest.mark.parametrize("name", ["a.wav", "a.wav?token=1&b=2", "moved.wav"])
def test_a_file_on_the_web_is_the_file(model: Model, sound: Path, server: str, name: str) -> None:
    found = model.predict(f"{server}/{name}")
    assert found.path == f"{server}/{name}"
    same_evidence(found, model.predict(sound))
    # `pathlib` takes a slash away.
    assert model.predict(Path(f"{server}/a.wav")).path == f"{server}/a.wav"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone.wav", "cannot be downloaded: the server answered 404 Not Found; check the address"),
        ("page", "is a web page, not a media file; give the address of the file itself"),
        ("notes.wav", "holds text, not media"),
        ("half.wav", "broke off after "),
        ("silent.wav", r"cannot be downloaded: the server sent nothing for 0\.3 s"),
    ],
)
def test_what_the_web_does_not_give_costs_one_row(
    model: Model, sound: Path, server: str, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setattr(remote, "SILENCE_SECONDS", 0.3)
    found = model.predict([f"{server}/{name}", sound])
    assert found.failed.paths == [f"{server}/{name}"]
    with pytest.raises(MediaError, match=f"^{server}/{name}.*{message}"):
        model.predict(f"{server}/{name}")


def test_a_download_without_end_is_given_up(
    model: Model, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "LONGEST_SECONDS", -1.0)
    with pytest.raises(
        MediaError, match=r"took longer than .* where it is a live stream: ter-fast live http"
    ):
        model.predict(f"{server}/a.wav")


def test_nobody_there(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("http_proxy", raising=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/a.wav"
    with pytest.raises(MediaError, match=f"{url} cannot be downloaded: Connection refused; check"):
        model.predict(url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("rtsp://camera/stream", "is a live stream, .* ter-fast live rtsp://camera/stream"),
        ("https://host/list.m3u8", "is a live stream"),
        ("s3://bucket/a.wav", "s3:// cannot be read; give an address that begins with http"),
        ("http://[host/a.wav", "is no address"),
        ("https://", "cannot be downloaded: no host given"),
    ],
)
def test_other_addresses_say_what_reads_them(model: Model, url: str, message: str) -> None:
    (found,) = model.predict([url])
    assert found.path == url
    with pytest.raises(MediaError, match=message):
        model.predict(url)


def test_a_local_address_is_its_path(model: Model, sound: Path) -> None:
    found = model.predict(sound.as_uri())
    assert found.path == str(sound)


def test_paths_are_no_addresses() -> None:
    for path in (
        "a.wav",
        "/x/a.wav",
        "C:/x/a.wav",
        "C:\\x\\a.wav",
        "a:b/c.wav",
        "notes: 1.wav",
        "x:/y",
    ):
        assert address_of(path) is None, path


def test_a_named_pipe_is_read_to_its_end(model: Model, sound: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(sound.read_bytes()))
    writer.start()
    found = model.predict(pipe)
    writer.join()
    assert found.path == str(pipe)
    same_evidence(found, model.predict(sound))
