"""What a stream's error says to do: which devices there are, and what they are called."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ter_fast.media.decode import live_advice
from ter_fast.media.decode.live_advice import advice

GONE = OSError(errno.ENOENT, "No such file or directory")


def test_cameras_that_are_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Path, "glob", lambda self, pattern: [Path("/dev/video2"), Path("/dev/video0")]
    )
    for source in ("/dev/video9", "v4l2:/dev/video9"):
        assert advice(source, GONE) == "name a device that is there: /dev/video0, /dev/video2"
    denied = PermissionError(errno.EACCES, "Permission denied")
    assert advice("/dev/video0", denied).startswith("name a device that you may read, or have your")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [])
    assert "this machine shows no camera, so plug it in" in advice("/dev/video9", GONE)


def test_sound_cards_that_are_there_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = tmp_path / "cards"
    monkeypatch.setattr(live_advice, "_SOUND_CARDS", cards)
    assert "this machine shows no sound card" in advice("alsa:nothing", GONE)
    cards.write_text(
        " 0 [PCH            ]: HDA-Intel - HDA Intel PCH\n"
        "                      HDA Intel PCH at 0xf7f10000 irq 31\n"
        " 1 [Headset        ]: USB-Audio - Headset\n"
    )
    assert advice("alsa:nothing", GONE) == "name a device that is there: alsa:hw:0, alsa:hw:1"
    cards.write_text("--- no soundcards ---\n")
    assert "this machine shows no sound card" in advice("alsa:nothing", GONE)


def test_an_input_that_ffmpeg_lacks_names_those_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_advice, "_has_input", lambda name: name in ("v4l2", "lavfi"))
    assert advice("pulse:default", ValueError("no container format")) == (
        "name a device of an input that this FFmpeg has: v4l2, lavfi"
    )


@pytest.mark.parametrize("url", ["rtsp://camera/stream", "http://127.0.0.1:5/a.mkv"])
def test_an_address_says_how_to_check_it(url: str) -> None:
    assert (
        advice(url, GONE)
        == f"check the address, and that this machine reaches it: ffplay {url} shows it"
    )


def test_anything_else_says_what_there_is() -> None:
    assert advice("gone.mp4", GONE).startswith(
        "name a device such as /dev/video0 or alsa:default, a URL"
    )
