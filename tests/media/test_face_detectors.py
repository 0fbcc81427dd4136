"""The built-in YuNet beside `cv2.FaceDetectorYN`, and where it looks how closely."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ter_fast.media import decode
from ter_fast.media.faces import detectors
from ter_fast.media.faces.cropper import FaceCropper
from ter_fast.media.faces.detectors import YuNetDetector, look_size, resize
from ter_fast.media.faces.yunet import WEIGHTS, load_yunet
from ter_fast.media.files import file_sha256

FIXTURES = ("obama_speech.mp4", "single_face.mp4", "face_noface.mov", "no_face.mp4", "test.mp4")
CPU = torch.device("cpu")


def frames_of(data_dir: Path, name: str, count: int) -> Tensor:
    frames = decode.read(data_dir / "fixtures" / name, frames=count, audio=False).frames
    assert frames is not None
    return frames


def opencv(data_dir: Path, frames: Tensor, min_score: float) -> list[npt.NDArray[np.float32]]:
    height, width = frames.shape[1:3]
    file = str(data_dir / "models" / "face_detection_yunet_2023mar.onnx")
    detector = cv2.FaceDetectorYN.create(file, "", (width, height), min_score, 0.3, 200)
    found = (detector.detect(picture[..., ::-1].copy())[1] for picture in frames.numpy())
    return [np.zeros((0, 15), np.float32) if faces is None else faces for faces in found]


def overlap(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Return the intersection of two boxes over their union."""
    top = np.maximum(first[:2], second[:2])
    bottom = np.minimum(first[:2] + first[2:4], second[:2] + second[2:4])
    common = np.prod(np.maximum(bottom - top, 0))
    return float(common / (np.prod(first[2:4]) + np.prod(second[2:4]) - common))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.mark.slow
@pytest.mark.parametrize("side", [320, 640])
@pytest.mark.parametrize("name", FIXTURES)
def test_faces_are_those_of_opencv(data_dir: Path, name: str, side: int) -> None:
    frames = frames_of(data_dir, name, 6)
    frames = resize(frames, *look_size(*frames.shape[1:3], side))
    # At the lower score, boxes overlap in crowds and the order of suppression counts.
    for min_score in (0.6, 0.1):
        mine = YuNetDetector(min_score).detect(frames)
        for found, expected in zip(mine, opencv(data_dir, frames, min_score), strict=True):
            assert len(found) == len(expected)
            for one, other in zip(found, expected, strict=True):
                assert overlap(one, other) > 0.99
                np.testing.assert_allclose(one[4:14], other[4:14], atol=0.1)
                assert one[14] == pytest.approx(other[14], abs=1e-3)


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (97, 161), (1, 1)])
def test_odd_sizes_are_padded_as_opencv_does(data_dir: Path, size: tuple[int, int]) -> None:
    frames = resize(frames_of(data_dir, "single_face.mp4", 1), *size)
    found, expected = YuNetDetector(0.2).detect(frames)[0], opencv(data_dir, frames, 0.2)[0]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_pictures_do_not_depend_on_their_batch(data_dir: Path) -> None:
    frames = frames_of(data_dir, "obama_speech.mp4", 3)
    together = YuNetDetector().detect(frames)
    for faces, frame in zip(together, frames, strict=True):
        np.testing.assert_allclose(YuNetDetector().detect(frame[None])[0], faces, atol=1e-3)


def test_neither_default_type_nor_mixed_precision_matters(data_dir: Path) -> None:
    frames = frames_of(data_dir, "obama_speech.mp4", 2)
    expected, crops = YuNetDetector().find(frames), FaceCropper().crop(frames)[0]
    load_yunet.cache_clear()
    with default_dtype(torch.float64), torch.autocast("cpu", dtype=torch.bfloat16):
        for faces, other in zip(YuNetDetector().find(frames), expected, strict=True):
            assert np.array_equal(faces, other)
        assert torch.equal(FaceCropper().crop(frames)[0], crops)


