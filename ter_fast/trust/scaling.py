"""One number that makes a model's probabilities fit validation data: a temperature, an evidence scale.

Neither changes which class is the most probable, only how sure of it the model says it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from ter_fast.errors import DataError, warn
from ter_fast.trust._arrays import Vector, as_array
from ter_fast.trust.metrics.labels import Floats, Labels, as_labels

EVIDENCE_GRID_STEP = 0.15
"""Largest step of the search in ln s: it costs at most 0.15^2 / 32 = 0.0007 nats (see below)."""


def fit_temperature(
    logits: Vector, target: Vector, *, bounds: tuple[float, float] = (1e-2, 1e2)
) -> float:
    """Return the temperature that makes softmax probabilities likeliest on validation data.

    T = argmin -1/N sum_i sum_k y_ik ln p_ik,  p = softmax(z / T)

    The loss is convex in 1 / T, so its one minimum is found. T > 1 cools an overconfident model.
    Apply it as softmax(z / T); on evidence from logits, prefer `fit_evidence_scale`.

    Args:
        logits: (N, K) logits z, on data that the model has not trained on.
        target: (N,) true labels, or (N, K) shares of raters' votes.
        bounds: Temperatures to search between.

    Returns:
        The temperature. At a bound the likelihood still rises beyond it, and a warning says so:
        at the lower one where every sample is right, at the upper one where logits mislead.

    Raises:
        DataError: Shapes do not fit, there is no sample, a value is not finite, all samples are of
            one class, the logits do not tell classes apart in any row, or the bounds are no
            interval above 0.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2.

    Example:
        >>> import numpy as np
        >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
        >>> temperature = fit_temperature(logits, [0, 0, 1, 1])
        >>> round(4 / temperature, 4), round(float(np.log(3)), 4)
        (1.0986, 1.0986)
    """
    scores = _as_scores("logits", logits)
    true, weight = _as_votes(target, *scores.shape)
    if not np.ptp(scores, axis=1).any():
        raise DataError(
            "each row of logits is constant, so no temperature changes anything; train the model"
        )
    # The largest logit becomes 0, so that no exponential overflows.
    scores = scores - scores.max(axis=1, keepdims=True)
    own = np.mean((np.take_along_axis(scores, true, axis=1) * weight).sum(axis=1))

    def loss(log_temperature: float) -> float:
        sharpness = math.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(scores * sharpness).sum(axis=1))) - own * sharpness)

    return _minimize("temperature", loss, bounds, 2)


def fit_evidence_scale(
    evidence: Vector, target: Vector, *, bounds: tuple[float, float] = (1e-2, 1e2)
) -> float:
    """Return the factor on a modality's evidence that makes its probabilities likeliest.

    s = argmin -1/N sum_i sum_k y_ik ln p_ik,  p_k = (s e_k + 1) / (s sum_j e_j + K)

    So that scales match: an expert whose evidence claims more than its validation data confirm is turned
    down before fusion, and one that is too modest is turned up. Multiply the evidence with it, or
    the `evidence_scale` of the expert's configuration.

    In ln s the loss is not convex and may have several minima. It is searched on a grid of step
    h <= 0.15, and refined around the best point; as its second derivative is at most 1/4, the result
    is within h^2 / 32 < 0.001 nats of the best within the bounds.

    Args:
        evidence: (N, K) evidence of one modality, on data that it has not trained on.
        target: (N,) true labels, or (N, K) shares of raters' votes.
        bounds: Factors to search between.

    Returns:
        The factor. At a bound the likelihood still rises beyond it, and a warning says so: at the
        upper one where the evidence (nearly) always points to the true class, at the lower one where
        it misleads.

    Raises:
        DataError: Shapes do not fit, there is no sample, a value is negative or not finite, all
            samples are of one class, all evidence is 0, or the bounds are no interval above 0.

    Reference:
        Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2, for logits; with
        evidence, this package's own.

    Example:
        >>> evidence = [[60.0, 0.0], [60.0, 0.0], [60.0, 0.0], [0.0, 60.0]]
        >>> scale = fit_evidence_scale(evidence, [0, 0, 1, 1])
        >>> round(scale, 4)
        0.0333
        >>> round((scale * 60 + 1) / (scale * 60 + 2), 4)
        0.75
    """
    amounts = _as_scores("evidence", evidence)
    if amounts.min() < 0:
        raise DataError(f"evidence holds {amounts.min()}; evidence is 0 or more, logits are not")
    true, weight = _as_votes(target, *amounts.shape)
    total, own = amounts.sum(axis=1), np.take_along_axis(amounts, true, axis=1)
    if not total.any():
        raise DataError("all evidence is 0, so no factor changes anything; train the model")
    classes = amounts.shape[1]

    def loss(log_scale: float) -> float:
        scale = math.exp(log_scale)
        likelihood = (np.log1p(scale * own) * weight).sum(axis=1)
        return float(np.mean(np.log(scale * total + classes) - likelihood))

    low, high = _as_bounds(bounds)
    points = 2 + math.ceil(math.log(high / low) / EVIDENCE_GRID_STEP)
    return _minimize("evidence scale", loss, bounds, points)


def _minimize(
    name: str, loss: Callable[[float], float], bounds: tuple[float, float], points: int
) -> float:
    """Minimize a loss of a logarithm: the best of some points, refined between its neighbours."""
    from scipy.optimize import minimize_scalar

    low, high = _as_bounds(bounds)
    grid = np.linspace(math.log(low), math.log(high), points)
    losses = [loss(float(point)) for point in grid]
    best = int(np.argmin(losses))
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, points - 1)])
    found = minimize_scalar(loss, bounds=around, method="bounded", options={"xatol": 1e-9})
    if found.fun < losses[best]:
        return math.exp(found.x)
    if 0 < best < points - 1:
        return math.exp(grid[best])
    bound = bounds[0] if best == 0 else bounds[1]
    warn(
        f"the {name} reached its bound {bound:g}, and the likelihood still rises beyond it: these "
        "samples are separated too well, or misled too often, to say how far to go; "
        "give more validation data, or other bounds"
    )
    return bound


def _as_bounds(bounds: tuple[float, float]) -> tuple[float, float]:
    low, high = bounds
    if not 0 < low < high < math.inf:
        raise DataError(f"bounds are {bounds}; give a lower and a higher number above 0")
    return low, high


def _as_scores(name: str, value: Vector) -> Floats:
    scores = as_array(name, value).astype(np.float64)
    if scores.ndim != 2 or scores.shape[0] < 1 or scores.shape[1] < 2:
        raise DataError(
            f"{name} has shape {scores.shape}; give (N, K), at least one sample and two classes"
        )
    stray = np.flatnonzero(~np.isfinite(scores).all(axis=1))
    if stray.size:
        raise DataError(
            f"row {stray[0]} of {name} is {scores[stray[0]]}, and {stray.size} of {len(scores)} rows "
            "are not finite; leave them out"
        )
    return scores


def _as_votes(target: Vector, samples: int, classes: int) -> tuple[Labels, Floats]:
    """Return the columns that came true and their weights: (N, 1) for labels, (N, K) for votes."""
    if as_array("target", target).ndim == 2:
        weight = as_array("target", target).astype(np.float64)
        bad = (np.abs(weight.sum(axis=1) - 1) > 1e-3) | (weight < 0).any(axis=1)
        if weight.shape != (samples, classes) or bad.any() or np.isnan(weight).any():
            raise DataError(
                f"target has shape {weight.shape} for {samples} samples of {classes} classes; give "
                "labels (N,), or votes (N, K) whose rows are 0 or more and sum to 1"
            )
        seen = np.flatnonzero(weight.any(axis=0))
        columns = np.broadcast_to(np.arange(classes), weight.shape)
    else:
        labels = as_labels("target", target)
        if labels.size != samples or labels.max(initial=-1) >= classes:
            raise DataError(
                f"target has {labels.size} labels up to {labels.max(initial=-1)} for {samples} samples "
                f"of {classes} classes; give one label in 0 … {classes - 1} per sample"
            )
        seen, columns, weight = np.unique(labels), labels[:, None], np.ones((samples, 1))
    if seen.size < 2:
        raise DataError(
            f"every sample is of class {seen[0]}: its likelihood says nothing about the others; "
            "give validation data of at least two classes"
        )
    return columns, weight
