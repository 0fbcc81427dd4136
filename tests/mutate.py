"""Damages media files in the ways that files get damaged, and in those that nobody would think of.

Every mutation is a function of the originals and a seed, so that a failure can be made again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

ABSURD = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
ENDINGS = (".mp4", ".mov", ".mkv", ".avi", ".ts", ".wav", ".mp3", ".flac", ".ogg", ".aac")
WRONG_ENDINGS = (
    *ENDINGS,
    ".jpg",
    ".png",
    ".gif",
    ".txt",
    ".m3u8",
    ".srt",
    ".yuv",
    ".raw",
    ".csv",
    "",
)
# The muxers of FLV and NUT abort the process on packets that they do not expect.
CONTAINERS = ("matroska", "avi", "mpegts", "mov", "asf")
EXACT = {"fflags": "+bitexact"}
"""Makes FFmpeg write no random numbers and no date."""
BOXES_OF_BOXES = frozenset(
    {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf"}
)


@dataclass(frozen=True)
class Original:
    """A sound media file.

    Attributes:
        name: with its ending.
        content: its bytes.
    """

    name: str
    content: bytes

    @property
    def ending(self) -> str:
        """The ending of the name, with its dot."""
        return Path(self.name).suffix


@dataclass(frozen=True)
class Mutant:
    """A damaged copy: a name that says what was done to what, and its bytes."""

    kind: str
    name: str
    content: bytes


Mutation = Callable[[Original, Sequence[Original], np.random.Generator], tuple[bytes, str]]


def originals(folder: Path) -> list[Original]:
    """Return the fixtures, and their like in other containers and codecs."""
    found = [Original(path.name, path.read_bytes()) for path in sorted(folder.glob("*.m[op][v4]"))]
    if not found:
        raise FileNotFoundError(f"{folder} holds no .mp4 or .mov to mutate")
    derived = [
        Original(f"{each.name}{ending}", content)
        for each, ending, container in (
            (found[1], ".mkv", "matroska"),
            (found[2], ".ts", "mpegts"),
            (found[3], ".avi", "avi"),
        )
        if (content := remuxed(each.content, container))
    ]
    speech = next(each for each in found if "speech" in each.name)
    sounds = [("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "mp3"), ("ogg", "libopus")]
    derived += [Original(f"s.{form}", sound(speech.content, form, codec)) for form, codec in sounds]
    derived += [
        Original(f"f{ending}", film(speech.content, *how))
        for ending, *how in (
            (".webm", "webm", "libvpx", "libopus"),
            (".avi", "avi", "mjpeg", "pcm_s16le"),
        )
    ]
    stills = [("png", "rgb24"), ("mjpeg", "yuvj420p"), ("gif", "rgb8")]
    return found + derived + [picture(speech.content, codec, pixels) for codec, pixels in stills]


def mutants(sources: Sequence[Original], count: int, seed: int = 0) -> Iterator[Mutant]:
    """Yield `count` mutants, the kinds and the originals in turn."""
    kinds = list(MUTATIONS.items())
    for index in range(count):
        # One original after another within each kind, whatever the two counts have in common.
        kind, mutation = kinds[index % len(kinds)]
        source = sources[(index // len(kinds) + index) % len(sources)]
        generator = np.random.default_rng([seed, index])
        content, ending = mutation(source, sources, generator)
        yield Mutant(kind, f"{index:05d}-{kind.replace(' ', '-')}-{source.name}{ending}", content)


# -- bytes ----------------------------------------------------------------------------------------


def flipped(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Change 1 to 10,000 bytes anywhere."""
    return _scattered(source.content, 0, len(source.content), generator), source.ending


