"""What the encoders around a pretrained backbone share: freezing, saving, and what follows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from ter_fast.errors import ModelError
from ter_fast.experts.config import ModelConfig, TrainingRecord, VideoInput
from ter_fast.experts.encoders.pooling import AttentivePooling
from ter_fast.experts.encoders.pretrained import loading
from ter_fast.experts.encoders.pretrained.loading import Backbone
from ter_fast.experts.encoders.registry import ENCODERS


class PretrainedEncoder(nn.Module):
    """A backbone of Hugging Face transformers, a small trainable head on it, and attentive pooling.

    g_t = ReLU(W LayerNorm(f_t) + b) for each step t of the backbone's features f, pooled over valid steps.

    Args:
        name: Folder, or name on the hub.
        revision: Branch, tag or commit on the hub; the commit that it stood for is what is kept.
        frozen: The backbone learns nothing and stays in evaluation mode; False fine-tunes all of it.
        trainable_layers: Layers, counted from the top, that are fine-tuned while the rest stays frozen.
        width: Features of the head.
        deviation: Pool the deviation over time beside the mean.
        dropout: Probability of dropping a pooled feature in training.
        store_backbone: A saved model holds the backbone's weights, and loads without `name`; False
            refers to them by name and commit, which only a frozen backbone can.
        terms: Licence of the backbone's weights; None for what its model card names.
        backbone: Its description, as a saved model holds it; None reads it from `name`.

    Raises:
        ModelError: A backbone that cannot be had, or options that contradict each other.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        name: str,
        revision: str | None,
        frozen: bool,
        trainable_layers: int,
        width: int,
        deviation: bool,
        dropout: float,
        store_backbone: bool,
        terms: str | None,
        backbone: Mapping[str, Any] | None,
    ) -> None:
        super().__init__()
        learns = not frozen or trainable_layers > 0
        if learns and not store_backbone:
            raise ModelError(
                f"{name} is fine-tuned, so its weights are no longer those of that name; store_backbone has "
                "to be True"
            )
        self.name, self.frozen, self.trainable_layers = name, frozen, trainable_layers
        loading.check_installed()
        self.saved_options: dict[str, Any] = {}
        if backbone is not None and store_backbone:
            described = _describe(backbone)
            module = loading.build(described)
        else:
            described, module, commit = loading.load(name, revision, self.kind)
            revision = commit or revision
            if terms is None:
                terms = loading.licence(name, revision) or "not stated"
            folder = Path(name)
            if folder.is_dir():
                # A stored backbone needs no folder, and whose it was is nobody's concern.
                name = folder.resolve().name if store_backbone else str(folder.resolve())
        self.saved_options = {
            "name": name, "revision": revision, "terms": terms, "backbone": asdict(described)
        }  # fmt: skip
        self.described = described
        self.backbone = module
        self._top: list[nn.Module] = []
        self._freeze()
        if not store_backbone:
            untyped: Any = self
            untyped.register_state_dict_post_hook(_leave_out)
            untyped.register_load_state_dict_post_hook(_not_missing)
        features = self._features()
        self.norm = nn.LayerNorm(features)
        self.project = nn.Sequential(nn.Linear(features, width), nn.ReLU(inplace=True))
        self.pool = AttentivePooling(width, deviation)
        self.dropout = nn.Dropout(dropout)
        self.out_features = 2 * width if deviation else width

    @property
    def config(self) -> Any:
        """The backbone's transformers configuration."""
        backbone: Any = self.backbone
        return backbone.config

    def _features(self) -> int:
        raise NotImplementedError

    def record(self, modality: str) -> TrainingRecord:
        """Return where the weights that this encoder starts from come from, and under which terms."""
        name, commit = self.saved_options["name"], self.saved_options["revision"]
        terms = self.saved_options["terms"] or "not stated"
        return TrainingRecord(
            modalities=(modality,),
            data=f"pretrained backbone {name}" + (f" at {commit}" if commit else ""),
            terms=f"{name}: {terms}",
            samples={},
            settings={},
        )

    def _freeze(self) -> None:
        if self.trainable_layers < 0:
            raise ModelError(f"trainable_layers is {self.trainable_layers}; expected 0 or more")
        if not self.frozen:
            self._top = [self.backbone]
        elif self.trainable_layers:
            layers = _layers(self.backbone)
            if self.trainable_layers > len(layers):
                raise ModelError(
                    f"trainable_layers is {self.trainable_layers}; {self.name} has {len(layers)} layers"
                )
            self._top = list(layers[-self.trainable_layers :])
        self.backbone.requires_grad_(False)
        for layer in self._top:
            layer.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> PretrainedEncoder:
        """Set training mode, in which what is frozen stays in evaluation mode."""
        super().train(mode)
        self.backbone.eval()
        for layer in self._top:
            layer.train(mode)
        return self

    def head(self, features: Tensor, valid: Tensor) -> Tensor:
        """Turn the backbone's `(B, T, D)` into pooled features of the steps where `valid` `(B, T)`."""
        steps = self.project(self.norm(features.float()))
        pooled: Tensor = self.dropout(self.pool(steps, valid))
        return pooled


