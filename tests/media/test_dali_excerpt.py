"""What DALI would be given for NVDEC decodes, by FFmpeg and in order, to the pictures of PyAV."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.media import numbered, write_media
from ter_fast.media import decode
from ter_fast.media.decode.dali_excerpt import NotForDaliError, excerpt
from ter_fast.media.decode.dali_nal import nal_units, resets_decoder, size_sets, stands_alone
from ter_fast.media.decode.dali_sizes import shows_a_picture
from ter_fast.media.decode.pyav import PyAVMedia

FILMS = {
    "open.mp4": ("libx264", {"x264-params": "open-gop=1:keyint=25:bframes=3"}),
    "open.ts": ("libx264", {"x264-params": "open-gop=1:keyint=25:bframes=3"}),
    "closed.mkv": ("libx264", {"x264-params": "keyint=25:bframes=5:b-pyramid=normal"}),
    "open_hevc.mp4": ("libx265", {"x265-params": "open-gop=1:keyint=25:bframes=4:log-level=none"}),
    "mpeg4.mp4": ("mpeg4", {"bf": "2", "g": "20"}),
    "av1.mp4": ("libsvtav1", {"g": "30", "preset": "10"}),
    "vp9.webm": ("libvpx-vp9", {"g": "60", "deadline": "realtime"}),
}
REFRESH = {"x264-params": "keyint=30:intra-refresh=1"}
TIMES = [i * 0.04 for i in range(120)]


def film(path: Path, encoder: str, options: dict[str, str], width: int = 160) -> Path:
    texture = np.random.default_rng(0).integers(0, 40, (96, width, 3), np.uint8)
    return write_media(
        path, frame_times=TIMES, video_codec=encoder, video_options=options,
        picture=lambda i: numbered(i, width) // 4 * 3 + np.roll(texture, 3 * i, 1),
    )  # fmt: skip


def as_pyav(path: Path, times: Sequence[float]) -> None:
    """Number the pictures of the excerpt as a decoder gives them, and compare the chosen ones."""
    with PyAVMedia(str(path)) as media:
        cut = excerpt(media, times, "gpu")
        clip = media.read(times[0], times[-1], times, audio=False, video=True, max_side=None)
    assert cut is not None
    assert clip.frames is not None
    assert clip.times is not None
    np.testing.assert_allclose(cut.times - media.info.start, clip.times, atol=1e-9)
    with av.open(io.BytesIO(cut.film.tobytes())) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for number, picture in zip(cut.numbers, clip.frames, strict=True):
        np.testing.assert_array_less(abs(shown[number].astype(int) - picture.numpy()), 4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILMS)
def test_the_numbers_are_those_of_the_pictures(tmp_path: Path, name: str) -> None:
    encoder, options = FILMS[name]
    if encoder not in av.codecs_available:
        pytest.skip(f"needs a PyAV whose FFmpeg has {encoder}: pip install av")
    path = film(tmp_path / name, encoder, options)
    for start, end in ((0.0, 4.8), (0.0, 2.0), (2.7, 4.7)):
        as_pyav(path, [start + (i + 0.5) * (end - start) / 5 for i in range(5)])


@pytest.mark.parametrize(
    "name", ["decode/music_video_2.mp4", "fixtures/face_noface.mov", "fixtures/obama_speech.mp4"]
)
def test_real_films_are_numbered(data_dir: Path, name: str) -> None:
    """The first has key frames that are no IDR pictures: a gap before one costs pictures."""
    duration = decode.probe(data_dir / name).duration
    as_pyav(data_dir / name, [(i + 0.5) * duration / 7 for i in range(7)])


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_key_frames_that_refer_to_others_are_left_to_pyav(tmp_path: Path, ending: str) -> None:
    path = film(tmp_path / f"a.{ending}", "libx264", REFRESH)
    as_pyav(path, [0.5, 2.5, 4.0])
    with (
        PyAVMedia(str(path)) as media,
        pytest.raises(NotForDaliError, match="its key frames do not stand alone"),
    ):
        excerpt(media, [3.5, 4.0], "gpu")


def test_a_film_of_two_parameter_sets_is_left_to_pyav(tmp_path: Path) -> None:
    parts = [film(tmp_path / f"{w}.ts", "libx264", {"g": "25"}, width=w) for w in (160, 320)]
    joined = tmp_path / "joined.ts"
    with av.open(str(joined), "w") as out:
        track = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                shown = source.streams.video[0]
                track = track or out.add_stream_from_template(shown)
                for packet in source.demux(shown):
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts += 90_000 * 5 * number
                        packet.dts += 90_000 * 5 * number
                        packet.stream = track
                        out.mux(packet)
    with PyAVMedia(str(joined)) as media:
        assert excerpt(media, [1.0, 2.0], "gpu") is not None
        for times in ([1.0, 8.0], [7.0, 8.0]):
            with pytest.raises(NotForDaliError, match="its pictures may change size"):
                excerpt(media, times, "gpu")


@pytest.mark.parametrize(
    ("name", "encoder"), [("a.mp4", "libx264"), ("a.ts", "libx264"), ("a.mp4", "libx265")]
)
def test_nal_units_say_which_pictures_are_intra(tmp_path: Path, name: str, encoder: str) -> None:
    parameters = f"{encoder.removeprefix('lib')}-params"
    options = {parameters: "open-gop=1:keyint=25:bframes=3:log-level=none"}
    path = film(tmp_path / name, encoder, options)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec, extra = stream.codec_context.name, bytes(stream.codec_context.extradata or b"")
        alone, anew = set(), set()
        for packet in container.demux(stream):
            units = nal_units(codec, bytes(packet), extra) if packet.size else []
            alone |= {packet.pts} if stands_alone(codec, units) else set()
            anew |= {packet.pts} if resets_decoder(codec, units) else set()
            assert all(each in extra for each in size_sets(codec, units))
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert alone == {frame.pts for frame in frames if frame.pict_type == 1}
    assert len(alone) > 3
    # With open groups only the first picture makes a decoder forget.
    assert anew == {frames[0].pts}


@given(
    codec=st.sampled_from(["h264", "hevc"]),
    extra=st.sampled_from([b"", b"\1", b"\1\x64\0\x1f\xff", b"\1" + bytes(22)]),
    packet=st.binary(max_size=80),
)
@settings(max_examples=200, deadline=None)
def test_no_bytes_upset_the_reading_of_units(codec: str, extra: bytes, packet: bytes) -> None:
    units = nal_units(codec, packet, extra)
    assert all(units)
    assert sum(map(len, units)) <= len(packet)
    assert stands_alone(codec, units) in (True, False)
    assert resets_decoder(codec, units) in (True, False)
    assert len(size_sets(codec, units)) <= len(units)


@pytest.mark.slow
def test_hidden_pictures_are_told_from_shown_ones(tmp_path: Path) -> None:
    path = film(tmp_path / "a.webm", *FILMS["vp9.webm"])
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert all(shows_a_picture("vp9", packet) for packet in packets)
    # In a key frame nothing else hangs on the bit that says whether it is shown.
    hidden = bytes([packets[0][0] & ~2]) + packets[0][1:]
    for packet, shown in ((packets[0], True), (hidden, False)):
        decoder = av.CodecContext.create("vp9", "r")
        assert isinstance(decoder, av.VideoCodecContext)
        assert bool(decoder.decode(av.Packet(packet)) + decoder.decode(None)) == shown
        assert shows_a_picture("vp9", packet) == shown
