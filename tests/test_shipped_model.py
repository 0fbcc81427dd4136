"""The page of the shipped model: its pairs are what they say, and it is written from its figures."""

from __future__ import annotations

import json

import numpy as np
import torch

import shipped_model
from ter_fast.inference import Evidence
from ter_fast.labelled import Labelled


def clips(name: str, view: int, labels: list[int]) -> Labelled:
    """Return clips of one of two modalities whose evidence is their own number."""
    count = len(labels)
    values = torch.zeros(2, count, 3)
    values[view] = torch.arange(1, count + 1)[:, None].expand(-1, 3)
    mask = torch.zeros(2, count, dtype=torch.bool)
    mask[view] = True
    groups = tuple(f"{name}{i}" for i in range(count))
    return Labelled(
        name, Evidence(values, mask), torch.tensor(labels), groups, groups, ({},) * count
    )


def test_mismatched_pairs_share_no_label_and_take_each_clip_once() -> None:
    voices = clips("v", 0, [0, 0, 1, 2, 2, 2])
    faces = clips("f", 1, [0, 1, 1, 2, 2, 0, 0])
    found = shipped_model.mismatched(voices, faces, seed=3)
    heard, seen = (found.evidence.values[view, :, 0].long() - 1 for view in (0, 1))
    assert bool(found.evidence.mask.all())
    assert len(np.unique(heard)) == len(heard) == 6
    assert len(np.unique(seen)) == len(seen)
    assert torch.equal(found.labels, voices.labels[heard])
    assert not bool((voices.labels[heard] == faces.labels[seen]).any())
    assert found.groups == tuple(voices.groups[i] for i in heard)


def test_a_face_of_the_same_label_alone_makes_no_pair() -> None:
    found = shipped_model.mismatched(clips("v", 0, [0, 1]), clips("f", 1, [1, 1, 1]))
    assert found.labels.tolist() == [0]


def test_the_committed_page_is_written_from_its_figures() -> None:
    results = shipped_model.RESULTS
    found = json.loads((results / "shipped_model.json").read_text(encoding="utf-8"))
    written = (results / "shipped_model.md").read_text(encoding="utf-8")
    assert "\n".join(shipped_model.page(found)) + "\n" == written
    none = {**found, "promise": [{"risk": 0.01, "delta": 0.05, "calibration": 9}]}
    assert "| 1 % | none could be promised | – | – |" in shipped_model.page(none)
