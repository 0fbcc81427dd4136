"""`Model`: experts, fusion and a trusted threshold; from media to trusted-or-not predictions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn

from ter_fast import pretrained
from ter_fast.clip import Clip
from ter_fast.conclude import opinions_of
from ter_fast.config import ExpertConfig, ModelConfig, VideoInput
from ter_fast.decision import Decision, decide
from ter_fast.decode import MAX_SECONDS, Sampling
from ter_fast.decode.backends import check_sampling, choose
from ter_fast.encoders import build_encoder, complete_options
from ter_fast.errors import ModelError
from ter_fast.features import Batch
from ter_fast.inference import Preparer
from ter_fast.opinion import Opinion, evidence_from_logits
from ter_fast.prediction import Prediction, Predictions

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.evaluate import Evaluation
    from ter_fast.live import Live
    from ter_fast.robustness import Robustness

DEFAULT_MODEL = "default"
DEFAULT_ENCODERS = {"audio": "logmel_cnn", "video": "frame_cnn"}


class Expert(nn.Module):
    """One modality's encoder and evidential head.

    e = scale * activation(W f + b), with the classes of the head put at their place among the
    model's classes; classes merged into one add their evidence.
    """

    scale: Tensor

    def __init__(self, config: ExpertConfig, labels: Sequence[str], activation: str) -> None:
        super().__init__()
        self.encoder = build_encoder(config.encoder, config.options)
        features: Any = self.encoder.out_features
        self.head = nn.Linear(features, len(config.labels))
        self.activation, self.classes = activation, len(labels)
        self.places = tuple(labels.index(label) for label in config.labels)
        self.register_buffer("scale", torch.tensor(config.evidence_scale), persistent=False)

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return evidence `(B, K)` over the model's classes."""
        logits = self.head(self.encoder(values, lengths)).float()
        evidence = self.scale * evidence_from_logits(logits, self.activation)
        if self.places == tuple(range(self.classes)):
            return evidence
        places = torch.tensor(self.places, device=evidence.device)
        return evidence.new_zeros(len(evidence), self.classes).index_add(1, places, evidence)


