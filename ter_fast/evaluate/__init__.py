"""Evaluate: accuracy and trust on labelled data, reports, and robustness to damage."""

from ter_fast.evaluate import report as report  # it lets evaluations be saved
from ter_fast.evaluate.evaluate import evaluate, measure
from ter_fast.evaluate.evaluation import Evaluation

__all__ = ["Evaluation", "evaluate", "measure", "report"]
