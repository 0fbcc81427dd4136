"""Pictures of every layout that other libraries give become the same clip, or one clear error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ter_fast import Clip, MediaError

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 40, 60, 3), dtype=np.uint8)
GREY = np.repeat(COLOURS[..., :1], 3, axis=-1)


def read_only(array: Any) -> Any:
    array = array.copy()
    array.setflags(write=False)
    return array


LAYOUTS: dict[str, tuple[Any, Any]] = {
    "array": (COLOURS, COLOURS),
    "tensor": (torch.from_numpy(COLOURS), COLOURS),
    "reversed channels": (COLOURS[..., ::-1], COLOURS[..., ::-1]),
    "backwards": (COLOURS[::-1], COLOURS[::-1]),
    "read-only": (read_only(COLOURS), COLOURS),
    "not contiguous": (COLOURS.transpose(0, 2, 1, 3), COLOURS.transpose(0, 2, 1, 3)),
    "list of arrays": (list(COLOURS), COLOURS),
    "list of tensors": ([torch.from_numpy(each) for each in COLOURS], COLOURS),
    "list of pictures": ([Image.fromarray(each) for each in COLOURS], COLOURS),
    "picture": (Image.fromarray(COLOURS[0]), COLOURS[:1]),
    "grey picture": (Image.fromarray(COLOURS[0, ..., 0]), GREY[:1]),
    "one": (COLOURS[0], COLOURS[:1]),
    "(H, W)": (COLOURS[0, ..., 0], GREY[:1]),
    "(H, W, 1)": (COLOURS[0, ..., :1], GREY[:1]),
    "(T, H, W, 1)": (COLOURS[..., :1], GREY),
    "RGBA": (np.concatenate([COLOURS, COLOURS[..., :1]], -1), COLOURS),
    "float32": ((COLOURS / 255).astype(np.float32), COLOURS),
    "float64, big-endian": ((COLOURS / 255).astype(">f8"), COLOURS),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_pictures_of_every_layout(name: str) -> None:
    given, expected = LAYOUTS[name]
    frames = Clip.from_arrays(given).frames
    assert frames is not None
    assert np.array_equal(frames.numpy(), expected)


def test_pictures_with_an_orientation_are_set_upright() -> None:
    picture = Image.fromarray(COLOURS[0])
    picture.getexif()[0x0112] = 6
    frames = Clip.from_arrays(picture).frames
    assert frames is not None
    assert np.array_equal(frames[0].numpy(), np.rot90(COLOURS[0], -1))


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([COLOURS[0], COLOURS[0, :20]], r"unequal sizes \(20, 60, 3\) and \(40, 60, 3\)"),
        ([Image.new("RGB", (4, 4)), Image.new("RGB", (4, 5))], "resize them"),
        (np.zeros((3, 40, 60), np.uint8), "Channels come last"),
        (torch.zeros(5, 3, 40, 60), "Channels come last"),
        (COLOURS.astype(np.float32), "scale them"),
        (COLOURS.astype(np.uint16), "uint16, expected"),
        (COLOURS > 9, "bool, expected"),
        ([], "no picture"),
        (["a.png"], r"Frames are \(1,\) <U5"),
        (np.zeros(5, np.uint8), r"\(5,\) uint8, expected"),
    ],
)
def test_what_cannot_be_told_is_refused(frames: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        Clip.from_arrays(frames)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([4, 3, 2, 1, 0], "fall, from 4 s of frame 0 to 3 s"),
        ([0, 1, np.nan, 3, 4], "NaN or infinity"),
        ([0, 1, 2, 3, np.inf], "NaN or infinity"),
        ([[0, 1, 2, 3, 4]], r"expected \(5,\) float64"),
        (["a"] * 5, r"expected \(5,\) float64"),
    ],
)
def test_times_that_are_none_are_refused(times: Any, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        Clip.from_arrays(COLOURS, times=times)
    with pytest.raises(MediaError, match="times but no frames"):
        Clip.from_arrays(audio=np.zeros(5), times=times)


def test_times_may_repeat_and_be_of_any_number() -> None:
    for times in ([0, 1, 1, 1, 2], np.array([0, 1, 1, 1, 2], ">i4"), torch.tensor([0, 1, 1, 1, 2])):
        found = Clip.from_arrays(COLOURS, times=times).times
        assert found is not None
        assert found.tolist() == [0, 1, 1, 1, 2]


def test_rates_that_are_none_are_refused() -> None:
    for rates in ({"sample_rate": 0.5}, {"sample_rate": np.inf}, {"frame_rate": np.inf}):
        with pytest.raises(MediaError, match="above 0 and finite"):
            Clip.from_arrays(COLOURS, np.zeros(5), **rates)