class Model(nn.Module):
    """Estimate emotions from sound and pictures, and say when not to trust the estimate.

    Args:
        config: classes, experts, fusion rule and thresholds.

    Example:
        >>> model = Model.build(["calm", "tense"], modalities=("audio",))
        >>> prediction = model.predict({"audio": torch.randn(1, 16000) * 0.1})[0]
        >>> prediction.trusted, prediction.reasons
        (None, ('not calibrated for audio: run calibrate',))
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
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
    ) -> Model:
        """Build an untrained model.

        Args:
            labels: class names.
            modalities: names of modalities with a built-in encoder ("audio", "video"), or a mapping
                from any name to the name and options of a registered encoder.
            video: how pictures are taken.
            seed: of the first weights; torch's own random state is left as it was.
            activation: from logits to evidence. "exp" learns about as fast as cross-entropy does; from
                scratch, "softplus" learned far more slowly on speech.
            **settings: further fields of `ModelConfig`: rule, confidence, window_seconds.

        Raises:
            ModelError: a modality without a built-in encoder, or settings that make no model.
        """
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
            return cls(config)

    @classmethod
    def from_experts(
        cls, merge: Mapping[str, str] | None = None, rule: str = "dempster", **experts: Model
    ) -> Model:
        """Join models of one modality each, trained apart, by fusion.

        The classes are the union by name. Fusion assumes the modalities independent given the
        emotion; the joint threshold has to be calibrated (`calibrate`), since each expert's own
        threshold says nothing about the fused confidence.

        Args:
            merge: class -> class, to merge classes ("calm" into "neutral"); their evidence adds.
            rule: fusion rule.
            **experts: by modality, a model that has it.

        Raises:
            ModelError: no experts, a model without that modality, or experts that differ in their
                activation, confidence or window.
        """
        merge = merge or {}
        known = {label for model in experts.values() for label in model.config.labels}
        if unknown := sorted(set(merge) - known):
            raise ModelError(
                f"merge names {', '.join(unknown)}, which no expert knows; they know {', '.join(sorted(known))}"
            )
        if not experts:
            raise ModelError(
                "from_experts needs at least one model, such as audio=Model.from_pretrained(…)"
            )
        labels: dict[str, None] = {}
        configs: dict[str, ExpertConfig] = {}
        for name, model in experts.items():
            if name not in model.config.experts:
                raise ModelError(
                    f"the model given for {name!r} has only {', '.join(model.config.modalities)}"
                )
            expert = model.config.experts[name]
            configs[name] = replace(
                expert, labels=tuple(merge.get(label, label) for label in expert.labels)
            )
            labels |= dict.fromkeys(configs[name].labels)
        first = next(iter(experts.values())).config
        for option in ("activation", "confidence", "window_seconds"):
            values = {getattr(model.config, option) for model in experts.values()}
            if len(values) > 1:
                raise ModelError(
                    f"the experts differ in {option} ({', '.join(map(str, sorted(values)))}); train them alike"
                )
        alike = {
            name: model.config
            for name, model in experts.items()
            if set(model.config.labels) == set(labels)
        }
        joint = ModelConfig(
            labels=tuple(sorted(labels)),
            experts=configs,
            video=experts["video"].config.video if "video" in experts else None,
            rule=rule,
            activation=first.activation,
            confidence=first.confidence,
            window_seconds=first.window_seconds,
            thresholds={
                name: config.thresholds[name]
                for name, config in alike.items()
                if name in config.thresholds
            },
            window_thresholds={
                name: config.window_thresholds[name]
                for name, config in alike.items()
                if name in config.window_thresholds
            },
            training=tuple(
                record
                for name, model in experts.items()
                for record in model.config.training
                if name in record.modalities
            ),
        )
        joined = cls(joint)
        for name, model in experts.items():
            joined.experts[name].load_state_dict(model.experts[name].state_dict())
        return joined.eval()

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return next(self.parameters()).device

    # -- from tensors to opinions -------------------------------------------------------------

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
                views.append(torch.zeros(rows, classes, device=device))
        return torch.stack(views), torch.stack(masks)

    def opinions(self, evidence: Tensor, mask: Tensor) -> tuple[Opinion, dict[str, Opinion]]:
        """Fuse `(V, B, K)` evidence under a `(V, B)` mask: the fused opinion and each modality's own."""
        return opinions_of(self.config, evidence, mask)

    def forward(self, batch: Batch) -> Opinion:
        """Return the fused opinion over `(B, K)` of a batch of windows."""
        return self.opinions(*self.evidence(batch))[0]

    @torch.no_grad()
    def decide(self, batch: Batch) -> Decision:
        """Say what a batch of windows shows, how surely, and whether to trust it, in one pass.

        For serving and for loops of one's own: tensors in, tensors out, no gradient. Each row is
        held to the threshold of the modalities that it has; where the model has none for them, the
        row is not trusted, and without any threshold at all `trusted` is None. Call `eval()` first.

        Thresholds are those of whole clips, so a row should be one: a clip of several windows is
        averaged first, which `predict` does.

        Args:
            batch: B windows, as `features.collate` makes them.

        Returns:
            The decisions, `(B,)` and `(B, K)`.

        Example:
            >>> from ter_fast.features import collate
            >>> model = Model.build(["calm", "angry"], modalities=("audio",))
            >>> batch = collate([{"audio": torch.zeros(16_000)}], {"audio": torch.zeros(0)})
            >>> decision = model.eval().decide(batch)
            >>> tuple(decision.probability.shape), decision.trusted is None
            ((1, 2), True)
        """
        evidence, mask = self.evidence(batch)
        return decide(
            evidence,
            self.config.rule,
            None,
            mask,
            confidence=self.config.confidence,
            threshold=self._thresholds(mask),
            disagreement_limit=self.config.disagreement_limit,
        )

    def _thresholds(self, mask: Tensor) -> Tensor | None:
        """Return each row's threshold `(B,)`, NaN where there is none; None without any."""
        if not self.config.thresholds:
            return None
        found = torch.full(mask.shape[1:], math.nan, dtype=torch.float64, device=mask.device)
        for names, record in self.config.thresholds.items():
            wanted = [name in names.split("+") for name in self.config.modalities]
            here = (mask == torch.tensor(wanted, device=mask.device)[:, None]).all(0)
            found[here] = record.threshold
        return found

    # -- from media to predictions ------------------------------------------------------------

    # A string is itself a sequence of strings, which the first overload takes precedence over.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        source: str | Path | Clip,
        *,
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 16,
        workers: int | None = None,
        progress: bool = False,
        faces: str | None = None,
        face_model: str | Path | None = None,
        decode: str | None = None,
        sampling: Sampling = "exact",
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        source: Mapping[str, Tensor] | Sequence[str | Path | Clip],
        *,
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 16,
        workers: int | None = None,
        progress: bool = False,
        faces: str | None = None,
        face_model: str | Path | None = None,
        decode: str | None = None,
        sampling: Sampling = "exact",
    ) -> Predictions: ...
    def predict(
        self,
        source: str | Path | Clip | Mapping[str, Tensor] | Sequence[str | Path | Clip],
        *,
        window: float | None = None,
        hop: float | None = None,
        batch_size: int = 16,
        workers: int | None = None,
        progress: bool = False,
        faces: str | None = None,
        face_model: str | Path | None = None,
        decode: str | None = None,
        sampling: Sampling = "exact",
    ) -> Prediction | Predictions:
        """Predict one clip or many.

        Args:
            source: a media file, a folder, a `Clip`, a list of these, or tensors by modality: `audio`
                `(B, samples)` float32 at 16 kHz, `video` `(B, T, H, W, 3)` uint8, others `(B, …)`.
            window: seconds of the windows that longer clips are cut in; None for the model's own.
                The clip's evidence is the mean over them, and `Prediction.windows` has each.
            hop: seconds from one window's start to the next: less than `window` makes windows overlap,
                more leaves gaps; None for windows end to end.
            batch_size: windows that the experts see at once.
            workers: threads that decode; by default one per core, at most 8.
            progress: show a progress bar.
            faces: "detect" or "whole", in place of the model's own way to take pictures.
            face_model: YuNet face detector (ONNX); by default the one that `ter-fast data fetch-models`
                fetched, if any. Without one, a model that asks for faces masks "video" and says so.
            decode: decoder of files, "pyav", "torchcodec" or "dali" (NVDEC where there is a GPU); None for
                the one that `ter-fast info` names.
            sampling: "exact" takes the pictures shown at the sampled times; "keyframe" the nearest key
                frames, several times sooner.

        Returns:
            A `Prediction` for one file or clip; `Predictions`, in order, for anything else. Among
            many, a file that cannot be used costs only itself: its `error` says what was wrong.

        Raises:
            MediaError: the one file cannot be used, a folder holds no media, or there is no such decoder.
            ModelError: tensors that do not fit the model, or a window or hop that is no length of time.
        """
        from ter_fast.predict import predict

        preparer = self.preparer(
            faces, face_model, window=window, hop=hop, decode=decode, sampling=sampling
        )
        return predict(self, source, preparer, batch_size, workers, progress)

    def live(
        self,
        source: str,
        *,
        window: float | None = None,
        hop: float | None = None,
        max_delay: float = 1.0,
        faces: str | None = None,
        face_model: str | Path | None = None,
    ) -> Live:
        """Predict a camera, a microphone, a pipe or a stream, window by window, as it happens.

        Args:
            source: `/dev/video0`, `alsa:default`, `rtsp://…`, `-` for standard input, or a file.
            window: seconds of a window; None for the model's own.
            hop: seconds from one window's start to the next; None for windows end to end.
            max_delay: seconds that decoding may lag before it takes key frames alone.
            faces: "detect" or "whole", in place of the model's own way to take pictures.
            face_model: YuNet face detector (ONNX), as for `predict`.

        Returns:
            An iterator of predictions, which drops what it has no time for and counts it; see
            `ter_fast.live.Live`.
        """
        from ter_fast.live import Live

        preparer = self.preparer(faces, face_model, window=window, hop=hop)
        return Live(self, source, preparer, max_delay=max_delay)

    def preparer(
        self,
        faces: str | None = None,
        face_model: str | Path | None = None,
        *,
        window: float | None = None,
        hop: float | None = None,
        decode: str | None = None,
        sampling: Sampling = "exact",
    ) -> Preparer:
        """Return what turns clips into this model's inputs.

        Raises:
            ModelError: faces, a window or a hop that cannot be.
            MediaError: there is no such decoder or sampling, or it is not installed.
        """
        if decode is not None:
            choose(decode)
        check_sampling(decode, sampling)
        config = self.config
        for name, seconds in (("window", window), ("hop", hop)):
            if seconds is not None and not 0.01 <= seconds <= MAX_SECONDS:
                raise ModelError(
                    f"{name} is {seconds}; expected seconds, from 0.01 to {MAX_SECONDS:g}"
                )
        if window is not None:
            config = replace(config, window_seconds=window)
        if config.video is None:
            return Preparer(config, None, hop, decode, sampling)
        if faces is not None:
            config = replace(config, video=replace(config.video, faces=faces))
        cropper = None
        if config.video is not None and config.video.faces == "detect":
            from ter_fast.faces import FaceCropper, default_face_model

            file = face_model or default_face_model()
            if file is not None:
                cropper = FaceCropper(file, size=max(96, config.video.size))
        return Preparer(config, cropper, hop, decode, sampling)

    # -- training, calibration, evaluation -------------------------------------------------------

    def fit(self, train: Dataset, validation: Dataset | None = None, **settings: Any) -> Model:
        """Train on a dataset; see `ter_fast.train.fit` for the settings."""
        from ter_fast.train import fit

        return fit(self, train, validation, **settings)

    def calibrate(self, *datasets: Dataset, **settings: Any) -> Model:
        """Set the trusted thresholds on validation data, by a criterion or with a promised risk.

        `calibrate(validation, risk=0.1, delta=0.05)` promises that at most a tenth of the trusted
        predictions is wrong; predictions then say so in `promise`. See `ter_fast.calibrate.calibrate`.
        """
        from ter_fast.calibrate import calibrate

        return calibrate(self, *datasets, **settings)

    def evaluate(self, *datasets: Dataset, **settings: Any) -> Evaluation:
        """Measure accuracy and trust on labelled data; see `ter_fast.evaluate.evaluate`."""
        from ter_fast.evaluate import evaluate

        return evaluate(self, *datasets, **settings)

    def evaluate_corrupted(
        self, dataset: Dataset, corruptions: str | Sequence[str] = "suite", **settings: Any
    ) -> Robustness:
        """Measure accuracy, uncertainty and trust on clean and corrupted clips, by severity.

        `evaluate_corrupted(test, "babble,jpeg", seed=1).save("report/")` writes a page that says
        whether uncertainty rose with the damage. See `ter_fast.robustness.evaluate_corrupted`.
        """
        from ter_fast.robustness import evaluate_corrupted

        return evaluate_corrupted(self, dataset, corruptions, **settings)

    # -- on disk -----------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` into a folder, each all of it or nothing.

        Raises:
            TerFastError: the folder cannot be written to.
        """
        pretrained.save(self, folder)

    @classmethod
    def from_pretrained(
        cls, name: str | Path = DEFAULT_MODEL, *, revision: str | None = None
    ) -> Model:
        """Load a model: a bundled name, a folder, or a Hugging Face hub id.

        Only safetensors and JSON are read; nothing in them can run code.

        Args:
            name: "default", a folder that `save_pretrained` wrote, or "owner/name" on the hub.
            revision: branch, tag or commit on the hub.

        Raises:
            ModelError: nothing of that name, a file is missing or altered, or the configuration is wrong.
        """
        return pretrained.load(cls, name, revision)
