"""Clips under the corruptions of `ter_fast.media.corrupt`: their sound, their pictures, or what joins them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from ter_fast.data import Dataset, Sample
from ter_fast.errors import DataError, TerFastError
from ter_fast.media.clip import Clip
from ter_fast.media.corrupt import CORRUPTIONS, corrupt, corrupt_audio
from ter_fast.media.corrupt.apply import clip_key
from ter_fast.predict.prepare import PreparedData
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.source import Source, Window
from ter_fast.predict.sources import dataset_sources
from ter_fast.predict.streaming import prepare_clips


class Voice(NamedTuple):
    """The sound of a clip, (samples,), and its class: babble and foreign sound are made of them."""

    sound: Tensor
    label: int


@dataclass
class Pictures:
    """Corrupted pictures as models read them.

    They are decoded again: compression or darkness comes before a picture is scaled for a model. What
    was made is kept, since every row is asked about the same.

    Attributes:
        dataset: Where the clips come from.
        preprocessor: Of a model that has all modalities, so that windows are those of the clean clips.
        kept: By clip, corruption and severity, the tensor of each window by its start.
    """

    dataset: Dataset
    preprocessor: Preprocessor
    kept: dict[tuple[str, str, int], dict[float, Tensor | None]] = field(default_factory=dict)

    def of(self, samples: Sequence[Sample], name: str, severity: int) -> None:
        """Decode the clips that are not kept yet under a corruption of pictures.

        Raises:
            DataError: A file cannot be read any more.
        """
        new = [each for each in samples if (each.name, name, severity) not in self.kept]
        if not new:
            return
        sources = dataset_sources(replace(self.dataset, samples=tuple(new)), self.preprocessor)
        changed = [
            _changed(source, sample, name, severity, self.preprocessor)
            for source, sample in zip(sources, new, strict=True)
        ]
        for place, windows in prepare_clips(changed, self.preprocessor):
            if isinstance(windows, TerFastError):
                raise DataError(f"{windows} (it could be read before; are the data complete?)")
            self.kept[new[place].name, name, severity] = {
                window.start: window.values.get("video") for window in windows
            }

    def window(self, window: Window, sample: Sample, name: str, severity: int) -> Window:
        """Return a window with its pictures corrupted; a window without any stays as it is."""
        if window.values.get("video") is None:
            return window
        pictures = self.kept[sample.name, name, severity][window.start]
        return replace(window, values={**window.values, "video": pictures})


def _changed(
    source: Source, sample: Sample, name: str, severity: int, preprocessor: Preprocessor
) -> Source:
    change = partial(
        corrupt,
        name=name,
        severity=severity,
        cropper=None if source.cropped else preprocessor.cropper,
        key=clip_key(sample.name),
    )

    def windows() -> Iterator[Clip]:
        return map(change, source.windows())

    return replace(source, windows=windows)


def corrupted(
    data: PreparedData,
    name: str,
    severity: int,
    voices: Sequence[Voice] = (),
    pictures: Pictures | None = None,
) -> list[list[Window]]:
    """Return the windows of clips under a corruption; what it does not touch stays as it is.

    Args:
        data: clips.
        name: One of `ter_fast.media.corrupt.CORRUPTIONS`.
        severity: 1 to 5.
        voices: Other clips, for babble and foreign sound; the latter is of another class where it can be.
        pictures: Where corrupted pictures come from.

    Raises:
        DataError: A corruption of pictures without `pictures`, of sound without the `voices` that it
            needs, or a file that cannot be read any more.
    """
    kind = CORRUPTIONS[name].kind
    if kind == "video":
        if pictures is None:
            raise DataError(
                f"{name} is of pictures, which are decoded anew; give pictures=Pictures(…)"
            )
        pictures.of(data.samples, name, severity)
    sounds = [voice.sound for voice in voices]
    found = []
    for windows, sample, label in zip(data.clips, data.samples, data.labels.tolist(), strict=True):
        key = clip_key(sample.name)
        if kind == "video":
            assert pictures is not None
            found.append([pictures.window(window, sample, name, severity) for window in windows])
        elif kind == "audio":
            found.append([_noisy(window, name, severity, sounds, key) for window in windows])
        else:
            others = [voice.sound for voice in voices if voice.label != label] or sounds
            found.append([_crossed(window, name, severity, others, key) for window in windows])
    return found


def _noisy(
    window: Window, name: str, severity: int, others: Sequence[Tensor], key: str
) -> Window:  # fmt: skip
    sound = window.values.get("audio")
    if sound is None:
        return window
    own = f"{key}@{window.start:.3f}"
    return _with_sound(window, corrupt_audio(sound, name, severity, others=others, key=own))


def _crossed(
    window: Window, name: str, severity: int, others: Sequence[Tensor], key: str
) -> Window:
    # None of these changes a picture: they only take all of them away, so a black one stands for them.
    seen = window.values.get("video") is not None
    frames, times = (
        (torch.zeros(1, 1, 1, 3).byte(), torch.zeros(1).double()) if seen else (None, None)
    )
    clip = Clip(None, frames, times, window.values.get("audio"), window.start, window.end)
    changed = corrupt(clip, name, severity, others=others, key=key)
    if changed.frames is None and seen:
        window = replace(window, values={**window.values, "video": None})
    return window if changed.audio is clip.audio else _with_sound(window, changed.audio)


def _with_sound(window: Window, sound: Tensor | None) -> Window:
    # Silence is masked, as it is when a file is read.
    silent = Clip(None, None, None, sound, window.start, window.end).is_silent()
    return replace(window, values={**window.values, "audio": None if silent else sound})
