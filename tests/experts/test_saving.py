"""Models on disk: what was saved comes back bit by bit, and what was altered is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from helpers.local_hub import local_hub
from helpers.tiny import noisy_tone, rescaled, stripes, tiny_model, with_threshold
from ter_fast import Clip, DataError, Model, ModelError, TerFastError
from ter_fast.experts.card import MARK
from ter_fast.experts.saving import write_card
from ter_fast.media import files as atomic

CONFIG, WEIGHTS, CARD, FACTS = "config.json", "model.safetensors", "README.md", "card.json"


@pytest.fixture(scope="module")
def model() -> Model:
    model = rescaled(tiny_model("audio", "video", rule="cumulative"), "audio", 1.7)
    model.config = replace(model.config, disagreement_limit=0.4, confidence="margin")
    return with_threshold(model, 0.1, "audio+video", "audio")


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    model.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def a_clip() -> Clip:
    return Clip.from_arrays(stripes(True), noisy_tone(500))


def test_what_was_saved_comes_back_bit_by_bit(model: Model, folder: Path) -> None:
    loaded = Model.from_pretrained(folder)
    assert loaded.config == model.config
    assert not loaded.training
    first, second = model.state_dict(), loaded.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    before, after = model.predict(a_clip()), loaded.predict(a_clip())
    assert torch.equal(before.opinion.evidence, after.opinion.evidence)
    assert before.row() == after.row()


def test_a_folder_holds_two_files_and_a_card_and_no_code(folder: Path) -> None:
    assert sorted(each.name for each in folder.iterdir()) == [CARD, CONFIG, WEIGHTS]
    values = json.loads((folder / CONFIG).read_text())
    assert values["labels"] == ["a", "b", "c"]
    assert values["thresholds"]["audio"]["criterion"] == "balance"
    assert values["video"]["size"] == 32


def test_saving_again_is_the_same_and_overwrites(model: Model, folder: Path) -> None:
    before = {each.name: each.read_bytes() for each in folder.iterdir()}
    Model.from_pretrained(folder).save_pretrained(folder)
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    with_threshold(Model.from_pretrained(folder), 0.9, "video").save_pretrained(folder)
    assert Model.from_pretrained(folder).config.thresholds["video"].threshold == 0.9


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}; copy the whole folder again"):
        Model.from_pretrained(folder)


@pytest.mark.parametrize("place", [0, 200, -1])
def test_one_altered_byte_of_the_weights_is_noticed(folder: Path, place: int) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[place] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ModelError, match=f"is not the file that {CONFIG} describes; copy both"):
        Model.from_pretrained(folder)


def test_truncated_weights_are_noticed(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-100])
    with pytest.raises(ModelError, match="is not the file"):
        Model.from_pretrained(folder)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '{"labels": []}', "\x00\xff", '{"weights_sha256": "x"}']
)
def test_what_is_no_configuration_is_refused(folder: Path, text: str) -> None:
    (folder / CONFIG).write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match=r"config\.json .*copy .* again"):
        Model.from_pretrained(folder)


def alter(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / CONFIG).read_text())
    change(values)
    (folder / CONFIG).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("weights_sha256"), "no entry 'weights_sha256'"),
        (lambda v: v.pop("labels"), "'labels' is missing"),
        (lambda v: v.update(rule="yager"), "rule is 'yager'"),
        (lambda v: v["experts"]["audio"].update(encoder="nope"), "registered as 'nope'"),
        (lambda v: v["experts"]["audio"].update(options={"depth": 3}), "does not take these options"),
        (lambda v: v["experts"]["audio"].update(options={"widths": [4, 4]}), "does not take these"),
        (lambda v: v["experts"]["audio"].update(options={}), "do not fit their configuration"),
        (lambda v: v["experts"]["audio"].update(labels=["a", "b"]), "do not fit their configuration"),
        (lambda v: v["experts"].pop("video"), "do not fit their configuration"),
    ],
)  # fmt: skip
def test_an_altered_configuration_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    alter(folder, change)
    with pytest.raises(ModelError, match=message) as raised:
        Model.from_pretrained(folder)
    assert "\n" not in str(raised.value)


class Boom:
    """Runs code when unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was loaded",))


def test_a_pickle_is_never_loaded(folder: Path, tmp_path: Path) -> None:
    import hashlib

    content = pickle.dumps(Boom())
    (folder / WEIGHTS).write_bytes(content)
    alter(folder, lambda v: v.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(ModelError, match=r"model\.safetensors|weights in"):
        Model.from_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(content)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"has no {WEIGHTS}"):
        Model.from_pretrained(folder)


@pytest.mark.parametrize("stage", ["weights", "config"])
def test_a_failed_save_leaves_the_old_model_whole(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    before = {each.name: each.read_bytes() for each in folder.iterdir()}

    def full_disk(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    if stage == "weights":
        monkeypatch.setattr(safetensors.torch, "save_file", full_disk)
    else:
        monkeypatch.setattr(atomic, "_fill", full_disk)
    changed = rescaled(model, "video", 2.0)
    with torch.no_grad():
        changed.experts["video"].head.bias.add_(1)
    with pytest.raises(TerFastError, match="No space left on device"):
        changed.save_pretrained(folder)
    monkeypatch.undo()
    assert {each.name: each.read_bytes() for each in folder.iterdir()} == before
    assert Model.from_pretrained(folder).config == model.config


def test_a_file_in_the_way_of_the_folder_is_named(model: Model, tmp_path: Path) -> None:
    (tmp_path / "m").write_text("in the way")
    with pytest.raises(TerFastError, match="m is a file; give another folder"):
        model.save_pretrained(tmp_path / "m")


def test_folders_are_made_on_the_way(model: Model, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "deep" / "er")
    assert Model.from_pretrained(str(tmp_path / "deep" / "er")).config == model.config


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "a/b/c", "../up"])
def test_unknown_names_say_what_was_expected(name: str) -> None:
    with pytest.raises(
        ModelError, match=r"no model .*expected a folder, a hub id such as owner/name"
    ):
        Model.from_pretrained(name)


