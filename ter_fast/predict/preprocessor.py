"""From media to windows: sound, faces and pictures as the experts of a model read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Unpack

import torch
from torch import Tensor

from ter_fast.data import shards
from ter_fast.data.modalities import MEDIA, MODALITIES
from ter_fast.errors import MediaError, ModelError
from ter_fast.experts.config import ModelConfig
from ter_fast.media import decode
from ter_fast.media.clip import Clip, join_sound
from ter_fast.media.decode import MAX_SECONDS, Sampling
from ter_fast.media.decode.backends import check_sampling, choose
from ter_fast.media.faces.cropper import FaceCropper, default_face_model
from ter_fast.media.features import resize_frames
from ter_fast.media.levels import fit_full_scale
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.settings import FileSettings
from ter_fast.predict.source import Source, Window

# Faces are looked for at 640 pixels and cropped at most at a few hundred: a 4K frame would only cost memory.
_LONGEST_SIDE = 1280
_NOT_GIVEN = "not given (a media file does not hold it; give it beside the file, or tensors)"


@dataclass
class Preprocessor:
    """Turn a clip's window into what the experts of a model read.

    Attributes:
        config: The model's configuration.
        cropper: Face cropper; None leaves "video" masked when the model asks for faces.
        hop: Seconds from one window's start to the next; None for windows end to end.
        backend: Decoder of files, by name; None for the one that `ter_fast.media.decode.choose` takes.
        sampling: "exact" or "keyframe" (see `ter_fast.media.decode.read`).
        side_by_side: Several files are decoded at once.
        empty: By modality, a tensor without rows that gives the dtype and the trailing shape; modalities
            that come as tensors without being registered add theirs.
    """

    config: ModelConfig
    cropper: FaceCropper | None = None
    hop: float | None = None
    backend: str | None = None
    sampling: Sampling = "exact"
    side_by_side: bool = False
    empty: dict[str, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if "audio" in self.config.modalities:
            self.empty["audio"] = torch.zeros(0, dtype=torch.float32)
        if "video" in self.config.modalities and (video := self.config.video) is not None:
            self.empty["video"] = torch.zeros(
                0, video.channels, video.size, video.size, dtype=torch.uint8
            )
        for name in self.config.modalities:
            if name not in MEDIA and name in MODALITIES:
                self.empty[name] = MODALITIES[name].empty

    @property
    def reads_media(self) -> bool:
        """Whether the model hears or sees: else nothing of a media file is decoded."""
        return any(name in MEDIA for name in self.config.modalities)

    def with_extras(self, source: Source) -> Source:
        """Read, once for all windows, what a source gives for modalities beyond sound and pictures."""
        tensors, notes = dict(source.tensors), {}
        for name in self.config.modalities:
            if name in MEDIA or name in tensors or name not in source.extras:
                continue
            if name not in MODALITIES:
                notes[name] = f"nothing reads it; call register_modality({name!r}, …) first"
                continue
            value, notes[name] = MODALITIES[name].tensor(source.extras[name])
            if value is not None:
                tensors[name] = value
        return replace(source, tensors=tensors, notes=notes)

    def read(
        self,
        path: str | Path,
        audio_path: str | Path | None = None,
        span: tuple[float, float] | None = None,
    ) -> Iterator[Clip]:
        """Yield the windows of a media file, or of a span of it.

        The sound may lie in its own file, which is read whole: it begins with the span.
        """
        video = self.config.video if "video" in self.config.modalities else None
        audio = "audio" in self.config.modalities
        if video is None and not audio:
            names = " and ".join(self.config.modalities)
            raise MediaError(f"{path}: the model reads {names}, which no file holds; give tensors")
        if video is None and audio_path is not None:
            path, audio_path, span = audio_path, None, None
        windows = partial(
            decode.windows,
            seconds=self.config.window_seconds,
            hop=self.hop,
            frames=video.frames if video else 1,
            max_side=_LONGEST_SIDE,
            sampling=self.sampling,
            # Clips are decoded side by side: their own threads would only get in each other's way.
            threads=1 if self.side_by_side else None,
            backend=self.backend,
        )
        start, end = span or (0.0, None)
        pictures = windows(
            path, start=start, end=end, audio=audio and audio_path is None, video=video is not None
        )
        if audio_path is None or not audio:
            yield from pictures
            return
        yield from join_sound(pictures, windows(audio_path, audio=True, video=False))

    def read_shard(self, path: str) -> Iterator[Clip]:
        """Yield the windows of a clip that lies in a prepared shard."""
        video = self.config.video if "video" in self.config.modalities else None
        return shards.shard_windows(
            path,
            self.config.window_seconds,
            video.frames if video else None,
            audio="audio" in self.config.modalities,
            video=video is not None,
        )

    def __call__(self, source: Source, clip: Clip) -> Window:
        """Prepare one window of a source."""
        clip = _at_full_scale(clip)
        values: dict[str, Tensor | None] = {}
        notes: dict[str, str] = {}
        for name in self.config.modalities:
            if name == "audio":
                value, note = self._audio(clip)
            elif name == "video":
                value, note = self._video(clip, source.cropped)
            elif name not in source.tensors:
                value, note = None, source.notes.get(name) or _NOT_GIVEN
            elif bool(torch.isfinite(source.tensors[name]).all()):
                value, note = source.tensors[name], ""
            else:
                value, note = None, "the tensor holds NaN or infinite values"
            values[name] = value
            if value is None:
                notes[name] = note
        return Window(values, notes, clip.start, clip.end, clip.note)

    @staticmethod
    def _audio(clip: Clip) -> tuple[Tensor | None, str]:
        if clip.audio is None or clip.audio.numel() == 0:
            return None, "no sound track"
        if not bool(torch.isfinite(clip.audio).all()):
            return None, "the sound holds NaN or infinite values"
        if clip.is_silent():
            return None, "silent"
        return clip.audio, ""

    def _video(self, clip: Clip, cropped: bool) -> tuple[Tensor | None, str]:
        video = self.config.video
        assert video is not None
        if clip.frames is None or len(clip.frames) == 0:
            return None, "no pictures"
        frames = clip.frames
        if video.faces == "detect" and not cropped:
            if self.cropper is None:
                return (
                    None,
                    "no face detector (give --face-model, or run: ter-fast data fetch-models)",
                )
            frames, kept = self.cropper.crop(clip.frames)
            if len(kept) == 0:
                count = len(clip.frames)
                return None, f"no face found in {count} sampled frame{'s' if count > 1 else ''}"
        return resize_frames(frames, video.size, video.channels), ""


def _at_full_scale(clip: Clip) -> Clip:
    """Bring sound into [-1, 1] that came as a tensor, and so past what reads files and arrays."""
    if clip.audio is None or not bool((clip.audio.abs() > 1.0).any()):
        return clip
    if not bool(torch.isfinite(clip.audio).all()):
        return clip
    samples = clip.audio.numpy(force=True).copy()
    level = fit_full_scale(samples)
    said = (clip.note, f"the sound: {level}" if level else "")
    return replace(clip, audio=torch.from_numpy(samples), note="; ".join(filter(None, said)))


@on_cpu_by_default
def preprocessor_of(config: ModelConfig, **settings: Unpack[FileSettings]) -> Preprocessor:
    """Return what turns clips into the inputs of a model.

    Args:
        config: Of the model.
        **settings: How clips are cut and read; see `FileSettings`.

    Raises:
        ModelError: Faces, a window or a hop that cannot be.
        MediaError: There is no such decoder or sampling, or it is not installed.
    """
    decoder, sampling = settings.get("decode"), settings.get("sampling", "exact")
    if decoder is not None:
        choose(decoder)
    check_sampling(decoder, sampling)
    window, hop = settings.get("window"), settings.get("hop")
    for name, seconds in (("window", window), ("hop", hop)):
        if seconds is not None and not 0.01 <= seconds <= MAX_SECONDS:
            raise ModelError(f"{name} is {seconds}; expected seconds, from 0.01 to {MAX_SECONDS:g}")
    if window is not None:
        config = replace(config, window_seconds=window)
    if config.video is None:
        return Preprocessor(config, None, hop, decoder, sampling)
    if (faces := settings.get("faces")) is not None:
        config = replace(config, video=replace(config.video, faces=faces))
    cropper = None
    if config.video is not None and config.video.faces == "detect":
        file = settings.get("face_model") or default_face_model()
        if file is not None:
            cropper = FaceCropper(file, size=max(96, config.video.size))
    return Preprocessor(config, cropper, hop, decoder, sampling)
