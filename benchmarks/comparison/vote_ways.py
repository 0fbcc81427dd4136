"""Ways to fuse the votes of those who heard a clip with the votes of those who saw it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.comparison.votes import Floats, Votes, log_loss, shares
from benchmarks.experiments.answers import Answer
from ter_fast.opinions.fusion import fuse
from ter_fast.opinions.opinion import CONFIDENCE_KINDS, RULES, Opinion

Way = Callable[[Votes, Votes], tuple[Answer, Mapping[str, float]]]
"""From clips of some actors, to fit on, and of others: answers for the latter, and what was fitted."""


_SEARCH = {"maxfev": 500, "fatol": 1e-6}


def _of_opinion(fused: Opinion) -> Answer:
    kinds = {kind: _array(fused.confidence_of(kind)) for kind in CONFIDENCE_KINDS}
    if fused.disagreement is not None:
        kinds["agreement"] = 1 - _array(fused.disagreement)
    return Answer(_array(fused.probability), kinds)


def of_probability(probability: Floats) -> Answer:
    """Return an answer with the kinds of confidence that probabilities (N, K) alone have.

    Example:
        >>> round(float(of_probability(np.array([[0.75, 0.25]])).scores["margin"][0]), 6)
        0.5
    """
    # Evidence so large that the expected probability is the probability.
    opinion = Opinion(torch.from_numpy(np.ascontiguousarray(probability)) * 1e15)
    kinds = ("max_probability", "margin", "one_minus_entropy")
    return Answer(probability, {kind: _array(opinion.confidence_of(kind)) for kind in kinds})


def one_channel(channel: str) -> Way:
    """Return the way that listens to one channel alone, the scale of its evidence fitted."""

    def way(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
        from ter_fast.trust.scaling import fit_evidence_scale

        scale = fit_evidence_scale(getattr(known, channel), shares(known.both))
        opinion = Opinion(torch.from_numpy(getattr(asked, channel)) * scale)
        return _of_opinion(opinion), {"scale": scale}

    return way


def counted(rule: str) -> Way:
    """Return the way that fuses votes as they are, each a unit of evidence."""

    def way(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
        return _of_opinion(_fused(asked, rule, np.ones(2), None)), {}

    return way


def fitted(rule: str, discounted: bool = True) -> Way:
    """Return the way that fuses with the scales, and reliabilities, likeliest on other actors.

    s_v > 0 and w_v in [0, 1] minimize the mean of -sum_k y_k ln p_k over known clips, with y the shares
    of those who heard and saw.

    Args:
        rule: Of fusion.
        discounted: Whether to fit reliabilities beside the scales.
    """

    def way(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
        from scipy.optimize import minimize
        from scipy.special import expit

        target = shares(known.both)

        def read(x: Floats) -> tuple[Floats, Floats | None]:
            return _positive(x[:2]), expit(x[2:]) if len(x) > 2 else None

        def loss(x: Floats) -> float:
            return log_loss(_array(_fused(known, rule, *read(x)).probability), target)

        best = minimize(loss, np.zeros(2), method="Nelder-Mead", options=_SEARCH)
        if discounted:
            # From the best scales on, so that the more that is fitted never fits worse.
            start = np.concatenate([best.x, [3.0, 3.0]])
            best = minimize(loss, start, method="Nelder-Mead", options=_SEARCH)
        scale, reliability = read(best.x)
        found = {"scale of voice": scale[0], "scale of face": scale[1]}
        if reliability is not None:
            found |= {
                "reliability of voice": reliability[0],
                "reliability of face": reliability[1],
            }
        return _of_opinion(_fused(asked, rule, scale, reliability)), found

    return way


def product(fit: bool) -> Way:
    """Return the product of shares, each smoothed by some votes more for every class.

    p_k ~ (n_voice,k + a)^g_voice (n_face,k + a)^g_face; a = g = 1, or as fitted on other actors.
    """

    def way(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
        from scipy.optimize import minimize
        from scipy.special import softmax

        def chance(votes: Votes, x: Floats) -> Floats:
            added, voice, face = _positive(x)
            logits = voice * np.log(votes.voice + added) + face * np.log(votes.face + added)
            return np.asarray(softmax(logits, axis=1))

        x = np.zeros(3)
        if fit:
            target = shares(known.both)
            x = minimize(
                lambda at: log_loss(chance(known, at), target),
                x,
                method="Nelder-Mead",
                options=_SEARCH,
            ).x
        names = ("added votes", "exponent of voice", "exponent of face")
        found = dict(zip(names, np.exp(x).tolist(), strict=True)) if fit else {}
        return of_probability(chance(asked, x)), found

    return way


def regression(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
    """Learn from the votes of both channels what those who heard and saw voted.

    Multinomial logistic regression, see `_regression`: what can be had where audio-visual votes of other
    actors are at hand, and no assumption about the channels is made.
    """
    model = _regression(_features(known.voice, known.face), known)
    return of_probability(model.predict_proba(_features(asked.voice, asked.face))), {}


def translated(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
    """Learn each channel's meaning by a regression of its own, then multiply: p ~ p_voice p_face / prior.

    Channels that are independent given the emotion would need no more than this.
    """
    voice, face = _translations(known, asked)
    return of_probability(shares(voice * face / shares(known.both).mean(0))), {}


def translated_dempster(known: Votes, asked: Votes) -> tuple[Answer, Mapping[str, float]]:
    """Learn each channel's meaning, take it as evidence s_v p_v, and fuse by Dempster's rule.

    The scales s_v are fitted on the actors of the regressions.
    """
    from scipy.optimize import minimize

    learned, found = _translations(known, known), _translations(known, asked)
    target = shares(known.both)

    def fused(parts: list[Floats], x: Floats) -> Opinion:
        scale = _positive(x)
        return fuse([torch.from_numpy(p) * float(s) for p, s in zip(parts, scale, strict=True)])

    best = minimize(
        lambda x: log_loss(_array(fused(learned, x).probability), target),
        np.array([2.0, 2.0]),
        method="Nelder-Mead",
        options=_SEARCH,
    )
    scale = _positive(best.x).tolist()
    names = ("scale of voice", "scale of face")
    return _of_opinion(fused(found, best.x)), dict(zip(names, scale, strict=True))


def _translations(known: Votes, asked: Votes) -> list[Floats]:
    """Return what each channel's own regression says of some clips, (N, K) each."""
    return [
        _regression(_features(getattr(known, channel)), known).predict_proba(
            _features(getattr(asked, channel))
        )
        for channel in ("voice", "face")
    ]


