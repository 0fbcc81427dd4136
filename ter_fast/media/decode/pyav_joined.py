"""Reads files that were joined, such as transport streams by `cat`, as one that goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ter_fast.errors import MediaError
from ter_fast.media.clip import Clip, MediaInfo
from ter_fast.media.decode.backends import Media
from ter_fast.media.decode.layout import Layout
from ter_fast.media.files import Closing
from ter_fast.media.resampling import SAMPLE_RATE

_MOST_OPEN = 4


class Joined(Media, Protocol):
    """An open file that knows which files are joined in it."""

    layout: Layout

    def open_part(self, part: Layout) -> Media:
        """Open one of the files that are joined in this one."""

    def close(self) -> None:
        """Close the file."""


def cut_short_note(info: MediaInfo) -> str:
    """Say of a file without its end how much of it there is."""
    return f"the file is cut short after {info.duration:.1f} s; copy it again"


def open_parts(media: Joined, note: str = "") -> Media:
    """Return an open file as it is, or opened part by part where files were joined in it.

    Args:
        media: The open file; it is closed where it has parts.
        note: What to say of the pictures of a file that has parts.
    """
    if len(media.layout.parts) == 1:
        return media
    media.close()
    return JoinedMedia(media, note)


class JoinedMedia(Closing):
    """Keep a file open that has several clocks, each of which starts anew.

    Its parts follow one another, each from its own beginning to its own end, and each with a decoder
    of its own, since sizes, codecs and tracks may differ.

    Attributes:
        info: The facts of the first part that has pictures, and the length of all together.
    """

    def __init__(self, whole: Joined, note: str) -> None:
        """Find the parts of a file that was opened as a whole."""
        self._path = whole.info.path
        self._whole = whole
        self._note = note
        self._open: dict[int, Media] = {}
        last = len(whole.layout.parts) - 1
        self._layouts = [
            Layout((span,), index == last and whole.layout.cut_short)
            for index, span in enumerate(whole.layout.parts)
        ]
        infos = self._describe()
        # A first or last part of a few packets may hold nothing.
        self._layouts = [self._layouts[index] for index in infos]
        self._open = {}
        self._infos = list(infos.values())
        if not self._infos:
            self._layouts, self._infos = [Layout(((0, whole.layout.parts[-1][1]),))], [whole.info]
        lengths = [info.duration for info in self._infos]
        self._begins = [sum(lengths[:index]) for index in range(len(lengths))]
        shown = next((info for info in self._infos if info.has_video), self._infos[0])
        heard = next((info for info in self._infos if info.has_audio), shown)
        self.info = replace(
            shown,
            duration=sum(lengths),
            start=self._infos[0].start,
            has_audio=heard.has_audio,
            audio_codec=heard.audio_codec,
            audio_rate=heard.audio_rate,
            cut_short=self._infos[-1].cut_short,
        )
        self._first = self._infos.index(shown)

    def _describe(self) -> dict[int, MediaInfo]:
        found = {}
        for index in range(len(self._layouts)):
            try:
                info = self._part(index).info
            except MediaError:
                continue
            if info.duration > 0:
                found[index] = info
        self.close()
        return found

    def _part(self, index: int) -> Media:
        if index not in self._open:
            while len(self._open) >= _MOST_OPEN:
                self._open.pop(next(iter(self._open))).__exit__(None, None, None)
            self._open[index] = self._whole.open_part(self._layouts[index])
        return self._open[index]

    def close(self) -> None:
        """Close the file."""
        while self._open:
            self._open.popitem()[1].__exit__(None, None, None)

    def upright(self) -> MediaInfo:
        """Return `info` with the size and rotation of the upright picture, decoding one frame."""
        shown = self._part(self._first).upright()
        return replace(
            self.info,
            width=shown.width,
            height=shown.height,
            rotation=shown.rotation,
            mirrored=shown.mirrored,
        )

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
        sound = np.zeros(round((end - start) * SAMPLE_RATE), np.float32)
        pictures: list[Tensor] = []
        instants: list[Tensor] = []
        notes: dict[str, None] = {}
        heard = False
        for index, (begin, info) in enumerate(zip(self._begins, self._infos, strict=True)):
            since, until = max(start, begin), min(end, begin + info.duration)
            wanted = [t - begin for t in times if self._at(t) == index]
            asked = video and info.has_video and bool(wanted)
            if until <= since and not asked:
                continue
            clip = self._part(index).read(
                max(0.0, since - begin),
                max(since, until) - begin,
                wanted,
                audio=audio and info.has_audio and since < until,
                video=asked,
                max_side=max_side,
            )
            # Where it is cut short counts from the beginning of the first part.
            note = clip.note.replace(cut_short_note(info), cut_short_note(self.info))
            notes |= dict.fromkeys(filter(None, [note]))
            if clip.audio is not None:
                heard = True
                _place(clip.audio.numpy(), round((since - start) * SAMPLE_RATE), sound)
            if clip.frames is not None and clip.times is not None:
                pictures.append(clip.frames)
                instants.append(clip.times + begin)
        frames = torch.cat(_fit(pictures)) if pictures else None
        if self._note and frames is not None:
            notes[self._note] = None
        return Clip(
            self._path,
            frames,
            torch.cat(instants) if instants else None,
            torch.from_numpy(sound) if heard else None,
            start,
            end,
            "; ".join(notes),
        )

    def _at(self, time: float) -> int:
        """Return which part is shown at a time."""
        return max(0, int(np.searchsorted(self._begins, time, side="right")) - 1)


def _place(samples: npt.NDArray[np.float32], first: int, sound: npt.NDArray[np.float32]) -> None:
    count = min(len(samples), len(sound) - first)
    sound[first : first + count] = samples[:count]


def _fit(pictures: list[Tensor]) -> list[Tensor]:
    """Scale the pictures of later parts into the size of the first, with black where they are narrower."""
    height, width = pictures[0].shape[1:3]
    fitted = [pictures[0]]
    for frames in pictures[1:]:
        if frames.shape[1:3] == (height, width):
            fitted.append(frames)
            continue
        scale = min(height / frames.shape[1], width / frames.shape[2])
        inner = max(1, round(frames.shape[2] * scale)), max(1, round(frames.shape[1] * scale))
        top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
        canvas = np.zeros((len(frames), height, width, 3), np.uint8)
        for frame, target in zip(frames.numpy(), canvas, strict=True):
            scaled = cv2.resize(frame, inner, interpolation=cv2.INTER_AREA)
            target[top : top + inner[1], left : left + inner[0]] = scaled
        fitted.append(torch.from_numpy(canvas))
    return fitted
