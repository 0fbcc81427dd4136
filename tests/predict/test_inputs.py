"""What `Model.predict` takes besides files: pictures, arrays, sound with its rate; and paths that are none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.tiny import RATE, noisy_tone, same_evidence, stripes, tiny_model, write_wav
from ter_fast import Clip, MediaError, Model, Prediction, Predictions

SOUND = noisy_tone(500, 0.7)
PICTURES = np.stack([stripes(True, index) for index in range(3)])


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model("audio", "video")


@pytest.mark.parametrize(
    "source",
    [
        (SOUND, RATE),
        (RATE, SOUND),
        [SOUND, RATE],
        (np.stack([SOUND, SOUND], axis=1), RATE),
        (torch.from_numpy(SOUND)[None], RATE),
        {"array": SOUND, "sampling_rate": RATE, "path": None},
    ],
)
def test_sound_with_its_rate_is_one_clip(model: Model, source: Any) -> None:
    found = model.predict(source)
    assert isinstance(found, Prediction)
    same_evidence(found, model.predict(Clip.from_arrays(audio=SOUND)))


@pytest.mark.parametrize(
    "source", [PICTURES[0], torch.from_numpy(PICTURES[0]), Image.fromarray(PICTURES[0])]
)
def test_a_picture_is_one_clip(model: Model, source: Any) -> None:
    found = model.predict(source)
    assert isinstance(found, Prediction)
    same_evidence(found, model.predict(Clip.from_arrays(PICTURES[:1])))


def test_pictures_are_one_clip_and_a_list_is_many(model: Model) -> None:
    same_evidence(model.predict(PICTURES), model.predict(Clip.from_arrays(PICTURES)))
    found = model.predict([PICTURES, (SOUND, RATE), Image.fromarray(PICTURES[0])])
    assert isinstance(found, Predictions)
    assert [each.path for each in found] == ["clip 0", "clip 1", "clip 2"]
    same_evidence(found[1], model.predict((SOUND, RATE)))


def test_a_bad_array_among_many_costs_only_itself(model: Model) -> None:
    found = model.predict([SOUND, (SOUND, RATE)])
    assert "lacks its rate; give (array, sample_rate)" in found[0].error
    assert found[1].label
    with pytest.raises(MediaError, match="lacks its rate"):
        model.predict(SOUND)


def test_arrays_by_modality_are_a_batch(model: Model) -> None:
    batch = {"audio": np.stack([SOUND, SOUND[::-1]]), "video": np.stack([PICTURES, PICTURES])}
    tensors = {name: torch.from_numpy(array.copy()) for name, array in batch.items()}
    for one, other in zip(model.predict(batch), model.predict(tensors), strict=True):
        same_evidence(one, other)


def test_paths_of_bytes_and_path_likes_are_paths(model: Model, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", SOUND)

    class PathLike:
        def __fspath__(self) -> str:
            return str(path)

    for source in (os.fsencode(path), PathLike()):
        found = model.predict(source)  # type: ignore[call-overload]
        same_evidence(found, model.predict(path))


@pytest.mark.parametrize(
    "name", ["missing.wav", "./missing.wav", "x//missing.wav", "../missing.wav"]
)
def test_a_missing_file_fails_alike_however_it_is_spelt(model: Model, name: str) -> None:
    for source in (name, Path(name), os.fsencode(name), os.path.abspath(name)):
        with pytest.raises(MediaError, match=r"missing\.wav does not exist; check the path\."):
            model.predict(source)


@pytest.mark.parametrize("url", ["rtsp://camera/a.wav", "s3://bucket/a.wav"])
def test_a_url_keeps_its_slashes(model: Model, url: str) -> None:
    for source in (url, Path(url)):
        with pytest.raises(MediaError, match=f"^{url}"):
            model.predict(source)
    assert model.predict([url])[0].path == url


def test_no_path_is_no_folder(model: Model) -> None:
    with pytest.raises(MediaError, match=r'the path is empty \(""\); give a file'):
        model.predict("")
    assert "the path is empty" in model.predict([""])[0].error


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b.wav"])
def test_names_that_no_file_can_have_do_not_exist(model: Model, name: str) -> None:
    with pytest.raises(MediaError, match="does not exist"):
        model.predict(name)


@pytest.mark.parametrize("source", [None, 5, 0.5])
def test_what_is_no_source_is_refused_by_its_type(model: Model, source: Any) -> None:
    with pytest.raises(TypeError, match=f"the source is {type(source).__name__}; give a file"):
        model.predict(source)


def test_loud_tensors_are_brought_to_full_scale_and_say_so(model: Model) -> None:
    sound = torch.from_numpy(SOUND / np.abs(SOUND).max())
    expected = model.predict({"audio": sound[None]})[0]
    loud = sound * 32768
    found = model.predict({"audio": loud[None]})[0]
    same_evidence(found, expected)
    assert any("its samples reach 32768" in reason for reason in found.reasons)
    assert float(loud.abs().max()) == 32768
    clip = Clip(None, None, None, loud, 0.0, len(loud) / RATE)
    same_evidence(model.predict(clip), expected)
