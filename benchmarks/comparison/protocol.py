"""How a feature set is split and corrupted: 80:20 by chance, normal and conflictive tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.comparison.sets import ViewSet
from ter_fast.errors import DataError
from ter_fast.multiview.views import Array


@dataclass(frozen=True)
class Split:
    """Training and test samples of one draw, as `split` or `split_as_published` prepares them.

    Attributes:
        train: Per view, (N, D_v).
        train_labels: (N,).
        test: Per view, (M, D_v).
        conflictive: The test samples, corrupted.
        test_labels: (M,).
    """

    train: tuple[Array, ...]
    train_labels: Array
    test: tuple[Array, ...]
    conflictive: tuple[Array, ...]
    test_labels: Array


def split(
    views: ViewSet,
    seed: int,
    *,
    test: float = 0.2,
    noisy: float = 0.1,
    sigma: float = 0.5,
    swapped: float = 0.4,
) -> Split:
    """Draw training and test samples, and a copy of the latter that `conflictive` corrupts.

    Features are scaled to [0, 1] over the training samples; a test sample may lie outside.

    Args:
        views: The samples.
        seed: Of the draw, the noise and the swaps.
        test: Share of test samples.
        noisy: Share of test samples with noise, see `conflictive`.
        sigma: Its deviation.
        swapped: Share of test samples with a view of another class.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> some = ViewSet("some", (rng.normal(size=(10, 3)),) * 2, np.arange(10) % 2)
        >>> drawn = split(some, seed=0)
        >>> len(drawn.train_labels), len(drawn.test_labels), drawn.train[0].min(), drawn.train[0].max()
        (8, 2, np.float64(0.0), np.float64(1.0))
    """
    rng = np.random.default_rng(seed)
    trained, tested = _sides(len(views.labels), test, rng)
    train, held = [], []
    for view in views.views:
        # A view that is missing in a row is NaN there, and says nothing of the columns' range.
        low, high = np.fmin.reduce(view[trained]), np.fmax.reduce(view[trained])
        width = np.where(high > low, high - low, 1.0)
        train.append((view[trained] - low) / width)
        held.append((view[tested] - low) / width)
    labels = views.labels[tested]
    return Split(
        tuple(train),
        views.labels[trained],
        tuple(held),
        conflictive(held, labels, rng, noisy=noisy, sigma=sigma, swapped=swapped),
        labels,
    )


def conflictive(
    views: Sequence[Array],
    labels: Array,
    rng: np.random.Generator,
    *,
    noisy: float = 0.1,
    sigma: float = 0.5,
    swapped: float = 0.4,
) -> tuple[Array, ...]:
    """Return test samples of which some are noisy and some have a view of another class.

    Of a share `noisy` of the samples, up to V - 1 views get Gaussian noise. Of a share `swapped`, one
    view is replaced by that of a test sample of another class: never by a training sample, which a
    classifier could have learned by heart.

    Args:
        views: Per view, (M, D_v).
        labels: (M,).
        rng: Source of chance.
        noisy: Share of samples.
        sigma: Deviation of the noise.
        swapped: Share of samples.

    Raises:
        DataError: There is no other class to swap with.

    Reference:
        Xu et al., "Reliable conflictive multi-view learning", 2024, section 4.1.
    """
    if swapped and len(np.unique(labels)) < 2:
        raise DataError(
            "the test samples are of one class, so no view can be swapped for that of another; draw more"
        )
    changed = [view.copy() for view in views]
    count, number = len(labels), len(views)
    _add_noise(changed, rng, noisy, sigma)
    for sample in rng.choice(count, int(swapped * count), replace=False):
        others = np.flatnonzero(labels != labels[sample])
        view = int(rng.integers(number))
        changed[view][sample] = views[view][rng.choice(others)]
    return tuple(changed)


def split_as_published(
    views: ViewSet,
    seed: int,
    *,
    test: float = 0.2,
    noisy: float = 0.1,
    sigma: float = 0.5,
    swapped: float = 0.4,
) -> Split:
    """Draw the samples of `split` as published code prepares them, to measure what that changes.

    Features are scaled over all samples, those of the test among them. A view that is swapped is that
    of the first sample of the next class in the file: one sample for each class, and four of five times one
    that was trained on. Here it is always without noise of its own; in that code one of the test samples may
    have met some before. Nothing of this package is compared so.

    Args:
        views: The samples.
        seed: Of the draw, the noise and the swaps.
        test: Share of test samples.
        noisy: Share of test samples with noise, see `conflictive`.
        sigma: Its deviation.
        swapped: Share of test samples with a view of another class.

    Raises:
        DataError: The share leaves nothing to train or to test on.

    Example:
        >>> some = ViewSet("some", (np.arange(20.0).reshape(10, 2),) * 2, np.arange(10) % 2)
        >>> drawn = split_as_published(some, seed=0)
        >>> bool(max(drawn.train[0].max(), drawn.test[0].max()) == 1)
        True

    Reference:
        The data set of the code of Xu et al., "Reliable conflictive multi-view learning", 2024, which
        later papers' code repeats.
    """
    rng = np.random.default_rng(seed)
    trained, tested = _sides(len(views.labels), test, rng)
    scaled = []
    for view in views.views:
        low, high = np.fmin.reduce(view), np.fmax.reduce(view)
        scaled.append((view - low) / np.where(high > low, high - low, 1.0))
    classes, place = np.unique(views.labels, return_inverse=True)
    following = np.array([np.argmax(place == (k + 1) % len(classes)) for k in range(len(classes))])
    changed = [view[tested].copy() for view in scaled]
    _add_noise(changed, rng, noisy, sigma)
    for sample in rng.choice(len(tested), int(swapped * len(tested)), replace=False):
        number = int(rng.integers(len(scaled)))
        changed[number][sample] = scaled[number][following[place[tested[sample]]]]
    return Split(
        tuple(view[trained] for view in scaled),
        views.labels[trained],
        tuple(view[tested] for view in scaled),
        tuple(changed),
        views.labels[tested],
    )


def _sides(count: int, test: float, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the numbers of the samples to train and to test on."""
    first = int(count * (1 - test))
    if not 0 < test < 1 or not first or round(count * (1 - test)) == count:
        raise DataError(
            f"a share of {test} of {count} samples leaves nothing to train or to test on"
        )
    order = rng.permutation(count)
    return order[:first], order[first:]


def _add_noise(
    views: Sequence[Array], rng: np.random.Generator, share: float, sigma: float
) -> None:  # fmt: skip
    """Add noise, in place, to up to all but one view of a share of the samples."""
    count, number = len(views[0]), len(views)
    for sample in rng.choice(count, int(share * count), replace=False):
        for view in rng.choice(number, rng.integers(number), replace=False):
            views[view][sample] = rng.normal(views[view][sample], sigma)
