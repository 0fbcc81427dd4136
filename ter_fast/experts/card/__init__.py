"""Model cards in the Hugging Face format, written from what is known of a model and nothing else."""

from __future__ import annotations

from ter_fast.experts.card.facts import (
    MOST_LISTED,
    CardFacts,
    Given,
    figures_in,
    parameters_in,
    read_text,
    splits_of,
    trends_in,
)
from ter_fast.experts.card.text import MARK, card_text

__all__ = [
    "MARK",
    "MOST_LISTED",
    "CardFacts",
    "Given",
    "card_text",
    "figures_in",
    "parameters_in",
    "read_text",
    "splits_of",
    "trends_in",
]
