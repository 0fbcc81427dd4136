"""Compare classifiers of feature views on equal terms: one configuration, one page.

`config` reads what is compared, `sets` the feature sets, and `methods` names the classifiers. Draws by
chance: `protocol` splits and corrupts, `run` fits and scores, `page` writes the tables. Folds of whole
groups, such as speakers: `folds` deals them, `answers` fits and gathers what each row says of each
sample, `kept_answers` keeps it, `figures` makes figures with intervals over groups, `recorded` keeps
those, and from them alone `folds_page` writes the tables. Votes of raters, likewise: `votes`,
`vote_ways`, `votes_figures`, `votes_page`.
"""

import ter_fast.multiview  # noqa: F401 (says what is missing where scikit-learn is)
from benchmarks.comparison.answers import answers_of, run_folds
from benchmarks.comparison.config import ComparisonConfig
from benchmarks.comparison.folds import Fold, Protocol, grouped_folds
from benchmarks.comparison.folds_page import write_folds_figures, write_folds_page
from benchmarks.comparison.kept_answers import Answers
from benchmarks.comparison.methods import METHODS, build
from benchmarks.comparison.page import write_page
from benchmarks.comparison.protocol import Split, conflictive, split, split_as_published
from benchmarks.comparison.run import run
from benchmarks.comparison.sets import ViewSet, load_grouped, load_views

__all__ = [
    "METHODS",
    "Answers",
    "ComparisonConfig",
    "Fold",
    "Protocol",
    "Split",
    "ViewSet",
    "answers_of",
    "build",
    "conflictive",
    "grouped_folds",
    "load_grouped",
    "load_views",
    "run",
    "run_folds",
    "split",
    "split_as_published",
    "write_folds_figures",
    "write_folds_page",
    "write_page",
]
