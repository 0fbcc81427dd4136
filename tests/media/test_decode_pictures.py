"""Pictures come as they are shown: turned, mirrored, in their shape, in the colours that they state."""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from helpers.media import number_of, numbered, tone, write_media
from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.clip import Clip
from ter_fast.media.decode import hdr, stills
from ter_fast.media.decode.layout.boxes import is_tiled

TORCHCODEC = pytest.param("torchcodec", marks=pytest.mark.extra("torchcodec"))
DALI = pytest.param("dali", marks=pytest.mark.extra("dali-cuda13"))
BACKENDS = ["pyav", TORCHCODEC, DALI]
SECOND = [i * 0.04 for i in range(25)]

# How a stored picture is shown by its EXIF orientation (CIPA DC-008, 4.6.4).
SHOWN = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.transpose(1, 0, 2),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90,
}


def gradients() -> np.ndarray:
    y, x = np.mgrid[0:80, 0:120]
    return np.stack([x * 2, y * 3, 0 * x + 90], -1).astype(np.uint8)


def first(clip: Clip) -> np.ndarray:
    assert clip.frames is not None
    return clip.frames[0].numpy()


def exif(orientation: int) -> bytes:
    return struct.pack("<4sIHHHIHHI", b"II*\0", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def photograph(path: Path, orientation: int) -> None:
    """Write the gradients with an orientation, as the format holds EXIF."""
    block = exif(orientation)
    done, encoded = cv2.imencode(path.suffix, gradients()[..., ::-1])
    assert done
    content = encoded.tobytes()
    if path.suffix == ".jpg":
        segment = b"Exif\0\0" + block
        content = (
            content[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + content[2:]
        )
    elif path.suffix == ".png":
        chunk = b"eXIf" + block
        content = (
            content[:33]
            + struct.pack(">I", len(block))
            + chunk
            + struct.pack(">I", zlib.crc32(chunk))
            + content[33:]
        )
    elif path.suffix == ".webp":
        size = struct.pack("<I", 119)[:3] + struct.pack("<I", 79)[:3]
        chunks = b"VP8X" + struct.pack("<II", 10, 8) + size + content[12:]
        chunks += b"EXIF" + struct.pack("<I", len(block)) + block
        content = b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WEBP" + chunks
    else:
        content = tiff(gradients(), orientation)
    path.write_bytes(content)


def tiff(pixels: np.ndarray, orientation: int = 1, jpeg: bytes = b"") -> bytes:
    """Write a TIFF of (H, W, 3) pixels, (H, W) of floats, or of a JPEG of the same size."""
    height, width = pixels.shape[:2]
    floats = pixels.dtype.kind == "f"
    data = jpeg or pixels.tobytes()
    entries = {
        256: width, 257: height, 258: 32 if floats else 8, 259: 7 if jpeg else 1,
        262: 6 if jpeg else 1 if floats else 2, 273: 8, 274: orientation, 277: 1 if floats else 3,
        278: height, 279: len(data), 339: 3 if floats else 1,
    }  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack("<HHII", tag, 4, 1, value)
    return struct.pack("<4sI", b"II*\0", 8 + len(data)) + data + directory + bytes(4)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_and_mirrored(tmp_path: Path, ending: str, orientation: int) -> None:
    path = tmp_path / f"a.{ending}"
    photograph(path, orientation)
    expected = SHOWN[orientation](gradients())
    got = first(decode.read(path))
    assert got.shape == expected.shape
    assert float(np.abs(got.astype(int) - expected).mean()) < 3
    info = decode.probe(path)
    assert (info.height, info.width) == expected.shape[:2]
    assert info.mirrored == (orientation in (2, 4, 5, 7))
    small = first(decode.read(path, max_side=60))
    assert small.shape[:2] == tuple(side // 2 for side in expected.shape[:2])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_films_are_turned_and_mirrored(tmp_path: Path, backend: str, orientation: int) -> None:
    path = write_media(tmp_path / "a.mp4", frame_times=SECOND)
    stored = first(decode.read(path, times=[0.2]))
    content = bytearray(path.read_bytes())
    one, end = 1 << 16, 1 << 30
    matrix = {
        1: (one, 0, 0, one), 2: (-one, 0, 0, one), 3: (-one, 0, 0, -one), 4: (one, 0, 0, -one),
        5: (0, one, one, 0), 6: (0, one, -one, 0), 7: (0, -one, -one, 0), 8: (0, -one, one, 0),
    }[orientation]  # fmt: skip
    a, b, c, d = matrix
    at = content.index(b"tkhd") + 44
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, end)
    path.write_bytes(content)
    got = first(decode.read(path, times=[0.2], backend=backend))
    assert np.array_equal(got, SHOWN[orientation](stored))
    assert decode.probe(path).mirrored == (orientation in (2, 4, 5, 7))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "codec", "aspect", "shape"),
    [
        ("a.mp4", "libx264", Fraction(64, 45), (96, 228)),
        ("a.mkv", "libx264", Fraction(8, 9), (96, 142)),
        ("b.mkv", "mpeg4", Fraction(4, 3), (96, 213)),
        ("a.avi", "mpeg4", Fraction(16, 11), (96, 233)),
        ("a.mp4", "libx264", Fraction(1, 400), (96, 160)),
    ],
)
def test_pixels_that_are_not_square(
    tmp_path: Path, backend: str, name: str, codec: str, aspect: Fraction, shape: tuple[int, int]
) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        stream.sample_aspect_ratio = aspect
        for index in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(index), format="rgb24")))
        out.mux(stream.encode(None))
    clip = decode.read(path, frames=3, backend=backend)
    assert clip.frames is not None
    assert clip.frames.shape == (3, *shape, 3)
    assert [number_of(frame) for frame in clip.frames] == [4, 12, 20]
    info = decode.probe(path)
    assert (info.height, info.width) == shape
    small = decode.read(path, frames=1, max_side=80, backend=backend)
    assert small.frames is not None
    assert small.frames.shape[2] == 80
    assert small.frames.shape[1] == round(80 * shape[0] / shape[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx")]
)
def test_a_still_screen_is_a_picture_all_the_while(
    tmp_path: Path, backend: str, name: str, codec: str
) -> None:
    path = write_media(
        tmp_path / name,
        frame_times=[0.0, 0.04, 20.0, 20.04, 50.0],
        video_codec=codec,
        sound=[(0.0, tone(50.0, 48_000))],
        audio_codec="libopus",
    )
    parts = list(decode.windows(path, seconds=5.0, frames=2, backend=backend))
    seen = [
        [number_of(frame) for frame in part.frames] for part in parts if part.frames is not None
    ]
    assert seen == [[1]] * 4 + [[3]] * 6


@pytest.mark.parametrize("backend", BACKENDS)
def test_slides_stand_until_the_next(tmp_path: Path, backend: str) -> None:
    path = write_media(tmp_path / "a.mp4", frame_times=[0.0, 300.0, 600.0, 900.0])
    clip = decode.read(path, times=[10.0, 299.0, 450.0, 899.0, 905.0], backend=backend)
    assert clip.frames is not None
    assert [number_of(frame) for frame in clip.frames] == [0, 1, 2, 3]


def solid(path: Path, codec: str, pixels: str, colour: tuple[int, ...], **tags: Any) -> Path:
    """Write a second of one colour, given as the codes of its planes."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
        quiet = {"x265-params": "log-level=none:lossless=1"} if codec == "libx265" else {"qp": "0"}
        stream.codec_context.options = quiet
        for key, value in tags.items():
            setattr(stream.codec_context, key, value)
        for _ in range(5):
            frame = av.VideoFrame(64, 64, pixels)
            for plane, code in zip(frame.planes, colour, strict=True):
                wide = np.uint16 if "10" in pixels else np.uint8
                plane.update(np.full(plane.buffer_size // wide().itemsize, code, wide).tobytes())
            for key, value in tags.items():
                setattr(frame, key, value)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(
    ("space", "red", "blue"), [(1, 0.2126, 0.0722), (6, 0.299, 0.114), (9, 0.2627, 0.0593)]
)
def test_range_and_matrix_are_those_that_are_stated(
    tmp_path: Path, backend: str, full: bool, space: int, red: float, blue: float
) -> None:
    rgb = np.array([200.0, 100.0, 50.0]) / 255
    luma = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2]
    u, v = (rgb[2] - luma) / (2 - 2 * blue), (rgb[0] - luma) / (2 - 2 * red)
    codes = (
        (round(255 * luma), round(128 + 255 * u), round(128 + 255 * v))
        if full
        else (round(16 + 219 * luma), round(128 + 224 * u), round(128 + 224 * v))
    )
    path = solid(
        tmp_path / "a.mp4",
        "libx264",
        "yuv420p",
        codes,
        colorspace=space,
        color_range=2 if full else 1,
    )
    got = first(decode.read(path, frames=1, backend=backend))[32, 32]
    assert np.abs(got.astype(int) - [200, 100, 50]).max() <= 4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("transfer", "code", "grey"),
    [
        # Black, 26 cd/m² (18 % of diffuse white has 37), diffuse white, and 1000 cd/m².
        (16, 0.0, 0), (16, 0.38, 99), (16, 0.58, 231), (16, 0.7518, 255),
        (18, 0.0, 0), (18, 0.38, 97), (18, 0.75, 231), (18, 1.0, 255),
    ],
)  # fmt: skip
def test_hdr_is_tone_mapped_and_said(
    tmp_path: Path, backend: str, transfer: int, code: float, grey: int
) -> None:
    path = solid(
        tmp_path / "a.mp4",
        "libx265",
        "yuv420p10le",
        (round(64 + 876 * code), 512, 512),
        colorspace=9,
        color_range=1,
        color_trc=transfer,
        color_primaries=9,
    )
    clip = decode.read(path, frames=1, backend=backend)
    assert "HDR pictures were tone-mapped" in clip.note
    pixel = first(clip)[32, 32].astype(int)
    assert np.abs(pixel - grey).max() <= 3, pixel


def test_tone_mapping_is_monotonic_and_keeps_hues() -> None:
    for transfer in (16, 18):
        ramp = np.repeat(np.arange(0, 65536, 64, dtype=np.uint16)[None, :, None], 3, axis=2)
        mapped = hdr.tone_map(ramp, transfer)
        assert bool((np.diff(mapped.astype(int), axis=1) >= 0).all())
        assert int(np.ptp(mapped.astype(int), axis=2).max()) <= 1
        red = hdr.tone_map(np.array([[[40000, 20000, 20000]]], np.uint16), transfer)[0, 0]
        assert red[0] > 2 * max(red[1], red[2], 1)


def test_jpeg_in_tiff_is_not_black(tmp_path: Path) -> None:
    done, encoded = cv2.imencode(".jpg", gradients()[..., ::-1])
    assert done
    for orientation in (1, 5):
        path = tmp_path / f"{orientation}.tif"
        path.write_bytes(tiff(gradients(), orientation, encoded.tobytes()))
        expected = SHOWN[orientation](gradients())
        got = first(decode.read(path))
        assert got.shape == expected.shape
        assert float(np.abs(got.astype(int) - expected).mean()) < 3


def test_reasons_that_are_so(tmp_path: Path) -> None:
    floats = tmp_path / "float.tif"
    floats.write_bytes(tiff(np.ones((16, 16), np.float32)))
    with pytest.raises(
        MediaError, match=r"float\.tif could not be decoded: its pixels are floating"
    ):
        decode.read(floats)
    animated = tmp_path / "two.webp"
    body = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + bytes([15, 0, 0, 15, 0, 0])
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    animated.write_bytes(b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body)
    with pytest.raises(MediaError, match=r"two\.webp could not be decoded: it is an animated WebP"):
        decode.read(animated)
    tiles = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x15infe\x02\0\0\0\0\x01\0\0grid\0"
    assert is_tiled(tiles)


def test_pictures_of_any_depth(tmp_path: Path) -> None:
    grey = gradients()[..., 0]
    deep = tmp_path / "deep.png"
    assert cv2.imwrite(str(deep), grey.astype(np.uint16) * 257)
    bits = tmp_path / "bits.png"
    assert cv2.imwrite(str(bits), (grey > 99).astype(np.uint8) * 255, [cv2.IMWRITE_PNG_BILEVEL, 1])
    clear = tmp_path / "clear.png"
    assert cv2.imwrite(str(clear), np.dstack([gradients()[..., ::-1], grey]))
    for path, expected in (
        (deep, np.repeat(grey[..., None], 3, 2)),
        (bits, np.repeat((grey > 99)[..., None], 3, 2) * 255),
        (clear, gradients()),
    ):
        assert np.abs(first(decode.read(path)).astype(int) - expected).max() <= 1


def test_orientations_that_are_none() -> None:
    assert stills.orientation_of(b"\xff\xd8\xff\xd9") is None
    assert stills.orientation_of(exif(9)) is None
    assert stills.orientation_of(exif(3)[:12]) is None
    assert stills.orientation_of(exif(7)) == 7
