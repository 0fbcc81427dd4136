"""The drawn clip: its face is found and read, its voice heard, and a contradiction is not trusted."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from ter_fast import Model
from ter_fast.media import decode
from ter_fast.media.faces.cropper import FaceCropper

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    return runpy.run_path(str(Path(__file__).parents[1] / "examples" / "make_demo_clip.py"))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.from_pretrained("default")


@pytest.fixture(scope="module")
def clip(demo: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("demo") / "demo.mp4"
    demo["write"](path)
    return path


def test_the_clip_shows_a_face_and_speaks(clip: Path) -> None:
    found = decode.read(clip)
    assert found.frames is not None
    assert found.frames.shape == (16, 240, 320, 3)
    assert found.duration == pytest.approx(4.0, abs=0.05)
    assert not found.is_silent(threshold_db=-30)
    assert FaceCropper().crop(found.frames)[1].tolist() == list(range(16))


def test_face_and_voice_agree_and_are_trusted(model: Model, clip: Path) -> None:
    found = model.predict(clip)
    assert found.label == "happiness"
    assert found.trusted is True
    assert found.reasons == ()
    for opinion in found.opinions.values():
        assert opinion is not None
        assert model.config.labels[int(opinion.prediction)] == "happiness"


def test_a_contradiction_is_not_trusted_and_says_so(
    demo: dict[str, Any], model: Model, tmp_path: Path
) -> None:
    demo["write"](tmp_path / "demo.mp4", "happy", "sad")
    found = model.predict(tmp_path / "demo.mp4")
    said = {
        name: model.config.labels[int(opinion.prediction)]
        for name, opinion in found.opinions.items()
        if opinion is not None
    }
    assert said == {"audio": "sadness", "video": "happiness"}
    assert found.trusted is False
    assert any(reason.startswith("disagreement") for reason in found.reasons)
