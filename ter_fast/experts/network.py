"""`Network`: experts and their fusion, tensors in and decisions out; what `Model` builds on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from ter_fast.errors import ModelError
from ter_fast.experts import saving
from ter_fast.experts.config import ExpertConfig, ModelConfig, VideoInput
from ter_fast.experts.encoders.pretrained import complete_config, wanted_video
from ter_fast.experts.encoders.registry import complete_options
from ter_fast.experts.ensembles import ensemble_config, take_over
from ter_fast.experts.expert import Expert
from ter_fast.experts.joining import joint_config
from ter_fast.experts.opinions import opinions_of, thresholds_of
from ter_fast.experts.target import check_target
from ter_fast.media.features import Batch
from ter_fast.opinions.decision import Decision, decide
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.opinions.opinion import Opinion
from ter_fast.trust.trusted_threshold import TrustedThreshold

DEFAULT_MODEL = "default"
DEFAULT_ENCODERS = {"audio": "logmel_cnn", "video": "frame_cnn"}


class Network(nn.Module):
    """Experts, fusion and thresholds over tensors; `ter_fast.Model` adds media, training and evaluation.

    Args:
        config: Classes, experts, fusion rule and thresholds.

    Attributes:
        name: What it was loaded as; "" for one that was not loaded.

    Example:
        >>> network = Network.build(["calm", "tense"], modalities=("audio",))
        >>> network.config.modalities, network.device.type
        (('audio',), 'cpu')
    """

    @on_cpu_by_default
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        _check_config(config, type(self).__name__)
        self.config = config
        self.name = ""
        self.experts = nn.ModuleDict(
            {
                name: Expert(expert, config.labels, config.activation)
                for name, expert in config.experts.items()
            }
        )

    @classmethod
    def build(
        cls,
        labels: Sequence[str],
        modalities: Sequence[str] | Mapping[str, tuple[str, Mapping[str, Any]]] = (
            "audio",
            "video",
        ),
        *,
        video: VideoInput | None = None,
        seed: int = 0,
        activation: str = "exp",
        **settings: Any,
    ) -> Self:
        """Build an untrained model.

        Args:
            labels: Class names.
            modalities: Names of modalities with a built-in encoder ("audio", "video"), or a mapping
                from any name to the name and options of a registered encoder.
            video: How pictures are taken; None for the way that a pretrained encoder wants, else luma of 48.
            seed: Of the first weights; torch's own random state is left as it was.
            activation: From logits to evidence. "exp" learns about as fast as cross-entropy does; from
                scratch, "softplus" learned far more slowly on speech.
            **settings: Further fields of `ModelConfig`: rule, confidence, window_seconds.

        Raises:
            ModelError: A modality without a built-in encoder, or settings that make no model.
        """
        if video is None and isinstance(modalities, Mapping):
            video = wanted_video(modalities)
        video = video or VideoInput()
        if not isinstance(modalities, Mapping):
            if unknown := [name for name in modalities if name not in DEFAULT_ENCODERS]:
                raise ModelError(
                    f"no built-in encoder for {', '.join(unknown)}; give a mapping "
                    "{modality: (encoder, options)} with an encoder registered by register_encoder"
                )
            options: dict[str, dict[str, Any]] = {
                "audio": {},
                "video": {"channels": video.channels},
            }
            modalities = {name: (DEFAULT_ENCODERS[name], options[name]) for name in modalities}
        experts = {
            name: ExpertConfig(encoder, complete_options(encoder, options), tuple(labels))
            for name, (encoder, options) in modalities.items()
        }
        config = ModelConfig(
            tuple(labels),
            experts,
            video if "video" in experts else None,
            activation=activation,
            **settings,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(config)
        encoders = {name: each.get_submodule("encoder") for name, each in model.experts.items()}
        model.config = complete_config(config, encoders)
        return model

    @classmethod
    def from_experts(
        cls,
        merge: Mapping[str, str] | None = None,
        rule: str = "dempster",
        **experts: Network | Sequence[Network],
    ) -> Self:
        """Join models of one modality each, trained apart, by fusion.

        The classes are the union by name. Fusion assumes the modalities independent given the
        emotion; the joint threshold has to be calibrated (`calibrate`), since each expert's own
        threshold says nothing about the fused confidence.

        Args:
            merge: Class -> class, to merge classes ("calm" into "neutral"); their evidence adds.
            rule: Fusion rule.
            **experts: By modality, a model that has it, or several, whose logits are then averaged
                (see `ter_fast.experts.ensembles`); such an expert has no threshold yet.

        Raises:
            ModelError: No experts, a model without that modality, or experts that differ in their
                activation, confidence or window, or, within a modality, in their classes.
        """
        given = {
            n: [each] if isinstance(each, Network) else list(each) for n, each in experts.items()
        }
        single = {name: cls._average(name, models) for name, models in given.items()}
        joint = joint_config({name: model.config for name, model in single.items()}, merge, rule)
        joined = cls(joint)
        for name, model in single.items():
            joined.experts[name].load_state_dict(model.experts[name].state_dict())
        return joined.eval()

    @classmethod
    def _average(cls, modality: str, models: Sequence[Network]) -> Network:
        if len(models) == 1:
            return models[0]
        model = cls(ensemble_config([each.config for each in models], modality))
        own, *members = (cast(Expert, each.experts[modality]) for each in (model, *models))
        take_over(own, members)
        return model

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names, in the order of every probability."""
        return self.config.labels

    @property
    def thresholds(self) -> Mapping[str, TrustedThreshold]:
        """The trusted thresholds of whole clips, by the modalities that are present ("audio+video")."""
        return self.config.thresholds

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    def evidence(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return each expert's evidence `(V, B, K)`, zero where masked, and the mask `(V, B)`."""
        rows, classes, device = len(batch), len(self.config.labels), self.device
        there = batch.mask
        absent = torch.zeros(rows, dtype=torch.bool, device=device)
        masks = [there.get(name, absent) for name in self.config.modalities]
        views = []
        for name, present in zip(self.config.modalities, masks, strict=True):
            if bool(present.any()):
                evidence = self.experts[name](batch.inputs[name], batch.lengths[name])
                views.append(torch.where(present[:, None], evidence, 0))
            else:
                views.append(torch.zeros(rows, classes, dtype=torch.float32, device=device))
        return torch.stack(views), torch.stack(masks)

    def opinions(
        self, evidence: Tensor, mask: Tensor, discount: Tensor | None = None
    ) -> tuple[Opinion, dict[str, Opinion]]:
        """Fuse `(V, B, K)` evidence under a `(V, B)` mask: the fused opinion and each modality's own.

        The fused opinion discounts each modality by its reliability; its own opinion is as its expert
        gave it. `discount`, `(V,)`, takes the place of the configuration's reliabilities.
        """
        return opinions_of(self.config, evidence, mask, discount)

    def forward(self, batch: Batch) -> Opinion:
        """Return the fused opinion over `(B, K)` of a batch of windows."""
        return self.opinions(*self.evidence(batch))[0]

    @torch.no_grad()
    def decide(self, batch: Batch) -> Decision:
        """Say what a batch of windows shows, how surely, and whether to trust it, in one pass.

        For serving and for your own loops: tensors in, tensors out, no gradient. Each row is
        held to the threshold of the modalities that it has; where the model has none for them, the
        row is not trusted, and without any threshold at all `trusted` is None. Each modality is
        discounted by its reliability. Call `eval()` first. Thresholds are those of whole clips, so a
        row should be one: a clip of several windows is averaged first, which `predict` does.

        Args:
            batch: B windows, as `features.collate` makes them.

        Returns:
            The decisions, `(B,)` and `(B, K)`.

        Example:
            >>> from ter_fast.media.features import collate
            >>> network = Network.build(["calm", "angry"], modalities=("audio",))
            >>> batch = collate([{"audio": torch.zeros(16_000)}], {"audio": torch.zeros(0)})
            >>> decision = network.eval().decide(batch)
            >>> tuple(decision.probability.shape), decision.trusted is None
            ((1, 2), True)
        """
        evidence, mask = self.evidence(batch)
        return decide(
            evidence,
            self.config.rule,
            None,
            mask,
            self.config.discount,
            confidence=self.config.confidence,
            threshold=thresholds_of(self.config, mask),
            disagreement_limit=self.config.disagreement_limit,
        )

    def save_pretrained(self, folder: str | Path, *, exist_ok: bool = True) -> None:
        """Write `config.json`, `model.safetensors` and a card into a folder, each all of it or nothing.

        The card, `README.md`, says what is known of the model; `ter_fast.experts.saving.write_card` adds
        figures to it. One that someone else wrote is left alone.

        Args:
            folder: Made if it is not there.
            exist_ok: Whether a model that lies there may be replaced.

        Raises:
            ModelError: The folder holds a model that may not be replaced, or is a file.
            TerFastError: The folder cannot be written to.
        """
        check_target(folder, exist_ok)
        saving.save(self.config, self.state_dict(), folder)

    def push_to_hub(
        self,
        name: str,
        *,
        folder: str | Path | None = None,
        private: bool | None = None,
        revision: str | None = None,
        token: str | None = None,
        message: str = "Upload a ter_fast model",
    ) -> str:
        """Upload the model and its card to the Hugging Face hub, from where `from_pretrained` loads it.

        Look at the terms of the training data first (`config.terms`): many forbid passing on.

        Args:
            name: "owner/name"; made where there is none.
            folder: Where this very model is saved, whose card and figures go along; None for a card
                without figures.
            private: Whether a repository that is made is private; None for the owner's default.
            revision: Branch, made where there is none; None for the main one.
            token: That may write; None for the one that `hf auth login` keeps.
            message: Of the commit.

        Returns:
            The address of the commit.

        Raises:
            ModelError: The folder holds another model, or the hub did not take it.
        """
        return saving.push(
            self.config,
            self.state_dict(),
            name,
            folder=folder,
            private=private,
            revision=revision,
            token=token,
            message=message,
        )

    @classmethod
    def from_pretrained(
        cls, name: str | Path = DEFAULT_MODEL, *, revision: str | None = None
    ) -> Self:
        """Load a model: a bundled name, a folder, or a Hugging Face hub id.

        Only safetensors and JSON are read; nothing in them can run code.

        Args:
            name: "default", a folder that `save_pretrained` wrote, or "owner/name" on the hub.
            revision: Branch, tag or commit on the hub.

        Raises:
            ModelError: Nothing of that name, a file is missing or altered, or the configuration is wrong.
        """
        model = saving.load(cls, name, revision)
        model.name = str(name)
        return model


def _check_config(config: object, name: str) -> None:
    """Refuse what is no configuration: the name of a model, most likely."""
    if not isinstance(config, ModelConfig):
        raise TypeError(
            f"{name} takes a ModelConfig, not {config!r}; load a model by "
            f"{name}.from_pretrained({str(config)!r}), or make a new one by {name}.build(labels)"
        )
