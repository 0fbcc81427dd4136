"""Recipes: read, refused, and trained on films and on one corpus for each modality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import cv2
import pytest

from helpers.tiny import PITCHES, QUIET, film_corpus, stripes, tone_corpus, write_manifest
from ter_fast import DataError, Model, cli
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.errors import TerFastError
from ter_fast.train.recipes import Recipe, join_alike, shipped_recipes, train

SMALL = """
experts:
  audio:
    - encoder: logmel_cnn
      options: {widths: [4, 4, 8, 8]}
      train: &short {epochs: 8, batch_size: 4, learning_rate: 0.01, crop_seconds: 0.5, ema: 0.0, seed: 1}
    - encoder: voice_functionals
      options: {width: 8}
      train: {<<: *short, kind: log}
  video:
    - encoder: frame_cnn
      options: {widths: [4, 4, 8, 8]}
      video: {frames: 2, size: 32, faces: whole}
      train: *short
calibrate: {confidence: max_probability, disagreement_quantile: 0.9}
"""
COUNTS = {"train": 4, "validation": 3, "test": 2}


def picture_corpus(folder: Path, counts: Mapping[str, int]) -> Path:
    """Write PNG files of two classes and a manifest."""
    folder.mkdir()
    rows = []
    for split, people in counts.items():
        for person in range(people):
            for label in PITCHES:
                name = f"{split}-{person}-{label}.png"
                assert cv2.imwrite(str(folder / name), stripes(label == "high", len(rows)))
                rows.append(
                    {"path": name, "label": label, "split": split, "group": f"{split}{person}"}
                )
    return write_manifest(folder / "pictures.csv", rows)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


def trained(folder: Path) -> dict[str, int]:
    """When each member was written."""
    return {
        each.parent.name: each.stat().st_mtime_ns for each in folder.glob("experts/*/config.json")
    }


@pytest.mark.slow
def test_films_become_a_model_of_all_members(small: Path, tmp_path: Path) -> None:
    films = load_dataset(str(film_corpus(tmp_path / "films", COUNTS)))
    out = tmp_path / "model"
    model = train(Recipe.read(small), films, out=out, progress=False)
    members = trained(out)
    assert sorted(members) == [
        *("audio-1-logmel_cnn", "audio-2-voice_functionals", "video-1-frame_cnn")
    ]
    config = model.config
    assert config.experts["audio"].encoder == "ensemble"
    assert sorted(config.thresholds) == ["audio", "audio+video", "video"]
    assert config.thresholds["audio+video"].samples == 6
    assert (config.confidence, config.video and config.video.frames) == ("max_probability", 2)
    assert config.disagreement_limit is not None
    assert [record.settings["seed"] for record in config.training] == [1, 1, 1]
    assert [record.settings["kind"] for record in config.training] == ["digamma", "log", "digamma"]
    kept = Model.from_pretrained(out)
    assert kept.config == config
    found = kept.evaluate(films.split("test"), **QUIET)
    assert found.figures["accuracy"].value == 1.0
    # A second run trains nothing, and comes to the same model.
    again = train(Recipe.read(small), films, out=out, progress=False)
    assert trained(out) == members
    assert again.config == config
    # One member that is lost is trained again, to the same weights.
    (out / "experts/video-1-frame_cnn/recipe.sha256").unlink()
    assert train(Recipe.read(small), films, out=out, progress=False).config == config
    assert [n for n, when in trained(out).items() if when != members[n]] == ["video-1-frame_cnn"]


@pytest.mark.slow
def test_the_last_layer_is_learned_anew_before_experts_are_joined(
    small: Path, tmp_path: Path
) -> None:
    films = load_dataset(str(film_corpus(tmp_path / "films", COUNTS)))
    out = tmp_path / "model"
    plain = train(Recipe.read(small), films, out=out, progress=False)
    small.write_text(
        SMALL + "last_layer: {audio: {class_balance: 1.0, penalty: 0.01}}\n", encoding="utf-8"
    )
    members = trained(out)
    model = train(Recipe.read(small), films, out=out, progress=False)
    assert trained(out) == members
    settings = [
        (*each.modalities, each.settings.get("last_layer")) for each in model.config.training
    ]
    assert settings == [("audio", None), ("audio", None), ("audio", True), ("video", None)]
    assert model.config.training[2].settings["penalty"] == 0.01
    before, after = plain.state_dict(), model.state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert {"experts.audio.head.weight", "experts.audio.head.bias"} <= changed
    assert not [name for name in changed if ".encoder." in name or ".video." in name]
    assert sorted(model.config.thresholds) == ["audio", "audio+video", "video"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("{text: {}}", "last_layer is {'text': {}}; expected some of audio, video"),
        ("{audio: {rate: 1}}", "audio is {'rate': 1}; expected some of class_balance, penalty"),
        ("{audio: {class_balance: 2}}", "class_balance is 2; expected a number from 0 to 1"),
        ("[audio]", r"last_layer is \['audio'\]"),
    ],
)
def test_a_last_layer_that_cannot_be_is_refused(small: Path, said: str, message: str) -> None:
    small.write_text(SMALL + f"last_layer: {said}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message):
        Recipe.read(small)


@pytest.mark.slow
def test_what_was_trained_otherwise_is_not_taken(small: Path, tmp_path: Path) -> None:
    tones = load_dataset(str(tone_corpus(tmp_path / "tones", COUNTS)))
    out = tmp_path / "model"
    train(Recipe.read(small), tones, out=out, progress=False)
    small.write_text(SMALL.replace("epochs: 8", "epochs: 5"), encoding="utf-8")
    with pytest.raises(DataError, match="audio-1-logmel_cnn was trained otherwise"):
        train(Recipe.read(small), tones, out=out, progress=False)
    small.write_text(SMALL, encoding="utf-8")
    fewer = load_dataset(str(tone_corpus(tmp_path / "tones", {**COUNTS, "train": 3})))
    with pytest.raises(DataError, match="or on other data"):
        train(Recipe.read(small), fewer, out=out, progress=False)


@pytest.mark.slow
def test_the_command_trains_on_one_corpus_for_each_modality(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tones = tone_corpus(tmp_path / "a", COUNTS)
    more = tone_corpus(tmp_path / "b", COUNTS)
    films = picture_corpus(tmp_path / "c", COUNTS)
    out = tmp_path / "model"
    data = [part for each in (tones, films, more) for part in ("--data", str(each))]
    command = ["train", "--recipe", str(small), *data, "--out", str(out), "--quiet"]
    cli.app(command, standalone_mode=False)
    assert f"saved to {out}" in capsys.readouterr().out.replace("\n", "")
    config = Model.from_pretrained(out).config
    # Both corpora of tones are one dataset.
    assert [record.samples["train"] for record in config.training] == [16, 16, 8]
    assert "label" in config.thresholds["audio+video"].pairing
    with pytest.raises(TerFastError, match="--recipe settles --epochs, --loss; leave it out"):
        cli.app([*command, "--epochs", "3", "--loss", "log"], standalone_mode=False)


@pytest.mark.slow
def test_sound_alone_makes_a_model_of_sound(small: Path, tmp_path: Path) -> None:
    tones = load_dataset(str(tone_corpus(tmp_path / "tones", COUNTS)))
    model = train(Recipe.read(small), tones, out=tmp_path / "m", progress=False)
    assert model.config.modalities == ("audio",)
    assert model.config.disagreement_limit is None
    with pytest.raises(DataError, match="both have audio; give them as one"):
        train(Recipe.read(small), tones, tones, out=tmp_path / "n", progress=False)
    text = SMALL.replace("  audio:", "  text:")
    small.write_text(text[: text.index("  video:")], encoding="utf-8")
    with pytest.raises(DataError, match="experts of text; the data have audio"):
        train(Recipe.read(small), tones, out=tmp_path / "n", progress=False)
    assert not (tmp_path / "n").exists()


def test_an_unknown_encoder_shows_before_anything_is_trained(small: Path, tmp_path: Path) -> None:
    small.write_text(SMALL.replace("voice_functionals", "voice_funk"), encoding="utf-8")
    tones = load_dataset(str(tone_corpus(tmp_path / "tones", COUNTS)))
    with pytest.raises(TerFastError, match="voice_funk"):
        train(Recipe.read(small), tones, out=tmp_path / "m", progress=False)
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("experts:", "members:", "expected experts"),
        ("  audio:\n", "  audio: 3\n  sound:\n", "audio is 3; expected a list of members"),
        ("encoder: frame_cnn", "network: frame_cnn", "video has the member .*expected encoder"),
        ("epochs: 8", "epochs: 0", "epochs is 0; expected a whole number from 1 on"),
        ("epochs: 8", "epoch: 4", "audio: train is .*expected some of epochs"),
        ("options: {width: 8}", "options: 8", "audio: options is 8; expected values by name"),
        ("frames: 2", "pictures: 2", "video: video is .*expected some of frames"),
        ("frames: 2", "frames: 0", "frames"),
        ("confidence: max_", "sureness: max_", "calibrate is .*expected some of criterion"),
        ("calibrate: {", "calibrate: [", "cannot be read as YAML"),
    ],
)
def test_a_wrong_recipe_is_refused(small: Path, old: str, new: str, message: str) -> None:
    assert old in SMALL
    small.write_text(SMALL.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        Recipe.read(small)
    assert str(small) in str(error.value)


def test_recipes_of_the_package_can_be_read_by_name(tmp_path: Path) -> None:
    assert "default" in shipped_recipes()
    for name in shipped_recipes():
        assert Recipe.read(name).experts
    with pytest.raises(DataError, match=r"no recipe 'mine'; give one of default, or a YAML file"):
        Recipe.read("mine")


def test_the_shipped_model_was_made_by_the_default_recipe() -> None:
    config = Model.from_pretrained("default").config
    recipe = Recipe.read("default")
    members = [each for experts in recipe.experts.values() for each in experts]
    recorded = [(*record.modalities, dict(record.settings)) for record in config.training]
    # What "auto" was on the processor that it was trained on.
    taken = {"precision": "bf16-mixed"}
    assert {each.settings.precision for each in members if each.encoder != "voice_functionals"} == {
        "auto"
    }
    expected = [
        (
            each.modality,
            asdict(each.settings) | (taken if each.settings.precision == "auto" else {}),
        )
        for each in members
    ]
    assert recorded == expected
    audio = config.experts["audio"].options["members"]
    for kept, member in zip(audio, recipe.experts["audio"], strict=True):
        assert kept["encoder"] == member.encoder
        assert member.options.items() <= kept["options"].items()
    assert config.confidence == recipe.calibrate["confidence"]


def test_datasets_of_one_modality_are_joined_and_spelt_alike() -> None:
    def voices(name: str, label: str) -> Dataset:
        clips = tuple(Sample(f"{name}{i}.wav", (label, "calm")[i], "", name) for i in range(2))
        return Dataset(name, tuple(sorted({label, "calm"})), clips, "CC0", ("audio",))

    faces = Dataset("faces", ("happiness",), (), "CC0", ("video",))
    with pytest.warns(UserWarning, match="two: labels.*happy as happiness"):
        found = join_alike([voices("one", "calm2"), faces, voices("two", "happy")])
    assert [(each.name, each.labels) for each in found] == [
        ("one+two", ("calm", "calm2", "happiness")),
        ("faces", ("happiness",)),
    ]
    with pytest.raises(DataError, match="more than once"):
        join_alike([voices("one", "x")] * 2)
