"""Opens containers with PyAV, and says which of their streams are used and whether they state times."""

from __future__ import annotations

import av
from av.container import Container, InputContainer
from av.stream import Disposition, Stream

from ter_fast.errors import MediaError
from ter_fast.media.decode.layout import Span
from ter_fast.media.decode.layout.boxes import wave_goes_on
from ter_fast.media.decode.stills import MOST_PIXELS

# Headers of a few bytes can ask for sound that is none.
_SAMPLE_RATES = range(1_000, 1_000_001)
_MP4_BOXES = (b"ftyp", b"mdat", b"free", b"skip", b"wide")
_HEIF_BRANDS = ("avif", "heic", "heix", "heim", "heis", "mif1")
_UNTIMED = (
    "h264", "hevc", "vvc", "m4v", "mpegvideo", "h263", "h261", "vc1", "obu", "cavsvideo", "dirac",
    "mjpeg",
)  # fmt: skip


def open_container(path: str, span: Span | None = None) -> InputContainer:
    """Open a file, or the part of it that lies in `span`.

    Raises:
        MediaError: It is no media file, or is damaged beyond opening.

    Example:
        >>> open_container(__file__)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: ...
    """
    with open(path, "rb") as file:
        file.seek(span[0] if span else 0)
        head = file.read(4096)
    # FFmpeg would follow a playlist to other files and draw plain text as pictures.
    if _is_text(head):
        raise MediaError(f"{path} holds text, not media; name a video, sound or picture file.")
    options = {"protocol_whitelist": "file,subfile", "max_pixels": str(MOST_PIXELS)}
    if head[:4] == b"RIFF" and not span and wave_goes_on(path):
        options["ignore_length"] = "1"
    if "%" in path:
        options["pattern_type"] = "none"
    within = f"subfile,,start,{span[0]},end,{span[1]},,:" if span else ""
    try:
        return av.open(f"{within}file:{path}", format=_forced_format(path), options=options)
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


def _forced_format(path: str) -> str | None:
    """Return the format of a row of JPEGs, which FFmpeg would take for one."""
    return "mjpeg" if path.lower().endswith((".mjpeg", ".mjpg")) else None


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start <= len(head) - 4:
            return False
    return b"\0" not in head


def first_stream(container: InputContainer, kind: str) -> Stream | None:
    """Return FFmpeg's best stream of a kind; a sleeve picture in a sound file is no video."""
    best = container.streams.best(kind)  # type: ignore[arg-type]
    candidates = ([best] if best is not None else []) + [
        s for s in container.streams if s.type == kind
    ]
    if _brand(container) == "avis":
        # An animated AVIF holds its first picture once more, by itself.
        candidates.sort(key=lambda stream: -stream.frames)
    for stream in candidates:
        # A stream whose codec FFmpeg does not know has no context, whatever its type says.
        if getattr(stream, "codec_context", None) is None:
            continue
        context = stream.codec_context
        if kind == "audio" and getattr(context, "sample_rate", 0) not in _SAMPLE_RATES:
            continue
        if not is_attached(stream):
            context.options = {"max_pixels": str(MOST_PIXELS)}
            return stream
    return None


def is_attached(stream: Stream) -> bool:
    """Say whether a stream is a sleeve picture or a preview, which has no time."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def is_still(container: InputContainer) -> bool:
    """Say whether a file is one picture, which has no time."""
    name = container.format.name.partition(",")[0]
    return name == "image2" or name.endswith("_pipe") or _brand(container) in _HEIF_BRANDS


def is_untimed(container: Container) -> bool:
    """Say whether a file is nothing but coded pictures, one after another, without timestamps."""
    return container.format.name in _UNTIMED


def _brand(container: InputContainer) -> str:
    return container.metadata.get("major_brand", "").strip()


def points_behind_end(container: InputContainer, size: int) -> bool:
    """Say whether the index points behind the end of the file."""
    for stream in container.streams:
        entries = stream.index_entries
        if len(entries):
            last = entries[len(entries) - 1]
            if last.pos + last.size > size:
                return True
    return False
