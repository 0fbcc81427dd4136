"""How a feature set is split and corrupted: 80:20 by chance, normal and conflictive tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ter_fast.comparison.sets import ViewSet
from ter_fast.errors import DataError
from ter_fast.multiview.views import Array


@dataclass(frozen=True)
class Split:
    """Training and test samples of one draw.

    Features are scaled to [0, 1] over the training samples; a test sample may lie outside.

    Attributes:
        train: Per view, (N, D_v).
        train_labels: (N,).
        test: Per view, (M, D_v).
        conflictive: The test samples, corrupted by `conflictive`.
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
    """Draw training and test samples, and a conflictive copy of the latter.

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
    count = len(views.labels)
    first = int(count * (1 - test))
    if not 0 < test < 1 or not first or round(count * (1 - test)) == count:
        raise DataError(
            f"a share of {test} of {count} samples leaves nothing to train or to test on"
        )
    rng = np.random.default_rng(seed)
    order = rng.permutation(count)
    trained, tested = order[:first], order[first:]
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
    for sample in rng.choice(count, int(noisy * count), replace=False):
        for view in rng.choice(number, rng.integers(number), replace=False):
            changed[view][sample] = rng.normal(changed[view][sample], sigma)
    for sample in rng.choice(count, int(swapped * count), replace=False):
        others = np.flatnonzero(labels != labels[sample])
        view = int(rng.integers(number))
        changed[view][sample] = views[view][rng.choice(others)]
    return tuple(changed)
