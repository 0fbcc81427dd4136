"""Recipes: from labelled clips to a calibrated model, by one description of experts, training and thresholds."""

from __future__ import annotations

from ter_fast.recipes.cook import train
from ter_fast.recipes.plan import Member, Recipe, shipped

__all__ = ["Member", "Recipe", "shipped", "train"]