def flipped_head(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Change bytes of the index, or of the first 4 KiB where there is none."""
    begin, end = _header(source.content)
    return _scattered(source.content, begin, end, generator, 100), source.ending


def cut(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Keep the beginning, any length of it."""
    return source.content[: _length(len(source.content), generator)], source.ending


def beheaded(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Keep the end."""
    return source.content[_length(len(source.content), generator) :], source.ending


def without_a_piece(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Leave out, double or exchange a stretch in the middle."""
    content = source.content
    first, second, third = sorted(generator.integers(0, len(content), 3).tolist())
    one, two = content[first:second], content[second:third]
    middle = (b"", one + one + two, two + one)[generator.integers(3)]
    return content[:first] + middle + content[third:], source.ending


def filled(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Put zeros, ones or noise over one to five stretches."""
    content = bytearray(source.content)
    for _ in range(generator.integers(1, 6)):
        at = int(generator.integers(len(content)))
        size = min(_length(len(content) // 2, generator), len(content) - at)
        noise = generator.bytes(size)
        content[at : at + size] = (bytes(size), b"\xff" * size, noise)[generator.integers(3)]
    return bytes(content), source.ending


def absurd_words(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Put extreme 1-, 2- and 4-byte numbers of either byte order into the header."""
    content = bytearray(source.content)
    begin, end = _header(source.content)
    for _ in range(generator.integers(1, 9)):
        at, code = int(generator.integers(begin, end)), str(generator.choice(list("BHIHI")))
        value = int(generator.choice(ABSURD)) & (256 ** struct.calcsize(code) - 1)
        word = struct.pack(str(generator.choice(["<", ">"])) + code, value)
        content[at : at + len(word)] = word
    return bytes(content), source.ending


# -- headers --------------------------------------------------------------------------------------


def absurd_header(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Give fields of the header absurd values: sizes, durations, time scales, rates, counts."""
    content = bytearray(source.content)
    fields = _fields(source.content)
    if not fields:
        return absurd_words(source, sources, generator)
    for _ in range(generator.integers(1, 4)):
        at, code = fields[generator.integers(len(fields))]
        size = struct.calcsize(code)
        value = int(generator.choice(ABSURD)) & (256**size - 1)
        content[at : at + size] = struct.pack(code, value)
    return bytes(content), source.ending


def absurd_tables(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Give entries of an index absurd values, or exchange them: times, sizes, places."""
    content = bytearray(source.content)
    tables = [
        (begin, end)
        for name, begin, end in _boxes(source.content)
        if name in {b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"stss", b"elst"}
        and end - begin >= 12
    ]
    if not tables:
        return flipped_head(source, sources, generator)
    begin, end = tables[generator.integers(len(tables))]
    entries = np.frombuffer(
        source.content[begin + 8 : begin + 8 + (end - begin - 8) // 4 * 4], ">u4"
    )
    entries = entries.copy()
    change = generator.integers(3)
    if change == 0:
        generator.shuffle(entries)
    elif change == 1:
        entries[generator.random(len(entries)) < generator.random()] = generator.choice(ABSURD)
    else:
        entries = entries ^ (1 << generator.integers(0, 32, len(entries))).astype(">u4")
    content[begin + 8 : begin + 8 + 4 * len(entries)] = entries.astype(">u4").tobytes()
    return bytes(content), source.ending


def lying_boxes(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Give a box another length or another name."""
    content = bytearray(source.content)
    boxes = list(_boxes(source.content))
    if not boxes:
        return absurd_words(source, sources, generator)
    _, begin, _ = boxes[generator.integers(len(boxes))]
    if generator.random() < 0.5:
        content[begin - 8 : begin - 4] = struct.pack(">I", int(generator.choice(ABSURD)))
    else:
        content[begin - 4 : begin] = boxes[generator.integers(len(boxes))][0]
    return bytes(content), source.ending


# -- streams --------------------------------------------------------------------------------------


def swapped(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Put the packets of one file under the stream headers of another."""
    other = sources[generator.integers(len(sources))]
    container = str(generator.choice(CONTAINERS))
    content = remuxed(source.content, container, headers=other.content)
    return content or source.content + other.content, f".{container}"


def reordered(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Remux with packets lost, doubled or shuffled, and times that jump, stand or run backwards."""
    container = str(generator.choice(CONTAINERS))
    content = remuxed(source.content, container, generator=generator)
    return content or cut(source, sources, generator)[0], f".{container}"


def remuxed_and_flipped(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Copy the streams into another container, then change bytes of its header or of it all."""
    container = str(generator.choice(CONTAINERS))
    content = remuxed(source.content, container) or source.content
    end = len(content) if generator.random() < 0.5 else min(len(content), 2048)
    return _scattered(content, 0, end, generator, 200), f".{container}"


# -- files ----------------------------------------------------------------------------------------


def joined(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Put two files, or a file and noise, behind one another."""
    other = sources[generator.integers(len(sources))].content
    noise = generator.bytes(_length(100_000, generator))
    parts = (
        (source.content, other),
        (source.content, noise),
        (noise, source.content),
        (source.content[: len(source.content) // 2], other),
    )[generator.integers(4)]
    return b"".join(parts), source.ending


def misnamed(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Give another ending, and sometimes cut or change bytes as well."""
    ending = str(generator.choice(WRONG_ENDINGS))
    how = (None, cut, flipped)[generator.integers(3)]
    return source.content if how is None else how(source, sources, generator)[0], ending


def magic(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Put the first bytes of one format before noise, zeros, or another format's rest."""
    size = _length(4096, generator)
    other = sources[generator.integers(len(sources))].content
    rest = (generator.bytes(100_000), bytes(100_000), other[size:])[generator.integers(3)]
    return source.content[:size] + rest, source.ending


def bomb(
    source: Original, sources: Sequence[Original], generator: np.random.Generator
) -> tuple[bytes, str]:
    """Ask for gigabytes or days in a few bytes: pictures, sound rates, timelines."""
    bombs = [giant_picture, giant_gif, odd_rate, slow_clock]
    return bombs[generator.integers(len(bombs))](sources, generator)


def giant_picture(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a whole PNG of 9 to 256 million white, grey or coloured pixels of one value."""
    side = int(generator.choice([3_000, 8_000, 16_000]))
    return png(side, *((0, 1), (2, 3), (6, 4))[generator.integers(3)]), ".png"


def png(side: int, color: int = 2, channels: int = 3) -> bytes:
    """Return a square PNG of zeros, of 8 bits a channel; `color` is its type in the header."""
    squeeze = zlib.compressobj(1)
    row = bytes(side * channels + 1)
    data = b"".join(squeeze.compress(row) for _ in range(side)) + squeeze.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, color, 0, 0, 0)
    body = b"".join(
        struct.pack(">I", len(value)) + name + value + struct.pack(">I", zlib.crc32(name + value))
        for name, value in ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + body


def giant_gif(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a GIF whose canvas is far larger than its picture."""
    content = bytearray(next(each.content for each in sources if each.ending == ".gif"))
    width, height = generator.choice([320, 8_000, 16_000, 65_535], 2).tolist()
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content), ".gif"


def odd_rate(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a WAV of one sample a second, or of a billion."""
    content = bytearray(next(each.content for each in sources if each.ending == ".wav"))
    rate = int(generator.choice([1, 7, 50, 999, 1_000, 44_101, 384_000, 999_983, 2**31 - 1]))
    content[24:32] = struct.pack("<II", rate, min(2 * rate, 2**32 - 1))
    return bytes(content), ".wav"


def slow_clock(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a film whose clocks tick 1 to 1,000 times a second, so that it lasts for days."""
    films = [
        each for each in sources if any(name == b"mdhd" for name, _, _ in _boxes(each.content))
    ]
    film = films[generator.integers(len(films))]
    content = bytearray(film.content)
    for name, begin, _ in _boxes(film.content):
        if name in (b"mdhd", b"mvhd"):
            scale = int(generator.choice([1, 5, 20, 60, 100, 400, 1_000]))
            content[begin + 12 : begin + 16] = struct.pack(">I", scale)
    return bytes(content), ".mp4"


MUTATIONS: dict[str, Mutation] = {
    "bytes flipped": flipped,
    "header flipped": flipped_head,
    "cut": cut,
    "beheaded": beheaded,
    "stretch moved": without_a_piece,
    "stretch filled": filled,
    "absurd words": absurd_words,
    "absurd header": absurd_header,
    "absurd tables": absurd_tables,
    "lying boxes": lying_boxes,
    "streams swapped": swapped,
    "packets reordered": reordered,
    "remuxed, flipped": remuxed_and_flipped,
    "joined": joined,
    "wrong ending": misnamed,
    "format's first bytes": magic,
    "bomb": bomb,
}

# -- the tools ------------------------------------------------------------------------------------


def _scattered(
    content: bytes, begin: int, end: int, generator: np.random.Generator, most: int = 10_000
) -> bytes:
    changed = np.frombuffer(content, np.uint8).copy()
    count = int(10 ** generator.uniform(0, np.log10(most)))
    places = generator.integers(begin, end, count)
    if generator.random() < 0.5:
        changed[places] ^= (1 << generator.integers(0, 8, count)).astype(np.uint8)
    else:
        changed[places] = generator.integers(0, 256, count)
    return changed.tobytes()


def _length(whole: int, generator: np.random.Generator) -> int:
    """Draw a length of any order of magnitude, or any share of the whole."""
    if generator.random() < 0.3:
        return min(whole, int(10 ** generator.uniform(0, np.log10(max(whole, 2)))))
    return int(generator.integers(1, max(whole, 2)))


def _header(content: bytes) -> tuple[int, int]:
    for name, begin, end in _boxes(content):
        if name == b"moov":
            return begin, end
    return 0, min(len(content), 4096)


@cache
def _boxes(content: bytes) -> tuple[tuple[bytes, int, int], ...]:
    """List (name, begin, end) of the boxes of an MP4 or QuickTime file, without their headers."""
    if content[4:8] != b"ftyp":
        return ()
    found: list[tuple[bytes, int, int]] = []

    def walk(at: int, end: int) -> None:
        while at + 8 <= end:
            size, name = struct.unpack(">I4s", content[at : at + 8])
            if size < 8 or at + size > end:
                return
            found.append((name, at + 8, at + size))
            if name in BOXES_OF_BOXES:
                walk(at + 8, at + size)
            at += size

    walk(0, len(content))
    return tuple(found)


def _fields(content: bytes) -> list[tuple[int, str]]:
    """List the place and the format of the header's numbers that say how large or long things are."""
    places = {
        b"mvhd": [(12, ">I"), (16, ">I"), (20, ">I")],
        b"mdhd": [(12, ">I"), (16, ">I")],
        b"tkhd": [(12, ">I"), (20, ">I"), *((40 + 4 * i, ">I") for i in range(9)), (76, ">I"), (80, ">I")],
        # After 8 bytes of count and 16 of the first entry: a picture's size, or channels, bits, rate.
        b"stsd": [(4, ">I"), (8, ">I"), (12, ">I"), (16 + 16, ">H"), (16 + 18, ">H"), (16 + 24, ">H"),
                  (16 + 26, ">H"), (16 + 32, ">I"), (110, ">I"), (118, ">I")],
        b"stts": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"ctts": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"stsz": [(4, ">I"), (8, ">I"), (12, ">I")],
        b"stsc": [(4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
        b"stco": [(4, ">I"), (8, ">I")],
        b"stss": [(4, ">I"), (8, ">I")],
        b"elst": [(4, ">I"), (8, ">I"), (12, ">I"), (16, ">I")],
        b"hdlr": [(8, ">I")],
    }  # fmt: skip
    found = [
        (begin + at, code)
        for name, begin, end in _boxes(content)
        for at, code in places.get(name, [])
        if begin + at + struct.calcsize(code) <= end
    ]
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        found = [(at, "<I") for at in (4, 16, 24, 28, 40)] + [(at, "<H") for at in (20, 22, 32, 34)]
    elif content[:4] == b"RIFF":
        found = [(at, "<I") for at in range(4, 320, 4)]
    elif content[:4] == b"\x89PNG":
        found = [(8, ">I"), (16, ">I"), (20, ">I"), (24, "B"), (25, "B"), (28, "B")]
    elif content[:3] == b"GIF":
        found = [(6, "<H"), (8, "<H"), (10, "B")]
    elif content[:4] == b"fLaC":
        found = [(8, ">H"), (10, ">H"), (18, ">H"), (20, ">H"), (22, ">I")]
    elif content[:2] == b"\xff\xd8" and (at := content.find(b"\xff\xc0")) > 0:
        found = [(at + 5, ">H"), (at + 7, ">H"), (at + 9, "B"), (at + 11, "B")]
    return found


def remuxed(
    content: bytes,
    container: str,
    headers: bytes | None = None,
    generator: np.random.Generator | None = None,
) -> bytes:
    """Copy the streams into a container; return b"" where it cannot hold them.

    Args:
        content: the file whose packets to copy.
        container: FFmpeg's name of the format.
        headers: a file whose stream headers to use in place of its own.
        generator: makes packets be lost, doubled and shuffled, and their times wrong.
    """
    out = BytesIO()
    try:
        with (
            av.open(BytesIO(content)) as source,
            av.open(BytesIO(headers or content)) as template,
            av.open(out, "w", format=container, options=EXACT) as target,
        ):
            streams: dict[int, Any] = {}
            for kind in ("video", "audio"):
                first = next((s for s in source.streams if s.type == kind), None)
                model = next((s for s in template.streams if s.type == kind), None)
                if first is not None and model is not None:
                    streams[first.index] = target.add_stream_from_template(model)  # type: ignore[type-var]
            packets = [p for p in source.demux() if p.dts is not None and p.stream_index in streams]
            for packet in packets if generator is None else _disordered(packets, generator):
                packet.stream = streams[packet.stream_index]
                try:
                    target.mux(packet)
                except (av.FFmpegError, ValueError):
                    # A container refuses times that run backwards; the rest goes on.
                    continue
    except (av.FFmpegError, ValueError, TypeError, OverflowError):
        return b""
    return out.getvalue()


def _disordered(packets: list[Any], generator: np.random.Generator) -> list[Any]:
    """Lose, double or shuffle packets while their times stay, or move the times."""
    change = generator.integers(4)
    if change == 0:
        return [p for p in packets if generator.random() < 0.7]
    times = [(p.pts, p.dts) for p in packets]
    if change == 1:
        for packet, (pts, dts) in zip(packets, times, strict=True):
            jump = int(generator.choice([0, 0, 0, 10**4, 10**6, 10**9]))
            packet.pts, packet.dts = (None if pts is None else pts + jump), dts + jump
    elif change == 2:
        for packet in packets:
            if generator.random() < 0.3:
                packet.pts = int(generator.integers(0, 2**40))
    else:
        by_stream: dict[int, list[int]] = {}
        for index, packet in enumerate(packets):
            by_stream.setdefault(packet.stream_index, []).append(index)
        order = list(range(len(packets)))
        for places in by_stream.values():
            for place, other in zip(places, generator.permutation(places).tolist(), strict=True):
                order[place] = other
                packets[other].pts, packets[other].dts = times[place]
        return [packets[index] for index in order]
    return packets


def sound(content: bytes, container: str, codec: str) -> bytes:
    """Return the sound of a film as a file of its own."""
    out = BytesIO()
    with (
        av.open(BytesIO(content)) as source,
        av.open(out, "w", format=container, options=EXACT) as target,
    ):
        stream = target.add_stream(codec, rate=24_000 if codec == "libopus" else 16_000)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(stream.format, "mono", stream.rate)
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                target.mux(stream.encode(piece))
        target.mux(stream.encode(None))
    return out.getvalue()


def film(content: bytes, container: str, video_codec: str, audio_codec: str) -> bytes:
    """Return two seconds of a film in codecs that decoders without H.264 read as well."""
    out = BytesIO()
    with (
        av.open(BytesIO(content)) as source,
        av.open(out, "w", format=container, options=EXACT) as target,
    ):
        pictures = target.add_stream(video_codec, rate=10)
        rate = 24_000 if audio_codec == "libopus" else 16_000
        heard = target.add_stream(audio_codec, rate=rate, layout="mono")
        assert isinstance(pictures, av.VideoStream)
        assert isinstance(heard, av.AudioStream)
        pictures.width, pictures.height = 160, 120
        pictures.pix_fmt = "yuvj420p" if video_codec == "mjpeg" else "yuv420p"
        pictures.codec_context.thread_count = 1
        resampler = av.AudioResampler(heard.format, "mono", rate)
        frames = islice(source.decode(video=0), 0, 60, 3)
        for count, frame in enumerate(frames):
            small = frame.reformat(160, 120, pictures.pix_fmt)
            small.pts, small.time_base = count, Fraction(1, 10)
            target.mux(pictures.encode(small))
        source.seek(0)
        for sounding in source.decode(audio=0):
            if sounding.time >= 2:
                break
            for piece in resampler.resample(sounding):
                target.mux(heard.encode(piece))
        target.mux(pictures.encode(None))
        target.mux(heard.encode(None))
    return out.getvalue()


def picture(content: bytes, codec: str, pixels: str) -> Original:
    """Return the first frame of a film as a picture file."""
    with av.open(BytesIO(content)) as source:
        frame = next(source.decode(video=0)).reformat(format=pixels)
    if codec == "gif":
        out = BytesIO()
        with av.open(out, "w", format="gif", options=EXACT) as target:
            stream = target.add_stream("gif", rate=10)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, pixels
            target.mux(stream.encode(frame))
            target.mux(stream.encode(None))
        return Original("p.gif", out.getvalue())
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, pixels
    encoder.time_base = frame.time_base
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return Original("p.png" if codec == "png" else "p.jpg", b"".join(bytes(p) for p in packets))
