"""Train on clips end to end, fold by fold, and measure accuracy and trust: one configuration, one page.

`plan` reads the configuration, `material` decodes and splits, `training` trains a fold, `answers`
asks a trained model, `density` says how unlike its training data a clip is, `run` goes through all
of it and can be cut off, `summary` turns what was kept into figures, `page` writes them.
"""

from benchmarks.experiments.density import Density
from benchmarks.experiments.page import write_page
from benchmarks.experiments.plan import Experiment, Plan, Row
from benchmarks.experiments.run import run
from benchmarks.experiments.summary import summarize

__all__ = ["Density", "Experiment", "Plan", "Row", "run", "summarize", "write_page"]
