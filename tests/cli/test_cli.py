"""The command line: what it prints where, and what it exits with."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas
import pytest
import torch
from rich.cells import cell_len

from helpers.command import Run
from helpers.tiny import (
    film,
    film_corpus,
    noisy_tone,
    tiny_model,
    tone_corpus,
    with_threshold,
    write_wav,
)
from ter_fast import MediaError, Model
from ter_fast.cli import media as media_commands
from ter_fast.media.decode import Choice
from ter_fast.predict.predict import PredictionStream
from ter_fast.predict.settings import PredictSettings, WindowSettings

LABELS = ("high", "low")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model on disk that trusts films, does not trust sound, and is not calibrated for pictures."""
    model = tiny_model("audio", "video", labels=LABELS)
    with_threshold(with_threshold(model, 0.0, "audio+video"), 0.999, "audio")
    folder = tmp_path_factory.mktemp("model") / "m"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    film(folder / "film.mp4", "high")
    film(folder / "mute.mp4", "low", sound=False)
    write_wav(folder / "a sound with a long name, [red]brackets and spaces.wav", noisy_tone(600))
    return folder


@pytest.mark.slow
def test_predict_prints_a_table_that_fits_a_terminal(run: Run, model: Path, media: Path) -> None:
    found = run("predict", media, "--model", model)
    assert found.code == 0
    lines = found.out.splitlines()
    assert max(cell_len(line.rstrip()) for line in lines) <= 80
    header = lines[0].split()
    assert [word.rstrip("?") for word in header] == [
        "clip", "label", "confidence", "trusted",
    ]  # fmt: skip
    rows = {
        name: next(line for line in lines if f"{name} " in line)
        for name in ("film.mp4", "mute.mp4", "spaces.wav")
    }
    assert "✓" in rows["film.mp4"]
    assert " ? " in rows["mute.mp4"]
    assert "✗" in rows["spaces.wav"]
    assert all("high" in row or "low" in row for row in rows.values())
    assert ", needs 0.999" in rows["spaces.wav"] or ", needs 1.00" in rows["spaces.wav"]
    assert "not calibrated for video: run calibrate" in found.out
    assert "audio: no sound track" in found.out
    # What each modality says, where a file may have several.
    assert sum("audio: " in line and "video: " in line for line in lines) == 2
    assert "3 clips: 1 trusted, 1 not, 1 without a threshold, 0 failed" in " ".join(
        found.out.split()
    )
    assert "not what a person feels" in " ".join(found.out.split())


