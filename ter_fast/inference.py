"""From media to evidence: what to read, windows as experts read them, what the experts say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ter_fast import decode, shards
from ter_fast.clip import Clip, joined
from ter_fast.config import ModelConfig
from ter_fast.data.files import FILM, PICTURE, SOUND, find_media
from ter_fast.decode import Sampling
from ter_fast.errors import DataError, MediaError
from ter_fast.features import collate, resize_frames

if TYPE_CHECKING:
    from ter_fast.data import Dataset, Sample
    from ter_fast.faces import FaceCropper
    from ter_fast.model import Model


# Faces are looked for at 640 pixels and cropped at most at a few hundred: a 4K frame would only cost memory.
_LONGEST_SIDE = 1280


@dataclass(frozen=True)
class Source:
    """Something to predict.

    Attributes:
        name: what the table calls it.
        windows: yields its windows.
        cropped: its pictures are face crops already, so no face is looked for.
        tensors: by modality, what a clip does not hold (text, physiology, features).
    """

    name: str
    windows: Callable[[], Iterator[Clip]]
    cropped: bool = False
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Window:
    """One window ready for the encoders.

    Attributes:
        values: by modality the `(N, …)` tensor, or None where it is missing.
        notes: by missing modality, why.
        remark: what a reader should know of the file; "" for nothing.
        start: seconds.
        end: seconds.
    """

    values: dict[str, Tensor | None]
    notes: dict[str, str]
    start: float
    end: float
    remark: str = ""

    @property
    def length(self) -> int:
        """Length of its longest tensor, by which windows are put together."""
        return max((len(value) for value in self.values.values() if value is not None), default=0)


@dataclass(frozen=True)
class Evidence:
    """Evidence of N clips, by modality.

    Attributes:
        values: `(V, N, K)`, zero where masked.
        mask: `(V, N)` bool, True where the modality is present.
    """

    values: Tensor
    mask: Tensor


@dataclass
class Preparer:
    """Turn a clip's window into what the experts of a model read.

    Attributes:
        config: the model's configuration.
        cropper: face cropper; None leaves "video" masked when the model asks for faces.
        hop: seconds from one window's start to the next; None for windows end to end.
        backend: decoder of files, by name; None for the one that `ter_fast.decode.choose` takes.
        sampling: "exact" or "keyframe" (see `ter_fast.decode.read`).
        side_by_side: several files are decoded at once.
        empty: by modality, a tensor without rows that gives the dtype and the trailing shape; modalities
            that come as tensors add theirs.
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
            self.empty["audio"] = torch.zeros(0)
        if "video" in self.config.modalities and (video := self.config.video) is not None:
            self.empty["video"] = torch.zeros(
                0, video.channels, video.size, video.size, dtype=torch.uint8
            )

    def read(
        self,
        path: str | Path,
        audio_path: str | Path | None = None,
        span: tuple[float, float] | None = None,
    ) -> Iterator[Clip]:
        """Yield the windows of a media file, or of a span of it.

        The sound may lie in a file of its own, which is read whole: it begins with the span.
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
            # Clips are decoded side by side: threads of their own would only get in each other's way.
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
        yield from joined(pictures, windows(audio_path, audio=True, video=False))

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
        values: dict[str, Tensor | None] = {}
        notes: dict[str, str] = {}
        for name in self.config.modalities:
            if name == "audio":
                value, note = self._audio(clip)
            elif name == "video":
                value, note = self._video(clip, source.cropped)
            elif name not in source.tensors:
                value, note = None, "not given (a media file does not hold it; give tensors)"
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


def sources_of(paths: Sequence[str | Path], preparer: Preparer) -> list[Source]:
    """List the clips behind files and folders; a folder stands for the media files in and below it."""
    found: list[Source] = []
    for path in map(Path, paths):
        if not path.is_dir():
            found.append(Source(str(path), partial(preparer.read, path)))
            continue
        try:
            files = find_media(path, FILM + SOUND + PICTURE)
        except DataError:
            # One empty folder among many paths costs only itself, as one bad file does.
            found.append(Source(str(path), partial(_nothing_in, path)))
            continue
        found += [Source(str(each), partial(preparer.read, each)) for each in files]
    return found


def _nothing_in(folder: Path) -> Iterator[Clip]:
    raise MediaError(
        f"the folder {folder} holds no media files; give a folder with clips, or the clips"
    )


def dataset_sources(dataset: Dataset, preparer: Preparer) -> list[Source]:
    """List the clips of a labelled dataset; pictures that lie inside a table are decoded from it.

    A sample whose attribute `crop` is "face" has pictures that are face crops already.
    """

    def windows(sample: Sample) -> Iterator[Clip]:
        if sample.image is not None:
            return iter([_picture(sample)])
        if shards.holds(sample.path):
            return preparer.read_shard(sample.path)
        return preparer.read(sample.path, sample.attributes.get("audio_path"), sample.span)

    return [
        Source(sample.name, partial(windows, sample), sample.attributes.get("crop") == "face")
        for sample in dataset
    ]


def _picture(sample: Sample) -> Clip:
    import cv2
    import numpy as np

    picture = cv2.imdecode(np.frombuffer(sample.image or b"", np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise MediaError(f"{sample.path} is not a picture that OpenCV reads; check the table")
    return Clip.from_arrays(picture[:, :, ::-1].copy(), path=sample.path)


@torch.no_grad()
def clip_evidence(
    model: Model, clips: Sequence[Sequence[Window]], empty: dict[str, Tensor], batch_size: int = 16
) -> Evidence:
    """Run the experts over the windows of N clips: the clips' evidence.

    A clip's evidence for a modality is the mean over the windows where it is present, so that length
    alone makes nothing more certain. Windows of like length are run together.
    """
    flat = [(owner, window) for owner, windows in enumerate(clips) for window in windows]
    flat.sort(key=lambda pair: pair[1].length)
    device = next(model.parameters()).device
    shape = (len(model.config.modalities), len(clips))
    total = torch.zeros(*shape, len(model.config.labels), device=device)
    count = torch.zeros(shape, device=device)
    for begin in range(0, len(flat), batch_size):
        part = flat[begin : begin + batch_size]
        values, mask = window_evidence(model, [window for _, window in part], empty)
        owner = torch.tensor([each for each, _ in part], device=device)
        total.index_add_(1, owner, values)
        count.index_add_(1, owner, mask.to(count.dtype))
    return Evidence(total / count.clamp_min(1)[..., None], count > 0)


@torch.no_grad()
def window_evidence(
    model: Model, windows: Sequence[Window], empty: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Run the experts over B windows at once: evidence `(V, B, K)` and mask `(V, B)`."""
    device = next(model.parameters()).device
    if not empty:
        shape = (len(model.config.modalities), len(windows))
        nothing = torch.zeros(*shape, len(model.config.labels), device=device)
        return nothing, torch.zeros(shape, dtype=torch.bool, device=device)
    return model.evidence(collate([each.values for each in windows], empty).to(device))
