"""From sources to predictions: windows through the experts as they come, then one answer per clip."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import torch

from ter_fast.errors import MediaError, ModelError
from ter_fast.experts.config import ModelConfig
from ter_fast.media.files import Closing
from ter_fast.media.memory import release
from ter_fast.media.progress import track
from ter_fast.media.text import as_text
from ter_fast.media.threads import leaving_cores, worker_count
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.aggregate import ClipRecord, aggregate
from ter_fast.predict.evidence import evidence_by_window
from ter_fast.predict.in_memory import in_memory
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.preprocessor import Preprocessor, preprocessor_of
from ter_fast.predict.settings import FileSettings, PredictSettings, check_threshold
from ter_fast.predict.source import Source, Window
from ter_fast.predict.sources import is_one, sources_of
from ter_fast.predict.streaming import stream_windows

if TYPE_CHECKING:
    from ter_fast.experts.network import Network

# A group of clips that are answered together grows by one each time that so many are done.
_CLIPS_PER_STEP = 8


class PredictionStream(Closing, Iterator[Prediction]):
    """Iterate over predictions in the order of their sources, each as it is known.

    Nothing of a prediction stays behind, so memory does not grow with the number of clips. Use it as a
    context manager, or call `close`, to stop early: decoding then ends.

    Attributes:
        names: Of the clips, in order, with those of folders; None where the source is an iterator, which
            is read as it goes.
    """

    def __init__(
        self, names: tuple[str, ...] | None, predictions: Generator[Prediction, None, None]
    ) -> None:
        self.names = names
        self._predictions = predictions

    @on_cpu_by_default
    def __next__(self) -> Prediction:
        """Wait for the next prediction."""
        return next(self._predictions)

    def close(self) -> None:
        """Stop reading; no prediction follows."""
        self._predictions.close()


@on_cpu_by_default
def predict(
    model: Network,
    source: Any,
    **settings: Unpack[PredictSettings],
) -> Prediction | Predictions:
    """Predict whatever `Model.predict` takes; see there for the arguments and errors."""
    progress = settings.pop("progress", False)
    source = in_memory(source)
    stream = _stream(model, source, settings, prompt=False)
    with stream:
        count = None if stream.names is None else len(stream.names)
        results = list(track(stream, "predicting", count, progress, stream.names))
    one = is_one(source)
    if one or isinstance(source, str):
        in_folder = isinstance(source, str) and os.path.isdir(source)
        # A folder without media stands for itself; a bad file in a folder is one row among others.
        alone = not in_folder or [result.path for result in results] == [str(Path(source))]
        if alone and results[0].error:
            raise MediaError(results[0].error)
        if not in_folder:
            return results[0]
    return Predictions(results)


@on_cpu_by_default
def predict_iter(
    model: Network,
    source: Any,
    *,
    skip: Collection[str] = (),
    **settings: Unpack[PredictSettings],
) -> PredictionStream:
    """Predict as `Model.predict_iter` does; see there for the arguments and errors."""
    settings.pop("progress", None)
    return _stream(model, source, settings, skip, prompt=True)


def _stream(
    model: Network,
    source: Any,
    settings: PredictSettings,
    skip: Collection[str] = (),
    *,
    prompt: bool,
) -> PredictionStream:
    """Check the settings, list the sources and begin; see `_predict_sources` for `prompt`."""
    batch_size, workers = (
        settings.pop("batch_size", 16),
        worker_count(settings.pop("workers", None)),
    )
    threshold = settings.pop("threshold", None)
    check_threshold(threshold)
    if batch_size < 1:
        raise ModelError(f"batch_size is {batch_size}; expected a number of windows from 1 on")
    # What is left of them says how files are read.
    preprocessor = preprocessor_of(model.config, **cast(FileSettings, settings))
    sources = sources_of(source, preprocessor)
    if skip:
        # A table holds names as text.
        left = (
            each for each in sources if each.name not in skip and as_text(each.name) not in skip
        )
        sources = left if isinstance(sources, Iterator) else list(left)
    names = tuple(each.name for each in sources) if isinstance(sources, Sequence) else None
    return PredictionStream(
        names,
        _predict_sources(model, sources, preprocessor, batch_size, workers, threshold, prompt),
    )


def _predict_sources(
    model: Network,
    sources: Sequence[Source] | Iterator[Source],
    preprocessor: Preprocessor,
    batch_size: int,
    workers: int,
    threshold: float | None = None,
    prompt: bool = False,
) -> Generator[Prediction, None, None]:
    """Yield the prediction of each source, in order; at most a batch of windows waits in memory.

    With `prompt`, the first clips are answered one by one, and later ones in groups that grow to a batch: who
    has few clips waits for none, and who has many loses no time. Groups go by the number of clips and not by
    the clock, so that the same run makes the same bits.
    """
    cut = "" if threshold is not None else _cut_of(model.config, preprocessor)
    records: deque[ClipRecord] = deque()
    waiting: list[tuple[ClipRecord, int, Window]] = []
    busy = min(workers, len(sources)) if isinstance(sources, Sequence) else workers
    sources, name_of = _with_names(sources)
    answered = 0

    def flush() -> list[Prediction]:
        _run(model, waiting, preprocessor, batch_size)
        waiting.clear()
        release()
        done = []
        while records and (records[0].complete or records[0].error):
            done.append(records.popleft())
        return [
            _failed_without_answer(each) for each in aggregate(model.config, done, cut, threshold)
        ]

    training = model.training
    model.eval()
    try:
        with (
            leaving_cores(busy),
            closing(stream_windows(sources, preprocessor, workers)) as stream,
        ):
            for index, item in stream:
                if not records or records[-1].ended:
                    records.append(ClipRecord(name_of(index)))
                record = records[-1]
                if isinstance(item, Window):
                    waiting.append((record, record.add(item), item))
                else:
                    record.ended, record.error = True, "" if item is None else str(item)
                full = len(waiting) >= batch_size or len(records) > 4 * batch_size
                group = 1 + answered // _CLIPS_PER_STEP if prompt and record.ended else batch_size
                if full or len(waiting) >= group or (prompt and not waiting):
                    done = flush()
                    answered += len(done)
                    yield from done
            yield from flush()
    finally:
        model.train(training)


def _with_names(
    sources: Sequence[Source] | Iterator[Source],
) -> tuple[Sequence[Source] | Iterator[Source], Callable[[int], str]]:
    """Return the sources, and what gives a source's name by its number; an iterator's names go once told."""
    if isinstance(sources, Sequence):
        listed = sources
        return listed, lambda index: listed[index].name
    names: dict[int, str] = {}

    def noting(given: Iterator[Source]) -> Iterator[Source]:
        for index, source in enumerate(given):
            names[index] = source.name
            yield source

    return noting(sources), names.pop


def _failed_without_answer(prediction: Prediction) -> Prediction:
    """Make a clip that got no label a failed one, which says why."""
    if prediction.error or prediction.label:
        return prediction
    what, *why = prediction.reasons
    because = f" ({'; '.join(why)})" if why else ""
    error = (
        f"{prediction.path}: {what}{because}; the model reads {' and '.join(prediction.opinions)}"
    )
    nothing = float("nan")
    return replace(
        prediction, error=error, confidence=nothing, conflict=nothing, disagreement=nothing
    )


@torch.no_grad()
def _run(
    model: Network,
    waiting: Sequence[tuple[ClipRecord, int, Window]],
    preprocessor: Preprocessor,
    batch_size: int,
) -> None:
    """Run the experts over windows, a batch at a time, and note what they say."""
    for begin in range(0, len(waiting), batch_size):
        part = waiting[begin : begin + batch_size]
        evidence = evidence_by_window(model, [each[2] for each in part], preprocessor.empty)
        for (record, place, _), values in zip(part, evidence, strict=True):
            record.fill(place, *values)


def _cut_of(config: ModelConfig, preprocessor: Preprocessor) -> str:
    """Say how clips are cut, where not as those that the thresholds were set on; else ""."""
    own, seconds, hop = config.window_seconds, preprocessor.config.window_seconds, preprocessor.hop
    if not config.thresholds or (seconds == own and hop in (None, own)):
        return ""
    apart = f" every {hop:g} s" if hop not in (None, seconds) else ""
    return f"cut in windows of {seconds:g} s{apart}; the threshold was set on windows of {own:g} s"
