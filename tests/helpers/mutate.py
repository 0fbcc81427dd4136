"""Damages media files in the ways that files get damaged, and in those that nobody would think of.

Every mutation is a function of the originals and a seed, so that a failure can be made again.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from helpers.headers import boxes, fields, header
from helpers.originals import Original, remuxed

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


@dataclass(frozen=True)
class Mutant:
    """A damaged copy: a name that says what was done to what, and its bytes."""

    kind: str
    name: str
    content: bytes


Mutation = Callable[[Original, Sequence[Original], np.random.Generator], tuple[bytes, str]]


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
    begin, end = header(source.content)
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
    begin, end = header(source.content)
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
    places = fields(source.content)
    if not places:
        return absurd_words(source, sources, generator)
    for _ in range(generator.integers(1, 4)):
        at, code = places[generator.integers(len(places))]
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
        for name, begin, end in boxes(source.content)
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
    held = boxes(source.content)
    if not held:
        return absurd_words(source, sources, generator)
    _, begin, _ = held[generator.integers(len(held))]
    if generator.random() < 0.5:
        content[begin - 8 : begin - 4] = struct.pack(">I", int(generator.choice(ABSURD)))
    else:
        content[begin - 4 : begin] = held[generator.integers(len(held))][0]
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
    content = bytearray(next(source.content for source in sources if source.ending == ".gif"))
    width, height = generator.choice([320, 8_000, 16_000, 65_535], 2).tolist()
    content[6:10] = struct.pack("<HH", width, height)
    return bytes(content), ".gif"


def odd_rate(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a WAV of one sample a second, or of a billion."""
    content = bytearray(next(source.content for source in sources if source.ending == ".wav"))
    rate = int(generator.choice([1, 7, 50, 999, 1_000, 44_101, 384_000, 999_983, 2**31 - 1]))
    content[24:32] = struct.pack("<II", rate, min(2 * rate, 2**32 - 1))
    return bytes(content), ".wav"


def slow_clock(sources: Sequence[Original], generator: np.random.Generator) -> tuple[bytes, str]:
    """Return a film whose clocks tick 1 to 1,000 times a second, so that it lasts for days."""
    films = [
        source for source in sources if any(name == b"mdhd" for name, _, _ in boxes(source.content))
    ]
    film = films[generator.integers(len(films))]
    content = bytearray(film.content)
    for name, begin, _ in boxes(film.content):
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