def test_predict_as_json_prints_one_object_per_clip(run: Run, model: Path, media: Path) -> None:
    found = run("predict", media / "film.mp4", media / "mute.mp4", "-m", model, "--json")
    assert (found.code, found.err) == (0, "")
    rows = [json.loads(line) for line in found.out.splitlines()]
    assert [Path(row["path"]).name for row in rows] == ["film.mp4", "mute.mp4"]
    assert [row["trusted"] for row in rows] == [True, None]
    expected = Model.from_pretrained(model).predict(media / "film.mp4").row()
    assert list(rows[0]) == list(expected)
    for name, value in expected.items():
        near = pytest.approx(value, abs=1e-5) if isinstance(value, float) else value
        assert rows[0][name] == near, name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_failed_file_exits_1_and_the_others_are_written(
    run: Run, model: Path, media: Path, tmp_path: Path, name: str
) -> None:
    bad = tmp_path / "text.mp4"
    bad.write_text("hello\n" * 50)
    found = run(
        "predict",
        media / "film.mp4",
        bad,
        tmp_path / "gone.mp4",
        "-m",
        model,
        "-o",
        tmp_path / name,
    )
    assert found.code == 1
    assert "failed" in found.out
    words = " ".join(found.out.split())
    assert "holds text, not media" in words
    assert "does not exist; check the path" in words
    assert "3 clips: 1 trusted, 0 not, 2 failed" in words
    assert "Traceback" not in found.out + found.err
    path = tmp_path / name
    if name.endswith("jsonl"):
        table = pandas.DataFrame([json.loads(line) for line in path.read_text().splitlines()])
    else:
        table = pandas.read_csv(path) if name.endswith("csv") else pandas.read_parquet(path)
    assert len(table) == 3
    assert table["label"][0] in LABELS
    assert table["trusted"][:1].tolist() == [True]
    assert "holds text" in table["error"][1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-m", "nowhere"], "error: no model 'nowhere': expected a folder, a hub id such as"),
        (["--device", "abacus"], "error: the device 'abacus' cannot be used"),
        (["--faces", "ears"], "error: faces is 'ears'; expected one of detect, whole"),
        (["-o", "out.xlsx"], "error: cannot write out.xlsx: expected a name that ends in .csv"),
    ],
)
def test_what_a_user_gets_wrong_is_one_sentence_on_stderr(
    run: Run, model: Path, media: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    chosen = [] if "-m" in arguments else ["-m", model]
    found = run("predict", media / "film.mp4", *chosen, *arguments)
    assert found.code == 1
    assert message in found.err
    assert len(found.err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_media_is_named(run: Run, model: Path, tmp_path: Path) -> None:
    found = run("predict", tmp_path, "-m", model)
    assert found.code == 1
    assert "holds no media files; give a folder with clips" in " ".join(found.out.split())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_said(run: Run, model: Path, media: Path) -> None:
    found = run("predict", media / "film.mp4", "-m", model, "--device", "cuda")
    assert found.code == 1
    assert "the device 'cuda' cannot be used" in found.err
    assert "--device cpu" in found.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["predict"], ["predikt"], ["train", "--data", "x", "--balance", "2", "-o", "y"]]
)
def test_wrong_usage_exits_2(run: Run, arguments: list[str]) -> None:
    found = run(*arguments)
    assert found.code == 2
    assert "Usage" in found.err


@pytest.mark.slow
def test_info_says_which_backends_are_active_and_why(run: Run, model: Path) -> None:
    found = run("info", "--model", model)
    assert found.code == 0
    for part in ("kernels", "CUDA", "decoding", "face detector", "torch", "classes", "frame_cnn"):
        assert part in found.out
    values = json.loads(run("info", "--json").out)
    assert values["versions"]["torch"] == torch.__version__
    assert values["kernels"]["name"]
    assert values["kernels"]["reason"]
    assert values["cuda"]["available"] is torch.cuda.is_available()


@pytest.mark.slow
def test_info_says_what_is_wrong_with_the_face_detector_and_names_extras(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TER_FAST_FACE_MODEL", str(tmp_path / "gone.onnx"))
    monkeypatch.setattr(
        "ter_fast.media.decode.choose", lambda: Choice("pyav", "install 'ter_fast[dali]' for GPUs")
    )
    monkeypatch.setenv("COLUMNS", "400")
    result = run("info")
    assert result.code == 0
    assert "gone.onnx, which does not exist; correct or unset it." in result.out
    assert "install 'ter_fast[dali]' for GPUs" in result.out
    found = json.loads(run("info", "--json").out)
    assert found["face_model"] is None
    assert "which does not exist" in found["face_model_why"]


@pytest.mark.slow
def test_brackets_in_names_are_printed(run: Run, tmp_path: Path) -> None:
    for kind in ("audio", "video"):
        tiny_model(kind, labels=("calm [low]", "high")).save_pretrained(tmp_path / kind)
    out = tmp_path / "[run] 1"
    joined = run("join", "--out", out, "--audio", tmp_path / "audio", "--video", tmp_path / "video")
    assert "[run] 1" in joined.out
    assert "nothing to join; give models by --audio" in run("join", "--out", out).err
    voices = ("--audio", tmp_path / "audio", "--audio", tmp_path / "audio")
    assert run("join", "--out", tmp_path / "voices", *voices).code == 0
    assert "ensemble" in run("info", "--model", tmp_path / "voices").out
    assert "calm [low]" in run("info", "--model", out).out
    clips = tone_corpus(tmp_path / "tones", {"train": 1}, {"[a]": 300.0, "b": 2400.0})
    assert "[a]" in run("data", "check", clips, "--quick").out


def test_train_ends_with_the_list_of_unreadable_files(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 3, "validation": 1})
    (tmp_path / "data" / "train-1-low.wav").write_bytes(b"")
    command = ("train", "-d", manifest, "-o", tmp_path / "model", "--epochs", 1, "-q")
    ended = run(*command)
    assert ended.code == 1
    assert "at most 5.0% of all may be" in ended.err
    assert "train-1-low.wav is empty" in ended.err.replace("\n", " ")
    assert not (tmp_path / "model").exists()
    refused = run(*command, "--max-unreadable", "many")
    assert refused.code == 1
    assert "the limit of unreadable files is 'many'" in refused.err


