"""How a model fares on corrupted clips, and whether its uncertainty rises with the damage."""

from ter_fast.evaluate.robustness.cells import Cell, Robustness, Trend
from ter_fast.evaluate.robustness.measure import evaluate_corrupted

__all__ = ["Cell", "Robustness", "Trend", "evaluate_corrupted"]
