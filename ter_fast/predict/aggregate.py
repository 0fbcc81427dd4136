"""Aggregate the evidence of a clip's windows to predictions of the clip and of each window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor

from ter_fast.experts.config import ModelConfig
from ter_fast.experts.opinions import opinions_of
from ter_fast.opinions.opinion import Opinion
from ter_fast.predict.evidence import window_mean
from ter_fast.predict.prediction import Prediction
from ter_fast.predict.reasons import notes_of, objections
from ter_fast.predict.source import Window
from ter_fast.trust.conformal import ConformalSets
from ter_fast.trust.trusted_threshold import TrustedThreshold

_UNCALIBRATED = "not calibrated for {}: run calibrate"
_WINDOWS_UNCALIBRATED = (
    "not calibrated for windows with {} (thresholds of whole clips do not hold for them): "
    "run calibrate with unit='window'"
)


_NO_LABEL = (
    "no label fits: the true label of {} of the calibration clips was more probable than any here"
)


@dataclass(frozen=True)
class _Calibration:
    """What opinions are held to, by set of present modalities: of clips or of windows.

    Attributes:
        thresholds: Of confidence.
        conformal: What makes label sets.
        missing: What to say where there is no threshold.
        given: A threshold that takes the place of all of them; None for none.
    """

    thresholds: Mapping[str, TrustedThreshold]
    conformal: Mapping[str, ConformalSets]
    missing: str
    given: float | None = None


@dataclass
class ClipRecord:
    """What is stored of a clip: the evidence of its windows, but no sound and no pictures.

    Attributes:
        name: Of the clip.
        windows: Times and notes of its W windows, without their tensors.
        values: By window its evidence `(V, K)`, None until the experts have seen it.
        masks: By window `(V,)` bool, True where the modality is present.
        ended: All windows are known.
        error: What was wrong with the file; "" when nothing was.

    Example:
        >>> record = ClipRecord("a.wav")
        >>> record.add(Window({"audio": torch.zeros(9)}, {}, 0.0, 1.0)), record.complete
        (0, False)
    """

    name: str
    windows: list[Window] = field(default_factory=list)
    values: list[Tensor | None] = field(default_factory=list)
    masks: list[Tensor | None] = field(default_factory=list)
    ended: bool = False
    error: str = ""
    _seen: int = 0

    def add(self, window: Window) -> int:
        """Take note of a window; return its place."""
        self.windows.append(replace(window, values={}))
        self.values.append(None)
        self.masks.append(None)
        return len(self.windows) - 1

    def fill(
        self, place: int, values: Tensor, mask: Tensor, ood_weights: Mapping[str, float]
    ) -> None:  # fmt: skip
        """Store what the experts say of the window at `place`: `(V, K)`, `(V,)`, and its OOD weights."""
        self.values[place], self.masks[place] = values, mask
        self.windows[place] = replace(self.windows[place], ood_weights=ood_weights)
        self._seen += 1

    @property
    def complete(self) -> bool:
        """Whether the experts have seen every window."""
        return self.ended and self._seen == len(self.windows)

    def stack(self) -> tuple[Tensor, Tensor]:
        """Return the evidence `(V, W, K)` and the mask `(V, W)` of the windows."""
        values = [value for value in self.values if value is not None]
        masks = [mask for mask in self.masks if mask is not None]
        return torch.stack(values, 1), torch.stack(masks, 1)

    def mean(self) -> tuple[Tensor, Tensor]:
        """Return the clip's evidence `(V, K)`, the mean over the windows of each modality, and its mask."""
        return window_mean(*self.stack())


def aggregate(
    config: ModelConfig,
    records: Sequence[ClipRecord],
    cut: str = "",
    threshold: float | None = None,
) -> list[Prediction]:
    """Aggregate the evidence of clips to their predictions.

    Args:
        config: Of the model, with its thresholds.
        records: The clips, complete or failed.
        cut: How they were cut, where not as the model's own clips are; a sentence for `reasons`.
        threshold: Takes the place of the calibrated ones; None for these.

    Example:
        >>> from ter_fast.experts.config import ExpertConfig
        >>> config = ModelConfig(("a", "b"), {"audio": ExpertConfig("audio-cnn", {}, ("a", "b"))})
        >>> aggregate(config, [ClipRecord("gone.wav", ended=True, error="gone.wav does not exist")])[0].error
        'gone.wav does not exist'
    """
    good = [record for record in records if not record.error]
    answers: Iterator[Prediction] = iter(())
    if good:
        evidence, masks = zip(*(record.mean() for record in good), strict=True)
        answers = _answers(
            config,
            torch.stack(evidence, 1),
            torch.stack(masks, 1),
            [(record.name, record.windows) for record in good],
            _Calibration(config.thresholds, config.conformal, _UNCALIBRATED, threshold),
        )
    predictions = []
    for record in records:
        if record.error:
            blank = dict.fromkeys(config.modalities)
            predictions.append(
                Prediction(
                    record.name,
                    error=record.error,
                    labels=config.labels,
                    opinions=blank,
                    has_label_sets=config.has_label_sets,
                )
            )
            continue
        answer = next(answers)
        if len(record.windows) > 1:
            answer = replace(answer, made_of=partial(window_predictions, config, record, threshold))
        if cut and _is_cut(config, record):
            answer = replace(answer, reasons=(*answer.reasons, cut))
        predictions.append(answer)
    return predictions