@pytest.mark.slow
def test_train_says_that_nothing_is_kept_for_a_test(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 6, "validation": 2})
    command = ("train", "-d", manifest, "-o", tmp_path / "model", "--epochs", 1, "-q")
    said = " ".join(run(*command).out.split())
    assert (
        "tones: no test split, so every figure above is of clips that training or calibration has used."
        in said
    )
    recipe = tmp_path / "mine.yaml"
    recipe.write_text(
        "experts: {audio: [{encoder: voice_functionals, train: {epochs: 1}}]}", "utf-8"
    )
    said = " ".join(run(*command[:-3], "--recipe", recipe, "--overwrite", "-q").out.split())
    assert "?protocol=5-fold-1, which keeps some." in said


@pytest.mark.slow
def test_train_calibrate_evaluate_predict(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 8, "validation": 3, "test": 3})
    folder = tmp_path / "model"
    trained = run("train", "-d", manifest, "-o", folder, "--epochs", 6, "--batch-size", 8, "-q")
    assert trained.code == 0, trained.err
    assert f"saved to {folder}" in trained.out.replace("\n", "")
    assert "no test split" not in trained.out
    files = sorted(path.name for path in folder.iterdir())
    assert files == ["README.md", "config.json", "model.safetensors"]
    model = Model.from_pretrained(folder)
    assert model.config.labels == LABELS
    assert set(model.config.thresholds) == {"audio"}
    assert model.config.training[0].settings["epochs"] == 6

    again = run(
        "calibrate", "-d", manifest, "-m", folder, "--criterion", "coverage=0.5",
        "--confidence", "max_probability", "-q",
    )  # fmt: skip
    assert again.code == 0, again.err
    record = Model.from_pretrained(folder).config.thresholds["audio"]
    assert record.criterion == "coverage=0.5"
    assert record.scores["coverage"] >= 0.5
    assert Model.from_pretrained(folder).config.confidence == "max_probability"

    out = tmp_path / "figures.json"
    measured = run("evaluate", "-d", manifest, "-m", folder, "-o", out, "-q", "--name", "six tones")
    assert measured.code == 0, measured.err
    figures = json.loads(out.read_text())
    assert figures["name"] == "six tones"
    assert figures["samples"] == 6
    assert figures["figures"]["uar"]["value"] > 0.8
    assert "uar" in measured.out
    assert "By class" in measured.out

    report = tmp_path / "report"
    measured = run(
        "evaluate", "-d", manifest, "-m", folder, "-o", report, "--against", folder, "-q"
    )
    assert measured.code == 0, measured.err
    assert (report / "index.html").is_file()
    assert f"report: {report / 'index.html'}" in measured.out.replace("\n", "")
    assert "+0.0000" in measured.out
    refused = run("evaluate", "-d", manifest, "-m", folder, "--by", "mood", "-q")
    assert refused.code == 1
    assert "no clip has the attribute mood" in refused.err

    answer = run("predict", tmp_path / "data" / "test-0-low.wav", "-m", folder, "--json")
    row = json.loads(answer.out)
    assert row["label"] == "low"
    assert row["threshold"] == pytest.approx(record.threshold)


