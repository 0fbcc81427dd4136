"""The faces of a clip's 16 pictures found and cut out, beside OpenCV's detector and decoding alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from torch import Tensor

from ter_fast.media import decode
from ter_fast.media.faces.cropper import Face, FaceCropper
from ter_fast.media.faces.detectors import LOOK_SIDE, look_size

FRAMES = 16
LONGEST = 1280
"""Longer side to which pictures are decoded for faces."""

FILES = ("obama_speech.mp4", "single_face.mp4", "face_noface.mov", "no_face.mp4", "test.mp4")
SMOKE = "obama_speech.mp4"
"""The only file where rows are run but not timed."""

LEAST_OVERLAP = 0.6
"""Of our box with the one that OpenCV finds at 640 pixels: YuNet's boxes depend on the scale, and a steady face
is taken to lie halfway between two pictures."""

MODEL = "face_detection_yunet_2023mar.onnx"


@dataclass(frozen=True)
class Job:
    """A film, its pictures, and the faces that OpenCV finds in them at 640 pixels."""

    path: Path
    frames: Tensor
    expected: list[Face | None]


def read(path: Path) -> Tensor:
    frames = decode.read(path, frames=FRAMES, audio=False, max_side=LONGEST, threads=1).frames
    assert frames is not None
    return frames


def opencv_model() -> Path:
    return Path(os.environ.get("TER_FAST_DATA", "."), "models", MODEL)


def by_opencv_small(frames: Tensor) -> int:
    """Find faces with OpenCV at the size of our first look, and cut nothing out."""
    height, width = frames.shape[1:3]
    rows, columns = look_size(height, width, LOOK_SIDE)
    detector = cv2.FaceDetectorYN.create(str(opencv_model()), "", (columns, rows), 0.6, 0.3, 200)
    found = 0
    for picture in frames.numpy():
        shown = cv2.resize(picture[..., ::-1], (columns, rows), interpolation=cv2.INTER_AREA)
        found += detector.detect(shown)[1] is not None
    return found


ROWS: dict[str, Callable[[Job], Callable[[], Any]]] = {
    "ter_fast": lambda job: partial(FaceCropper().crop, job.frames),
    "OpenCV at 640 pixels": lambda job: partial(FaceCropper(opencv_model()).crop, job.frames),
    "OpenCV at 320 pixels": lambda job: partial(by_opencv_small, job.frames),
    "decoding alone": lambda job: partial(read, job.path),
}


def overlap(first: Face, second: Face) -> float:
    left, top = max(first.x, second.x), max(first.y, second.y)
    right = min(first.x + first.width, second.x + second.width)
    bottom = min(first.y + first.height, second.y + second.height)
    common = max(0.0, right - left) * max(0.0, bottom - top)
    areas = first.width * first.height + second.width * second.height
    return common / (areas - common)


def check(job: Job) -> None:
    """Compare our faces with those that OpenCV finds at 640 pixels."""
    for mine, other in zip(FaceCropper().largest(job.frames), job.expected, strict=True):
        assert (mine is None) == (other is None)
        if mine is not None and other is not None:
            assert overlap(mine, other) > LEAST_OVERLAP


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one core, as the threads that prepare clips do."""
    ours, theirs = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(ours)
        cv2.setNumThreads(theirs)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a row for each film and implementation; of one film where nothing is timed."""
    names = (SMOKE,) if metafunc.config.getoption("benchmark_disable") else FILES
    metafunc.parametrize(("name", "row"), [(name, row) for name in names for row in ROWS])


@pytest.mark.benchmark(max_time=1.0, min_rounds=3)
def test_faces(benchmark: Any, name: str, row: str) -> None:
    path = Path(os.environ.get("TER_FAST_DATA", "."), "fixtures", name)
    if not path.is_file():
        pytest.skip(f"TER_FAST_DATA names no folder with fixtures/{name}")
    with one_thread():
        frames = read(path)
        job = Job(path, frames, FaceCropper(opencv_model()).largest(frames))
        check(job)
        call = ROWS[row](job)
        benchmark.group = f"faces of {path.stem}, {frames.shape[2]}x{frames.shape[1]}"
        benchmark(call)
    if benchmark.stats is not None:
        fastest = benchmark.stats.stats.min
        faces = len(job.expected) - job.expected.count(None)
        benchmark.extra_info |= {
            "row": row,
            "device": "cpu",
            "clips_per_second": round(1 / fastest, 2),
            "faces_per_second": round(faces / fastest, 1),
        }
