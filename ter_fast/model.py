"""`Model`: from media to trusted-or-not predictions, and how a model is trained, calibrated and measured."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, overload

import numpy.typing as npt
from torch import Tensor

from ter_fast.experts.network import Network
from ter_fast.media.clip import Clip
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.preprocessor import Preprocessor, preprocessor_of
from ter_fast.predict.settings import (
    FileSettings,
    PredictSettings,
    WindowSettings,
    check_keywords,
)

if TYPE_CHECKING:
    from PIL.Image import Image

    from ter_fast.data import Dataset
    from ter_fast.evaluate.evaluation import Evaluation
    from ter_fast.evaluate.robustness import Robustness
    from ter_fast.predict.live import Live
    from ter_fast.predict.predict import PredictionStream

    Pictures = npt.NDArray[Any] | Tensor | Image
    Sound = tuple[npt.NDArray[Any] | Tensor, float] | tuple[float, npt.NDArray[Any] | Tensor]


class Model(Network):
    """Estimate emotions from sound and pictures, and say when not to trust the estimate.

    Args:
        config: Classes, experts, fusion rule and thresholds.

    Example:
        >>> import torch
        >>> model = Model.build(["calm", "tense"], modalities=("audio",))
        >>> prediction = model.predict({"audio": torch.randn(1, 16000) * 0.1})[0]
        >>> prediction.trusted, prediction.reasons
        (None, ('not calibrated for audio: run calibrate',))
    """

    # -- from media to predictions ------------------------------------------------------------

    # A string is itself a sequence of strings, which the first overload takes precedence over.
    @overload
    def predict(  # type: ignore[overload-overlap]
        self,
        source: str | bytes | Path | Clip | Pictures | Sound,
        **settings: Unpack[PredictSettings],
    ) -> Prediction: ...
    @overload
    def predict(
        self,
        source: Mapping[str, Tensor | npt.NDArray[Any]]
        | Sequence[str | bytes | Path | Clip | Pictures | Sound | Mapping[str, Any]]
        | Dataset,
        **settings: Unpack[PredictSettings],
    ) -> Predictions: ...
    @overload
    def predict(
        self,
        source: Mapping[str, Any],
        **settings: Unpack[PredictSettings],
    ) -> Prediction: ...
    def predict(
        self,
        source: str
        | bytes
        | Path
        | Clip
        | Pictures
        | Sound
        | Mapping[str, Any]
        | Sequence[str | bytes | Path | Clip | Pictures | Sound | Mapping[str, Any]]
        | Dataset,
        **settings: Unpack[PredictSettings],
    ) -> Prediction | Predictions:
        """Predict one clip or many.

        Args:
            source: A media file, a folder, the address of a file (`https://…`), a `Clip`, a picture or pictures,
                sound with its rate, a clip with what lies beside it, a list of these, a `Dataset` (its labels
                are not looked at), or tensors by modality: `audio` `(B, samples)` float32 at 16 kHz, `video`
                `(B, T, H, W, 3)` uint8, others `(B, …)`. A picture is one of Pillow's or an RGB array
                `(H, W, 3)`, pictures `(T, H, W, 3)`; sound is `(array, sample_rate)` in either order (see
                `Clip.from_arrays`). A clip with what lies beside it is
                `{"path": "clip.mp4", "text": "I knew it"}`: by modality what the reader of
                `register_modality` is given, or a tensor. In a long clip it belongs to every window.
            **settings: How the clips are cut, read and run; see `ter_fast.predict.settings.PredictSettings`.

        Returns:
            A `Prediction` for one file or clip; `Predictions`, in order, for anything else. Among many,
            a file that cannot be used, or in which nothing can be used (silence, no face), costs only
            itself: its `error` says what was wrong.

        Raises:
            MediaError: The one file cannot be used, a folder holds no media, or there is no such decoder.
            ModelError: Tensors that do not fit the model, a window or hop that is no length of time, or a
                threshold outside [0, 1].
            TypeError: A keyword that is no setting.

        Example:
            >>> import torch
            >>> model = Model.build(["calm", "tense"], modalities=("audio",))
            >>> long = model.predict({"audio": torch.randn(1, 80_000) * 0.1}, window=2.0, hop=1.0)[0]
            >>> [(each.start, each.end) for each in long.windows]
            [(0.0, 2.0), (1.0, 3.0), (2.0, 4.0), (3.0, 5.0)]
        """
        from ter_fast.predict.predict import predict

        check_keywords("predict", settings, PredictSettings)
        return predict(self, source, **settings)

    def predict_iter(
        self,
        source: str
        | Path
        | Clip
        | Mapping[str, Any]
        | Iterable[str | Path | Clip | Mapping[str, Any]]
        | Dataset,
        *,
        skip: Collection[str] = (),
        **settings: Unpack[PredictSettings],
    ) -> PredictionStream:
        """Predict many clips one by one, each answer as it is known, in memory that does not grow.

        The first clips are answered one at a time; in a long run, small groups of at most `batch_size`
        windows are answered together, which is faster.

        Args:
            source: As for `predict`; also an iterator of files and clips, which is read as it goes.
            skip: Names (`Prediction.path`) of clips to leave out, such as those that were done before.
            **settings: As for `predict`; a progress bar is up to the caller, who knows the `names`.

        Returns:
            An iterator of predictions in the order of the source; see
            `ter_fast.predict.predict.PredictionStream`. One that cannot be used has an `error`; none
            raises.

        Raises:
            MediaError: There is no such decoder.
            ModelError: As for `predict`.
            TypeError: A keyword that is no setting.

        Example:
            >>> model = Model.build(["calm", "tense"], modalities=("audio",))
            >>> with model.predict_iter(["gone.wav", "lost.wav"], skip=["gone.wav"]) as stream:
            ...     [(each.path, each.error) for each in stream]
            [('lost.wav', 'lost.wav does not exist; check the path.')]
        """
        from ter_fast.predict.predict import predict_iter

        check_keywords("predict_iter", settings, Model.predict_iter, PredictSettings)
        return predict_iter(self, source, skip=skip, **settings)

    def live(
        self,
        source: str,
        *,
        max_delay: float = 1.0,
        threshold: float | None = None,
        **settings: Unpack[WindowSettings],
    ) -> Live:
        """Predict a camera, a microphone, a pipe or a stream, window by window, as it happens.

        Args:
            source: `/dev/video0`, `alsa:default`, `rtsp://…`, `-` for standard input, or a file.
            max_delay: Seconds that decoding may lag before it takes key frames alone.
            threshold: In [0, 1], takes the place of the calibrated thresholds; None for these.
            **settings: How the stream is cut; see `ter_fast.predict.settings.WindowSettings`.

        Returns:
            An iterator of predictions, which drops what it has no time for and counts it; see
            `ter_fast.predict.live.Live`.

        Raises:
            ModelError: Faces, a window, a hop or a threshold that cannot be.
            TypeError: A keyword that is no setting.
        """
        from ter_fast.predict.live import Live

        check_keywords("live", settings, Model.live, WindowSettings)
        return Live(
            self,
            source,
            preprocessor_of(self.config, **settings),
            max_delay=max_delay,
            threshold=threshold,
        )

    def preprocessor(self, **settings: Unpack[FileSettings]) -> Preprocessor:
        """Return what turns clips into this model's inputs.

        Args:
            **settings: How clips are cut and read; see `ter_fast.predict.settings.FileSettings`.

        Raises:
            ModelError: Faces, a window or a hop that cannot be.
            MediaError: There is no such decoder or sampling, or it is not installed.
            TypeError: A keyword that is no setting.
        """
        check_keywords("preprocessor", settings, FileSettings)
        return preprocessor_of(self.config, **settings)

    # -- training, calibration, evaluation -------------------------------------------------------

    def fit(self, train: Dataset, validation: Dataset | None = None, **settings: Any) -> Self:
        """Train on a dataset; see `ter_fast.train.fit` for the settings."""
        from ter_fast.train import Settings, fit

        check_keywords("fit", settings, fit, Settings)
        fit(self, train, validation, **settings)
        return self

    def fit_ood(self, train: Dataset, validation: Dataset | None = None, **options: Any) -> Self:
        """Discount out-of-distribution input; see `ter_fast.train.fit_ood`."""
        from ter_fast.train import fit_ood

        check_keywords("fit_ood", options, fit_ood)
        fit_ood(self, train, validation, **options)
        return self

    def fit_last_layer(
        self, train: Dataset, validation: Dataset | None = None, **options: Any
    ) -> Self:
        """Retrain the last layer, classes and corpora weighed; see `ter_fast.train.fit_last_layer`."""
        from ter_fast.train import fit_last_layer

        check_keywords("fit_last_layer", options, fit_last_layer)
        fit_last_layer(self, train, validation, **options)
        return self

    def calibrate(self, *datasets: Dataset, **settings: Any) -> Self:
        """Set the trusted thresholds on validation data, by a criterion or with a guaranteed risk.

        `calibrate(validation, risk=0.1, delta=0.05)` guarantees that at most a tenth of the trusted
        predictions is wrong; predictions then say so in `guarantee`. `calibrate(validation, conformal=0.1)` adds
        sets of labels that hold the true one in 90 % of clips. See `ter_fast.train.calibrate.calibrate`.
        """
        from ter_fast.predict.prepare import prepare
        from ter_fast.train.calibrate import calibrate

        check_keywords("calibrate", settings, calibrate, prepare)
        calibrate(self, *datasets, **settings)
        return self

    def evaluate(self, *datasets: Dataset, **settings: Any) -> Evaluation:
        """Measure accuracy and trust on labelled data; see `ter_fast.evaluate.evaluate`."""
        from ter_fast.evaluate import evaluate
        from ter_fast.predict.prepare import prepare

        check_keywords("evaluate", settings, evaluate, prepare)
        return evaluate(self, *datasets, **settings)

    def evaluate_corrupted(
        self, dataset: Dataset, corruptions: str | Sequence[str] = "suite", **settings: Any
    ) -> Robustness:
        """Measure accuracy, uncertainty and trust on clean and corrupted clips, by severity.

        `evaluate_corrupted(test, "babble,jpeg", seed=1).save("report/")` writes a page that says
        whether uncertainty rose with the damage. See `ter_fast.evaluate.robustness.evaluate_corrupted`.
        """
        from ter_fast.evaluate.robustness import evaluate_corrupted

        check_keywords("evaluate_corrupted", settings, evaluate_corrupted)
        return evaluate_corrupted(self, dataset, corruptions, **settings)
