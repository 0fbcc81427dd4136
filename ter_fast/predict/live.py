"""Predictions of a camera, a microphone, a pipe or a stream, with bounded delay."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from ter_fast.errors import MediaError, TerFastError
from ter_fast.media.clip import Clip
from ter_fast.media.decode.live import LiveStats, live_windows
from ter_fast.media.decode.live_buffer import WindowGrid
from ter_fast.media.files import Closing
from ter_fast.media.memory import release
from ter_fast.media.threads import use_one_core
from ter_fast.predict.aggregate import ClipRecord, aggregate, window_predictions
from ter_fast.predict.evidence import evidence_by_window
from ter_fast.predict.prediction import Prediction
from ter_fast.predict.preprocessor import Preprocessor
from ter_fast.predict.settings import check_threshold
from ter_fast.predict.source import Source

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


class Live(Closing, Iterator[Prediction]):
    """Iterate over the predictions of a stream's windows, as they end.

    A thread reads and decodes at the stream's own pace. Of the windows that have ended, only the
    latest waits: while the model is busy, older ones give way to it and are counted in `dropped`. So a
    prediction is never later than its window's end by more than `max_delay` of decoding, and the time
    that the model takes for two windows.

    Use it as a context manager, or call `close`, to stop early.

    Args:
        model: The model; it evaluates while it predicts a window, and is left as it was.
        source: `/dev/video0`, `alsa:default` or another device of FFmpeg, a URL (`rtsp://…`), `-` for
            standard input, a named pipe, or a file, which is read at its own pace.
        preprocessor: Of the model; its window and hop are those of the stream.
        max_delay: Seconds that decoding may lag before it takes key frames alone.
        threshold: In [0, 1], takes the place of the calibrated thresholds; None for these.

    Attributes:
        stats: Seconds read, pictures skipped, packets damaged.
        dropped: Windows that were over before the model was free.

    Raises:
        MediaError: (while iterating) the source cannot be opened, or broke off.

    Example:
        >>> from ter_fast import Model
        >>> model = Model.build(["calm", "angry"], modalities=("audio",))
        >>> next(Live(model, "gone.wav", model.preprocessor()))
        Traceback (most recent call last):
        ter_fast.errors.MediaError: gone.wav cannot be opened ...
    """

    def __init__(
        self,
        model: Network,
        source: str,
        preprocessor: Preprocessor,
        *,
        max_delay: float = 1.0,
        threshold: float | None = None,
    ) -> None:
        check_threshold(threshold)
        config = preprocessor.config
        video = config.video if "video" in config.modalities else None
        self._model, self._preprocessor, self._threshold = model, preprocessor, threshold
        self._source = Source(source, lambda: iter(()))
        grid = WindowGrid(
            config.window_seconds,
            preprocessor.hop or config.window_seconds,
            video.frames if video else 1,
            "audio" in config.modalities,
            video is not None,
        )
        if not (grid.audio or grid.video):
            names = " and ".join(config.modalities)
            raise MediaError(f"{source}: the model reads {names}, which no stream holds")
        self.stats = LiveStats()
        self.dropped = 0
        self._latest: Clip | None = None
        self._error: TerFastError | None = None
        self._stop = self._ended = False
        self._changed = threading.Condition()
        # A device that answers nothing may not keep the program from ending.
        self._thread = threading.Thread(
            target=self._read, args=(grid, max_delay), name="ter_fast-live", daemon=True
        )
        self._thread.start()

    def __next__(self) -> Prediction:
        """Wait for the next window, and predict it."""
        with self._changed:
            # A wait without end could not be interrupted on every platform.
            while self._latest is None and not (self._ended or self._stop):
                self._changed.wait(0.5)
            clip, self._latest = self._latest, None
        if self._stop:
            raise StopIteration
        if clip is not None:
            return self._predict(clip)
        self.close()
        error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """Stop reading and let the source go; no prediction follows."""
        self._stop = True
        self._thread.join(timeout=2.0)

    def _read(self, grid: WindowGrid, max_delay: float) -> None:
        windows = live_windows(
            self._source.name, grid, self.stats, lambda: self._stop, max_delay=max_delay
        )
        error: TerFastError | None = None
        use_one_core()
        try:
            for clip in windows:
                with self._changed:
                    self.dropped += self._latest is not None
                    self._latest = clip
                    self._changed.notify()
        except TerFastError as failure:
            error = failure
        except Exception as failure:  # the reader of the predictions must learn of it
            error = MediaError(f"{self._source.name} could not be read ({failure})")
        with self._changed:
            self._error, self._ended = error, True
            self._changed.notify()

    def _predict(self, clip: Clip) -> Prediction:
        window = self._preprocessor(self._source, clip)
        record = ClipRecord(self._source.name, ended=True)
        training = self._model.training
        self._model.eval()
        try:
            (evidence,) = evidence_by_window(self._model, [window], self._preprocessor.empty)
        finally:
            self._model.train(training)
        release()
        record.fill(record.add(window), *evidence)
        config = self._model.config
        if config.window_thresholds:
            return window_predictions(config, record, self._threshold)[0]
        prediction = aggregate(config, [record], threshold=self._threshold)[0]
        if prediction.label_set is not None:
            return replace(prediction, reasons=(*prediction.reasons, _SETS_OF_CLIPS))
        if prediction.threshold is None or self._threshold is not None:
            return prediction
        return replace(prediction, reasons=(*prediction.reasons, _OF_CLIPS))


_SETS_OF_CLIPS = (
    "threshold and label set are of whole clips: each window of the stream is taken for one"
)
_OF_CLIPS = "the threshold is of whole clips: each window of the stream is taken for one"
