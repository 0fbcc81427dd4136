"""The largest face of each picture, on real faces; and every way in which a model file is none."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from ter_fast.errors import MediaError
from ter_fast.media import decode
from ter_fast.media.faces.cropper import (
    MODEL_VARIABLE,
    Face,
    FaceCropper,
    cut_squares,
    default_face_model,
)
from ter_fast.media.faces.detectors import YuNetDetector


@pytest.fixture(scope="module", params=["built-in", "OpenCV"])
def model_file(request: pytest.FixtureRequest, data_dir: Path) -> Path | None:
    """What `FaceCropper` takes for the built-in detector, and a file for OpenCV's."""
    return None if request.param == "built-in" else data_dir / "models/yunet_s_dynamic.onnx"


@pytest.fixture(scope="module")
def speaker(data_dir: Path) -> torch.Tensor:
    frames = decode.read(data_dir / "fixtures/single_face.mp4", frames=3, audio=False).frames
    assert frames is not None
    return frames


def largest(model_file: Path | None, picture: npt.NDArray[np.uint8]) -> Face | None:
    (face,) = FaceCropper(model_file).largest(torch.from_numpy(picture.copy())[None])
    return face


@pytest.mark.slow
def test_face_comes_and_goes(model_file: Path | None, data_dir: Path) -> None:
    clip = decode.read(data_dir / "fixtures/face_noface.mov", frames=16, audio=False)
    assert clip.frames is not None
    crops, kept = FaceCropper(model_file, size=96).crop(clip.frames)
    assert kept.tolist() == [0, 1, 2, 3, 4, 5]
    assert crops.shape == (6, 96, 96, 3)
    assert crops.dtype == torch.uint8


def test_no_face_gives_empty_tensors(model_file: Path | None, data_dir: Path) -> None:
    clip = decode.read(data_dir / "fixtures/no_face.mp4", frames=4, audio=False)
    assert clip.frames is not None
    crops, kept = FaceCropper(model_file, size=64).crop(clip.frames)
    assert crops.shape == (0, 64, 64, 3)
    assert kept.shape == (0,)
    assert kept.dtype == torch.int64


def test_largest_of_two_faces_wins(model_file: Path | None, speaker: torch.Tensor) -> None:
    big = speaker[0].numpy()
    small = big[::3, ::3]
    scene = np.full((big.shape[0] + small.shape[0], big.shape[1], 3), 90, np.uint8)
    scene[: small.shape[0], : small.shape[1]] = small
    scene[small.shape[0] :] = big
    alone, both = (largest(model_file, picture) for picture in (big, scene))
    assert alone is not None
    assert both is not None
    assert both.width == pytest.approx(alone.width, rel=0.2)
    assert both.y == pytest.approx(alone.y + small.shape[0], abs=0.2 * alone.height)


@pytest.mark.parametrize("scale", [1 / 8, 1 / 2, 3])
def test_faces_are_found_at_every_scale(
    model_file: Path | None, speaker: torch.Tensor, scale: float
) -> None:
    picture = speaker[0].numpy()
    alone = largest(model_file, picture)
    if scale < 1:
        step = round(1 / scale)
        scaled = picture[::step, ::step]
    else:
        scaled = picture.repeat(int(scale), axis=0).repeat(int(scale), axis=1)
    found = largest(model_file, scaled)
    assert alone is not None
    assert found is not None
    for name in ("x", "y", "width", "height"):
        expected = getattr(alone, name) * scale
        assert getattr(found, name) == pytest.approx(expected, abs=0.15 * alone.width * scale)


def test_square_leaving_the_picture_repeats_its_edge() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[0], picture[-1], picture[:, 0], picture[:, -1] = 50, 60, 70, 80
    frames = torch.from_numpy(np.stack([np.full_like(picture, 9), picture]))
    (crop,) = cut_squares(frames, [1], [(30.0, 20.0, 100.0, 100.0)], 100, 0.0).numpy()
    assert crop.shape == (100, 100, 3)
    assert np.array_equal(crop[30:70, 20:80], picture)
    assert (crop[:30, 30] == 50).all()
    assert (crop[75:, 30] == 60).all()
    assert (crop[40, :20] == 70).all()
    assert (crop[40, 85:] == 80).all()
    beside = cut_squares(frames, [1], [(500.0, 20.0, 10.0, 10.0)], 10, 0.0)
    assert (beside[0, 1:-1] == 80).all()


def test_margin_widens_the_square(model_file: Path | None, speaker: torch.Tensor) -> None:
    tight, _ = FaceCropper(model_file, margin=0.0).crop(speaker)
    wide, _ = FaceCropper(model_file, margin=0.5).crop(speaker)
    middle = torch.nn.functional.interpolate(
        wide[:, 28:84, 28:84].permute(0, 3, 1, 2).float(), size=(112, 112), mode="bilinear"
    )
    assert float((middle - tight.permute(0, 3, 1, 2)).abs().mean()) < 8


