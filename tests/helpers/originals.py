"""Sound media files to be damaged: the fixtures, and their like in other containers and codecs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

EXACT = {"fflags": "+bitexact"}
"""Makes FFmpeg write no random numbers and no date."""


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
    """Return the sound of a film as its own file."""
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
