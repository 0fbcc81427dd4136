"""`hf_image` and `hf_video`: frames through a pretrained image or video model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.errors import ModelError
from ter_fast.experts.config import VideoInput
from ter_fast.experts.encoders.pretrained import loading
from ter_fast.experts.encoders.pretrained.base import PretrainedEncoder
from ter_fast.experts.encoders.pretrained.loading import IMAGE, VIDEO, Backbone
from ter_fast.experts.encoders.registry import register_encoder

_FRAMES_AT_ONCE = 64


class PictureInput(nn.Module):
    """Turn uint8 frames into what a backbone reads, by its own processor's values.

    x = (factor * pixel - offset - mean) / std, on frames resized to the backbone's size where they have another.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        values = backbone.processor
        self.size = wanted_size(backbone)
        self.factor = float(values.get("rescale_factor", 1 / 255))
        if not values.get("do_rescale", True):
            self.factor = 1.0
        # ViViT scales to [-1, 1] before it normalizes.
        self.offset = 1.0 if values.get("offset", False) else 0.0
        plain = not values.get("do_normalize", True)
        mean = [0.0] * 3 if plain else values.get("image_mean") or [0.5] * 3
        deviation = [1.0] * 3 if plain else values.get("image_std") or [0.5] * 3
        self.register_buffer(
            "mean", torch.tensor(mean, dtype=torch.float32).view(3, 1, 1), persistent=False
        )
        self.register_buffer(
            "deviation",
            torch.tensor(deviation, dtype=torch.float32).view(3, 1, 1),
            persistent=False,
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Return float32 `(N, 3, height, width)` of `(N, 3, H, W)` uint8.

        Raises:
            ModelError: Frames without three channels.
        """
        if frames.shape[-3] != 3:
            raise ModelError(
                f"the frames have {frames.shape[-3]} channel; a pretrained model reads RGB: give "
                "VideoInput(channels=3), or --color"
            )
        pictures = frames.float()
        if tuple(frames.shape[-2:]) != self.size:
            pictures = F.interpolate(pictures, self.size, mode="bilinear", antialias=True)
            pictures = pictures.round().clamp(0, 255)
        scaled: Tensor = (pictures * self.factor - self.offset - self.mean) / self.deviation
        return scaled


def wanted_size(backbone: Backbone) -> tuple[int, int]:
    """Return height and width in pixels of the pictures that a backbone reads.

    Example:
        >>> wanted_size(Backbone({}, {"size": {"shortest_edge": 256}, "crop_size": 224}))
        (224, 224)
    """
    values, config = backbone.processor, backbone.config
    crop = values.get("crop_size") if values.get("do_center_crop", "crop_size" in values) else None
    for size in (crop, values.get("size"), config.get("image_size")):
        if isinstance(size, Mapping) and "height" in size:
            return int(size["height"]), int(size["width"])
        if isinstance(size, Mapping) and "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        if isinstance(size, int | float):
            return int(size), int(size)
        if isinstance(size, list | tuple) and len(size) == 2:
            return int(size[0]), int(size[1])
    return 224, 224


def _video_input(
    kind: str, name: str, revision: str | None, described: Mapping[str, Any] | None
) -> VideoInput:
    backbone = Backbone(**described) if described else loading.describe(name, revision, kind)[0]
    frames = int(backbone.config.get("num_frames", 16))
    return VideoInput(frames, max(wanted_size(backbone)), channels=3)


class _PretrainedPictures(PretrainedEncoder):
    def __init__(
        self,
        name: str,
        revision: str | None = None,
        frozen: bool = True,
        trainable_layers: int = 0,
        width: int = 256,
        dropout: float = 0.2,
        store_backbone: bool = True,
        terms: str | None = None,
        backbone: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            name, revision, frozen, trainable_layers, width, False, dropout, store_backbone, terms,
            backbone,
        )  # fmt: skip
        self.pixels = PictureInput(self.described)

    @classmethod
    def video_input(
        cls,
        name: str,
        revision: str | None = None,
        backbone: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> VideoInput:
        """Return how pictures should be taken for the model: its frames, its size, in RGB.

        Raises:
            ModelError: No such model.
        """
        return _video_input(cls.kind, name, revision, backbone)

    def _features(self) -> int:
        """Return the model's features, counted on a blank picture: architectures name them differently."""
        height, width = wanted_size(self.described)
        shape = (1, 3, height, width)
        if self.kind == VIDEO:
            if not hasattr(self.config, "num_frames"):
                raise ModelError(
                    f"{self.name} ({self.config.model_type}) does not say how many frames it reads; "
                    "videomae, timesformer and vivit do"
                )
            shape = (1, int(self.config.num_frames), 3, height, width)  # type: ignore[assignment]
        with torch.no_grad():
            return int(self._pool(torch.zeros(shape, dtype=torch.float32)).shape[-1])

    def _pool(self, pixels: Tensor) -> Tensor:
        """Return one feature vector `(N, D)` for each picture or film.

        It is the model's own pooled feature where that was trained, else the class token, else the mean.
        """
        try:
            output = self.backbone(pixel_values=pixels)
            last, pooled = output.last_hidden_state, getattr(output, "pooler_output", None)
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{self.name} ({self.config.model_type}) does not turn pictures into features: {error}"
            ) from error
        features: Tensor
        if pooled is not None:
            features = pooled.flatten(1)
        elif last.dim() == 4:
            features = last.mean((-2, -1))
        elif any(key.endswith("cls_token") for key, _ in self.backbone.named_parameters()):
            features = last[:, 0]
        else:
            features = last.mean(1)
        return features


