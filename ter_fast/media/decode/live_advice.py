"""What to do where a stream cannot be opened: which devices there are, or how to check an address."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from pathlib import Path

import av

DEVICES = ("v4l2", "alsa", "pulse", "avfoundation", "dshow", "gdigrab", "x11grab", "lavfi")
"""Inputs of FFmpeg that are no files: `alsa:default`, `v4l2:/dev/video0`, …"""

_ANYTHING = (
    "name a device such as /dev/video0 or alsa:default, a URL, a file that exists, or - for a pipe"
)
_SOUND_CARDS = Path("/proc/asound/cards")


def advice(source: str, error: Exception) -> str:
    """Return what to do where `source` cannot be opened.

    Args:
        source: As it was given.
        error: That opening it raised.

    Example:
        >>> advice("rtsp://camera/stream", OSError("refused"))
        'check the address, and that this machine reaches it: ffplay rtsp://camera/stream shows it'
    """
    head, separator, _ = source.partition(":")
    if "://" in source:
        return f"check the address, and that this machine reaches it: ffplay {source} shows it"
    if source.startswith("/dev/video") or head == "v4l2":
        if getattr(error, "errno", None) in (errno.EACCES, errno.EPERM):
            return "name a device that you may read, or have your user added to its group (video)"
        cameras = sorted(str(each) for each in Path("/dev").glob("video*"))
        return _one_of(cameras, "camera", "/dev/video0")
    if separator and head in DEVICES and not _has_input(head):
        inputs = [each for each in DEVICES if _has_input(each)]
        return f"name a device of an input that this FFmpeg has: {', '.join(inputs)}"
    if head == "alsa":
        return _one_of(_sound_cards(), "sound card", "alsa:default; `arecord -L` lists them")
    return _ANYTHING


def _one_of(there: Sequence[str], kind: str, form: str) -> str:
    if there:
        return f"name a device that is there: {', '.join(there)}"
    return (
        f"name a device that is there: this machine shows no {kind}, so plug it in (a container has to be "
        f"given it), then name it as {form}"
    )


def _has_input(name: str) -> bool:
    try:
        av.ContainerFormat(name, "r")
    except ValueError:
        return False
    return True


def _sound_cards() -> list[str]:
    try:
        lines = _SOUND_CARDS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    # Such as " 0 [PCH            ]: HDA-Intel - HDA Intel PCH".
    numbers = [line.split()[0] for line in lines if "[" in line and line.split()[0].isdecimal()]
    return [f"alsa:hw:{number}" for number in numbers]