def test_threads_agree_with_one_another(model_file: Path | None, speaker: torch.Tensor) -> None:
    cropper = FaceCropper(model_file)
    expected = cropper.crop(speaker)[0]
    results: list[torch.Tensor] = []
    threads = [
        threading.Thread(target=lambda: results.append(cropper.crop(speaker)[0])) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(result, expected) for result in results)


def test_cropper_travels_to_other_processes(model_file: Path | None, speaker: torch.Tensor) -> None:
    cropper = FaceCropper(model_file, size=80)
    copy = pickle.loads(pickle.dumps(cropper))
    assert torch.equal(copy.crop(speaker)[0], cropper.crop(speaker)[0])


def test_wrong_frames_are_refused(model_file: Path | None) -> None:
    with pytest.raises(MediaError, match=r"expected \(T, H, W, 3\) uint8"):
        FaceCropper(model_file).crop(torch.zeros(2, 3, 10, 10))


@pytest.mark.parametrize("options", [{"size": 0}, {"margin": -1.0}, {"min_score": 0.0}])
def test_wrong_settings_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(MediaError, match="expected size >= 1"):
        FaceCropper("x.onnx", **options)  # type: ignore[arg-type]


def test_missing_and_corrupt_models_say_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MediaError, match=r"none\.onnx does not exist; .*the built-in detector"):
        FaceCropper(tmp_path / "none.onnx")
    for content in (b"", b"not a model", bytes(range(256)) * 100):
        (tmp_path / "bad.onnx").write_bytes(content)
        with pytest.raises(MediaError, match=r"bad\.onnx is no YuNet face model"):
            FaceCropper(tmp_path / "bad.onnx")
    assert capfd.readouterr().err == ""


def test_the_variable_names_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE, raising=False)
    assert default_face_model() is None
    named = tmp_path / "mine.onnx"
    monkeypatch.setenv(MODEL_VARIABLE, str(named))
    with pytest.raises(MediaError, match=r"names .*mine\.onnx, which does not exist"):
        default_face_model()
    named.write_bytes(b"model")
    assert default_face_model() == named


class Script:
    """A detector that finds the faces that it is given, and notes which pictures it is shown."""

    def __init__(self, boxes: list[tuple[float, ...] | None]) -> None:
        self.boxes = boxes
        self.looked: list[list[int]] = []

    def find(self, frames: torch.Tensor) -> list[npt.NDArray[np.float32]]:
        shown = frames[:, 0, 0, 0].tolist()
        self.looked.append(shown)
        found = []
        for index in shown:
            box = self.boxes[index]
            faces = np.zeros((int(box is not None), 15), np.float32)
            if box is not None:
                faces[0, :4], faces[0, -1] = box, 0.5 + index / 100
            found.append(faces)
        return found


def follow(boxes: list[tuple[float, ...] | None]) -> tuple[list[Face | None], list[list[int]]]:
    cropper = FaceCropper()
    cropper.detector = script = Script(boxes)
    frames = torch.arange(len(boxes), dtype=torch.uint8)[:, None, None, None].expand(-1, 40, 40, 3)
    return cropper.largest(frames), script.looked


def test_a_steady_face_is_looked_for_in_every_second_picture() -> None:
    faces, looked = follow([(10.0 + index, 20.0, 30.0, 40.0) for index in range(6)])
    assert looked == [[0, 2, 4, 5]]
    assert faces == [
        Face(10.0 + index, 20.0, 30.0, 40.0, pytest.approx(0.5 + index / 100)) for index in range(6)
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_pictures(count: int) -> None:
    faces, looked = follow([(1.0, 2.0, 9.0, 9.0)] * count)
    assert len(faces) == count
    assert all(face is not None and face.width == 9 for face in faces)
    assert looked == [[0], [0, 1], [0, 2]][count - 1 : count] if count else looked == []


def test_whoever_appears_moves_or_leaves_is_looked_for_in_each_picture() -> None:
    here, there = (0.0, 0.0, 20.0, 20.0), (100.0, 0.0, 20.0, 20.0)
    for boxes in (
        [None, here, None, None],  # shown for one picture
        [here, None, None, None],  # leaves
        [None, None, here, here],  # appears
        [here, there, there, there],  # a cut, or another face is larger
        [here, (4.0, 0.0, 20.0, 20.0), (8.0, 0.0, 20.0, 20.0), here],  # moves fast
    ):
        faces, looked = follow(boxes)
        assert looked == [[0, 2, 3], [1]]
        assert [None if f is None else (f.x, f.y, f.width, f.height) for f in faces] == boxes


@pytest.mark.slow
def test_halfway_boxes_are_near_those_that_are_found(data_dir: Path) -> None:
    clip = decode.read(data_dir / "fixtures/single_face.mp4", frames=9, audio=False)
    assert clip.frames is not None
    for face, faces in zip(
        FaceCropper().largest(clip.frames), YuNetDetector().find(clip.frames), strict=True
    ):
        assert face is not None
        for value, other in zip((face.x, face.y, face.width, face.height), faces[0], strict=False):
            assert value == pytest.approx(float(other), abs=0.1 * face.width)