@pytest.mark.slow
def test_a_controlled_risk_is_printed_once_below_the_table(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"train": 8, "validation": 40})
    folder = tmp_path / "model"
    trained = run("train", "-d", manifest, "-o", folder, "--epochs", 6, "--batch-size", 8, "-q")
    assert trained.code == 0, trained.err
    # A tone's clips are all alike, so that what stopped the training makes no odds here.
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "training": []}))
    found = run("calibrate", "-d", manifest, "-m", folder, "--risk", 0.3, "--delta", 0.2, "-q")
    assert found.code == 0, found.err
    record = Model.from_pretrained(folder).config.thresholds["audio"]
    words = " ".join(found.out.split())
    assert f"audio, guaranteed: {record.guarantee_text}" in words
    assert "new speakers or sources drawn like the 32 of the calibration data" in words
    assert "ranks errors best there (AURC" in words
    clips = sorted((tmp_path / "data").glob("validation-*.wav"))[:20]
    answer = " ".join(run("predict", *clips, "-m", folder).out.split())
    assert answer.count(f"Guaranteed: {record.guarantee_text}.") == 1
    few = run("calibrate", "-d", manifest, "-m", folder, "--risk", 0.01, "-q")
    assert few.code == 1
    assert "without a single error it takes 299" in few.err
    assert Model.from_pretrained(folder).config.thresholds["audio"] == record


@pytest.mark.slow
def test_windows_are_calibrated_apart_and_shown_below_clips(run: Run, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"validation": 4})
    folder = tmp_path / "model"
    tiny_model("audio", labels=LABELS, window_seconds=0.2).save_pretrained(folder)
    found = run("calibrate", "-d", manifest, "-m", folder, "--unit", "window", "-q")
    assert found.code == 0, found.err
    config = Model.from_pretrained(folder).config
    record = config.window_thresholds["audio"]
    assert config.thresholds == {}
    assert record.samples > 8
    words = " ".join(found.out.split())
    assert "No trusted threshold of whole clips yet" in words
    assert "Trusted thresholds of windows of 0.2 s" in words
    assert f"audio: by balance on {record.samples} windows of tones validation" in words
    assert run("calibrate", "-d", manifest, "-m", folder, "-q").code == 0
    config = Model.from_pretrained(folder).config
    assert config.window_thresholds["audio"] == record
    words = " ".join(run("info", "-m", folder).out.split())
    clips, windows = words.split("Trusted thresholds of windows of 0.2 s")
    assert "audio: by balance on 8 clips of tones validation" in clips
    assert f"{config.thresholds['audio'].threshold:.4f}" in clips
    assert f"{record.threshold:.4f}" in windows
    clip = next((tmp_path / "data").glob("*.wav"))
    rows = run("predict", clip, "-m", folder, "--per-window", "--json").out.splitlines()
    assert len(rows) > 1
    assert [json.loads(row)["threshold"] for row in rows] == pytest.approx(
        [record.threshold] * len(rows)
    )
    refused = run("calibrate", "-d", manifest, "-m", folder, "--unit", "frame", "-q")
    assert refused.code == 1
    assert "unit is 'frame'; expected clip or window" in refused.err


@pytest.mark.slow
def test_evaluations_take_a_seed(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path / "data", {"test": 12})

    def intervals(seed: int) -> list[list[float]]:
        out = tmp_path / "figures.json"
        found = run("evaluate", "-d", manifest, "-m", model, "--seed", seed, "-o", out, "-q")
        assert found.code == 0, found.err
        figures = json.loads(out.read_text())["figures"]
        return [[figure["value"], figure["low"]] for figure in figures.values()]

    first, again, other = intervals(1), intervals(1), intervals(2)
    assert first == again
    assert first != other
    assert [value for value, _ in first] == [value for value, _ in other]


