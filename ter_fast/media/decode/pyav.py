"""Opens media files with PyAV and says what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip, MediaInfo
from ter_fast.media.decode.backends import Sampling
from ter_fast.media.decode.pyav_audio import read_audio
from ter_fast.media.decode.pyav_video import picture_shape, read_pictures

# Below this many bytes a second a stated duration is more likely wrong than the stream that thin,
# and to measure it costs little, because the file is small.
_THINNEST = 1000
# Damaged timestamps jump by days, and every window of such a void would be searched for nothing.
_LONGEST_GAP = 60.0
# Headers of a few bytes can ask for pictures of gigabytes, and for sound that is none.
_MOST_PIXELS = 1 << 26
_SAMPLE_RATES = range(1_000, 1_000_001)
_SEEK_FROM = 2.0
# A header that says that nothing happens for so many seconds is checked, by so many packets.
_LATE, _FIRST_PACKETS = 1.0, 64
_UNKNOWN_LENGTH = 0.04
_MP4_BOXES = (b"ftyp", b"mdat", b"free", b"skip", b"wide")


def offer() -> str:
    """Say what PyAV decodes on this machine."""
    return "pictures and sound of every container on the CPU, exactly or by key frames"


def open_media(path: str, *, sampling: Sampling = "exact", threads: int | None = None) -> PyAVMedia:
    """Open a file for `ter_fast.media.decode`.

    Args:
        path: An existing, readable, non-empty file.
        sampling: "exact" or "keyframe".
        threads: Threads that decode pictures; None lets FFmpeg decide.

    Raises:
        MediaError: It is no media file, is damaged beyond opening, or holds neither picture nor
            sound.

    Example:
        >>> open_media(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """
    return PyAVMedia(path, sampling, threads)


class PyAVMedia:
    """Keep a media file open between reads.

    Attributes:
        info: The file's facts, all but those of the upright picture.
        sampling: "exact" or "keyframe".
        threads: Threads that decode pictures; None lets FFmpeg decide.

    Example:
        >>> PyAVMedia(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """

    def __init__(self, path: str, sampling: Sampling = "exact", threads: int | None = None) -> None:
        """Open `path` and find its streams."""
        self._path = path
        self.sampling: Sampling = sampling
        self.threads = threads
        self._container = _open_container(path)
        self._at_start = True
        self._jumps = False
        self._upright: MediaInfo | None = None
        try:
            self._video = _first(self._container, "video")
            self._audio = _first(self._container, "audio")
            self.info = self._describe()
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._container.close()

    def upright(self) -> MediaInfo:
        """Return `info` with the upright picture's size and its rotation; decodes one frame."""
        if self._upright is None:
            shape = None if self._video is None else picture_shape(self)
            width, height, rotation = shape or (self.info.width, self.info.height, 0)
            self._upright = replace(self.info, width=width, height=height, rotation=rotation)
        return self._upright

    def read(
        self,
        start: float,
        end: float,
        times: Sequence[float],
        *,
        audio: bool,
        video: bool,
        max_side: int | None,
    ) -> Clip:
        """Return the pictures shown at `times` and the sound of [start, end)."""
        origin = self.info.start
        frames = instants = sound = None
        level = ""
        if video and self._video is not None:
            wanted = [t + origin for t in times]
            frames, instants = read_pictures(self, wanted, self.info.is_image, max_side)
            if instants is not None:
                instants = instants - origin
        if audio and self._audio is not None:
            sound, level = read_audio(self, start + origin, end + origin)
        note = ""
        if self.info.cut_short:
            note = f"the file is cut short after {self.info.duration:.1f} s; copy it again"
        elif self._jumps:
            note = (
                f"its timestamps jump by more than {_LONGEST_GAP:.0f} s; what comes after "
                f"{self.info.duration:.1f} s is left out"
            )
        if self.sampling == "keyframe" and frames is not None and not self.info.is_image:
            note = f"{note}; " if note else ""
            note += "pictures are the nearest key frames"
        if level:
            note = "; ".join(filter(None, (note, f"the sound: {level}")))
        return Clip(self._path, frames, instants, sound, start, end, note)

    def stream(self, kind: str) -> Stream:
        """Return the stream in use of a kind, `"video"` or `"audio"`."""
        found = self._video if kind == "video" else self._audio
        assert found is not None
        return found

    def packets(self, kind: str, since: float | None) -> Iterator[Packet[Stream]]:
        """Yield the packets of one stream in file order, as far as the file is readable.

        Args:
            kind: `"video"` or `"audio"`.
            since: Timestamp in seconds at or before whose key frame to begin; None for the very
                first packet.
        """
        self._go_to(kind, since)
        stream = self.stream(kind)
        for other in self._container.streams:
            other.discard = Discard.default if other is stream else Discard.all
        self._at_start = False
        try:
            for packet in self._container.demux(stream):
                if packet.size:
                    yield packet
        except (av.FFmpegError, IndexError):
            # At the end PyAV may look for a stream that it does not know, where a damaged program
            # table made FFmpeg find one on the way.
            return

    def seeks(self, since: float | None) -> bool:
        """Say whether reading from a timestamp on seeks, rather than begins with the file."""
        first = self.info.start if hasattr(self, "info") else 0.0
        return since is not None and since - first > _SEEK_FROM

    def _go_to(self, kind: str, since: float | None) -> None:
        if since is not None and self.seeks(since):
            stream = self.stream(kind)
            assert stream.time_base is not None
            try:
                self._container.seek(int(since / stream.time_base), stream=stream)
            except av.FFmpegError:
                pass
            else:
                self._at_start = False
                return
        if not self._at_start:
            # Not every container can seek back to its first packet with the decoder's priming
            # intact; a fresh one always begins there.
            self._container.close()
            self._container = _open_container(self._path)
            self._video = _first(self._container, "video")
            self._audio = _first(self._container, "audio")
            self._at_start = True

    def _describe(self) -> MediaInfo:
        container, video, audio = self._container, self._video, self._audio
        streams = [s for s in (video, audio) if s is not None]
        if not streams:
            unheard = any(s.type == "audio" for s in container.streams)
            raise MediaError(
                f"{self._path} holds neither pictures nor sound{' of a rate that can be' * unheard} "
                f"(format {container.format.name}); name a video, sound or picture file."
            )
        names = container.format.name.split(",")
        still = names[0] == "image2" or names[0].endswith("_pipe")
        starts = [
            float(s.start_time * s.time_base)
            for s in streams
            if s.start_time is not None and s.time_base is not None
        ]
        start = min(starts, default=0.0)
        if start > _LATE:
            start = self._first_time(streams, start)
        duration = 0.0 if still else self._duration(start)
        context = video.codec_context if video is not None else None
        return MediaInfo(
            path=self._path,
            duration=duration,
            start=start,
            has_video=video is not None,
            has_audio=audio is not None,
            is_image=still,
            cut_short=_is_cut_short(container, os.path.getsize(self._path)),
            frame_rate=float(video.average_rate) if video and video.average_rate else None,
            width=getattr(context, "width", None) or None,
            height=getattr(context, "height", None) or None,
            video_codec=context.name if context is not None else None,
            audio_codec=audio.codec_context.name if audio is not None else None,
            audio_rate=getattr(audio.codec_context, "sample_rate", None) if audio else None,
        )

    def _first_time(self, streams: Sequence[Stream], start: float) -> float:
        """Return when the first packets say that the file begins, if earlier than its header does.

        FFmpeg gives a stream of one or two pictures the start of the sound beside it.
        """
        self._at_start = False
        times = [start]
        try:
            for packet in islice(self._container.demux(*streams), _FIRST_PACKETS):
                if packet.pts is not None and packet.size:
                    times.append(float(packet.pts * packet.time_base))
        except (av.FFmpegError, IndexError):
            # What can be read of it says when it begins.
            pass
        return min(t for t in times if t >= 0)

    def _duration(self, start: float) -> float:
        container = self._container
        size = os.path.getsize(self._path)
        if container.duration is None or container.duration <= 0:
            return self._measure_duration(start)
        stated = container.duration / 1e6
        # Matroska states when the last picture ends, however late the first one begins.
        late = start > _LATE and container.format.name.startswith("matroska")
        if late or size < _THINNEST * stated or _is_cut_short(container, size):
            return min(stated, self._measure_duration(start))
        return stated

    def _measure_duration(self, start: float) -> float:
        shown: list[tuple[float, float]] = []
        self._at_start = False
        try:
            for packet in self._container.demux(*(s for s in (self._video, self._audio) if s)):
                if packet.pts is not None and packet.size:
                    length = float((packet.duration or 0) * packet.time_base) or _UNKNOWN_LENGTH
                    shown.append((float(packet.pts * packet.time_base), min(length, _LONGEST_GAP)))
        except (av.FFmpegError, IndexError):
            # The file ends here, whatever its header says; as in `packets`.
            pass
        last = start
        for time, length in sorted(shown):
            if time - last > _LONGEST_GAP:
                self._jumps = True
                break
            last = max(last, time + length)
        return last - start


def _open_container(path: str) -> InputContainer:
    with open(path, "rb") as file:
        head = file.read(4096)
    # FFmpeg would follow a playlist to other files and draw plain text as pictures.
    if _is_text(head):
        raise MediaError(f"{path} holds text, not media; name a video, sound or picture file.")
    options = {"protocol_whitelist": "file", "max_pixels": str(_MOST_PIXELS)}
    if "%" in path:
        options["pattern_type"] = "none"
    try:
        return av.open(f"file:{path}", options=options)
    except (av.FFmpegError, ValueError, OSError) as error:
        if head[4:8] in _MP4_BOXES:
            raise MediaError(
                f"{path} is cut short: its index (the moov atom) is missing, so nothing in it can "
                "be found; copy or download it again."
            ) from None
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(
            f"{path} cannot be opened as media ({reason}); check the file or convert it with "
            "ffmpeg."
        ) from None


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start <= len(head) - 4:
            return False
    return b"\0" not in head


def _first(container: InputContainer, kind: str) -> Stream | None:
    """Return FFmpeg's best stream of a kind; a sleeve picture in a sound file is no video."""
    best = container.streams.best(kind)  # type: ignore[arg-type]
    candidates = ([best] if best is not None else []) + [
        s for s in container.streams if s.type == kind
    ]
    for stream in candidates:
        # A stream whose codec FFmpeg does not know has no context, whatever its type says.
        if getattr(stream, "codec_context", None) is None:
            continue
        context = stream.codec_context
        if kind == "audio" and getattr(context, "sample_rate", 0) not in _SAMPLE_RATES:
            continue
        if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails):
            context.options = {"max_pixels": str(_MOST_PIXELS)}
            return stream
    return None


def _is_cut_short(container: InputContainer, size: int) -> bool:
    """Say whether the index points behind the end of the file."""
    for stream in container.streams:
        entries = stream.index_entries
        if len(entries):
            last = entries[len(entries) - 1]
            if last.pos + last.size > size:
                return True
    return False
