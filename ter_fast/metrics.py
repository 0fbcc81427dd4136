"""Short name of `ter_fast.trust.metrics`: both names are of one and the same module."""

import sys
from typing import TYPE_CHECKING

from ter_fast.trust import metrics

if TYPE_CHECKING:
    from ter_fast.trust.metrics import *  # noqa: F403

# An import returns what stands here once this file has run.
sys.modules[__name__] = metrics
