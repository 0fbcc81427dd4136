"""From sources to predictions: windows through the experts as they come, then one answer per clip."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import torch
from torch import Tensor

from ter_fast.data.modalities import MEDIA
from ter_fast.errors import MediaError, ModelError
from ter_fast.experts.config import ModelConfig
from ter_fast.media.clip import Clip
from ter_fast.media.decode import cut
from ter_fast.media.memory import release
from ter_fast.media.progress import track
from ter_fast.media.resampling import SAMPLE_RATE
from ter_fast.media.threads import leaving_cores, worker_count
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.predict.aggregate import ClipRecord, aggregate
from ter_fast.predict.evidence import evidence_by_window
from ter_fast.predict.in_memory import in_memory
from ter_fast.predict.prediction import Prediction, Predictions
from ter_fast.predict.preprocessor import Preprocessor, preprocessor_of
from ter_fast.predict.settings import FileSettings, PredictSettings
from ter_fast.predict.source import Source, Window
from ter_fast.predict.sources import dataset_sources, sources_of
from ter_fast.predict.streaming import stream_windows

if TYPE_CHECKING:
    from ter_fast.experts.network import Network


@on_cpu_by_default
def predict(
    model: Network,
    source: Any,
    **settings: Unpack[PredictSettings],
) -> Prediction | Predictions:
    """Predict whatever `Model.predict` takes; see there for the arguments and errors."""
    from ter_fast.data import Dataset

    batch_size, workers = settings.pop("batch_size", 16), settings.pop("workers", None)
    progress = settings.pop("progress", False)
    # What is left of them says how files are read.
    preprocessor = preprocessor_of(model.config, **cast(FileSettings, settings))
    source = in_memory(source)
    one = isinstance(source, Clip) or (isinstance(source, Mapping) and not _is_tensors(source))
    if isinstance(source, Dataset):
        sources = dataset_sources(source, preprocessor)
    elif isinstance(source, Mapping) and not one:
        sources = _tensor_sources(source, model.config, preprocessor)
    elif isinstance(source, (str, Path, Clip, Mapping)):
        sources = _sources_of_one(source, preprocessor, "clip")
    else:
        sources = [
            found
            for index, each in enumerate(source)
            for found in _sources_of_one(each, preprocessor, f"clip {index}")
        ]
    stream: Any = _predict_sources(model, sources, preprocessor, batch_size, workers)
    with closing(stream):
        shown = track(stream, "predicting", len(sources), progress)
        with leaving_cores(min(worker_count(workers), len(sources))):
            results: list[Prediction] = list(shown)
    if one or isinstance(source, (str, Path)):
        in_folder = isinstance(source, (str, Path)) and os.path.isdir(source)
        # A folder without media stands for itself; a bad file in a folder is one row among others.
        alone = not in_folder or [result.path for result in results] == [str(Path(str(source)))]
        if alone and results[0].error:
            raise MediaError(results[0].error)
        if not in_folder:
            return results[0]
    return Predictions(results)


def _is_tensors(source: Mapping[str, Any]) -> bool:
    return "path" not in source and all(isinstance(value, Tensor) for value in source.values())


def _sources_of_one(source: Any, preprocessor: Preprocessor, name: str) -> list[Source]:
    try:
        source = in_memory(source)
    except MediaError as error:
        # As with files, one bad array among many costs only itself.
        return [Source(name, partial(_fail, error))]
    if isinstance(source, Clip):
        return [Source(source.path or name, partial(_windows, source, preprocessor))]
    if isinstance(source, Mapping):
        return [_source_with_extras(source, preprocessor, name)]
    return sources_of([source], preprocessor)


def _fail(error: MediaError) -> Iterator[Clip]:
    raise error


def _source_with_extras(values: Mapping[str, Any], preprocessor: Preprocessor, name: str) -> Source:
    """Make a source of a clip and what lies beside it: {"path": a file or a Clip, modality: a value}."""
    extras = {key: value for key, value in values.items() if key != "path"}
    path = values.get("path")
    modalities = [modality for modality in preprocessor.config.modalities if modality not in MEDIA]
    if unknown := [key for key in extras if key not in modalities]:
        raise ModelError(
            f"beside a clip's path the model reads {', '.join(modalities) or 'nothing'}; given "
            f"{', '.join(unknown)} (a batch is a mapping of tensors or arrays alone)"
        )
    if path is None or not preprocessor.reads_media:
        label = name if path is None else str(getattr(path, "path", path) or name)
        nothing = Clip(None, None, None, None, 0.0, 0.0)
        return Source(label, lambda: iter([nothing]), extras=extras)
    if not isinstance(path, (str, Path, Clip)) or (
        not isinstance(path, Clip) and Path(path).is_dir()
    ):
        raise ModelError(f"the path beside {', '.join(extras)} is {path!r}; give one file or Clip")
    return replace(_sources_of_one(path, preprocessor, name)[0], extras=extras)


def _windows(clip: Clip, preprocessor: Preprocessor) -> Iterator[Clip]:
    config = preprocessor.config
    return cut(
        clip, config.window_seconds, config.video.frames if config.video else 1, preprocessor.hop
    )


def _tensor_sources(
    tensors: Mapping[str, Tensor], config: ModelConfig, preprocessor: Preprocessor
) -> list[Source]:
    """Make a source of each row of a mapping of tensors."""
    if unknown := [name for name in tensors if name not in config.modalities]:
        raise ModelError(
            f"the model has no modality {', '.join(unknown)}; it has {', '.join(config.modalities)}"
        )
    sizes = {name: len(value) for name, value in tensors.items()}
    if len(set(sizes.values())) != 1:
        raise ModelError(
            f"tensors by modality need the same number of rows; given {sizes or 'no tensors'}"
        )
    forms = {"audio": ("(B, samples) floating point", 2), "video": ("(B, T, H, W, 3) uint8", 5)}
    for name, value in tensors.items():
        form, dimensions = forms.get(name, ("(B, …)", value.ndim))
        if value.ndim != dimensions or (name == "audio" and not value.is_floating_point()):
            raise ModelError(f"{name} is {value.dtype} {tuple(value.shape)}; expected {form}")
    others = {name: value for name, value in tensors.items() if name not in forms}
    preprocessor.empty |= {
        name: value.new_zeros(0, *value.shape[2:]) for name, value in others.items()
    }

    def windows(row: int) -> Iterator[Clip]:
        frames = times = sound = None
        end = 0.0
        if "video" in tensors:
            pictures = Clip.from_arrays(tensors["video"][row].cpu())
            frames, times, end = pictures.frames, pictures.times, pictures.end
        if "audio" in tensors:
            # Not through `from_arrays`, which refuses NaN: here NaN costs this modality, not the row.
            sound = tensors["audio"][row].float().cpu()
            end = max(end, len(sound) / SAMPLE_RATE)
        return _windows(Clip(None, frames, times, sound, 0.0, end), preprocessor)

    return [
        Source(
            f"row {row}",
            partial(windows, row),
            tensors={name: value[row].cpu() for name, value in others.items()},
        )
        for row in range(next(iter(sizes.values())))
    ]


def _predict_sources(
    model: Network,
    sources: Sequence[Source],
    preprocessor: Preprocessor,
    batch_size: int,
    workers: int | None,
) -> Generator[Prediction, None, None]:
    """Yield the prediction of each source, in order; at most a batch of windows waits in memory."""
    cut = _cut_of(model.config, preprocessor)
    records: deque[ClipRecord] = deque()
    waiting: list[tuple[ClipRecord, int, Window]] = []

    def flush() -> list[Prediction]:
        _run(model, waiting, preprocessor, batch_size)
        waiting.clear()
        release()
        done = []
        while records and (records[0].complete or records[0].error):
            done.append(records.popleft())
        return aggregate(model.config, done, cut)

    training = model.training
    model.eval()
    try:
        with closing(stream_windows(sources, preprocessor, workers)) as stream:
            for index, item in stream:
                if not records or records[-1].ended:
                    records.append(ClipRecord(sources[index].name))
                record = records[-1]
                if isinstance(item, Window):
                    waiting.append((record, record.add(item), item))
                else:
                    record.ended, record.error = True, "" if item is None else str(item)
                if len(waiting) >= batch_size or len(records) > 4 * batch_size:
                    yield from flush()
            yield from flush()
    finally:
        model.train(training)


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
