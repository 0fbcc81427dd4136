"""Subtitles of what a clip shows: SubRip (.srt) and WebVTT (.vtt)."""

from __future__ import annotations

from pathlib import Path

from ter_fast.errors import TerFastError
from ter_fast.media.files import write_atomically
from ter_fast.media.text import clean
from ter_fast.predict.spans import Span
from ter_fast.predict.timeline import Timeline

SUFFIXES = (".srt", ".vtt")
"""Endings of the subtitles that can be written."""


def write_subtitles(timeline: Timeline, path: str | Path) -> None:
    """Write a clip's subtitles in the format that the name's ending says; all of it or nothing.

    Raises:
        TerFastError: Another ending, or the folder is missing.
    """
    suffix = check_subtitles_name(path)
    text = srt(timeline) if suffix == ".srt" else vtt(timeline)
    write_atomically(path, text)


def check_subtitles_name(path: str | Path) -> str:
    """Return a subtitle file's ending, in small letters.

    Raises:
        TerFastError: No subtitles can be written under that name, so that a caller learns it before
            the work.

    Example:
        >>> check_subtitles_name("holiday.VTT")
        '.vtt'
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise TerFastError(
            f"cannot write the subtitles {path}: expected a name that ends in {' or '.join(SUFFIXES)}"
        )
    return suffix


def srt(timeline: Timeline) -> str:
    """Return the SubRip text: windows that say the same and touch are one subtitle.

    Example:
        >>> from ter_fast import Prediction
        >>> srt(Prediction("a.mp4", 0.0, 2.5, "calm", trusted=True).timeline()).splitlines()
        ['1', '00:00:00,000 --> 00:00:02,500', 'calm (trusted)']
    """
    blocks = [
        f"{number}\n{_time(span.start, ',')} --> {_time(span.end, ',')}\n{_one_line(_caption(span))}\n"
        for number, span in enumerate(_captioned_spans(timeline), 1)
    ]
    return "\n".join(blocks)


def vtt(timeline: Timeline) -> str:
    """Return the WebVTT text, as `srt`; what its markup would read as tags is escaped.

    Example:
        >>> from ter_fast import Prediction
        >>> vtt(Prediction("a.mp4", 0.0, 2.5, "calm", trusted=False).timeline()).splitlines()
        ['WEBVTT', '', '00:00:00.000 --> 00:00:02.500', 'calm (not trusted)']
    """
    blocks = [
        f"{_time(span.start, '.')} --> {_time(span.end, '.')}\n{_escape(_one_line(_caption(span)))}\n"
        for span in _captioned_spans(timeline)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _captioned_spans(timeline: Timeline) -> list[Span]:
    """List the stretches with a label that last: a picture lasts no time, and has no subtitle."""
    return [span for span in timeline.spans() if span.label and span.end > span.start]


def _caption(span: Span) -> str:
    if span.trusted is None:
        return span.label
    return f"{span.label} ({'trusted' if span.trusted else 'not trusted'})"


def _one_line(text: str) -> str:
    # An empty line would end the subtitle, and an arrow would begin its times.
    return clean(" ".join(text.split())).replace("-->", "→")


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, point: str) -> str:
    milliseconds = round(seconds * 1000)
    whole, rest = divmod(milliseconds, 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{rest:03}"
