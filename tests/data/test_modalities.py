"""Modalities that a user registers: read, learned, calibrated, measured and predicted like the others."""

from __future__ import annotations

import csv
import gc
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.tiny import AUDIO, LABELS, QUIET, WHOLE, film_corpus, same_evidence, write_manifest
from ter_fast import (
    DataError,
    MediaError,
    Model,
    ModelError,
    Prediction,
    read_vectors,
    register_encoder,
    register_modality,
)
from ter_fast.data import Dataset, load_dataset
from ter_fast.data.modalities import MODALITIES, Modality
from ter_fast.data.shards import ShardSettings, load_shards, prepare_shards, verify_shards
from ter_fast.data.shards.plan import make_plan
from ter_fast.predict.evidence import clip_evidence
from ter_fast.predict.prepare import prepare

SIZE = 6
WORDS = {"high": ("up", "rise", "peak", "tall"), "low": ("down", "fall", "floor", "deep")}


@register_encoder("test_letters")
class Letters(nn.Module):
    """Mean of learned vectors of characters, whatever the number of these."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.table = nn.Embedding(128, width)
        self.out_features = width

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        there = torch.arange(values.shape[1], device=values.device) < lengths[:, None]
        found: Tensor = (self.table(values) * there[..., None]).sum(1)
        return found / lengths.clamp_min(1)[:, None]


def letters(text: str) -> list[int]:
    if text == "unspeakable":
        raise RuntimeError("no such word")
    return [ord(each) % 128 for each in text]


@pytest.fixture(autouse=True)
def registered() -> None:
    register_modality("text", letters, shape=(None,), dtype=torch.int64)
    register_modality("pulse", shape=(SIZE,))


def three(*names: str, **settings: Any) -> Model:
    encoders: dict[str, Any] = {
        "audio": AUDIO,
        "text": ("test_letters", {}),
        "pulse": ("vector_mlp", {"size": SIZE, "width": 8, "dropout": 0.0}),
    }
    chosen = {name: encoders[name] for name in names or encoders}
    settings = {"video": WHOLE, "window_seconds": 2.0, **settings}
    return Model.build(LABELS, chosen, **settings).eval()


def corpus(folder: Path, counts: dict[str, int]) -> Path:
    """Films with a word and a vector that say the class, too."""
    manifest = film_corpus(folder, counts, pictures=False)
    with manifest.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index, row in enumerate(rows):
        rng = np.random.default_rng(index)
        row["text"] = str(rng.choice(WORDS[row["label"]]))
        row["pulse"] = f"pulse{index}.npy"
        beat = rng.normal(0, 0.3, SIZE) + np.arange(SIZE) * (1 if row["label"] == "high" else -1)
        np.save(folder / row["pulse"], beat)
        row["mood"] = "kept"
    return write_manifest(manifest, rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("three")


@pytest.fixture
def data(folder: Path) -> Dataset:
    manifest = folder / "films.csv"
    if not manifest.exists():
        corpus(folder, {"train": 5, "validation": 4, "test": 3})
    return load_dataset(str(manifest))


def rewritten(folder: Path, changes: dict[int, dict[str, str]]) -> Path:
    """Write the manifest with other cells in some rows."""
    with (folder / "films.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for index, cells in changes.items():
        rows[index] |= cells
    return write_manifest(folder / "changed.csv", rows)


def test_a_manifest_carries_registered_columns(data: Dataset, folder: Path) -> None:
    assert {"audio", "pulse", "text"} <= set(data.modalities)
    first = data[0]
    assert first.extras["text"] in WORDS[first.label]
    assert first.extras["pulse"] == str(folder / "pulse0.npy")
    assert first.attributes == {"mood": "kept"}
    assert data.merge_classes({"low": "flat"})[0].extras == first.extras


def test_without_registration_columns_are_attributes_as_before(data: Dataset, folder: Path) -> None:
    MODALITIES.clear()
    plain = load_dataset(str(folder / "films.csv"))
    assert plain[0].extras == {}
    assert set(plain[0].attributes) == {"text", "pulse", "mood"}
    assert "text" not in plain.modalities
    # A model that reads text is told what is missing, not given silence.
    found = three().predict(data)[0]
    assert found.opinions["text"] is None
    assert "text: nothing reads it; call register_modality('text', …) first" in found.reasons


@pytest.mark.slow
def test_train_calibrate_evaluate_and_predict_with_three(data: Dataset, tmp_path: Path) -> None:
    model = three(activation="exp")
    model.fit(data, epochs=8, learning_rate=2e-2, batch_size=2, ema=0.5, progress=False, patience=8)
    model.calibrate(data.split("validation"), reliability=True, progress=False)
    sets = {"audio", "text", "pulse", "audio+text", "audio+pulse", "text+pulse"}
    assert set(model.config.thresholds) == {*sets, "audio+text+pulse"}
    report = model.evaluate(data.split("test"), **QUIET)
    assert report.modalities == "audio+text+pulse"
    assert report.figures["accuracy"].value == 1.0
    assert model.evaluate(data.split("test"), modalities=("text",), **QUIET).samples == 6
    model.save_pretrained(tmp_path)
    again = Model.from_pretrained(tmp_path)
    for sample, found in zip(data.split("test"), again.predict(data.split("test")), strict=True):
        assert found.label == sample.label
        assert found.trusted is not None
        one = again.predict({"path": sample.path, **sample.extras})
        assert isinstance(one, Prediction)
        same_evidence(found, one)
        assert {f"{name}_label" for name in model.config.modalities} <= set(one.row())


def test_predictions_rest_on_what_the_readers_give(data: Dataset) -> None:
    model, sample = three(), data[0]
    found = model.predict({"path": sample.path, "text": "peak", "pulse": sample.extras["pulse"]})
    with torch.no_grad():
        word = torch.tensor([letters("peak")])
        expected = model.experts["text"](word, torch.tensor([4]))[0]
        vector = torch.from_numpy(np.load(sample.extras["pulse"])).float()[None]
        felt = model.experts["pulse"](vector, torch.tensor([SIZE]))[0]
    assert found.opinions["text"] is not None
    assert found.opinions["pulse"] is not None
    torch.testing.assert_close(found.opinions["text"].evidence, expected)
    torch.testing.assert_close(found.opinions["pulse"].evidence, felt)
    # A tensor is what a reader would have given, and a Clip or a list may take the place of a path.
    given = model.predict([{"path": Path(sample.path), "pulse": vector[0]}, sample.path])
    assert given[0].opinions["pulse"] is not None
    torch.testing.assert_close(given[0].opinions["pulse"].evidence, felt)
    assert given[1].opinions["pulse"] is None


def test_words_of_other_lengths_in_a_batch_do_not_matter(data: Dataset) -> None:
    model = three()
    words = ["a", "a long sentence that is padded by nobody", "up"]
    together = model.predict([{"path": data[0].path, "text": word} for word in words])
    for word, found in zip(words, together, strict=True):
        same_evidence(found, model.predict({"path": data[0].path, "text": word}))


BAD = {
    "missing": (None, "is not there; correct the path"),
    "empty": (b"", "has 0 bytes"),
    "cut": ("half", "damaged or not what its name says"),
    "other": (b"\x89PNG\r\n\x1a\n" + bytes(99), "damaged or not what its name says"),
    "long": (np.zeros(SIZE + 1), r"has shape (7,); expected (6)"),
    "flat": (np.zeros((2, SIZE)), r"has shape (2, 6); expected (6)"),
    "words": (np.array(["a"] * SIZE), "expected numbers"),
    "nan": (np.full(SIZE, np.nan), "NaN or infinite"),
    "objects": (np.array([{}] * SIZE, dtype=object), "damaged or not what its name says"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_costs_only_itself(data: Dataset, folder: Path, kind: str) -> None:
    content, message = BAD[kind]
    path = folder / f"bad-{kind}.npy"
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif content is not None:
        whole = (folder / "pulse0.npy").read_bytes()
        path.write_bytes(whole[: len(whole) - 7] if content == "half" else content)  # type: ignore[arg-type]
    changed = load_dataset(str(rewritten(folder, {0: {"pulse": path.name}})))
    model = three()
    found, others = model.predict(changed), model.predict(data)
    assert found[0].opinions["pulse"] is None
    assert found[0].opinions["text"] is not None
    assert any(reason.startswith("pulse: ") and message in reason for reason in found[0].reasons)
    assert found[0].label
    for mine, theirs in zip(found[1:], others[1:], strict=True):
        same_evidence(mine, theirs)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::ResourceWarning")
def test_missing_values_and_readers_that_fail_mask_with_a_note(data: Dataset, folder: Path) -> None:
    cells = {0: {"text": ""}, 1: {"text": "unspeakable"}, 2: {"text": "   "}, 3: {"pulse": ""}}
    changed = load_dataset(str(rewritten(folder, cells)))
    prepared = prepare(three(), changed, progress=False)
    assert len(prepared.clips) == len(changed)
    assert not prepared.errors
    notes = [windows[0].notes for windows in prepared.clips]
    assert notes[0]["text"].startswith("not given")
    assert "could not be read (no such word)" in notes[1]["text"]
    assert notes[2]["text"].startswith("not given")
    assert notes[3]["pulse"].startswith("not given")
    assert notes[4] == {}
    mask = clip_evidence(three(), prepared.clips, prepared.empty).mask
    assert mask.sum(1).tolist() == [len(changed), len(changed) - 3, len(changed) - 1]
    gc.collect()


def test_training_data_without_a_modality_are_refused(data: Dataset) -> None:
    bare = replace(data, samples=tuple(replace(sample, extras={}) for sample in data))
    with pytest.raises(DataError, match="no training clip has text"):
        three("audio", "text").fit(bare, epochs=1, progress=False)


def test_in_a_long_clip_it_belongs_to_each_window_and_counts_once(data: Dataset) -> None:
    model, sample = three(), data[0]
    given = {"path": sample.path, "text": "up", "pulse": sample.extras["pulse"]}
    whole, cut = model.predict(given), model.predict(given, window=0.2)
    assert len(cut.windows) > 1
    for name in ("text", "pulse"):
        said = whole.opinions[name]
        assert said is not None
        for piece in [cut, *cut.windows]:
            again = piece.opinions[name]
            assert again is not None
            torch.testing.assert_close(again.evidence, said.evidence)


def test_a_model_without_sound_and_pictures_opens_no_file(data: Dataset, folder: Path) -> None:
    model = three("text", "pulse")
    gone = replace(data, samples=tuple(replace(each, path="gone.mp4") for each in data))
    assert [each.label for each in model.predict(gone)] == [
        each.label for each in model.predict(data)
    ]
    assert model.predict({"text": "up"}).label
    assert model.predict({"path": "gone.mp4", "text": "up"}).path == "gone.mp4"
    model.fit(data, epochs=2, progress=False)
    assert model.evaluate(data.split("test"), **QUIET).samples == 6


def test_corruptions_of_the_sound_leave_text_alone(data: Dataset) -> None:
    model = three()
    found = model.evaluate_corrupted(
        data.split("test"), "white_noise", resamples=20, progress=False
    )
    assert found.modalities == "audio+text+pulse"


def test_what_cannot_be_predicted_is_said(data: Dataset, folder: Path) -> None:
    model = three()
    with pytest.raises(ModelError, match="the model reads text, pulse; given smell"):
        model.predict({"path": data[0].path, "smell": "roses"})
    with pytest.raises(ModelError, match="give one file or Clip"):
        model.predict({"path": folder, "text": "up"})
    with pytest.raises(ModelError, match="give one file or Clip"):
        model.predict({"path": 7, "text": "up"})
    with pytest.raises(MediaError, match="gone"):
        model.predict({"path": "gone.mp4", "text": "up"})
    found = model.predict([{"path": "gone.mp4", "text": "up"}, data[0].path])
    assert [bool(each.error) for each in found] == [True, False]


@pytest.mark.parametrize("name", ["audio", "path", "split", "a+b", "", "1st"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="a modality cannot be called"):
        register_modality(name, shape=(3,))


@pytest.mark.parametrize("shape", [(), (0,), (-1,), (3, None), (None, 0)])
def test_shapes_that_are_none_are_refused(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(DataError, match="the shape of smell is"):
        register_modality("smell", shape=shape)


def test_the_last_registration_counts() -> None:
    register_modality("text", len, shape=(1,))
    assert MODALITIES["text"].tensor("hello")[0] is None
    register_modality("text", lambda text: [len(text)], shape=(1,))
    assert MODALITIES["text"].tensor("hello") == (torch.tensor([5.0]), "")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("row.csv", "1,2.5,-3\n", [1, 2.5, -3]),
        ("column.csv", "1\n2\n", [1, 2]),
        ("header.csv", "a,b\n1,2\n", [1, 2]),
        ("table.txt", "1,2\n\n3,4\n5,6\n", [[1, 2], [3, 4], [5, 6]]),
        ("mark.csv", "\ufeff7,8\r\n", [7, 8]),
    ],
)
def test_numbers_in_text_files(tmp_path: Path, name: str, content: str, expected: Any) -> None:
    (tmp_path / name).write_bytes(content.encode())
    np.testing.assert_array_equal(read_vectors(tmp_path / name), np.array(expected))


def test_one_line_or_column_of_a_table_is_a_sequence_too(tmp_path: Path) -> None:
    wide = Modality("test_wide", read_vectors, (None, 3))
    narrow = Modality("test_narrow", read_vectors, (None, 1))
    file = tmp_path / "steps.csv"
    for modality, content, expected in (
        (wide, "1,2,3\n4,5,6\n", [[1, 2, 3], [4, 5, 6]]),
        (wide, "1,2,3\n", [[1, 2, 3]]),
        (narrow, "1\n2\n", [[1], [2]]),
        (narrow, "7\n", [[7]]),
    ):
        file.write_text(content)
        found, note = modality.tensor(file)
        assert not note
        assert found is not None
        assert found.tolist() == expected
    file.write_text("1,2\n")
    assert "has shape (2,); expected (any, 3)" in wide.tensor(file)[1]


def test_names_with_a_mark_and_other_orders_of_bytes(tmp_path: Path) -> None:
    modality = Modality("test_vector", read_vectors, (2,))
    below = tmp_path / "set #1"
    below.mkdir()
    for name, order in (("clip#3.npy", "<f4"), ("other.npy", ">f8"), ("third#.npy", ">i4")):
        np.save(below / name, np.array([1, 2], order))
        found, note = modality.tensor(below / name)
        assert not note
        assert found is not None
        assert found.tolist() == [1, 2]
    np.savez(below / "a#b.npz", clip=np.array([3.0, 4.0]), other=np.zeros(2))
    assert read_vectors(f"{below}/a#b.npz#clip").tolist() == [3, 4]


class Panic(BaseException):
    """As libraries in other languages raise it: not an Exception."""


def test_a_reader_that_dies_leaves_nobody_waiting() -> None:
    def dying(text: str) -> list[float]:
        if text == "die":
            raise Panic("no way on")
        return [1.0, 2.0]

    register_modality("test_dying", dying, shape=(2,))
    model = Model.build(LABELS, {"test_dying": ("vector_mlp", {"size": 2})}).eval()
    bad, good = model.predict([{"test_dying": "die"}, {"test_dying": "live"}])
    assert "Panic: no way on" in bad.error
    assert not good.error
    assert good.label in LABELS


def test_arrays_in_archives(tmp_path: Path) -> None:
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    np.savez(one, np.arange(3))
    np.savez_compressed(two, left=np.arange(4), right=np.arange(5))
    np.testing.assert_array_equal(read_vectors(one), np.arange(3))
    np.testing.assert_array_equal(read_vectors(f"{two}#right"), np.arange(5))
    with pytest.raises(DataError, match="holds 2 arrays; name one of them"):
        read_vectors(two)
    with pytest.raises(DataError, match="holds no array 'up'"):
        read_vectors(f"{two}#up")
    two.write_bytes(two.read_bytes()[:60])
    with pytest.raises(DataError, match="damaged"):
        read_vectors(f"{two}#right")


@pytest.mark.slow
@pytest.mark.filterwarnings("error::ResourceWarning")
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.mp4", b"x", "is no .npy, .npz, .csv or .txt"),
        ("a.csv", b"", "has 0 bytes"),
        ("a.csv", b"\n\n", "holds no numbers"),
        ("a.csv", b"a,b\n", "holds no numbers"),
        ("a.csv", b"1,2\n3\n", "damaged"),
        ("a.csv", b"1,2\n3,x\n", "damaged"),
        ("a.csv", b"\xff\xfe\x00", "damaged"),
        ("a.npz", b"PK\x03\x04", "damaged"),
        ("a.npz", b"no archive", "damaged"),
        ("a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': ", "damaged"),
    ],
)
def test_bad_files_of_numbers_are_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as found:
        read_vectors(tmp_path / name)
    assert name in str(found.value)
    gc.collect()


def test_files_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ter_fast.data.modalities.LARGEST_BYTES", 1500)
    np.save(tmp_path / "large.npy", np.zeros(200))
    with pytest.raises(DataError, match="has 1728 bytes"):
        read_vectors(tmp_path / "large.npy")
    np.savez_compressed(tmp_path / "bomb.npz", np.zeros(100_000))
    with zipfile.ZipFile(tmp_path / "bomb.npz") as archive:
        assert sum(each.compress_size for each in archive.infolist()) < 1500
    with pytest.raises(DataError, match="unpacks to more than 1500 bytes"):
        read_vectors(tmp_path / "bomb.npz")
    with pytest.raises(DataError, match="is not there"):
        read_vectors(tmp_path / "gone.npy")


def test_a_reader_may_return_nothing() -> None:
    value, note = Modality("text", lambda text: None, (1,)).tensor("x" * 200)
    assert value is None
    assert note.startswith("the reader found nothing in 'xxx")
    assert len(note) < 100


def test_shards_carry_what_lies_beside_clips(
    data: Dataset, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wordless = replace(data[1], extras={"pulse": str(folder / "gone.npy")})
    some = replace(data, samples=(data[0], wordless, *data.samples[2:5]))
    settings = ShardSettings("centre", size=32, frames=4, window_seconds=2.0)
    prepare_shards(some, tmp_path / "out", settings)
    (tmp_path / "out").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)  # nothing is read from where it was made
    back = {s.attributes["source"]: s for s in load_shards("moved")}
    for sample in some:
        stored = back[Path(sample.path).name]
        assert stored.extras.keys() == sample.extras.keys()
        assert stored.extras.get("text") == sample.extras.get("text")
        if sample is not wordless:
            given = (np.load(each.extras["pulse"]) for each in (stored, sample))
            assert np.array_equal(*given)
    value, note = MODALITIES["pulse"].tensor(back[Path(wordless.path).name].extras["pulse"])
    assert value is None
    assert "gone.npy is not there" in note
    assert verify_shards("moved") == len({sample.split for sample in some})

    one = next(iter(Path("moved/extras").iterdir()))
    one.write_bytes(one.read_bytes()[:-1])
    with pytest.raises(DataError, match=f"{one.name} is missing or has other bytes"):
        verify_shards("moved")


def test_other_extras_are_another_plan(data: Dataset, folder: Path, tmp_path: Path) -> None:
    def digest(extras: dict[str, str]) -> str:
        samples = (replace(data[0], extras=extras), *data.samples[1:])
        return make_plan(replace(data, samples=samples), ShardSettings("centre"), "").digest

    copied = tmp_path / "copy.npy"
    copied.write_bytes((folder / "pulse0.npy").read_bytes())
    same = [digest({"pulse": str(path)}) for path in (folder / "pulse0.npy", copied)]
    others = [
        digest({}),
        digest({"text": "up"}),
        digest({"text": "down"}),
        digest({"pulse": str(folder / "pulse1.npy")}),
        digest({"pulse": str(folder / "gone.npy")}),
        digest({"pulse": f"{copied}#a"}),
    ]
    assert same[0] == same[1]
    assert len({*same, *others}) == 1 + len(others)


def test_shards_from_before_extras_are_read(data: Dataset, tmp_path: Path) -> None:
    bare = replace(data, samples=tuple(replace(sample, extras={}) for sample in data.samples[:2]))
    prepare_shards(bare, tmp_path, ShardSettings("centre", size=32, frames=4, window_seconds=2.0))
    index = next(tmp_path.glob("*-00000.json")).read_text()
    assert "extra" not in index  # the layout of before
    assert [sample.extras for sample in load_shards(tmp_path)] == [{}, {}]
    assert verify_shards(tmp_path) == 1
