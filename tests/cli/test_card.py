"""`ter-fast card`: what it writes, what it says that it cannot say, and what it refuses."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from helpers.command import Result, Run
from helpers.tiny import QUIET, tiny_model, tone_corpus
from ter_fast import Model
from ter_fast.data import load_dataset
from ter_fast.experts.saving import CARD, CONFIG, FACTS, WEIGHTS


@dataclass(frozen=True)
class Given:
    """A calibrated model, its data, and its figures as files."""

    model: Path
    data: Path
    evaluation: Path
    robustness: Path


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Given:
    root = tmp_path_factory.mktemp("card")
    manifest = tone_corpus(root / "data", {"train": 2, "validation": 2, "test": 2})
    tones = load_dataset(str(manifest))
    model = tiny_model("audio", labels=tones.labels)
    model.calibrate(tones.split("validation"), progress=False)
    model.save_pretrained(root / "m")
    test = tones.split("test")
    model.evaluate(test, **QUIET).to_json(root / "x.json")
    harm = model.evaluate_corrupted(test, "white_noise", severities=[5], **QUIET)
    harm.to_json(root / "y.json")
    return Given(root / "m", manifest, root / "x.json", root / "y.json")


@pytest.fixture
def given(made: Given, tmp_path: Path) -> Given:
    """A copy to change."""
    model = shutil.copytree(made.model, tmp_path / "m")
    files = [shutil.copy(each, tmp_path) for each in (made.evaluation, made.robustness)]
    return Given(model, made.data, *map(Path, files))


def gaps(result: Result) -> list[str]:
    """Return what a card cannot say, by what stands before the colon."""
    return re.findall(r"^- ([^:]+):", result.out, re.MULTILINE)


@pytest.mark.slow
def test_a_card_says_what_it_is_given_and_the_command_what_is_missing(
    run: Run, given: Given
) -> None:
    bare = run("card", given.model)
    assert bare.code == 0, bare.err
    assert f"card: {given.model / CARD}\n" in bare.out
    without = gaps(bare)
    assert len(without) == 4
    assert without[0] == "how good it is"
    assert without[-1] == "under which terms it may be passed on"

    notes = given.model.parent / "notes.md"
    notes.write_text("- Only indoors, ärger.", encoding="utf-8")
    told = run(
        "card", given.model, "--evaluation", given.evaluation, "--robustness", given.robustness,
        "--data", given.data, "--title", "Tones:\n a card", "--notes", notes,
    )  # fmt: skip
    assert told.code == 0, told.err
    assert gaps(told) == without[-1:]
    text = (given.model / CARD).read_text(encoding="utf-8")
    assert ModelCard(text).data.model_name == "Tones: a card"
    assert "# Tones: a card\n" in text
    assert "white_noise, severity 5" in text
    assert "| tones | train | 4 | 2: train0, train1 | high 2, low 2 |" in text
    assert "- Only indoors, ärger.\n" in text
    accuracy = json.loads(given.evaluation.read_text())["figures"]["accuracy"]["value"]
    assert f"{accuracy:.3f} [" in text

    # What was given is kept; an empty file of notes takes them out.
    notes.write_text("")
    assert gaps(run("card", given.model, "--notes", notes)) == without[-1:]
    assert (given.model / CARD).read_text(encoding="utf-8") == text.replace(
        "- Only indoors, ärger.\n\n", ""
    )


@pytest.mark.slow
def test_several_figures_and_folders_of_reports(run: Run, given: Given, tmp_path: Path) -> None:
    report = tmp_path / "report"
    report.mkdir()
    shutil.copy(given.evaluation, report / "evaluation.json")
    other = json.loads(given.evaluation.read_text())
    given.evaluation.write_text(json.dumps({**other, "name": "elsewhere"}))
    found = run("card", given.model, "-e", report, "-e", given.evaluation)
    assert found.code == 0, found.err
    text = (given.model / CARD).read_text(encoding="utf-8")
    assert {result.dataset_name for result in ModelCard(text).data.eval_results} == {
        f"{other['name']} (audio)",
        "elsewhere (audio)",
    }


def changed(path: Path, *keys: Any, value: Any) -> str:
    """Return JSON with one entry changed, or removed by `...`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    place = values
    for key in keys[:-1]:
        place = place[key]
    if value is ...:
        del place[keys[-1]]
    else:
        place[keys[-1]] = value
    return json.dumps(values)


DAMAGE: list[tuple[str, Callable[[Path], str | bytes]]] = [
    ("empty", lambda _: b""),
    ("cut", lambda path: path.read_text()[:-40]),
    ("no text", lambda _: b"\xff\xfe\x00"),
    ("deep", lambda _: "[" * 200_000),
    ("a list", lambda _: "[]"),
    ("no name", lambda path: changed(path, "name", value=...)),
    ("a name that is none", lambda path: changed(path, "name", value=3)),
    ("a count below 0", lambda path: changed(path, "samples", value=-1)),
    ("no number of clips", lambda path: changed(path, "samples", value=None)),
]
OF_EVALUATIONS: list[tuple[str, Callable[[Path], str | bytes]]] = [
    ("figure", lambda path: changed(path, "figures", "uar", "value", value="0.5")),
    ("no value", lambda path: changed(path, "figures", "uar", "value", value=...)),
    ("no figures", lambda path: changed(path, "figures", value=[])),
    ("too large", lambda path: changed(path, "figures", "uar", "value", value=0.0625).replace("0.0625", "1e999")),
    ("labels", lambda path: changed(path, "labels", value=["high"])),
    ("confusion", lambda path: changed(path, "confusion", 0, value=[1])),
    ("subgroup", lambda path: changed(path, "subgroups", "class", "high", value=2)),
]  # fmt: skip
OF_ROBUSTNESS: list[tuple[str, Callable[[Path], str | bytes]]] = [
    ("no cells", lambda path: changed(path, "cells", value=[])),
    ("cell", lambda path: changed(path, "cells", 1, "accuracy", value="good")),
    ("trend without cells", lambda path: changed(path, "trends", "hum", value=trend_of(path))),
    ("blind", lambda path: changed(path, "trends", "white_noise", "blind", value=None)),
]


