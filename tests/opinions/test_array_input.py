"""Opinions of NumPy arrays and lists are those of the tensors that hold the same numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ter_fast import Opinion, decide, fuse, uncertainty
from ter_fast.losses import evidential_loss, fisher_loss, focal_loss, kl_to_uniform, relaxed_loss
from ter_fast.opinions.opinion import evidence_from_logits

ARRAY = np.random.default_rng(0).gamma(2.0, 2.0, (2, 3, 4)).astype(np.float32)
EVIDENCE = torch.from_numpy(ARRAY.copy())
CLASSES = np.array([0, 3, 1])

Form = Callable[[npt.NDArray[np.float32]], Any]


def read_only(array: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    array = array.copy()
    array.setflags(write=False)
    return array


FORMS: dict[str, Form] = {
    "array": lambda array: array,
    "lists": lambda array: array.tolist(),
    "an array for each": list,
    "lists and arrays": lambda array: [array[0].astype(np.float32), torch.from_numpy(array[1])],
    "read-only": read_only,
    "backwards": lambda array: array[:, :, ::-1].copy()[:, :, ::-1],
    "foreign byte order": lambda array: array.astype(array.dtype.newbyteorder()),
    "not contiguous": np.asfortranarray,
}


@pytest.mark.parametrize("name", FORMS)
def test_fuse_and_decide_take_what_torch_would(name: str) -> None:
    given = FORMS[name](ARRAY)
    torch.testing.assert_close(fuse(given).evidence, fuse(EVIDENCE).evidence)
    decision = decide(given, threshold=np.array([0.1, 0.5, np.nan]))
    expected = decide(EVIDENCE, threshold=torch.tensor([0.1, 0.5, np.nan]))
    assert decision.prediction.tolist() == expected.prediction.tolist()
    assert decision.trusted is not None
    assert expected.trusted is not None
    assert decision.trusted.tolist() == expected.trusted.tolist()


def test_masks_and_reliabilities_are_taken_likewise() -> None:
    mask, weights = [[True, False, True], [True, True, True]], np.array([0.9, 0.5])
    found = fuse(ARRAY, mask=np.array(mask), discount=weights)
    expected = fuse(EVIDENCE, mask=torch.tensor(mask), discount=torch.tensor([0.9, 0.5]))
    torch.testing.assert_close(found.evidence, expected.evidence)
    assert fuse(ARRAY, mask=[True, False]).evidence.tolist() == ARRAY[0].tolist()
    with pytest.raises(ValueError, match=r"reliabilities lie in \[0, 1\]"):
        fuse(ARRAY, discount=np.full((2, 3), 1.5))


def test_arrays_keep_their_precision() -> None:
    assert fuse(ARRAY.astype(np.float64)).evidence.dtype == torch.float64
    assert fuse(ARRAY.astype(np.float16)).evidence.dtype == torch.float16
    assert fuse([[6, 0], [0, 2]]).evidence.dtype == torch.float32
    with pytest.raises(TypeError, match=r"evidence is torch\.int64"):
        fuse(np.ones((2, 3, 4), np.int64))


def test_opinions_hold_tensors_of_arrays() -> None:
    opinion = Opinion(ARRAY[0], conflict=np.zeros(3), disagreement=[0.0, 0.1, 0.2])  # type: ignore[arg-type]
    assert isinstance(opinion.evidence, Tensor)
    assert opinion.trusted(0.0, 0.15).tolist() == [True, True, False]
    torch.testing.assert_close(uncertainty(ARRAY + 1).vacuity, uncertainty(EVIDENCE + 1).vacuity)
    torch.testing.assert_close(evidence_from_logits(ARRAY), evidence_from_logits(EVIDENCE))


@pytest.mark.parametrize("loss", [evidential_loss, focal_loss, fisher_loss, relaxed_loss])
def test_losses_take_arrays_and_lists(loss: Callable[..., Tensor]) -> None:
    expected = loss(EVIDENCE[0], torch.from_numpy(CLASSES))
    soft = np.eye(4, dtype=np.float32)[CLASSES]
    for target in (CLASSES, CLASSES.tolist(), CLASSES.astype(np.int32), soft, soft.tolist()):
        torch.testing.assert_close(loss(ARRAY[0], target), expected)
    assert loss(ARRAY[0].tolist(), CLASSES).item() == pytest.approx(expected.item(), rel=1e-5)
    assert kl_to_uniform([7.0, 1.0]).item() == pytest.approx(1.0888, abs=1e-4)
