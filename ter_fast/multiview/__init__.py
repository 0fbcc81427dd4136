"""Trusted classification of feature views: one network a view, opinions fused.

`TrustedClassifier` is a scikit-learn estimator; `ViewNetworkClassifier` is what it and its peers
share: views, scaling, networks, training.
"""

from ter_fast.multiview.base import ViewNetworkClassifier
from ter_fast.multiview.classifier import TrustedClassifier
from ter_fast.multiview.views import ViewScaler

__all__ = ["TrustedClassifier", "ViewNetworkClassifier", "ViewScaler"]
