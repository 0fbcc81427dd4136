"""Trusted classification of feature views: one network a view, opinions fused.

`TrustedClassifier` is a scikit-learn estimator; `ViewNetworkClassifier` is what it and its peers
share: views, scaling, networks, training.
"""

from importlib.util import find_spec

from ter_fast.errors import TerFastError

if find_spec("sklearn") is None:
    raise TerFastError("feature views need scikit-learn: pip install 'ter_fast[multiview]'")

from ter_fast.multiview.base import ViewNetworkClassifier
from ter_fast.multiview.classifier import TrustedClassifier
from ter_fast.multiview.views import ViewScaler

__all__ = ["TrustedClassifier", "ViewNetworkClassifier", "ViewScaler"]
