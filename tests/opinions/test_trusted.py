"""The rule of trust, over numbers, arrays and tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from ter_fast.opinions.trusted import is_trusted, is_within

NAN = math.nan
# Confidence, threshold, disagreement and limit, and whether that is trusted.
CASES = [
    (0.8, 0.5, None, None, True),
    (0.5, 0.5, 0.3, 0.3, True),
    (0.49, 0.5, 0.0, 0.3, False),
    (0.9, 0.5, 0.31, 0.3, False),
    (0.9, 0.5, None, 0.3, True),
    (0.9, 0.5, 0.9, None, True),
    (NAN, 0.0, 0.0, 1.0, False),
    (NAN, -math.inf, None, None, False),
    (0.9, NAN, 0.0, 1.0, False),
    (0.9, 0.5, NAN, 1.0, False),
    (0.9, 0.5, NAN, None, True),
    (0.9, 0.5, 0.1, NAN, False),
]


@pytest.mark.parametrize("kind", [float, np.float64, np.array, torch.tensor])
@pytest.mark.parametrize(("confidence", "threshold", "disagreement", "limit", "expected"), CASES)
def test_confidence_reaches_the_threshold_and_disagreement_keeps_to_the_limit(
    kind: Any,
    confidence: float,
    threshold: float,
    disagreement: float | None,
    limit: float | None,
    expected: bool,
) -> None:
    given = None if disagreement is None else kind(disagreement)
    found = is_trusted(kind(confidence), threshold, given, limit)
    assert bool(found) is expected


def test_without_a_threshold_nothing_is_said() -> None:
    assert is_trusted(0.9, None) is None
    assert is_trusted(np.ones(3), None, np.ones(3), 0.5) is None


def test_each_may_have_its_own_threshold_and_limit() -> None:
    sure, apart = torch.tensor([0.9, 0.9, 0.4]), torch.tensor([0.1, 0.2, 0.1])
    found = is_trusted(sure, torch.tensor([0.5, 0.5, 0.5]), apart, torch.tensor([0.1, 0.1, 0.1]))
    assert found.tolist() == [True, False, False]
    assert is_within(np.array([0.1, NAN]), 0.1).tolist() == [True, False]
