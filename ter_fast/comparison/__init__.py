"""Compare classifiers of feature views on equal terms: one configuration, one page.

`sets` reads the published feature sets, `protocol` splits and corrupts them, `methods` names the
classifiers, `run` fits and scores them, `page` writes the tables.
"""

import ter_fast.multiview  # noqa: F401 (says what is missing where scikit-learn is)
from ter_fast.comparison.methods import METHODS, build
from ter_fast.comparison.page import write_page
from ter_fast.comparison.protocol import Split, conflictive, split
from ter_fast.comparison.run import Comparison, run
from ter_fast.comparison.sets import ViewSet, load_views

__all__ = [
    "METHODS",
    "Comparison",
    "Split",
    "ViewSet",
    "build",
    "conflictive",
    "load_views",
    "run",
    "split",
    "write_page",
]