@register_encoder("hf_image")
class PretrainedImage(_PretrainedPictures):
    """An image model of Hugging Face transformers on each frame: ViT, DINOv2, CLIP, ConvNeXt or ResNet.

    Frames are pooled over the valid ones. Pictures come at the model's size unless `VideoInput` says
    otherwise, and are then resized.

    The arguments are those of `PretrainedEncoder` without `deviation`; `name` is such as "facebook/dinov2-small".

    Example:
        >>> PretrainedImage.video_input("./no-such-folder")
        Traceback (most recent call last):
        ter_fast.errors.ModelError: no model './no-such-folder': it is no folder here, ...
    """

    kind = IMAGE

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, T, 3, H, W)` uint8 frames with `(B,)` valid frames to `(B, out_features)`."""
        batch, steps = frames.shape[:2]
        valid = torch.arange(steps, device=frames.device) < lengths[:, None]
        # Padding would cost as much as pictures do.
        pictures = frames[valid]
        features = torch.zeros(
            batch, steps, self.norm.normalized_shape[0], dtype=torch.float32, device=frames.device
        )
        if len(pictures):
            parts = [
                self._pool(self.pixels(part)) for part in torch.split(pictures, _FRAMES_AT_ONCE)
            ]
            features = features.index_put((valid,), torch.cat(parts).float())
        return self.head(features, valid)


@register_encoder("hf_video")
class PretrainedVideo(_PretrainedPictures):
    """A video model of Hugging Face transformers: VideoMAE, TimeSformer or ViViT.

    Such a model reads a fixed number of frames: it gets that many of the valid ones, evenly spaced.

    The arguments are those of `PretrainedEncoder` without `deviation`; `name` is such as "MCG-NJU/videomae-base".

    Example:
        >>> PretrainedVideo.video_input("./no-such-folder")
        Traceback (most recent call last):
        ter_fast.errors.ModelError: no model './no-such-folder': it is no folder here, ...
    """

    kind = VIDEO

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, T, 3, H, W)` uint8 frames with `(B,)` valid frames to `(B, out_features)`."""
        wanted = int(self.config.num_frames)
        place = (torch.arange(wanted, dtype=torch.float32, device=frames.device) + 0.5) / wanted
        chosen = (place * lengths[:, None]).long()
        rows = torch.arange(len(frames), device=frames.device)[:, None]
        film = frames[rows, chosen]
        pixels = self.pixels(film.flatten(0, 1)).unflatten(0, film.shape[:2])
        return self.head(self._pool(pixels)[:, None], (lengths > 0)[:, None])
