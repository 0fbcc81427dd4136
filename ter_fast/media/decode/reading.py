"""Reading a file whatever the backend: `probe`, `read`, `windows` and `cut`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip, MediaInfo
from ter_fast.media.decode.backends import Sampling, open_file
from ter_fast.media.resampling import SAMPLE_RATE
from ter_fast.opinions.default_device import on_cpu_by_default

MAX_SECONDS = 4 * 3600.0
"""Longest stretch that `read` takes at once, in seconds: its sound alone fills 0.9 GB."""


def probe(path: str | Path, *, backend: str | None = None) -> MediaInfo:
    """Describe a media file: its duration, streams, rates and upright picture size.

    Args:
        path: Any file that FFmpeg reads.
        backend: A name in `BACKENDS`; None leaves it to `choose`.

    Raises:
        MediaError: The file is missing, empty, not media, or holds neither picture nor sound.

    Example:
        >>> probe("nowhere.mp4")
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
    """
    with open_file(path, backend, "exact", None) as media:
        return media.upright()


@on_cpu_by_default
def read(
    path: str | Path,
    *,
    start: float = 0.0,
    end: float | None = None,
    frames: int = 16,
    times: Sequence[float] | None = None,
    audio: bool = True,
    video: bool = True,
    max_side: int | None = None,
    sampling: Sampling = "exact",
    threads: int | None = None,
    backend: str | None = None,
) -> Clip:
    """Read sampled pictures and the sound of [start, end) of a file.

    The picture shown at time t is the last one whose timestamp is <= t, or the first one if the
    video begins later. It counts as shown up to one second beyond its own end (or before its
    beginning), so that where the video has none (it starts late, ends early, has a gap) the
    sample is left out. Each picture appears once, however many samples fall on it. So T is at most
    the number asked for. The sound has exactly `round(16000 * (end - start))` samples: silence
    where the file has none.

    Args:
        path: Any file that FFmpeg reads: video, sound or picture.
        start: Seconds from the file's earliest picture or sound.
        end: Seconds likewise; without it, to the end of the file.
        frames: How many pictures to sample, at the centres of as many equal parts.
        times: Seconds at which to sample instead of `frames`.
        audio: Whether to decode the sound.
        video: Whether to decode the pictures.
        max_side: Scale pictures down so that their longer side is at most this many pixels.
        sampling: "exact", or "keyframe" for the key frame nearest to each wanted time, which need
            not lie inside the stretch: much faster, but a few pictures seconds away may stand for
            all. The clip's `note` says so.
        threads: Threads that decode pictures; None lets FFmpeg use every core, which suits one
            file at a time. Pass 1 where files are read in their own threads.
        backend: A name in `BACKENDS`; None leaves it to `choose`.

    Returns:
        A clip with `frames` or `audio` None where the file has none.

    Raises:
        MediaError: The file cannot be read, holds nothing of what was asked for, or the stretch
            lies outside it; the message names the file, the reason and the way out.

    Example:
        >>> read("nowhere.mp4", frames=8)
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
    """
    _check_request(frames, max_side, audio, video)
    with open_file(path, backend, sampling, threads) as media:
        info = media.info
        _check_streams(info, audio, video)
        start, end = _stretch(info, start, end)
        if end - start > MAX_SECONDS:
            raise MediaError(
                f"{info.path}: {end - start:.0f} s are too long to read at once (at most "
                f"{MAX_SECONDS:.0f} s); read it with ter_fast.media.decode.windows, or give start and "
                "end."
            )
        wanted = _centres(start, end, frames) if times is None else _check_times(times)
        clip = media.read(start, end, wanted, audio=audio, video=video, max_side=max_side)
        if clip.frames is None and clip.audio is None:
            raise _undecodable(info)
        return clip


def windows(
    path: str | Path,
    *,
    seconds: float = 10.0,
    hop: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    frames: int = 16,
    audio: bool = True,
    video: bool = True,
    max_side: int | None = None,
    sampling: Sampling = "exact",
    threads: int | None = None,
    backend: str | None = None,
) -> Iterator[Clip]:
    """Cut a file into windows and yield each as a clip, in constant memory.

    The last window ends where the file does: it is up to a quarter of `hop` longer than the others,
    or up to three quarters shorter. A window in which the file has no picture has `frames` None.

    Args:
        path: Any file that FFmpeg reads.
        seconds: Length of a window.
        hop: Seconds from the start of a window to that of the next: less than `seconds` makes
            windows overlap, more leaves gaps; None for windows end to end.
        start: Seconds at which the first window begins.
        end: Seconds at which the last one ends; None for the end of the file.
        frames: How many pictures to sample in each.
        audio: Whether to decode the sound.
        video: Whether to decode the pictures.
        max_side: Scale pictures down so that their longer side is at most this many pixels.
        sampling: "exact", or "keyframe" for the key frame nearest to each wanted time, which need
            not lie inside the stretch: much faster, but a few pictures seconds away may stand for
            all. The clip's `note` says so.
        threads: Threads that decode pictures; None lets FFmpeg use every core, which suits one
            file at a time. Pass 1 where files are read in their own threads.
        backend: A name in `BACKENDS`; None leaves it to `choose`.

    Raises:
        MediaError: As `read`; also where no window of the whole file could be decoded.

    Example:
        >>> next(windows("nowhere.mp4", seconds=4))
        Traceback (most recent call last):
        ter_fast.errors.MediaError: nowhere.mp4 does not exist; check the path.
    """
    _check_request(frames, max_side, audio, video)
    if not 0 < seconds <= MAX_SECONDS:
        raise MediaError(f"Windows of {seconds} s were asked for; give 0 < seconds <= 4 h.")
    check_hop(hop)
    with open_file(path, backend, sampling, threads) as media:
        info = media.info
        _check_streams(info, audio, video)
        found = False
        last = info.duration
        if start or end is not None:
            start, last = _stretch(info, start, end)
        for begin, stop in _cuts(last - start, seconds, hop):
            clip = media.read(
                start + begin,
                start + stop,
                _centres(start + begin, start + stop, frames),
                audio=audio,
                video=video,
                max_side=max_side,
            )
            found = found or clip.frames is not None or clip.audio is not None
            yield clip
        if not found:
            raise _undecodable(info)


def cut(clip: Clip, seconds: float, frames: int, hop: float | None = None) -> Iterator[Clip]:
    """Cut a clip that is in memory into windows, as `windows` cuts a file.

    Args:
        clip: The clip.
        seconds: Length of a window.
        frames: Pictures kept of each window, at most: those shown at the centres of equal parts.
        hop: Seconds from the start of a window to that of the next; None for windows end to end.

    Example:
        >>> import torch
        >>> clip = Clip(None, None, None, torch.zeros(16_000 * 25), 0.0, 25.0)
        >>> [(part.start, part.end) for part in cut(clip, 10.0, 16)]
        [(0.0, 10.0), (10.0, 20.0), (20.0, 25.0)]
    """
    for begin, end in _cuts(clip.duration, seconds, hop):
        start, stop = clip.start + begin, clip.start + end
        sound = pictures = times = None
        if clip.audio is not None:
            sound = clip.audio[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        if clip.frames is not None and clip.times is not None:
            # A clip's first picture may have begun before the clip does.
            since = start if begin else -math.inf
            inside = torch.nonzero((clip.times >= since) & (clip.times <= stop)).flatten()
            if len(inside) > frames:
                wanted = torch.tensor(_centres(start, stop, frames), dtype=torch.float64)
                shown = torch.searchsorted(clip.times[inside], wanted, right=True) - 1
                inside = inside[torch.unique_consecutive(shown.clamp_min(0))]
            if len(inside):
                pictures, times = clip.frames[inside], clip.times[inside]
        yield Clip(clip.path, pictures, times, sound, start, stop, clip.note)


def _check_request(frames: int, max_side: int | None, audio: bool, video: bool) -> None:
    if frames < 1:
        raise MediaError(f"frames={frames}, expected at least 1; pass video=False to skip them.")
    if max_side is not None and max_side < 1:
        raise MediaError(f"max_side={max_side}, expected at least 1 pixel.")
    if not audio and not video:
        raise MediaError("audio and video are both False; ask for at least one.")


def _check_streams(info: MediaInfo, audio: bool, video: bool) -> None:
    if (audio and info.has_audio) or (video and info.has_video):
        return
    missing = "no pictures" if video else "no sound"
    raise MediaError(f"{info.path} has {missing}; ask for what it has, or leave it out.")


def _stretch(info: MediaInfo, start: float, end: float | None) -> tuple[float, float]:
    last = info.duration if end is None else min(float(end), info.duration)
    if info.is_image:
        return 0.0, 0.0
    if info.duration <= 0:
        raise _undecodable(info)
    if not 0 <= start < last:
        raise MediaError(
            f"{info.path}: no stretch from {start} to {end if end is not None else 'the end'}; "
            f"the file lasts {info.duration:.3f} s, so give 0 <= start < end within it."
        )
    return float(start), last


def _check_times(times: Sequence[float]) -> list[float]:
    wanted = [float(t) for t in times]
    if not wanted or not all(math.isfinite(t) for t in wanted):
        raise MediaError(f"times={wanted}, expected at least one finite number of seconds.")
    return sorted(wanted)


def _centres(start: float, end: float, count: int) -> list[float]:
    step = (end - start) / count
    return [start + (i + 0.5) * step for i in range(count)]


def check_hop(hop: float | None) -> None:
    """Refuse a distance between windows that would make no windows, or endlessly many.

    Raises:
        MediaError: It is not a finite number of at least a hundredth of a second.

    Example:
        >>> check_hop(0.5)
    """
    if hop is not None and not 0.01 <= hop < math.inf:
        raise MediaError(f"A hop of {hop} s was asked for; give at least 0.01 s.")


def _cuts(
    duration: float, seconds: float, hop: float | None = None
) -> Iterator[tuple[float, float]]:
    if hop is not None and hop > seconds:
        count = max(1, math.floor((duration - 0.25 * seconds) / hop) + 1)
        for i in range(count):
            yield i * hop, min(duration, i * hop + seconds)
        return
    step = seconds if hop is None else hop
    count = max(1, math.floor(duration / step - seconds / step + 1.75))
    for i in range(count):
        yield i * step, duration if i == count - 1 else (i + 1) * step + (seconds - step)


def _undecodable(info: MediaInfo) -> MediaError:
    streams = [s for s in (info.video_codec, info.audio_codec) if s is not None]
    why = "the file is damaged or cut short, so copy it again or convert it with ffmpeg."
    if info.has_video and not info.width:
        # The backend reads no size where the one that is stated is beyond its limit.
        why = (
            "its pictures state no size or one above 67 million pixels, so scale them down, or copy "
            "the file again if it is damaged."
        )
    return MediaError(f"{info.path}: nothing in it could be decoded ({', '.join(streams)}); {why}")


Clip._read = read
