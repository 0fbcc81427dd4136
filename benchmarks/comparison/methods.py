"""The classifiers that are compared, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.peers import multiview as peers
from ter_fast.errors import DataError
from ter_fast.multiview import TrustedClassifier

Build = Callable[..., BaseEstimator]

# The settings of the papers: softplus evidence, a regularizer that grows to 1, loss on fused opinions.
_EVIDENTIAL: dict[str, Any] = {
    "loss": "digamma",
    "activation": "softplus",
    "lambda_max": 1.0,
    "annealing": 50.0,
    "failure_rate": 0.0,
    "train_fused": True,
}


class _Folds:
    """Five stratified folds, also where a class has fewer samples than folds."""

    def get_n_splits(self, *_: Any, **__: Any) -> int:
        return 5

    def split(self, table: Any, labels: Any, **_: Any) -> Iterator[Any]:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            yield from StratifiedKFold(5).split(table, labels)


def _temperature(**settings: Any) -> BaseEstimator:
    """Softmax probabilities divided by the temperature of five folds of the training data."""
    return CalibratedClassifierCV(
        peers.SoftmaxClassifier(**settings), method="temperature", cv=_Folds(), ensemble=False
    )


def _logistic(
    C: float = 1.0,  # noqa: N803 (scikit-learn's name)
    max_iter: int = 5000,
    random_state: int = 0,
    **networks: Any,
) -> BaseEstimator:
    """Logistic regression of scaled features; settings that are of networks alone do not concern it."""
    if strange := sorted(set(networks) - set(TrustedClassifier().get_params())):
        raise TypeError(f"unknown setting {strange[0]!r}")
    classifier = LogisticRegression(C=C, max_iter=max_iter, random_state=random_state)
    return make_pipeline(StandardScaler(), classifier)


METHODS: dict[str, Build] = {
    "concatenation": peers.SoftmaxClassifier,
    "logistic regression": _logistic,
    "mean softmax": peers.SoftmaxClassifier,
    "product of experts": peers.ProductClassifier,
    "temperature scaling": _temperature,
    "MC dropout": peers.MCDropoutClassifier,
    "deep ensemble": partial(peers.SoftmaxClassifier, members=5),
    "TMC": partial(TrustedClassifier, rule="dempster", **_EVIDENTIAL),
    "ETMC": partial(TrustedClassifier, rule="dempster", joint_view=True, **_EVIDENTIAL),
    "RCML": partial(TrustedClassifier, rule="averaging", **_EVIDENTIAL),
    "QMF": peers.QMFClassifier,
    "DBF": partial(peers.DBFClassifier, **{**_EVIDENTIAL, "activation": "exp"}),
    "FUML": peers.FUMLClassifier,
    "ter_fast": TrustedClassifier,
    "ter_fast, ensemble": partial(TrustedClassifier, members=5),
}
"""Name of each method and what builds it. "concatenation" and "logistic regression" are
given all features as one view."""

_WITH_CONFLICT = ("RCML", "DBF")

ONE_TABLE = ("logistic regression", "concatenation", "temperature scaling")
"""Methods that take one table: the last with the widths of its views, the others as one view."""


def build(name: str, widths: list[int], seed: int, settings: Mapping[str, Any]) -> BaseEstimator:
    """Build a classifier.

    Args:
        name: One of `METHODS`.
        widths: Features of each view.
        seed: Of weights and order.
        settings: Parameters of the classifier, on top of the method's own.

    Raises:
        DataError: There is no method of that name, or it has no such parameter.

    Example:
        >>> build("TMC", [3, 4], 0, {"epochs": 5}).rule
        'dempster'
    """
    if name not in METHODS:
        raise DataError(f"method {name!r} is none of {', '.join(METHODS)}")
    own: dict[str, Any] = {}
    if name == "temperature scaling":
        own["views"] = tuple(widths)
    if name in _WITH_CONFLICT:
        # They take the mean over the losses of V views and their fusion, and the sum of each view's
        # mean conflict with the others: V times the mean over pairs. Our loss takes the sum.
        own["conflict_weight"] = len(widths) * (len(widths) + 1.0)
    try:
        return METHODS[name](**{**own, **settings, "random_state": seed})
    except TypeError as error:
        raise DataError(f"method {name!r} does not take these settings ({error})") from error
