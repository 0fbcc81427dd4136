"""`Model`: experts, fusion and a trusted threshold; from media to trusted-or-not predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import torch
from torch import Tensor, nn

from ter_fast.errors import ModelError
from ter_fast.experts import saving as pretrained
from ter_fast.experts.config import ExpertConfig, ModelConfig, VideoInput
from ter_fast.experts.encoders.cnn import complete_options
from ter_fast.experts.encoders.pretrained import settled, wanted_video
from ter_fast.experts.ensembles import ensemble_config, take_over
from ter_fast.experts.expert import Expert
from ter_fast.experts.joining import joint_config
from ter_fast.media.clip import Clip
from ter_fast.media.decode import Sampling
from ter_fast.media.features import Batch
from ter_fast.opinions.decision import Decision, decide
from ter_fast.opinions.opinion import Opinion
from ter_fast.predict.aggregate import opinions_of, thresholds_of
from ter_fast.predict.inference import Preparer, preparer_of
from ter_fast.predict.prediction import Prediction, Predictions

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.evaluate.evaluate import Evaluation
    from ter_fast.evaluate.robustness import Robustness
    from ter_fast.predict.live import Live

DEFAULT_MODEL = "default"
DEFAULT_ENCODERS = {"audio": "logmel_cnn", "video": "frame_cnn"}


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
            video: how pictures are taken; None for the way that a pretrained encoder wants, else luma of 48.
            seed: of the first weights; torch's own random state is left as it was.
            activation: from logits to evidence. "exp" learns about as fast as cross-entropy does; from
                scratch, "softplus" learned far more slowly on speech.
            **settings: further fields of `ModelConfig`: rule, confidence, window_seconds.

        Raises:
            ModelError: a modality without a built-in encoder, or settings that make no model.
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
        model.config = settled(config, encoders)
        return model

    @classmethod
    def from_experts(
        cls,
        merge: Mapping[str, str] | None = None,
        rule: str = "dempster",
        **experts: Model | Sequence[Model],
    ) -> Model:
        """Join models of one modality each, trained apart, by fusion.

        The classes are the union by name. Fusion assumes the modalities independent given the
        emotion; the joint threshold has to be calibrated (`calibrate`), since each expert's own
        threshold says nothing about the fused confidence.

        Args:
            merge: class -> class, to merge classes ("calm" into "neutral"); their evidence adds.
            rule: fusion rule.
            **experts: by modality, a model that has it, or several, whose logits are then averaged
                (see `ter_fast.experts.ensembles`); such an expert has no threshold yet.

        Raises:
            ModelError: no experts, a model without that modality, or experts that differ in their
                activation, confidence or window, or, within a modality, in their classes.
        """
        given = {
            n: [each] if isinstance(each, Model) else list(each) for n, each in experts.items()
        }
        single = {name: cls._averaged(name, models) for name, models in given.items()}
        joint = joint_config({name: model.config for name, model in single.items()}, merge, rule)
        joined = cls(joint)
        for name, model in single.items():
            joined.experts[name].load_state_dict(model.experts[name].state_dict())
        return joined.eval()

    @classmethod
    def _averaged(cls, modality: str, models: Sequence[Model]) -> Model:
        if len(models) == 1:
            return models[0]
        model = cls(ensemble_config([each.config for each in models], modality))
        own, *members = (cast(Expert, each.experts[modality]) for each in (model, *models))
        take_over(own, members)
        return model

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

        For serving and for loops of one's own: tensors in, tensors out, no gradient. Each row is
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
            self.config.discount,
            confidence=self.config.confidence,
            threshold=thresholds_of(self.config, mask),
            disagreement_limit=self.config.disagreement_limit,
        )

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
        source: Mapping[str, Tensor] | Sequence[str | Path | Clip | Mapping[str, Any]] | Dataset,
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
    @overload
    def predict(
        self,
        source: Mapping[str, Any],
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
    def predict(
        self,
        source: str
        | Path
        | Clip
        | Mapping[str, Any]
        | Sequence[str | Path | Clip | Mapping[str, Any]]
        | Dataset,
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
            source: a media file, a folder, a `Clip`, a clip with what lies beside it, a list of these, a
                `Dataset` (its labels are not looked at), or tensors by modality: `audio` `(B, samples)`
                float32 at 16 kHz, `video` `(B, T, H, W, 3)` uint8, others `(B, …)`. A clip with what lies
                beside it is `{"path": "clip.mp4", "text": "I knew it"}`: by modality what the reader
                of `register_modality` is given, or a tensor. In a long clip it belongs to every window.
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
            A `Prediction` for one file or clip; `Predictions`, in order, for anything else. Among many,
            a file that cannot be used costs only itself: its `error` says what was wrong.

        Raises:
            MediaError: the one file cannot be used, a folder holds no media, or there is no such decoder.
            ModelError: tensors that do not fit the model, or a window or hop that is no length of time.
        """
        from ter_fast.predict.predict import predict

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
            `ter_fast.predict.live.Live`.
        """
        from ter_fast.predict.live import Live

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
        return preparer_of(
            self.config, faces, face_model, window=window, hop=hop, decode=decode, sampling=sampling
        )

    # -- training, calibration, evaluation -------------------------------------------------------

    def fit(self, train: Dataset, validation: Dataset | None = None, **settings: Any) -> Model:
        """Train on a dataset; see `ter_fast.train.fit` for the settings."""
        from ter_fast.train import fit

        return fit(self, train, validation, **settings)

    def fit_familiarity(self, *datasets: Dataset, **options: Any) -> Model:
        """Discount what is unlike the training data; see `ter_fast.train.fit_familiarity`."""
        from ter_fast.train import fit_familiarity

        return fit_familiarity(self, *datasets, **options)

    def fit_last_layer(
        self, train: Dataset, validation: Dataset | None = None, **options: Any
    ) -> Model:
        """Retrain the last layer, classes and corpora weighed; see `ter_fast.train.fit_last_layer`."""
        from ter_fast.train import fit_last_layer

        return fit_last_layer(self, train, validation, **options)

    def calibrate(self, *datasets: Dataset, **settings: Any) -> Model:
        """Set the trusted thresholds on validation data, by a criterion or with a promised risk.

        `calibrate(validation, risk=0.1, delta=0.05)` promises that at most a tenth of the trusted
        predictions is wrong; predictions then say so in `promise`. See `ter_fast.train.calibrate.calibrate`.
        """
        from ter_fast.train.calibrate import calibrate

        return calibrate(self, *datasets, **settings)

    def evaluate(self, *datasets: Dataset, **settings: Any) -> Evaluation:
        """Measure accuracy and trust on labelled data; see `ter_fast.evaluate.evaluate`."""
        from ter_fast.evaluate.evaluate import evaluate

        return evaluate(self, *datasets, **settings)

    def evaluate_corrupted(
        self, dataset: Dataset, corruptions: str | Sequence[str] = "suite", **settings: Any
    ) -> Robustness:
        """Measure accuracy, uncertainty and trust on clean and corrupted clips, by severity.

        `evaluate_corrupted(test, "babble,jpeg", seed=1).save("report/")` writes a page that says
        whether uncertainty rose with the damage. See `ter_fast.evaluate.robustness.evaluate_corrupted`.
        """
        from ter_fast.evaluate.robustness import evaluate_corrupted

        return evaluate_corrupted(self, dataset, corruptions, **settings)

    # -- on disk -----------------------------------------------------------------------------

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json`, `model.safetensors` and a card into a folder, each all of it or nothing.

        The card, `README.md`, says what is known of the model; `ter_fast.experts.saving.write_card` adds
        figures to it. One that someone else wrote is left alone.

        Raises:
            TerFastError: the folder cannot be written to.
        """
        pretrained.save(self, folder)

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
            folder: where this very model is saved, whose card and figures go along; None for a card
                without figures.
            private: whether a repository that is made is private; None for the owner's default.
            revision: branch, made where there is none; None for the main one.
            token: that may write; None for the one that `hf auth login` keeps.
            message: of the commit.

        Returns:
            The address of the commit.

        Raises:
            ModelError: the folder holds another model, or the hub did not take it.
        """
        return pretrained.push(
            self,
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
