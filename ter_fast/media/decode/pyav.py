"""Opens media files with PyAV and says what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import av
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip, MediaInfo
from ter_fast.media.decode import stills
from ter_fast.media.decode.backends import Media, Sampling
from ter_fast.media.decode.hdr import is_hdr
from ter_fast.media.decode.layout import Layout, mapped, read_layout
from ter_fast.media.decode.layout.boxes import is_tiled
from ter_fast.media.decode.pyav_audio import read_audio
from ter_fast.media.decode.pyav_container import (
    first_stream,
    is_still,
    is_untimed,
    open_container,
    points_behind_end,
)
from ter_fast.media.decode.pyav_duration import (
    LATE,
    LONGEST_GAP,
    PICTURES,
    Duration,
    find_duration,
    timed_packets,
)
from ter_fast.media.decode.pyav_joined import cut_short_note, open_parts
from ter_fast.media.decode.pyav_picture import Display, shown_size, upright_size
from ter_fast.media.decode.pyav_video import first_frame, read_pictures
from ter_fast.media.files import Closing

_SEEK_FROM = 2.0
_FIRST_PACKETS = 64
# Pixels of another shape than these are a damaged header.
_ASPECTS = (0.1, 10.0)
# Seconds of sound that a header may state too many, for a last packet that is not full.
_MISSING = 0.5


def offer() -> str:
    """Say what PyAV decodes on this machine."""
    return "pictures and sound of every container on the CPU, exactly or by key frames"


def open_media(path: str, *, sampling: Sampling = "exact", threads: int | None = None) -> Media:
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
    return open_parts(PyAVMedia(path, sampling, threads))


class PyAVMedia(Closing):
    """Keep a media file open between reads.

    Attributes:
        info: The file's facts, all but those of the upright picture.
        sampling: "exact" or "keyframe".
        threads: Threads that decode pictures; None lets FFmpeg decide.
        display: How its stored pixels are shown.
        picture: A photograph that FFmpeg would decode wrongly, None for any other file.
        layout: Where the files lie that were joined to this one, and whether its end is missing.

    Example:
        >>> PyAVMedia(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """

    def __init__(
        self,
        path: str,
        sampling: Sampling = "exact",
        threads: int | None = None,
        *,
        part: Layout | None = None,
    ) -> None:
        """Open `path`, or one of the files that are joined in it, and find its streams."""
        self._path = path
        self._span = part.parts[0] if part else None
        self.sampling: Sampling = sampling
        self.threads = threads
        self.display = Display()
        self.picture: VideoFrame | None = None
        self._container = open_container(path, self._span)
        self._at_start = True
        self._duration = Duration(0.0)
        self._upright: MediaInfo | None = None
        try:
            self._video = first_stream(self._container, "video")
            self._audio = first_stream(self._container, "audio")
            self.layout = part or read_layout(path, self._container.format.name)
            self.info = self._describe()
        except BaseException:
            self._container.close()
            raise

    def open_part(self, part: Layout) -> PyAVMedia:
        """Open one of the files that are joined in this one."""
        return PyAVMedia(self._path, self.sampling, self.threads, part=part)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def upright(self) -> MediaInfo:
        """Return `info` with the upright picture's size and its rotation; decodes one frame."""
        if self._upright is None:
            self._upright = self.info
            frame = None if self._video is None else first_frame(self)
            if frame is not None:
                width, height = upright_size(frame, None, self.display)
                rotation, mirrored = self.display.turn(frame)
                self._upright = replace(
                    self.info, width=width, height=height, rotation=rotation, mirrored=mirrored
                )
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
        notes = list(self._notes())
        if self.sampling == "keyframe" and frames is not None and not self.info.is_image:
            notes.append("pictures are the nearest key frames")
        if level:
            notes.append(f"the sound: {level}")
        return Clip(self._path, frames, instants, sound, start, end, "; ".join(notes))

    def _notes(self) -> Iterator[str]:
        if self.info.cut_short:
            yield cut_short_note(self.info)
        elif self._duration.jumps:
            yield (
                f"its timestamps jump by more than {LONGEST_GAP / 60:.0f} minutes; what comes after "
                f"{self.info.duration:.1f} s is left out"
            )
        if self.is_hdr():
            yield "HDR pictures were tone-mapped"

    def is_hdr(self) -> bool:
        """Say whether pictures have a high dynamic range, which `read` maps to the standard one."""
        video = self._video
        return isinstance(video, VideoStream) and is_hdr(video.codec_context.color_trc)

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
        return timed_packets(self._container, [stream])

    def seeks(self, since: float | None) -> bool:
        """Say whether reading from a timestamp on seeks, rather than begins with the file."""
        first = self.info.start if hasattr(self, "info") else 0.0
        if is_untimed(self._container):
            return False
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
            self._container = open_container(self._path, self._span)
            self._video = first_stream(self._container, "video")
            self._audio = first_stream(self._container, "audio")
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
        still = is_still(container)
        size = self._size()
        cut_short = self.layout.cut_short or points_behind_end(container, size)
        start = self._start(streams)
        if not still:
            self._duration, read_on = find_duration(
                container, streams, start, self._path, size, cut_short
            )
            self._at_start = self._at_start and not read_on
        if (
            cut_short
            and (still or container.format.name in PICTURES)
            and not self._duration.seconds
        ):
            raise MediaError(
                f"{self._path} is cut short: the end of the picture is missing; copy or download it "
                "again."
            )
        if still and self._is_tiled():
            raise MediaError(
                f"{self._path} is stored in tiles, which FFmpeg gives one by one; convert it to JPEG "
                "or PNG."
            )
        width, height = self._find_display(still)
        return MediaInfo(
            path=self._path,
            duration=self._duration.seconds,
            start=start,
            has_video=video is not None,
            has_audio=audio is not None,
            is_image=still,
            cut_short=cut_short or self._duration.missing > _MISSING,
            frame_rate=float(video.average_rate) if video and video.average_rate else None,
            width=width,
            height=height,
            video_codec=video.codec_context.name if video is not None else None,
            audio_codec=audio.codec_context.name if audio is not None else None,
            audio_rate=getattr(audio.codec_context, "sample_rate", None) if audio else None,
        )

    def _is_tiled(self) -> bool:
        with mapped(self._path) as data:
            return data[4:8] == b"ftyp" and is_tiled(data)

    def _size(self) -> int:
        if self._span:
            return self._span[1] - self._span[0]
        return os.path.getsize(self._path)

    def _find_display(self, still: bool) -> tuple[int | None, int | None]:
        """Find how pixels are shown, and return (width, height) of a picture before it is turned."""
        if not isinstance(self._video, VideoStream):
            return None, None
        context = self._video.codec_context
        if still:
            # Those who view photographs take no notice of pixels that are not square.
            with mapped(self._path) as data:
                self.display = Display(orientation=stills.orientation_of(data))
                pixels = stills.tiff_by_opencv(data)
                self.picture = None if pixels is None else VideoFrame.from_ndarray(pixels)
        else:
            aspect = float(self._video.sample_aspect_ratio or 1)
            if _ASPECTS[0] <= aspect <= _ASPECTS[1]:
                self.display = Display(aspect)
        if not context.width or not context.height:
            return None, None
        return shown_size(context.width, context.height, self.display.aspect)

    def _start(self, streams: Sequence[Stream]) -> float:
        starts = [
            float(s.start_time * s.time_base)
            for s in streams
            if s.start_time is not None and s.time_base is not None
        ]
        start = min(starts, default=0.0)
        return self._first_time(streams, start) if start > LATE else start

    def _first_time(self, streams: Sequence[Stream], start: float) -> float:
        """Return when the first packets say that the file begins, if earlier than its header does.

        FFmpeg gives a stream of one or two pictures the start of the sound beside it.
        """
        self._at_start = False
        times = [start]
        for packet in islice(timed_packets(self._container, streams), _FIRST_PACKETS):
            if packet.pts is not None:
                times.append(float(packet.pts * packet.time_base))
        return min(t for t in times if t >= 0)