def trend_of(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))["trends"]["white_noise"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "damage"),
    [
        *(("--evaluation", damage) for _, damage in (*DAMAGE, *OF_EVALUATIONS)),
        *(("--robustness", damage) for _, damage in (*DAMAGE, *OF_ROBUSTNESS)),
    ],
    ids=[
        *(f"evaluation: {name}" for name, _ in (*DAMAGE, *OF_EVALUATIONS)),
        *(f"robustness: {name}" for name, _ in (*DAMAGE, *OF_ROBUSTNESS)),
    ],
)
def test_damaged_figures_are_named_and_nothing_is_written(
    run: Run, given: Given, option: str, damage: Callable[[Path], str | bytes]
) -> None:
    file = given.evaluation if option == "--evaluation" else given.robustness
    content = damage(file)
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = {path.name: path.read_bytes() for path in given.model.iterdir()}
    found = run("card", given.model, option, file)
    assert found.code == 1
    assert found.err.startswith(f"error: {file} ")
    assert len(found.err.strip().splitlines()) == 1
    assert {path.name: path.read_bytes() for path in given.model.iterdir()} == before


def test_files_of_the_wrong_kind_are_named(run: Run, given: Given, tmp_path: Path) -> None:
    def told(*arguments: object) -> str:
        found = run("card", given.model, *arguments)
        assert found.code == 1
        assert "Traceback" not in found.err
        return " ".join(found.err.split())

    swapped = told("--evaluation", given.robustness)
    assert f"{given.robustness} holds no evaluation; give what" in swapped
    swapped = told("--robustness", given.evaluation)
    assert f"{given.evaluation} holds no figures under corruptions" in swapped
    assert "gone.json cannot be read (No such file or directory)" in told("-e", "gone.json")
    assert "evaluation.json cannot be read (No such file" in told("-e", tmp_path)
    assert "notes.md cannot be read (No such file" in told("--notes", tmp_path / "notes.md")
    (tmp_path / "notes.md").write_bytes(b"\xff\x00")
    assert "notes.md is no text in UTF-8" in told("--notes", tmp_path / "notes.md")
    with (tmp_path / "huge.md").open("wb") as file:
        file.truncate(2**25 + 1)
    assert "huge.md has more than 32 MiB" in told("--notes", tmp_path / "huge.md")
    assert "nowhere.csv" in told("--data", tmp_path / "nowhere.csv")
    assert not (given.model / FACTS).exists()


def test_folders_without_a_model_are_named(run: Run, given: Given, tmp_path: Path) -> None:
    def told(folder: Path) -> str:
        found = run("card", folder)
        assert found.code == 1
        assert len(found.err.strip().splitlines()) == 1
        return found.err

    assert "nowhere is no folder; give the one that train --out" in told(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert f"has no {CONFIG}" in told(tmp_path / "empty")
    weights = (given.model / WEIGHTS).read_bytes()
    (given.model / WEIGHTS).write_bytes(weights[:100])
    assert f"{WEIGHTS} holds no model's weights" in told(given.model)
    (given.model / WEIGHTS).write_bytes(weights)
    (given.model / CONFIG).write_text("{")
    assert "is not the configuration of a ter_fast model" in told(given.model)


@pytest.mark.slow
@pytest.mark.parametrize(
    "content",
    [
        lambda facts: "{",
        lambda facts: json.dumps({**facts, "title": 3}),
        lambda facts: json.dumps({**facts, "evaluations": 3}),
        lambda facts: json.dumps({**facts, "evaluations": [{}]}),
        lambda facts: json.dumps({**facts, "splits": [{"name": "x", "train": {}}]}),
    ],
)
def test_damaged_facts_are_named_and_do_not_keep_a_model_from_being_saved(
    run: Run, given: Given, content: Callable[[dict[str, Any]], str]
) -> None:
    assert run("card", given.model, "-e", given.evaluation, "-d", given.data).code == 0
    file = given.model / FACTS
    file.write_text(content(json.loads(file.read_text())))
    found = run("card", given.model, "--title", "x")
    assert found.code == 1
    assert f"error: {file} " in found.err
    Model.from_pretrained(given.model).save_pretrained(given.model)


def test_a_card_of_ones_own_is_not_replaced(
    run: Run, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    (given.model / CARD).write_text("# Mine\n")
    found = run("card", given.model, "--title", "Another")
    assert found.code == 1
    assert f"{given.model / CARD} was written by someone, not by ter-fast; move it" in found.err
    assert (given.model / CARD).read_text() == "# Mine\n"
    assert not (given.model / FACTS).exists()
    (given.model / CARD).unlink()
    assert run("card", given.model).code == 0