def test_the_hub_is_asked_for_two_files_and_its_failure_is_one_sentence(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: list[Any] = []

    def give(name: str, **options: Any) -> str:
        asked.append((name, options))
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    assert Model.from_pretrained("owner/name", revision="v1").config == model.config
    assert asked == [("owner/name", {"revision": "v1", "allow_patterns": [CONFIG, WEIGHTS]})]

    def fail(name: str, **_: Any) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("offline\nand more")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(ModelError, match=r"the hub did not give it \(offline\); check the name"):
        Model.from_pretrained("owner/name")


# -- the hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub in a folder: `owner/name/branch`, behind the calls that would go over the network."""
    return local_hub(monkeypatch, tmp_path)


def test_what_was_pushed_loads_bit_by_bit(model: Model, hub: Path) -> None:
    url = model.push_to_hub("owner/name", token="t", message="first", private=True)
    assert url == "hub://owner/name/main"
    assert (hub / "owner/name/private").read_text() == "True"
    assert (hub / "owner/name/log").read_text() == "t: first"
    pushed = hub / "owner/name/main"
    assert sorted(each.name for each in pushed.iterdir()) == [CARD, CONFIG, WEIGHTS]
    loaded = Model.from_pretrained("owner/name")
    assert loaded.config == model.config
    assert all(torch.equal(v, loaded.state_dict()[k]) for k, v in model.state_dict().items())
    model.push_to_hub("owner/name", revision="v2")
    assert (hub / "owner/name/v2" / WEIGHTS).is_file()
    assert Model.from_pretrained("owner/name", revision="v2").config == model.config


def test_a_folders_card_and_figures_go_along(model: Model, folder: Path, hub: Path) -> None:
    write_card(folder, title="Mine", notes="- Only indoors.")
    model.push_to_hub("owner/name", folder=folder)
    pushed = hub / "owner/name/main"
    for each in (CARD, FACTS):
        assert (pushed / each).read_bytes() == (folder / each).read_bytes()


def test_a_folder_of_another_model_is_not_pushed(model: Model, folder: Path, hub: Path) -> None:
    with pytest.raises(ModelError, match="holds another model than the one to be uploaded"):
        with_threshold(Model.from_pretrained(folder), 0.9, "video").push_to_hub(
            "owner/name", folder=folder
        )
    with pytest.raises(ModelError, match=f"has no {CONFIG}"):
        model.push_to_hub("owner/name", folder=folder.parent)
    assert not hub.exists()


def test_damage_on_the_hub_is_noticed(model: Model, hub: Path) -> None:
    model.push_to_hub("owner/name")
    pushed = hub / "owner/name/main"
    (pushed / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(ModelError, match="is not the file that"):
        Model.from_pretrained("owner/name")
    with pytest.raises(ModelError, match=r"the hub did not give it \(404: no owner/other\)"):
        Model.from_pretrained("owner/other")


def test_what_the_hub_refuses_is_one_sentence(
    model: Model, hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import HfApi

    with pytest.raises(ModelError, match=r"the hub did not take 'a/b/c' \(Repo id must be"):
        model.push_to_hub("a/b/c")

    class NetworkError(Exception):
        """As of an HTTP library: no OSError, and here without a word."""

    def offline(*_: Any, **__: Any) -> None:
        raise NetworkError

    monkeypatch.setattr(HfApi, "create_repo", offline)
    with pytest.raises(ModelError, match=r"\(NetworkError\); check the name, the network") as told:
        model.push_to_hub("owner/name")
    assert "\n" not in str(told.value)


# -- the card -------------------------------------------------------------------------------------


def test_a_card_of_ones_own_is_left_alone_by_saving(model: Model, folder: Path) -> None:
    (folder / CARD).write_text("# Mine\n")
    model.save_pretrained(folder)
    assert (folder / CARD).read_text() == "# Mine\n"
    write_card(folder)
    assert MARK in (folder / CARD).read_text(encoding="utf-8")


def test_figures_of_another_state_of_the_model_are_dropped(model: Model, folder: Path) -> None:
    write_card(folder, notes="- Only indoors.")
    model.save_pretrained(folder)
    assert "Only indoors" in (folder / CARD).read_text(encoding="utf-8")
    with_threshold(Model.from_pretrained(folder), 0.9, "video").save_pretrained(folder)
    assert "Only indoors" not in (folder / CARD).read_text(encoding="utf-8")
    assert not (folder / FACTS).exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_sha256": "x"}', "\x00\xff"])
def test_damaged_facts_do_not_keep_a_model_from_being_saved(
    model: Model, folder: Path, text: str
) -> None:
    (folder / FACTS).write_bytes(text.encode("latin-1"))
    model.save_pretrained(folder)
    assert Model.from_pretrained(folder).config == model.config
    if (folder / FACTS).exists():
        with pytest.raises(DataError, match=r"card\.json"):
            write_card(folder)


def test_facts_that_lack_an_entry_are_refused(folder: Path) -> None:
    write_card(folder, notes="- Only indoors.")
    values = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    del values["notes"]
    (folder / FACTS).write_text(json.dumps(values))
    with pytest.raises(DataError, match="does not hold a card's facts; delete it"):
        write_card(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_card_needs_a_model(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelError, match=f"has no {name}"):
        write_card(folder)
