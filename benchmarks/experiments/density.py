"""How unlike its training clips a clip is, by the features that the encoder pools of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ter_fast.experts.out_of_distribution import Floats, class_gaussians, distance_to


@dataclass(frozen=True, eq=False)
class Density:
    """Distances of features to those of the training clips.

    Attributes:
        means: (K, D) of each class.
        whitening: (D, D) with which differences are whitened: W W^T is the precision.
        directions: (N, D) training features of length 1.
        neighbours: k of the distance to the k-th nearest neighbour.
    """

    means: Floats
    whitening: Floats
    directions: Floats
    neighbours: int

    @classmethod
    def fit(cls, features: Floats, labels: NDArray[np.int64], neighbours: int = 10) -> Density:
        """Learn where the training clips lie; see `ter_fast.experts.out_of_distribution.class_gaussians`.

        Args:
            features: (N, D).
            labels: (N,) classes.
            neighbours: k; at most N - 1 are used.

        Raises:
            DataError: Fewer than two clips, or features that are not finite.
            TerFastError: scikit-learn is not installed.

        Reference:
            Lee et al., "A simple unified framework for detecting out-of-distribution samples and
            adversarial attacks", 2018; Sun et al., "Out-of-distribution detection with deep nearest
            neighbors", 2022.
        """
        means, whitening = class_gaussians(features, labels)
        values = np.asarray(features, np.float64)
        return cls(means, whitening, _unit(values), min(neighbours, len(values) - 1))

    def mahalanobis(self, features: Floats) -> Floats:
        """Return the distance to the nearest class mean, (M,): min_k |W^T (f - m_k)|.

        Example:
            >>> rng = np.random.default_rng(0)
            >>> some = Density.fit(rng.normal(size=(500, 3)), np.arange(500) % 2)
            >>> near, far = some.mahalanobis(np.array([[0.0, 0, 0], [9, 0, 0]]))
            >>> bool(near < 0.3), bool(8 < far < 10)
            (True, True)
        """
        values = (np.asarray(features, np.float64), self.means, self.whitening)
        return np.asarray(distance_to(*map(torch.from_numpy, values)).numpy())

    def nearest(self, features: Floats) -> Floats:
        """Return the distance to the k-th nearest training direction, (M,), in [0, 2].

        Example:
            >>> some = Density.fit(np.array([[1.0, 0], [0, 1], [1, 1]]), np.array([0, 1, 0]), 1)
            >>> some.nearest(np.array([[5.0, 0], [-1, 0]])).round(3).tolist()
            [0.0, 1.414]
        """
        cosine = np.clip(_unit(np.asarray(features, np.float64)) @ self.directions.T, -1, 1)
        kth = -np.partition(-cosine, self.neighbours - 1, axis=1)[:, self.neighbours - 1]
        return np.sqrt(2 - 2 * kth)


def _unit(features: Floats) -> Floats:
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12))
