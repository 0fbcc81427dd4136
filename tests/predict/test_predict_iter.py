"""`Model.predict_iter`: answers as they come, in order, in memory that the number of files does not change."""

from __future__ import annotations

import gc
import itertools
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.tiny import noisy_tone, same_evidence, tiny_model, with_threshold, write_wav
from ter_fast import Model, ModelError, Prediction


@pytest.fixture(scope="module")
def model() -> Model:
    return with_threshold(tiny_model("audio"), 0.2, "audio")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("sounds")
    for i in range(5):
        write_wav(place / f"{i}.wav", noisy_tone(300 + 60 * i, 0.4 + 0.3 * i))
    (place / "3.mp3").write_text("no sound\n" * 9)
    return place


def test_the_answers_are_those_of_predict(model: Model, folder: Path) -> None:
    whole = model.predict(folder)
    with model.predict_iter(folder) as stream:
        assert list(stream.names or ()) == whole.paths
        found = list(stream)
    assert [each.path for each in found] == whole.paths
    assert [each.error for each in found] == [each.error for each in whole]
    for one, other in zip(found, whole, strict=True):
        same_evidence(one, other)


def test_an_iterator_is_read_as_it_goes_and_what_was_done_goes(model: Model, folder: Path) -> None:
    taken: list[int] = []

    def endless() -> Iterator[Path]:
        for i in itertools.count():
            taken.append(i)
            yield folder / f"{i % 3}.wav"

    first: list[weakref.ref[Prediction]] = []
    with model.predict_iter(endless(), workers=2) as stream:
        assert stream.names is None
        for prediction in itertools.islice(stream, 20):
            assert prediction.label
            first.append(weakref.ref(prediction))
        # Two for each worker, and the group of three that is answered next.
        assert len(taken) <= 20 + 2 * 2 + 3
        del prediction
        gc.collect()
        assert sum(each() is not None for each in first) <= 1
    assert not any(each.name.startswith("ter_fast_") for each in threading.enumerate())


def test_skipped_names_are_not_read(model: Model, folder: Path) -> None:
    names = [str(folder / f"{i}.wav") for i in range(5)]
    stream = model.predict_iter([*names, folder / "gone.wav"], skip={names[0], names[3]})
    assert stream.names == (names[1], names[2], names[4], str(folder / "gone.wav"))
    assert [bool(each.error) for each in stream] == [False, False, False, True]
    assert len(list(model.predict_iter(iter(names), skip=set(names[1:])))) == 1


def test_an_answer_comes_before_the_next_file_is_asked_for_twice(
    model: Model, folder: Path
) -> None:
    """Who waited for a batch of sixteen windows would hold the first answer back."""
    begun = threading.Event()

    def slow() -> Iterator[Path]:
        yield folder / "0.wav"
        for _ in range(3):
            yield folder / "1.wav"
        assert begun.wait(30)
        yield folder / "2.wav"

    stream = model.predict_iter(slow(), workers=1)
    assert next(stream).path.endswith("0.wav")
    begun.set()
    assert len(list(stream)) == 4


@pytest.mark.parametrize(
    "settings", [{"threshold": 1.5}, {"threshold": float("nan")}, {"batch_size": 0}]
)
def test_settings_that_cannot_be_are_refused_at_once(
    model: Model, folder: Path, settings: dict[str, float]
) -> None:
    with pytest.raises(ModelError, match=f"{next(iter(settings))} is "):
        model.predict_iter(folder, **settings)  # type: ignore[arg-type]


def test_a_threshold_takes_the_place_of_the_calibrated_ones(model: Model, folder: Path) -> None:
    path = folder / "4.wav"
    plain = model.predict(path)
    assert plain.trusted
    strict = model.predict(path, threshold=0.99)
    assert (strict.trusted, strict.threshold, strict.guarantee) == (False, 0.99, "")
    assert strict.reasons == (
        f"confidence {plain.confidence:.3f} is below the threshold 0.990",
        "the threshold 0.990 was given; for audio the calibrated one is 0.200",
    )
    bare = tiny_model("audio").predict(path, threshold=0.0, window=0.5)
    assert bare.trusted
    assert bare.reasons == ("the threshold 0.000 was given; for audio none was calibrated",)
    assert len(bare.windows) > 1
    assert all(window.trusted and window.threshold == 0.0 for window in bare.windows)
    live = next(tiny_model("audio").live(str(path), threshold=0.0))
    assert (live.trusted, live.threshold) == (True, 0.0)


def test_names_that_one_guesses(model: Model, folder: Path) -> None:
    assert model.labels == model.config.labels
    assert model.thresholds["audio"].threshold == 0.2
    table = model.predict(folder)
    assert table[0].to_dict() == table[0].row()
    assert table["label"] == [each.label for each in table]
    with pytest.raises(KeyError, match=r"no column 'lable'; there are path, start, end, label"):
        table["lable"]
    with pytest.raises(TypeError, match=r"load a model by Model\.from_pretrained\('default'\)"):
        Model("default")  # type: ignore[arg-type]


def test_a_notebook_shows_a_table_without_running_names(model: Model, tmp_path: Path) -> None:
    evil = tmp_path / "<img src=x onerror=alert(1)>.wav"
    found = model.predict([evil] * 30)
    html = found._repr_html_()
    assert "<img" not in html
    assert "&lt;img src=x" in html
    assert html.count("<tr>") == 21
    assert "30 predictions; the first 20 are shown" in html
    assert found[0]._repr_html_().count("<tr>") == 2