@pytest.mark.slow
def test_the_network_is_one_graph() -> None:
    pictures = torch.rand(2, 3, 64, 96) * 255
    network = load_yunet(CPU)
    traced = torch.compile(network, backend="eager", fullgraph=True)
    torch.testing.assert_close(traced(pictures), network(pictures))
    torch._dynamo.reset()


def test_no_pictures_and_pictures_of_nothing() -> None:
    assert YuNetDetector().find(torch.zeros(0, 9, 9, 3, dtype=torch.uint8)) == []
    for shape in ((2, 0, 9, 3), (2, 9, 0, 3), (2, 9, 9, 3)):
        faces = YuNetDetector().find(torch.zeros(shape, dtype=torch.uint8))
        assert [len(each) for each in faces] == [0, 0]


def test_weights_are_those_that_the_notice_names() -> None:
    notice = (WEIGHTS.parent / "NOTICE.md").read_text("utf-8")
    named = re.search(rf"`{WEIGHTS.name}` .*`([0-9a-f]{{64}})`", notice)
    assert named is not None
    assert file_sha256(WEIGHTS) == named[1]
    assert (WEIGHTS.parent / "LICENSE.yunet").read_text("utf-8").startswith("MIT License")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """How many pictures were looked at, and at which longer side, in order."""
    made: list[tuple[int, int]] = []
    look = YuNetDetector._find_at

    def count(self: YuNetDetector, frames: Tensor, side: int) -> list[npt.NDArray[np.float32]]:
        made.append((len(frames), side))
        return look(self, frames, side)

    monkeypatch.setattr(YuNetDetector, "_find_at", count)
    return made


def small_face(data_dir: Path, count: int, shown: set[int]) -> Tensor:
    """Return pictures of 640 pixels, of which some show a face of about 15 pixels."""
    face = FaceCropper(size=30).crop(frames_of(data_dir, "single_face.mp4", 1))[0][0]
    scene = torch.full((count, 360, 640, 3), 120, dtype=torch.uint8)
    for index in shown:
        scene[index, 100:130, 300:330] = face
    return scene


def test_small_faces_are_found_by_a_closer_look(
    data_dir: Path, looks: list[tuple[int, int]]
) -> None:
    frames = small_face(data_dir, 16, set(range(16)))
    looks.clear()
    faces = YuNetDetector().find(frames)
    assert [len(each) for each in faces] == [1] * 16
    assert looks == [(16, 320), (2, 640), (14, 640)]


def test_where_nobody_is_seen_one_picture_in_eight_is_looked_at_closely(
    data_dir: Path, looks: list[tuple[int, int]]
) -> None:
    for count, closely in ((1, 1), (2, 1), (12, 1), (13, 2), (16, 2)):
        looks.clear()
        empty = torch.full((count, 360, 640, 3), 120, dtype=torch.uint8)
        assert not any(map(len, YuNetDetector().find(empty)))
        assert looks == [(count, 320), (closely, 640)]


def test_pictures_with_a_face_and_small_pictures_are_looked_at_once(
    data_dir: Path, looks: list[tuple[int, int]]
) -> None:
    YuNetDetector().find(frames_of(data_dir, "single_face.mp4", 3))
    YuNetDetector().find(torch.zeros(3, 240, 320, 3, dtype=torch.uint8))
    assert looks == [(3, 320), (3, 320)]


@pytest.mark.slow
def test_large_batches_are_split(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = frames_of(data_dir, "test.mp4", 5)
    expected = YuNetDetector().find(frames)
    monkeypatch.setattr(detectors, "_AT_ONCE", 2 * 320 * 192)
    for faces, other in zip(YuNetDetector().find(frames), expected, strict=True):
        np.testing.assert_allclose(faces, other, atol=1e-2)


@pytest.mark.gpu
def test_faces_on_the_gpu_are_those_on_the_cpu(data_dir: Path) -> None:
    frames = frames_of(data_dir, "single_face.mp4", 4)
    crops, kept = FaceCropper().crop(frames)
    on_gpu, kept_there = FaceCropper().crop(frames.cuda())
    assert on_gpu.is_cuda
    assert torch.equal(kept_there, kept)
    assert float((on_gpu.cpu().float() - crops.float()).abs().mean()) < 2
