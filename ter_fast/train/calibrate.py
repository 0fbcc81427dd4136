"""Calibration: trusted thresholds and label sets, chosen on validation data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ter_fast.errors import DataError, warn
from ter_fast.experts.config import ModelConfig
from ter_fast.opinions.default_device import on_cpu_by_default
from ter_fast.opinions.opinion import CONFIDENCE_KINDS
from ter_fast.predict.labelled_evidence import (
    LabelledEvidence,
    collect_evidence,
    fit_reliabilities,
    modalities_present,
    outcomes,
    restrict,
    subset,
    with_pairs,
)
from ter_fast.train.disagreement import check_limit, choose_limit
from ter_fast.train.label_sets import check_conformal, label_sets, still_held
from ter_fast.train.risk_control import (
    RiskControl,
    parse_risk_control,
    seed_by_clips,
    warn_of_known_clips,
)
from ter_fast.trust.baselines import baselines_of
from ter_fast.trust.criterion import by_criterion, parse
from ter_fast.trust.outcomes import Outcomes
from ter_fast.trust.thresholds import sweep
from ter_fast.trust.trusted_threshold import TrustedThreshold

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

BEST = "best"


@on_cpu_by_default
def calibrate(
    model: Network,
    *datasets: Dataset,
    criterion: str | None = None,
    risk: float | None = None,
    delta: float | None = None,
    guarantee_for: str | None = None,
    confidence: str | None = None,
    disagreement_limit: float | Literal["youden"] | None = None,
    disagreement_quantile: float | None = None,
    unit: str = "clip",
    reliability: bool = False,
    conformal: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Network:
    """Set the model's trusted thresholds on validation data, one for each set of modalities.

    By a `criterion`, a disagreement limit does not move the thresholds; it only takes trust away from
    what they accept. A threshold lies halfway between the lowest confidence that it accepts and the
    next one below. A dataset that has several modalities calibrates each of them alone and all of them
    together. Datasets of one modality each calibrate that modality, and label-matched pairs of their
    clips calibrate the two together; the threshold's record says so. Where one dataset holds just a set
    of modalities and another holds more, the first calibrates that set.

    By a `risk`, each set of modalities gets a threshold of `ter_fast.thresholds.guaranteed`: of the
    predictions that it trusts, at most this share are wrong, with probability 1 - delta over the
    draw of the validation data, for that set alone. A fifth of the speakers (or clips) is held out to choose
    the levels that are tested on the others, and to set the limit of a `disagreement_quantile`; the
    guarantee is about predictions within the limit. Clips that are held out are paired with each other, so that
    nothing is chosen on a clip that is tested, alone or in a pair. A set of which nothing can be guaranteed is left
    without a threshold, with a warning that says why and how many clips or speakers would do. The
    data must be new to the model, settings included: clips that stopped its training, or on which a
    limit or a kind of confidence was chosen before, void the guarantee. Of training data a warning tells.

    Every record compares the kinds of confidence by AURC on the validation data, and the model's accuracy with
    that of always guessing the most frequent class.

    Args:
        model: The model; changed in place.
        *datasets: Labelled clips that the model has not trained on.
        criterion: "balance" (trusted precision meets trusted recall; the default without a risk), "f1",
            "accuracy", "precision=P" (lowest threshold that reaches P) or "coverage=Q".
        risk: Largest share of wrong predictions among the trusted ones, inside (0, 1).
        delta: Largest probability that the guarantee is broken; 0.05 when left out.
        guarantee_for: "groups", a guarantee for new speakers drawn like those of the data, each counting alike (the
            default), or "clips", for further clips of the same speakers.
        confidence: The kind of confidence from now on; None keeps the model's. "best" takes the kind of
            the lowest AURC, averaged over the sets of modalities: on the same data, which flatters it a
            little, or with a risk on a held-out half, so that the guarantee stands.
        disagreement_limit: Predictions whose modalities disagree more are not trusted; None keeps the
            model's limit, infinity takes it away. "youden" sets it where it best tells the validation clips
            that have several modalities and are predicted right from all these clips with one modality
            taken from a clip of another label: largest P(D <= limit | right) - P(D <= limit | mismatched).
        disagreement_quantile: Set that limit instead so that this share of the validation clips that
            have several modalities and are predicted right stays within it.
        unit: "clip" for thresholds of whole clips; "window" for those of the windows that long clips
            are cut in, each taken as its own clip. The two are kept apart.
        reliability: First learn how far fusion should believe each modality, on the same data (with a
            risk, on what is held out), by `ter_fast.trust.reliability.fit_reliability`. Thresholds set before
            are then dropped, and a limit of disagreement means another thing: set it again.
        conformal: Also calibrate label sets that miss the true label at most in this share of clips, for each
            set of modalities (see `ter_fast.trust.conformal.ConformalSets`); predictions then have a `label_set`.
            The coverage is over clips that are exchangeable with these: further clips of the same speakers.
            It takes 1 / conformal - 1 clips or more; of windows each clip counts alike. None keeps the label
            sets of before, unless what they rest on changes.
        seed: Of the pairing and of what is held out. With a risk or label sets, the names of all clips go into
            both draws, so that neither hangs on the places of clips in sorted lists.
        **options: `progress`, `face_model`, `workers` (see `ter_fast.predict.prepare.prepare`).

    Returns:
        The model.

    Raises:
        DataError: Reliability on data without clips of several modalities, another unit, a guarantee about
            further windows of the same speakers, a limit below 0, both a limit and a quantile, a criterion beside a
            risk, a delta or guarantee_for without one, no dataset, two with the same modalities, or a
            criterion or risk that the data meet for no set of modalities, or too few clips for the label sets
            of any. Where they meet it for some, the others are left without, with a warning.

    Reference:
        Youden, "Index for rating diagnostic tests", Cancer 3(1), 1950, for the limit of that name.
    """
    if not datasets:
        raise DataError("calibrate needs validation data; give at least one dataset")
    check_limit(disagreement_limit, disagreement_quantile)
    wanted = parse_risk_control(criterion, risk, delta, guarantee_for, confidence == BEST, seed)
    by_window = _is_by_window(unit, guarantee_for)
    check_conformal(conformal, learned_on_the_same=reliability and wanted is None)
    # What cannot be is said before an hour of decoding, not after.
    parse(criterion or "balance")
    if confidence not in (None, BEST):
        replace(model.config, confidence=confidence)
    if wanted:
        warn_of_known_clips(model, datasets)
    evidence = [
        collect_evidence(model, dataset, by_window=by_window, **options) for dataset in datasets
    ]
    if wanted:
        # Before they are paired, so that no clip that is tested stands in a pair that is held out.
        evidence = wanted.hold_out(evidence)
    # A guarantee is about pairs drawn at random, not by the places of clips in sorted lists.
    promised = wanted is not None or conformal is not None
    evidence = with_pairs(model, evidence, seed_by_clips(seed, evidence) if promised else seed)
    before = model.config
    try:
        if reliability:
            model.config = before.with_reliability(fit_reliabilities(model, evidence))
        parts = list(_parts(model, evidence))
        several = [subset(p.data, p.held) for p in parts if p.whole and "+" in p.name]
        limit = choose_limit(model, several, disagreement_limit, disagreement_quantile, seed)
        kind = _best_confidence(model, parts, limit) if confidence == BEST else confidence
        learned = model.config
        clips = _still_valid(before.thresholds, before, learned, kind, limit)
        windows = _still_valid(before.window_thresholds, before, learned, kind, limit)
        sets, window_sets = still_held(before, learned)
        own, own_sets = (windows, window_sets) if by_window else (clips, sets)
        # Nor does a set keep an older threshold when the data meet nothing for it.
        for part in parts:
            own.pop(part.name, None)
        model.config = replace(
            learned, confidence=kind or before.confidence, disagreement_limit=limit, thresholds={}
        )
        own |= _thresholds(model, parts, wanted or criterion or "balance")
        if conformal is not None:
            fitted = label_sets(model, _unspent(parts, reliability), conformal, by_window)
            for part in parts:
                own_sets.pop(part.name, None)
            own_sets |= fitted
    except DataError:
        model.config = before
        raise
    model.config = replace(
        model.config,
        thresholds=clips,
        window_thresholds=windows,
        conformal=sets,
        window_conformal=window_sets,
    )
    return model


def _still_valid(
    records: Mapping[str, TrustedThreshold],
    before: ModelConfig,
    learned: ModelConfig,
    kind: str | None,
    limit: float | None,
) -> dict[str, TrustedThreshold]:
    """Return the thresholds that still mean what they meant, after what is new of all this."""
    if kind not in (None, before.confidence) or learned.discount != before.discount:
        return {}
    if limit != before.disagreement_limit:
        # A guarantee is about what was trusted under the limit that it was made with.
        return {name: record for name, record in records.items() if not record.guarantee_text}
    return dict(records)


def _is_by_window(unit: str, guarantee_for: str | None) -> bool:
    if unit not in ("clip", "window"):
        raise DataError(f"unit is {unit!r}; expected clip or window")
    if unit == "window" and guarantee_for == "clips":
        raise DataError(
            "windows of one clip are too alike for a guarantee about further clips of the same "
            "speakers; give guarantee_for='groups'"
        )
    return unit == "window"


@dataclass(frozen=True, eq=False)
class _Part:
    """Clips that have a set of modalities, and of them only these.

    Attributes:
        name: Of the modalities, joined by "+".
        data: The clips.
        whole: The set holds all modalities of the data.
    """

    name: str
    data: LabelledEvidence
    whole: bool

    @property
    def held(self) -> NDArray[np.bool_]:
        """Return those that may be used to choose anything, (N,); a guarantee is tested on the others."""
        rows = len(self.data.labels)
        return np.array(self.data.held or (True,) * rows, np.bool_)

    def to_choose(self, model: Network) -> Outcomes:
        """Return the answers to the clips that may be used to choose anything."""
        return outcomes(model, self.data).subset(self.held)


def _parts(model: Network, found: Sequence[LabelledEvidence]) -> Iterator[_Part]:
    """List every set of modalities with the clips that have it.

    Data that hold just these modalities go before a part of data that hold more.
    """
    sets = [modalities_present(model, data) for data in found]
    for data, modalities in zip(found, sets, strict=True):
        for size in range(1, len(modalities) + 1):
            for some in combinations(modalities, size):
                if size < len(modalities) and (data.pairing or some in sets):
                    continue
                part = restrict(model, data, some)
                yield _Part("+".join(some), part, size == len(modalities))


def _unspent(parts: Sequence[_Part], learned: bool) -> list[tuple[str, LabelledEvidence]]:
    """Return each set of modalities with the clips that nothing was learned on, where some were held out for that."""
    return [
        (part.name, subset(part.data, ~part.held) if learned and part.data.held else part.data)
        for part in parts
    ]


def _best_confidence(model: Network, parts: Sequence[_Part], limit: float | None) -> str:
    areas = []
    for part in parts:
        found = _areas(replace(part.to_choose(model), disagreement_limit=limit))
        if not any(map(math.isnan, found.values())):
            areas.append(found)
    if not areas:
        raise DataError("no clip could be used to compare the kinds of confidence")
    return min(CONFIDENCE_KINDS, key=lambda kind: sum(found[kind] for found in areas))


def _thresholds(
    model: Network, parts: Sequence[_Part], rule: RiskControl | str
) -> dict[str, TrustedThreshold]:
    records: dict[str, TrustedThreshold] = {}
    refused: list[str] = []
    for part in parts:
        answers = outcomes(model, part.data)
        try:
            if isinstance(rule, RiskControl):
                record = rule.record(part.name, answers, part.held)
            else:
                record = by_criterion(rule, answers)
        except DataError as error:
            refused.append(f"{part.name}: {error}")
            continue
        base = baselines_of(answers)
        records[part.name] = replace(
            record,
            scores={
                **record.scores, "model_accuracy": base.accuracy, "majority_share": base.share
            },
            aurc_by_confidence=_areas(answers),
        )  # fmt: skip
    if not records:
        raise DataError("; ".join(refused) or "no clip could be used to calibrate")
    for each in refused:
        warn(f"not calibrated for {each}")
    return records


def _areas(answers: Outcomes) -> dict[str, float]:
    """Return the area under the risk-coverage curve by kind of confidence."""
    return {
        kind: sweep(answers.within_limit(values), answers.correct).aurc
        for kind, values in answers.confidences.items()
    }