@pytest.mark.slow
def test_a_set_without_a_guarantee_is_a_sentence_on_stderr(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "both"
    tiny_model("audio", "video", labels=LABELS).save_pretrained(folder)
    sounds = tone_corpus(tmp_path / "sounds", {"validation": 12})
    faces = film_corpus(tmp_path / "faces", {"validation": 12}, sound=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        found = run(
            "calibrate", "-d", sounds, "-d", faces, "-m", folder, "--risk", 0.9, "--delta", 0.3, "-q"
        )  # fmt: skip
    assert found.code == 0, found.err
    lines = found.err.strip().splitlines()
    assert any(
        line.startswith("warning: not calibrated for audio+video: label-matched pairs cross")
        for line in lines
    )
    assert not any("UserWarning" in line for line in lines)


def test_calibrate_needs_a_folder_that_can_be_changed(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = Model.from_pretrained(model)
    monkeypatch.setattr(Model, "from_pretrained", classmethod(lambda cls, name: loaded))
    found = run("calibrate", "-d", tmp_path / "none.csv", "-m", "owner/name")
    assert found.code == 1
    assert "is not a folder that can be changed; give --out FOLDER" in found.err


def test_a_wrong_label_in_a_manifest_names_the_closest(
    run: Run, model: Path, tmp_path: Path
) -> None:
    manifest = tone_corpus(tmp_path, {"validation": 1}, {"hihg": 2000.0, "low": 300.0})
    before = {path.name: path.read_bytes() for path in model.iterdir()}
    found = run("calibrate", "-d", manifest, "-m", model, "-q")
    assert found.code == 1
    assert "hihg" in found.err
    assert "high" in found.err
    assert {path.name: path.read_bytes() for path in model.iterdir()} == before


@pytest.mark.slow
def test_experts_are_joined_and_calibrated_on_pairs(run: Run, tmp_path: Path) -> None:
    tiny_model("audio", labels=LABELS).save_pretrained(tmp_path / "a")
    tiny_model("video", labels=LABELS).save_pretrained(tmp_path / "v")
    joined = run(
        "join", "-o", tmp_path / "both", "--audio", tmp_path / "a", "--video", tmp_path / "v"
    )
    assert joined.code == 0, joined.err
    sounds = tone_corpus(tmp_path / "sounds", {"validation": 3})
    faces = film_corpus(tmp_path / "faces", {"validation": 3}, sound=False)
    found = run(
        "calibrate", "-d", sounds, "-d", faces, "-m", tmp_path / "both", "-o", tmp_path / "out",
        "--disagreement-limit", 0.9, "-q",
    )  # fmt: skip
    assert found.code == 0, found.err
    config = Model.from_pretrained(tmp_path / "out").config
    assert config.thresholds["audio+video"].pairing == "label-matched"
    assert config.disagreement_limit == 0.9
    assert Model.from_pretrained(tmp_path / "both").config.thresholds == {}


def test_a_failed_download_is_one_sentence(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> Path:
        raise MediaError("the face model could not be fetched; check the network")

    monkeypatch.setattr("ter_fast.media.faces.cropper.fetch_face_model", offline)
    found = run("data", "fetch-models")
    assert found.code == 1
    assert found.err.strip() == "error: the face model could not be fetched; check the network"


@pytest.mark.slow
def test_the_module_runs(model: Path, media: Path) -> None:
    command = [
        sys.executable,
        "-P",  # the installed package, not the checkout that the tests run in
        "-m",
        "ter_fast",
        "predict",
        str(media / "film.mp4"),
        "-m",
        str(model),
    ]
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr
    assert "film.mp4" in found.stdout
    assert found.stderr == ""


@pytest.mark.parametrize(
    ("command", "settings", "elsewhere"),
    [
        # A terminal asks for --keyframes and --quiet; how many threads decode it leaves to the machine.
        (media_commands.predict, PredictSettings, {"sampling", "progress", "workers"}),
        (media_commands.live, WindowSettings, set()),
    ],
)
def test_commands_have_every_setting_as_an_option(
    command: Callable[..., None], settings: type, elsewhere: set[str]
) -> None:
    options = set(inspect.signature(command).parameters)
    assert set(settings.__annotations__) - options == elsewhere


def test_options_that_are_settings_reach_the_model(
    run: Run, model: Path, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def note(self: Model, source: object, **settings: object) -> PredictionStream:
        given.update(settings)
        return PredictionStream((), (each for each in ()))

    monkeypatch.setattr(Model, "predict_iter", note)
    options = [
        "--window",
        "2",
        "--hop",
        "1.5",
        "--batch-size",
        "3",
        "--decode",
        "pyav",
        "--keyframes",
        "--threshold",
        "0.8",
    ]
    run("predict", media, "--model", model, "--json", *options)
    assert given == {
        "skip": (), "threshold": 0.8, "window": 2.0, "hop": 1.5, "faces": None, "face_model": None, "decode": "pyav",
        "batch_size": 3, "sampling": "keyframe",
    }  # fmt: skip