def _features(*channels: Floats) -> Floats:
    """Return shares, and logarithms of counts with half a vote more."""
    parts = [part for counts in channels for part in (shares(counts), np.log(counts + 0.5))]
    return np.concatenate(parts, axis=1)


def _regression(features: Floats, known: Votes) -> Any:
    """Fit logistic regression, each clip weighted by its audio-visual shares of every class."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    count, classes = len(known), len(known.classes)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    return model.fit(
        np.repeat(features, classes, axis=0),
        np.tile(np.arange(classes), count),
        logisticregression__sample_weight=shares(known.both).ravel(),
    )


WAYS: dict[str, Way] = {
    "voice alone": one_channel("voice"),
    "face alone": one_channel("face"),
    **{f"{rule}, votes as evidence": counted(rule) for rule in RULES},
    **{f"{rule}, scales fitted": fitted(rule, discounted=False) for rule in RULES},
    **{f"{rule}, scales and discounts fitted": fitted(rule) for rule in RULES},
    "product of shares, one vote added": product(fit=False),
    "product of shares, fitted": product(fit=True),
    "regression of each channel, multiplied": translated,
    "regression of each channel, dempster": translated_dempster,
    "regression of both channels": regression,
}
"""The ways that are compared, by name."""


def _fused(votes: Votes, rule: str, scale: Floats, reliability: Floats | None) -> Opinion:
    evidence = [
        torch.from_numpy(votes.voice) * float(scale[0]),
        torch.from_numpy(votes.face) * float(scale[1]),
    ]
    discount = None if reliability is None else reliability.tolist()
    return fuse(evidence, rule, discount=discount)


def _positive(logarithms: Floats) -> Floats:
    """Return numbers from 1e-5 to 1e5: evidence stays in the range over which fusion is exact."""
    return np.asarray(np.exp(logarithms.clip(-11.5, 11.5)))


def _array(value: Tensor) -> Floats:
    return np.asarray(value.double().cpu().numpy())
