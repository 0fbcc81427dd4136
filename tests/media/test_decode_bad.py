"""What bad media gets: one clear sentence, never a crash, and as much as can be used."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from helpers.media import number_of, tone, write_media
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.decode import reading

SECONDS = [i * 0.04 for i in range(250)]


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return write_media(
        tmp_path / "good.mp4",
        frame_times=SECONDS,
        sound=[(0.0, tone(10.0, 48_000))],
        container_options={"movflags": "faststart"},
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, r"missing\.mp4 does not exist; check the path"),
        ("empty.mp4", b"", r"empty\.mp4 is empty \(0 bytes\)"),
        ("text.mp4", b"hello world\n" * 50, r"text\.mp4 holds text, not media"),
        ("text.txt", "schöne Grüße\n".encode() * 50, r"text\.txt holds text, not media"),
        ("noise.mp4", bytes(range(256)) * 40, r"noise\.mp4 cannot be opened as media"),
        (
            "list.m3u8",
            b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://x/a.ts\n",
            "holds text",
        ),
        ("moov.mp4", struct.pack(">I4s", 1 << 20, b"mdat") + bytes(5000), r"moov"),
    ],
)
def test_unusable_files_say_why(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    for attempt in (decode.probe, decode.read, lambda p: list(decode.windows(p))):
        with pytest.raises(MediaError, match=message):
            attempt(path)


def test_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder; name a media file"):
        decode.read(tmp_path)


def test_index_missing(good: Path, tmp_path: Path) -> None:
    plain = write_media(tmp_path / "plain.mp4", frame_times=SECONDS)
    plain.write_bytes(plain.read_bytes()[:-2000])
    with pytest.raises(MediaError, match=r"cut short: its index \(the moov atom\) is missing"):
        decode.read(plain)


def test_data_cut_short_yields_what_is_there(good: Path) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: int(len(content) * 0.5)])
    info = decode.probe(good)
    assert 1.0 < info.duration < 8.0
    clip = decode.read(good, frames=8)
    assert clip.frames is not None
    assert clip.times is not None
    assert len(clip.frames) >= 7
    assert [number_of(f) for f in clip.frames] == [round(t * 25) for t in clip.times.tolist()]
    assert not clip.is_silent()


def test_data_all_gone_is_one_error(good: Path) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: content.index(b"mdat") + 4])
    with pytest.raises(MediaError, match="damaged or cut short"):
        decode.read(good)
    with pytest.raises(MediaError, match="damaged or cut short"):
        list(decode.windows(good))


def test_scrambled_data_does_not_crash(good: Path) -> None:
    content = bytearray(good.read_bytes())
    begin = content.index(b"mdat") + 8
    noise = np.random.default_rng(0).integers(0, 256, len(content), np.uint8).tobytes()
    for at in range(begin, len(content) - 64, 3000):
        content[at : at + 64] = noise[at : at + 64]
    good.write_bytes(bytes(content))
    clip = decode.read(good, frames=8)
    assert clip.frames is not None
    assert clip.audio is not None
    assert clip.audio.shape == (round(16_000 * clip.duration),)


def test_bogus_duration_allocates_nothing(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "bogus.wav", sound=[(0.0, tone(1.0, 8000))], audio_codec="pcm_s16le", rate=8000
    )
    webm = write_media(tmp_path / "bogus.mkv", frame_times=SECONDS)
    content = bytearray(webm.read_bytes())
    at = content.index(b"\x44\x89\x88") + 3
    content[at : at + 8] = struct.pack(">d", 1e12)
    webm.write_bytes(bytes(content))
    assert decode.probe(webm).duration == pytest.approx(10.0, abs=0.2)
    clip = decode.read(webm, frames=4)
    assert clip.frames is not None
    assert [number_of(f) for f in clip.frames] == [31, 93, 156, 218]
    head = bytearray(path.read_bytes())
    at = head.index(b"data") + 4
    head[at : at + 4] = struct.pack("<I", 0x7FFFFFFF)
    path.write_bytes(bytes(head))
    assert decode.probe(path).duration == pytest.approx(1.0, abs=0.1)


def test_too_long_at_once_points_to_windows(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SECONDS", 5.0)
    with pytest.raises(
        MediaError, match=r"too long to read at once .* ter_fast\.media\.decode\.windows"
    ):
        decode.read(good)
    assert decode.read(good, end=4.0).duration == 4.0


def test_missing_streams(good: Path, tmp_path: Path) -> None:
    mute = write_media(tmp_path / "mute.mp4", frame_times=SECONDS[:25])
    assert decode.read(mute).audio is None
    with pytest.raises(MediaError, match=r"mute\.mp4 has no sound"):
        decode.read(mute, video=False)
    blind = write_media(tmp_path / "blind.m4a", sound=[(0.0, tone(1.0, 48_000))])
    assert decode.read(blind).frames is None
    with pytest.raises(MediaError, match=r"blind\.m4a has no pictures"):
        decode.read(blind, audio=False)


def test_silence_is_silent(tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "s.wav", sound=[(0.0, 0 * tone(1.0, 8000))], rate=8000, audio_codec="pcm_s16le"
    )
    assert decode.read(path).is_silent()


def test_nan_samples_become_silence(tmp_path: Path) -> None:
    samples = tone(1.0, 16_000)
    samples[4000:5000] = np.nan
    path = write_media(
        tmp_path / "n.wav", sound=[(0.0, samples)], rate=16_000, audio_codec="pcm_f32le"
    )
    audio = decode.read(path).audio
    assert audio is not None
    assert bool(audio.isfinite().all())
    assert not audio[4000:5000].any()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 40.0}, r"no stretch from 40\.0 .*the file lasts 10\."),
        ({"start": -1.0}, "no stretch from"),
        ({"start": float("nan")}, "no stretch from"),
        ({"start": 3.0, "end": 2.0}, "no stretch from"),
        ({"frames": 0}, "frames=0, expected at least 1"),
        ({"max_side": 0}, "max_side=0"),
        ({"times": []}, "at least one finite"),
        ({"times": [float("inf")]}, "at least one finite"),
        ({"audio": False, "video": False}, "ask for at least one"),
        (
            {"backend": "tape"},
            r"Unknown decoding backend 'tape'; choose from \['dali', 'pyav', 'torchcodec'\]",
        ),
    ],
)
def test_requests_that_make_no_sense(good: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(MediaError, match=message):
        decode.read(good, **options)  # type: ignore[arg-type]


def test_window_length_is_checked(good: Path) -> None:
    with pytest.raises(MediaError, match="Windows of 0 s"):
        next(decode.windows(good, seconds=0))


def test_nothing_reaches_the_terminal(good: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = good.read_bytes()
    good.write_bytes(content[: int(len(content) * 0.6)])
    decode.read(good)
    assert capfd.readouterr() == ("", "")


def test_a_file_without_its_end_is_used_and_says_so(good: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    info = decode.probe(cut)
    clip = decode.read(cut)
    assert not decode.probe(good).cut_short
    assert decode.read(good).note == ""
    assert info.cut_short
    assert 0 < info.duration < 10
    assert clip.note == f"the file is cut short after {info.duration:.1f} s; copy it again"
    assert clip.frames is not None


def test_eight_planar_channels_are_averaged(tmp_path: Path) -> None:
    """PyAV lists a ninth plane there, which is no sound and crashes whoever reads it."""
    path = tmp_path / "surround.m4a"
    wave = (np.sin(np.arange(16_000) * 0.1) * 9000).astype(np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16_000, layout="7.1")
        frame = av.AudioFrame.from_ndarray(np.repeat(wave, 8)[None], format="s16", layout="7.1")
        frame.sample_rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
        container.mux([*stream.encode(frame), *stream.encode(None)])
    sound = decode.read(path, video=False).audio
    assert sound is not None
    # The low-frequency channel keeps little of this tone; the other seven all of it.
    assert 0.2 < float(sound.abs().max()) < 0.3
