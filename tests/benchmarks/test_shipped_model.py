"""The page of the shipped model: what limits stop, and that it is written from its figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import shipped_model
from ter_fast.trust.outcomes import Outcomes


def answers(disagreement: list[float], *, limit: float | None = 0.5) -> Outcomes:
    """Return answers that are sure of class 0, which is the truth of all but the last."""
    count = len(disagreement)
    found = Outcomes.from_arrays([[0.9, 0.1]] * count, [0] * (count - 1) + [1], threshold=0.5)
    return replace(found, disagreement=np.array(disagreement), disagreement_limit=limit)


def test_the_limit_stops_what_lies_above_it() -> None:
    same, different = answers([0.1, 0.2, 0.6, 0.3]), answers([0.4, 0.7, 0.8])
    rows = list(shipped_model.contradiction(same, different))
    assert [row["over_limit"] for row in rows] == [0.25, pytest.approx(2 / 3)]
    assert rows[0]["trusted"] == 0.75
    assert rows[0]["wrong_of_trusted"] == pytest.approx(1 / 3)
    assert rows[1]["wrong_of_trusted"] is None


def test_limits_come_from_validation_pairs_and_are_held_to_the_others() -> None:
    validation = answers([0.0, 0.1, 0.2, 0.3, 0.9], limit=None)
    same, different = answers([0.1, 0.2, 0.6, 0.3]), answers([0.4, 0.7, 0.8])
    rows = {row["set"]: row for row in shipped_model.limits(validation, 0.2, same, different)}
    assert rows["none"]["different_trusted"] == rows["none"]["right_trusted"] == 1.0
    # Of the right ones alone: 0.0, 0.1, 0.2 and 0.3.
    assert rows["90 % of the right within"]["limit"] == pytest.approx(0.27)
    assert rows["90 % of the right within"]["right_trusted"] == pytest.approx(2 / 3)
    assert rows["Youden's index"]["limit"] == 0.2
    assert rows["Youden's index"]["trusted_precision"] == 1.0
    assert rows["Youden's index"]["different_trusted"] == 0.0
    # Of the right answers 0.1 and 0.2 lie below all three others, and 0.6 below two.
    assert shipped_model.auroc(same, different) == pytest.approx(8 / 9)


def test_the_committed_page_is_written_from_its_figures() -> None:
    results = shipped_model.RESULTS
    found = json.loads((results / "shipped_model.json").read_text(encoding="utf-8"))
    written = (results / "shipped_model.md").read_text(encoding="utf-8")
    assert "\n".join(shipped_model.page(found)) + "\n" == written
    none = {**found, "promise": [{"risk": 0.01, "delta": 0.05, "calibration": 9}]}
    assert "| 1 % | none could be promised | – | – |" in shipped_model.page(none)
