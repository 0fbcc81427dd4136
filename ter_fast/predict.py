"""From sources to predictions: batches of windows through the experts, then one answer per clip."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ter_fast.clip import SAMPLE_RATE, Clip
from ter_fast.config import ModelConfig
from ter_fast.decode import cut
from ter_fast.errors import MediaError, ModelError, TerFastError
from ter_fast.inference import Preparer, Source, Window, clip_evidence, prepared, sources_of
from ter_fast.opinion import Opinion
from ter_fast.prediction import Prediction, Predictions

if TYPE_CHECKING:
    from ter_fast.model import Model

OneSource = str | Path | Clip
ManySources = Mapping[str, Tensor] | Sequence[OneSource]


def predict(
    model: Model,
    source: OneSource | ManySources,
    preparer: Preparer,
    batch_size: int = 16,
    workers: int | None = None,
    progress: bool = False,
) -> Prediction | Predictions:
    """Predict whatever `Model.predict` takes; see there for the arguments and errors."""
    if isinstance(source, Mapping):
        sources = _tensor_sources(source, model.config, preparer)
    elif isinstance(source, (str, Path, Clip)):
        sources = _sources_of_one(source, preparer, "clip")
    else:
        sources = [
            found
            for index, each in enumerate(source)
            for found in _sources_of_one(each, preparer, f"clip {index}")
        ]
    stream = prepared(sources, preparer, workers)
    if progress:
        from rich.console import Console
        from rich.progress import track

        # Standard output is for results, and a bar that redraws itself is noise in a file.
        console = Console(stderr=True)
        stream = track(  # type: ignore[assignment]
            stream, "predicting", total=len(sources), transient=True,
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
    training = model.training
    model.eval()
    results: list[Prediction] = []
    try:
        while chunk := list(islice(stream, batch_size)):
            results += _predict_chunk(model, chunk, sources, preparer, batch_size)
    finally:
        model.train(training)
    if isinstance(source, (str, Path, Clip)):
        # A folder without media stands for itself; a bad file in a folder is one row among others.
        alone = isinstance(source, Clip) or [each.path for each in results] == [str(source)]
        if alone and results[0].error:
            raise MediaError(results[0].error)
        if isinstance(source, Clip) or not Path(source).is_dir():
            return results[0]
    return Predictions(results)


def _sources_of_one(source: OneSource, preparer: Preparer, name: str) -> list[Source]:
    if isinstance(source, Clip):
        return [Source(source.path or name, partial(_windows, source, preparer.config))]
    return sources_of([source], preparer)


def _windows(clip: Clip, config: ModelConfig) -> Iterator[Clip]:
    return cut(clip, config.window_seconds, config.video.frames if config.video else 1)


def _tensor_sources(
    tensors: Mapping[str, Tensor], config: ModelConfig, preparer: Preparer
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
    preparer.empty |= {name: value.new_zeros(0, *value.shape[2:]) for name, value in others.items()}

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
        return _windows(Clip(None, frames, times, sound, 0.0, end), config)

    return [
        Source(
            f"row {row}",
            partial(windows, row),
            tensors={name: value[row].cpu() for name, value in others.items()},
        )
        for row in range(next(iter(sizes.values())))
    ]


def _predict_chunk(
    model: Model,
    chunk: Sequence[tuple[int, list[Window] | TerFastError]],
    sources: Sequence[Source],
    preparer: Preparer,
    batch_size: int,
) -> list[Prediction]:
    clips = [windows for _, windows in chunk if not isinstance(windows, TerFastError)]
    found = clip_evidence(model, clips, preparer.empty, batch_size)
    values, mask = found.values.cpu(), found.mask.cpu()
    fused, each = model.opinions(values, mask)
    rows = iter(range(len(clips)))
    results = []
    for index, windows in chunk:
        name = sources[index].name
        if isinstance(windows, TerFastError):
            blank = dict.fromkeys(model.config.modalities)
            results.append(
                Prediction(name, error=str(windows), labels=model.config.labels, opinions=blank)
            )
            continue
        row = next(rows)
        present = [name for name, there in zip(each, mask[:, row].tolist(), strict=True) if there]
        opinions = {
            name: _row(opinion, row) if name in present else None for name, opinion in each.items()
        }
        results.append(_conclude(model.config, name, windows, _row(fused, row), opinions))
    return results


def _conclude(
    config: ModelConfig,
    name: str,
    windows: Sequence[Window],
    fused: Opinion,
    opinions: Mapping[str, Opinion | None],
) -> Prediction:
    """Turn one clip's opinions into its prediction: the label, and whether to trust it."""
    present = [modality for modality, opinion in opinions.items() if opinion is not None]
    notes = tuple(_notes(windows, list(opinions)))
    notes += tuple(dict.fromkeys(window.remark for window in windows if window.remark))
    confidence, disagreement = float(fused.confidence), _number(fused.disagreement)
    base = Prediction(
        name,
        windows[0].start,
        windows[-1].end,
        confidence=confidence,
        uncertainty=float(fused.uncertainty),
        conflict=_number(fused.conflict),
        disagreement=disagreement,
        opinion=fused,
        opinions=opinions,
        labels=config.labels,
    )
    if not present:
        return replace(base, reasons=("no modality could be used", *notes))
    if math.isnan(confidence):
        return replace(base, reasons=("the evidence is not a number", *notes))
    record = config.thresholds.get("+".join(present))
    reasons = []
    trusted = None
    if record is None:
        reasons.append(f"not calibrated for {'+'.join(present)}: run calibrate")
    else:
        trusted = bool(fused.trusted(record.threshold, config.disagreement_limit))
        if confidence < record.threshold:
            reasons.append(
                f"confidence {confidence:.3f} is below the threshold {record.threshold:.3f}"
            )
        if config.disagreement_limit is not None and disagreement > config.disagreement_limit:
            reasons.append(
                f"disagreement {disagreement:.3f} is above the limit {config.disagreement_limit:.3f}"
            )
    return replace(
        base,
        label=config.labels[int(fused.prediction)],
        probabilities=dict(zip(config.labels, fused.probability.tolist(), strict=True)),
        trusted=trusted,
        threshold=None if record is None else record.threshold,
        reasons=(*reasons, *notes),
        promise=record.promise if record is not None and trusted else "",
    )


def _notes(windows: Sequence[Window], modalities: Sequence[str]) -> Iterator[str]:
    """Say of each modality why it is missing, and in how many windows where it is not in all."""
    for modality in modalities:
        missing = [window for window in windows if modality in window.notes]
        if not missing:
            continue
        note = f"{modality}: {missing[0].notes[modality]}"
        if len(missing) == len(windows):
            yield note
        else:
            first, last = missing[0].start, missing[-1].end
            yield f"{note}, in {len(missing)} of {len(windows)} windows ({first:.0f} to {last:.0f} s)"


def _number(value: Tensor | None) -> float:
    return math.nan if value is None else float(value)


def _row(opinion: Opinion, row: int) -> Opinion:
    def pick(value: Tensor | None) -> Tensor | None:
        return None if value is None else value[row]

    return replace(
        opinion,
        evidence=opinion.evidence[row],
        conflict=pick(opinion.conflict),
        disagreement=pick(opinion.disagreement),
        vacuity=pick(opinion.vacuity),
    )
