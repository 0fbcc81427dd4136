"""Recipes: from labelled clips to a calibrated model, by one description of experts, training and thresholds."""

from __future__ import annotations

from ter_fast.train.recipes.recipe import Member, Recipe, shipped_recipes
from ter_fast.train.recipes.training import join_alike, train

__all__ = ["Member", "Recipe", "join_alike", "shipped_recipes", "train"]