def wanted_video(modalities: Mapping[str, tuple[str, Mapping[str, Any]]]) -> VideoInput | None:
    """Return how the encoder of "video" wants pictures taken; None where it takes them any way.

    Args:
        modalities: By modality, the name and options of a registered encoder.

    Raises:
        ModelError: Options of a pretrained encoder that name no model, or that it does not take.
    """
    name, options = modalities.get("video", ("", {}))
    wanted = getattr(ENCODERS.get(name), "video_input", None)
    if wanted is None:
        return None
    try:
        found: VideoInput = wanted(**options)
    except TypeError as error:
        raise ModelError(
            f"encoder {name!r} does not take these options: {dict(options)} ({error})"
        ) from error
    return found


def complete_config(config: ModelConfig, encoders: Mapping[str, nn.Module]) -> ModelConfig:
    """Return a new model's configuration with what its encoders found out as they were built.

    A backbone's description becomes part of its encoder's options, so that a saved model needs nothing
    else; where its weights come from, and their terms, become a training record.

    Raises:
        ModelError: Pictures in luma for a model that reads RGB.
    """
    own = {name: each for name, each in encoders.items() if isinstance(each, PretrainedEncoder)}
    if "video" in own and config.video is not None and config.video.channels != 3:
        raise ModelError(
            f"{own['video'].name} reads RGB, and the frames are luma: give VideoInput(channels=3), or --color"
        )
    experts = {
        name: replace(
            config.experts[name], options={**config.experts[name].options, **each.saved_options}
        )
        for name, each in own.items()
    }
    records = tuple(each.record(name) for name, each in own.items())
    return replace(
        config, experts={**config.experts, **experts}, training=(*config.training, *records)
    )


def _describe(values: Mapping[str, Any]) -> Backbone:
    try:
        found = Backbone(**values)
        return replace(found, config=dict(found.config), processor=dict(found.processor))
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"the description of the backbone is damaged ({error}); copy the model again"
        ) from error


def _layers(backbone: nn.Module) -> nn.ModuleList:
    """Return the backbone's list of layers: of its lists, the one with the most parameters."""
    lists = [each for each in backbone.modules() if isinstance(each, nn.ModuleList)]
    if not lists:
        raise ModelError(
            f"{type(backbone).__name__} has no list of layers; give frozen=False to fine-tune all of it"
        )
    return max(lists, key=lambda each: sum(p.numel() for p in each.parameters()))


def _leave_out(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for key in [key for key in state if key.startswith(f"{prefix}backbone.")]:
        del state[key]


def _not_missing(module: nn.Module, incompatible: Any) -> None:
    backbone = module.get_submodule("backbone")
    tensors = (*backbone.named_parameters(), *backbone.named_buffers())
    own = tuple(f"backbone.{key}" for key, _ in tensors)
    incompatible.missing_keys[:] = [k for k in incompatible.missing_keys if not k.endswith(own)]