def _is_cut(config: ModelConfig, record: ClipRecord) -> bool:
    """Say whether other windows than the model's own can have made a difference."""
    seconds = record.windows[-1].end - record.windows[0].start
    return len(record.windows) > 1 or seconds > 1.25 * config.window_seconds


def window_predictions(
    config: ModelConfig, record: ClipRecord, threshold: float | None = None
) -> list[Prediction]:
    """Return the prediction of each window of a clip of several, held to the thresholds of windows.

    A threshold that is given takes their place.
    """
    evidence, mask = record.stack()
    pieces = [(record.name, [window]) for window in record.windows]
    calibration = _Calibration(
        config.window_thresholds, config.window_conformal, _WINDOWS_UNCALIBRATED, threshold
    )
    return [
        _noting_length(config, record, each, threshold is None)
        for each in _answers(config, evidence, mask, pieces, calibration)
    ]


def _noting_length(
    config: ModelConfig, record: ClipRecord, answer: Prediction, calibrated: bool
) -> Prediction:
    """Add to a window's reasons that those which its threshold or label set rests on had another length."""
    seconds, own = record.windows[0].end - record.windows[0].start, config.window_seconds
    if math.isclose(seconds, own, rel_tol=1e-3):
        return answer
    if calibrated and answer.threshold is not None:
        what = "threshold"
    elif answer.label_set is not None:
        what = "label set"
    else:
        return answer
    note = f"a window of {seconds:g} s; the {what} was set on windows of {own:g} s"
    return replace(answer, reasons=(*answer.reasons, note))


def _answers(
    config: ModelConfig,
    evidence: Tensor,
    mask: Tensor,
    pieces: Sequence[tuple[str, Sequence[Window]]],
    calibration: _Calibration,
) -> Iterator[Prediction]:
    """Yield a prediction for each row of `(V, N, K)` evidence under a `(V, N)` mask."""
    fused, by_modality = opinions_of(config, evidence, mask)
    for row, (name, windows) in enumerate(pieces):
        opinions = {
            modality: _row(opinion, row) if present else None
            for (modality, opinion), present in zip(
                by_modality.items(), mask[:, row].tolist(), strict=True
            )
        }
        yield _answer(config, name, windows, _row(fused, row), opinions, calibration)


def _answer(
    config: ModelConfig,
    name: str,
    windows: Sequence[Window],
    fused: Opinion,
    opinions: Mapping[str, Opinion | None],
    calibration: _Calibration,
) -> Prediction:
    """Turn the opinions on one stretch into its prediction: the label, and whether to trust it."""
    present = [modality for modality, opinion in opinions.items() if opinion is not None]
    notes = tuple(notes_of(windows, list(opinions)))
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
        has_label_sets=config.has_label_sets,
    )
    if not present:
        return replace(base, reasons=("no modality could be used", *notes))
    if math.isnan(confidence):
        return replace(base, reasons=("the evidence is not a number", *notes))
    record = calibration.thresholds.get("+".join(present))
    calibrated = None if record is None else record.threshold
    threshold = calibrated if calibration.given is None else calibration.given
    reasons = []
    trusted = None
    if threshold is None:
        reasons.append(calibration.missing.format("+".join(present)))
    else:
        trusted = bool(fused.trusted(threshold, config.disagreement_limit))
        reasons += objections(fused, threshold, config.disagreement_limit)
    if calibration.given is not None:
        own = (
            "none was calibrated"
            if calibrated is None
            else f"the calibrated one is {calibrated:.3f}"
        )
        reasons.append(f"the threshold {threshold:.3f} was given; for {'+'.join(present)} {own}")
    label_set = None
    if (sets := calibration.conformal.get("+".join(present))) is not None:
        label_set = _label_set(config.labels, fused, sets)
        if not label_set:
            reasons.append(_NO_LABEL.format(sets.percent))
    return replace(
        base,
        label=config.labels[int(fused.prediction)],
        probabilities=dict(zip(config.labels, fused.probability.tolist(), strict=True)),
        trusted=trusted,
        threshold=threshold,
        label_set=label_set,
        reasons=(*reasons, *notes),
        guarantee=record.guarantee_text
        if record is not None and calibration.given is None and trusted
        else "",
    )


def _label_set(labels: Sequence[str], fused: Opinion, sets: ConformalSets) -> tuple[str, ...]:
    """Return the labels that cannot be ruled out, the most probable first."""
    probability = fused.probability.double()
    (held,) = sets.predict(probability[None])
    order = probability.argsort(descending=True, stable=True).tolist()
    return tuple(labels[k] for k in order if held[k])


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
