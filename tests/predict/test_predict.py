"""`Model.predict`: every kind of source, and one clear sentence for every kind of bad one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.media import write_media
from helpers.tiny import (
    RATE,
    WHOLE,
    film,
    noisy_tone,
    rescaled,
    same_evidence,
    stripes,
    tiny_model,
    with_threshold,
    write_wav,
)
from ter_fast import Clip, MediaError, Model, ModelError, Prediction, Predictions, VideoInput
from ter_fast.media import decode
from ter_fast.media.faces.cropper import FaceCropper

BOTH = "audio+video"


@pytest.fixture(scope="module")
def model() -> Model:
    return with_threshold(tiny_model("audio", "video"), 0.1, "audio", "video", BOTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film, a film without sound, a film without pictures, a sound and a note."""
    place = tmp_path_factory.mktemp("media")
    film(place / "film.mp4", "high")
    (place / "deeper").mkdir()
    film(place / "deeper" / "mute.mp4", "low", sound=False)
    film(place / "deeper" / "dark.MP4", "low", pictures=False)
    write_wav(place / "tone.wav", noisy_tone(700, 1.3))
    (place / "notes.txt").write_text("not media")
    return place


def arrays(seed: int = 0, seconds: float = 0.7, pictures: int = 3) -> Clip:
    frames = np.stack([stripes(bool(seed % 2), seed + i) for i in range(pictures)])
    return Clip.from_arrays(frames, noisy_tone(300 + 100 * seed, seconds, seed), frame_rate=5.0)


# -- kinds of source ------------------------------------------------------------------------------


def test_a_path_gives_one_prediction(model: Model, folder: Path) -> None:
    found = model.predict(folder / "film.mp4")
    assert isinstance(found, Prediction)
    assert found.path == str(folder / "film.mp4")
    assert found.label in model.config.labels
    assert found.start == 0
    assert found.end == pytest.approx(0.6, abs=0.1)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.label == max(found.probabilities, key=found.probabilities.__getitem__)
    assert found.confidence == pytest.approx(1 - found.uncertainty)
    assert found.threshold == 0.1
    assert found.trusted is (found.confidence >= 0.1)
    assert found.reasons == ()
    assert found.error == ""
    same_evidence(found, model.predict(str(folder / "film.mp4")))


def test_the_fused_opinion_is_that_of_the_modalities(model: Model, folder: Path) -> None:
    found = model.predict(folder / "film.mp4")
    sound, picture = (found.opinions[name].evidence for name in ("audio", "video"))
    fused = 3 * ((1 + sound / 3) * (1 + picture / 3) - 1)
    torch.testing.assert_close(found.opinion.evidence, fused)
    assert found.conflict == pytest.approx(
        1 - float(found.opinions["audio"].uncertainty * found.opinions["video"].uncertainty)
        / found.uncertainty, abs=1e-5,
    )  # fmt: skip


def test_a_folder_stands_for_the_media_in_it(model: Model, folder: Path) -> None:
    found = model.predict(folder)
    assert isinstance(found, Predictions)
    names = ["deeper/dark.MP4", "deeper/mute.mp4", "film.mp4", "tone.wav"]
    assert found.paths == [str(folder / name) for name in names]
    assert len(found.failed) == 0


def test_a_folder_without_media_says_so(model: Model, tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(MediaError, match="holds no media files; give a folder with clips"):
        model.predict(tmp_path)


def test_an_empty_folder_among_others_costs_only_itself(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = model.predict([folder / "tone.wav", empty])
    assert [bool(each.error) for each in found] == [False, True]
    assert found[1].error.startswith(f"the folder {empty} holds no media files")


def test_a_clip_in_memory_is_cut_like_its_file(model: Model, tmp_path: Path) -> None:
    sound = noisy_tone(500, 11.0)
    path = write_media(
        tmp_path / "long.wav", sound=[(0.0, sound)], audio_codec="pcm_f32le", rate=RATE
    )
    whole = decode.read(path)
    assert len(list(decode.cut(whole, model.config.window_seconds, 4))) > 1
    same_evidence(model.predict(whole), model.predict(path))


def test_a_file_that_breaks_its_decoder_costs_only_itself(
    model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = decode.windows

    def windows(path: object, **options: object) -> object:
        if str(path).endswith("film.mp4"):
            raise ValueError("no such format")
        return read(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decode, "windows", windows)
    found = model.predict([folder / "film.mp4", folder / "tone.wav"])
    assert "could not be read (ValueError: no such format)" in found[0].error
    assert not found[1].error


def test_a_list_keeps_its_order_and_may_mix(model: Model, folder: Path) -> None:
    clip = arrays()
    found = model.predict([str(folder / "tone.wav"), clip, folder / "film.mp4"])
    assert found.paths == [str(folder / "tone.wav"), "clip 1", str(folder / "film.mp4")]
    same_evidence(found[1], model.predict(clip))
    assert len(model.predict([])) == 0


def test_a_clip_is_read_as_its_file_is(model: Model, folder: Path) -> None:
    clip = Clip.from_file(folder / "film.mp4", frames=WHOLE.frames)
    same_evidence(model.predict(clip), model.predict(folder / "film.mp4"))
    assert model.predict(clip).path == str(folder / "film.mp4")


def test_tensors_are_read_as_clips_are(model: Model) -> None:
    clips = [arrays(seed) for seed in range(3)]
    tensors = {
        "audio": torch.stack([clip.audio for clip in clips]),
        "video": torch.stack([clip.frames for clip in clips]),
    }
    found = model.predict(tensors)
    assert found.paths == ["row 0", "row 1", "row 2"]
    for prediction, clip in zip(found, clips, strict=True):
        same_evidence(prediction, model.predict(clip))


@pytest.mark.parametrize(("given", "missing"), [("audio", "video"), ("video", "audio")])
def test_tensors_of_one_modality_mask_the_other(model: Model, given: str, missing: str) -> None:
    clip = arrays()
    value = clip.audio if given == "audio" else clip.frames
    found = model.predict({given: value[None]})[0]
    assert found.opinions[missing] is None
    assert found.threshold == 0.1
    assert found.disagreement == 0
    torch.testing.assert_close(found.opinion.evidence, found.opinions[given].evidence)
    assert any(reason.startswith(f"{missing}: no ") for reason in found.reasons)


def test_double_precision_sound_is_welcome(model: Model) -> None:
    sound = arrays().audio
    first = model.predict({"audio": sound[None]})[0]
    same_evidence(first, model.predict({"audio": sound[None].double()})[0])


def test_a_registered_encoder_brings_its_own_modality() -> None:
    model = with_threshold(tiny_model("text", "audio"), 0.0, "text", "audio", "text+audio")
    words = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    sound = torch.stack([arrays(seed).audio for seed in range(2)])
    together = model.predict({"text": words, "audio": sound})
    for row, found in enumerate(together):
        assert list(found.opinions) == ["text", "audio"]
        with torch.no_grad():
            expected = model.experts["text"](words[row : row + 1], torch.tensor([5]))[0]
        torch.testing.assert_close(found.opinions["text"].evidence, expected)
    alone = model.predict({"audio": sound})[0]
    assert alone.opinions["text"] is None
    assert (
        "text: not given (a media file does not hold it; give it beside the file, or tensors)"
        in alone.reasons
    )


def test_a_file_tells_a_text_model_nothing(folder: Path) -> None:
    with pytest.raises(MediaError, match=r"tone\.wav: the model reads text, which no file holds"):
        tiny_model("text").predict(folder / "tone.wav")


# -- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"smell": torch.zeros(1, 3)}, "no modality smell; it has audio, video"),
        ({}, "given no tensors"),
        (
            {"audio": torch.zeros(2, 9), "video": torch.zeros(1, 1, 9, 9, 3, dtype=torch.uint8)},
            r"same number of rows; given \{'audio': 2, 'video': 1\}",
        ),
        ({"audio": torch.zeros(9)}, r"audio is torch.float32 \(9,\); expected \(B, samples\)"),
        ({"audio": torch.zeros(1, 9, dtype=torch.int16)}, "audio is torch.int16"),
        ({"video": torch.zeros(4, 9, 9, 3, dtype=torch.uint8)}, r"expected \(B, T, H, W, 3\)"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(
    model: Model, tensors: dict[str, torch.Tensor], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        model.predict(tensors)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_nan_in_a_sound_is_never_trusted(model: Model, bad: float) -> None:
    sound = torch.stack([arrays(seed).audio for seed in range(2)])
    sound[1, 77] = bad
    clean, broken = model.predict({"audio": sound})
    assert clean.trusted
    assert broken.trusted is False
    assert broken.label == ""
    assert math.isnan(broken.confidence) or broken.confidence == 0
    assert "audio: the sound holds NaN or infinite values" in broken.reasons


def test_nan_in_one_modality_leaves_the_other(model: Model) -> None:
    clip = arrays()
    found = model.predict({"audio": torch.full((1, 9000), math.nan), "video": clip.frames[None]})[0]
    assert found.opinions["audio"] is None
    same = model.predict({"video": clip.frames[None]})[0]
    torch.testing.assert_close(found.opinion.evidence, same.opinion.evidence)


def test_nan_in_a_vector_is_never_trusted() -> None:
    model = with_threshold(tiny_model("text"), 0.0, "text")
    words = torch.ones(2, 5)
    words[0, 2] = math.nan
    broken, clean = model.predict({"text": words})
    assert broken.trusted is False
    assert "text: the tensor holds NaN or infinite values" in broken.reasons
    assert clean.trusted


def test_nan_in_the_weights_is_never_trusted() -> None:
    model = with_threshold(tiny_model("audio"), 0.0, "audio")
    with torch.no_grad():
        model.experts["audio"].head.bias[1] = math.nan
    (found,) = model.predict([arrays()])
    assert found.trusted is False
    assert "the evidence is not a number" in found.reasons
    assert found.error == "clip 0: the evidence is not a number; the model reads audio"
    assert found.row()["confidence"] is None
    with pytest.raises(MediaError, match="the evidence is not a number"):
        model.predict(arrays())


def test_nothing_present_is_never_trusted(model: Model) -> None:
    found = model.predict({"audio": torch.zeros(1, RATE)})[0]
    assert found.trusted is False
    assert found.uncertainty == 1
    assert found.label == ""
    assert found.reasons == ("no modality could be used", "audio: silent", "video: no pictures")
    assert found.error == (
        "row 0: no modality could be used (audio: silent; video: no pictures); the model reads audio and video"
    )


# -- trust and its reasons ------------------------------------------------------------------------


def test_below_the_threshold_is_not_trusted_and_says_by_how_much(folder: Path) -> None:
    model = with_threshold(tiny_model("audio", "video"), 0.999, BOTH)
    found = model.predict(folder / "film.mp4")
    assert found.trusted is False
    assert found.label
    assert found.reasons == (f"confidence {found.confidence:.3f} is below the threshold 0.999",)


def test_a_confidence_equal_to_the_threshold_is_trusted(folder: Path) -> None:
    model = tiny_model("audio", "video")
    confidence = model.predict(folder / "film.mp4").confidence
    assert with_threshold(model, confidence, BOTH).predict(folder / "film.mp4").trusted is True
    above = math.nextafter(confidence, 2) + 1e-6
    assert with_threshold(model, above, BOTH).predict(folder / "film.mp4").trusted is False


def test_what_is_trusted_says_what_is_guaranteed(folder: Path) -> None:
    model = with_threshold(tiny_model("audio", "video"), 0.1, BOTH)
    assert model.predict(folder / "film.mp4").guarantee == ""
    said = "for new speakers drawn like these, at most 0.1 are wrong"
    for threshold, guarantee in ((0.1, said), (0.999, "")):
        record = replace(model.config.thresholds[BOTH], threshold=threshold, guarantee_text=said)
        model.config = model.config.with_thresholds({BOTH: record})
        assert model.predict(folder / "film.mp4").guarantee == guarantee


def test_without_a_threshold_trust_is_unknown(folder: Path) -> None:
    model = with_threshold(tiny_model("audio", "video"), 0.1, "audio")
    found = model.predict(folder / "film.mp4")
    assert found.trusted is None
    assert found.threshold is None
    assert found.reasons == ("not calibrated for audio+video: run calibrate",)
    assert model.predict(folder / "tone.wav").trusted is True


def test_disagreement_above_the_limit_is_not_trusted(folder: Path) -> None:
    # Two shouting experts that disagree about most clips.
    model = rescaled(rescaled(tiny_model("audio", "video"), "audio", 50), "video", 50)
    with torch.no_grad():
        model.experts["audio"].head.bias.copy_(torch.tensor([5.0, -5, -5]))
        model.experts["video"].head.bias.copy_(torch.tensor([-5.0, 5, -5]))
    model = with_threshold(model, 0.0, BOTH)
    free = model.predict(folder / "film.mp4")
    assert free.trusted is True
    assert free.disagreement > 0.2
    model.config = replace(model.config, disagreement_limit=0.2)
    held = model.predict(folder / "film.mp4")
    assert held.trusted is False
    assert held.reasons == (f"disagreement {held.disagreement:.3f} is above the limit 0.200",)


# -- media that lack something --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "missing", "note"),
    [
        ("deeper/mute.mp4", "audio", "audio: no sound track"),
        ("deeper/dark.MP4", "video", "video: no pictures"),
        ("tone.wav", "video", "video: no pictures"),
    ],
)
def test_what_a_file_lacks_is_masked_and_said(
    model: Model, folder: Path, name: str, missing: str, note: str
) -> None:
    found = model.predict(folder / name)
    assert found.opinions[missing] is None
    assert found.error == ""
    assert found.trusted is True
    assert found.reasons == (note,)


def test_a_file_without_what_the_model_needs_fails_with_a_sentence(folder: Path) -> None:
    with pytest.raises(MediaError, match="no sound"):
        tiny_model("audio").predict(folder / "deeper/mute.mp4")
    with pytest.raises(MediaError, match="no pictures"):
        tiny_model("video").predict(folder / "tone.wav")


def test_silence_is_masked(model: Model, tmp_path: Path) -> None:
    times = [i * 0.1 for i in range(6)]
    path = write_media(
        tmp_path / "silent.mp4", frame_times=times, sound=[(0.0, np.zeros(RATE, np.float32))], rate=RATE
    )  # fmt: skip
    found = model.predict(path)
    assert found.opinions["audio"] is None
    assert found.opinions["video"] is not None
    assert found.reasons == ("audio: silent",)
    quiet = write_wav(tmp_path / "quiet.wav", np.zeros(RATE, np.float32))
    (row,) = model.predict([quiet])
    assert (row.label, row.trusted, row.windows.failed.paths) == ("", False, [str(quiet)])
    assert "quiet.wav: no modality could be used (audio: silent; " in row.error
    with pytest.raises(MediaError, match=r"quiet\.wav: no modality could be used"):
        model.predict(quiet)


def test_a_picture_is_a_film_of_one_frame(model: Model, tmp_path: Path) -> None:
    import cv2

    path = tmp_path / "face.png"
    cv2.imwrite(str(path), stripes(True))
    found = model.predict(path)
    assert found.opinions["audio"] is None
    assert found.trusted is True
    assert (found.start, found.end) == (0.0, 0.0)


def test_a_picture_lasts_through_a_gap_of_ten_seconds(model: Model, tmp_path: Path) -> None:
    times = [i * 0.2 for i in range(10)] + [12 + i * 0.2 for i in range(10)]
    path = write_media(
        tmp_path / "gap.mp4", frame_times=times, picture=lambda i: stripes(True, i),
        sound=[(0.0, noisy_tone(500, 14.0))], rate=RATE,
    )  # fmt: skip
    found = model.predict(path)
    assert found.error == ""
    assert found.trusted is True
    assert found.end == pytest.approx(14, abs=0.3)
    windows = list(decode.windows(path, seconds=2.0, frames=4))
    seen = [model.predict(w).opinions["video"] for w in windows]
    expected = torch.stack([each.evidence for each in seen]).mean(0)
    torch.testing.assert_close(found.opinions["video"].evidence, expected, rtol=1e-4, atol=1e-5)


def test_a_gap_of_ten_seconds_in_the_sound(model: Model, tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "gap.mkv", frame_times=[i * 0.5 for i in range(28)],
        picture=lambda i: stripes(True, i), rate=RATE, audio_codec="pcm_s16le",
        sound=[(0.0, noisy_tone(500, 2.0)), (12.0, noisy_tone(500, 2.0))],
    )  # fmt: skip
    found = model.predict(path)
    assert found.error == ""
    heard = [
        model.predict(w).opinions["audio"] for w in decode.windows(path, seconds=2.0, frames=4)
    ]
    assert [each is None for each in heard] == [False, True, True, True, True, True, False]
    expected = torch.stack([each.evidence for each in heard if each is not None]).mean(0)
    torch.testing.assert_close(found.opinions["audio"].evidence, expected, rtol=1e-4, atol=1e-5)


def test_a_film_that_is_cut_short_is_used_as_far_as_it_goes(model: Model, tmp_path: Path) -> None:
    path = write_media(
        tmp_path / "cut.mp4", frame_times=[i * 0.1 for i in range(60)],
        picture=lambda i: stripes(True, i), sound=[(0.0, noisy_tone(500, 6.0))], rate=RATE,
        container_options={"movflags": "faststart"},
    )  # fmt: skip
    whole = model.predict(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    found = model.predict(path)
    assert found.error == ""
    assert found.label
    assert found.end < whole.end - 0.5
    assert any("cut short" in reason for reason in found.reasons)


# -- windows and batches --------------------------------------------------------------------------


def test_a_long_clip_is_the_mean_of_its_windows(model: Model, tmp_path: Path) -> None:
    sound = np.concatenate([noisy_tone(300, 2.0), noisy_tone(2500, 2.0), noisy_tone(800, 2.3)])
    path = write_wav(tmp_path / "long.wav", sound)
    windows = list(decode.windows(path, seconds=2.0, video=False))
    assert [round(w.duration, 1) for w in windows] == [2.0, 2.0, 2.3]
    each = [model.predict(window).opinion.evidence for window in windows]
    found = model.predict(path)
    torch.testing.assert_close(found.opinion.evidence, torch.stack(each).mean(0))
    assert found.end == pytest.approx(6.3, abs=1e-3)


def test_length_alone_makes_nothing_more_certain(model: Model, tmp_path: Path) -> None:
    piece = noisy_tone(300, 2.0)
    once = model.predict(write_wav(tmp_path / "once.wav", piece))
    often = model.predict(write_wav(tmp_path / "often.wav", np.tile(piece, 8)))
    assert often.uncertainty == pytest.approx(once.uncertainty, rel=1e-4)


def test_batch_size_and_workers_do_not_change_predictions(
    model: Model, folder: Path, tmp_path: Path
) -> None:
    sources: list[str | Path | Clip] = [arrays(s, 0.3 + 0.21 * s, 1 + s % 4) for s in range(7)]
    sources += [folder / "film.mp4", folder / "tone.wav", folder / "deeper/mute.mp4"]
    sources.append(write_wav(tmp_path / "long.wav", noisy_tone(400, 7.1)))
    one = model.predict(sources, batch_size=1, workers=1)
    many = model.predict(sources, batch_size=16, workers=3)
    backwards = model.predict(sources[::-1], batch_size=4)
    for first, second, third in zip(one, many, list(backwards)[::-1], strict=True):
        same_evidence(first, second)
        same_evidence(first, third)
        assert first.label == second.label == third.label
        assert first.confidence == pytest.approx(second.confidence, abs=1e-5)


def test_predicting_leaves_the_model_as_it_was(model: Model) -> None:
    trainee = tiny_model("audio").train()
    before = {name: value.clone() for name, value in trainee.state_dict().items()}
    first, second = trainee.predict(arrays()), trainee.predict(arrays())
    assert trainee.training
    same_evidence(first, second, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in trainee.state_dict().items())


# -- files that cannot be used --------------------------------------------------------------------


def bad_files(place: Path) -> dict[str, str]:
    (place / "text.mp4").write_text("hello world\n" * 50)
    (place / "empty.mp4").write_bytes(b"")
    whole = film(place / "whole.mp4", "high").read_bytes()
    (place / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (place / "whole.mp4").unlink()
    return {
        "missing.mp4": "does not exist; check the path",
        "text.mp4": "holds text, not media",
        "empty.mp4": r"is empty \(0 bytes\)",
        "cut.mp4": "cut short",
    }


def test_bad_files_cost_only_themselves(model: Model, folder: Path, tmp_path: Path) -> None:
    bad = bad_files(tmp_path)
    paths = [folder / "film.mp4", *(tmp_path / name for name in bad), folder / "tone.wav"]
    found = model.predict(paths)
    assert found.paths == [str(path) for path in paths]
    assert found.failed.paths == [str(tmp_path / name) for name in bad]
    for prediction in found.failed:
        assert prediction.trusted is False
        assert prediction.label == ""
        assert "\n" not in prediction.error
    alone = model.predict(folder / "film.mp4")
    same_evidence(found[0], alone)
    assert found[-1].trusted is True


@pytest.mark.parametrize("name", ["missing.mp4", "text.mp4", "empty.mp4", "cut.mp4"])
def test_one_bad_file_raises_its_sentence(model: Model, tmp_path: Path, name: str) -> None:
    message = bad_files(tmp_path)[name]
    with pytest.raises(MediaError, match=f"{name}.*{message}") as raised:
        model.predict(tmp_path / name)
    assert "\n" not in str(raised.value)


# -- faces ----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("built_in", [True, False])
def test_faces_are_cropped_and_their_absence_is_said(
    folder: Path, data_dir: Path, face_model: Path, built_in: bool
) -> None:
    model = tiny_model("audio", "video", video=VideoInput(4, 32), window_seconds=10.0)
    file = None if built_in else face_model
    none = model.predict(folder / "film.mp4", face_model=file)
    assert none.opinions["video"] is None
    assert "video: no face found in 4 sampled frames" in none.reasons
    clip = Clip.from_file(data_dir / "fixtures" / "single_face.mp4", frames=4)
    faces = model.predict(clip, face_model=file).opinions["video"]
    crops, _ = FaceCropper(file, size=96).crop(clip.frames)
    cut = model.predict(Clip.from_arrays(crops), faces="whole").opinions["video"]
    torch.testing.assert_close(faces.evidence, cut.evidence)
    whole = model.predict(clip, faces="whole").opinions["video"]
    assert not torch.allclose(faces.evidence, whole.evidence, rtol=1e-3)
    with pytest.raises(ModelError, match="faces is 'ears'; expected one of detect, whole"):
        model.predict(clip, faces="ears")


def test_a_wrong_face_model_says_so(folder: Path, tmp_path: Path) -> None:
    model = tiny_model("video", video=VideoInput(4, 32))
    with pytest.raises(MediaError, match=r"nowhere\.onnx"):
        model.predict(folder / "film.mp4", face_model=tmp_path / "nowhere.onnx")


def test_the_decoder_and_the_sampling_may_be_chosen(model: Model, folder: Path) -> None:
    path = folder / "film.mp4"
    same_evidence(model.predict(path, decode="pyav"), model.predict(path))
    assert "pictures are the nearest key frames" in model.predict(path, sampling="keyframe").reasons
    with pytest.raises(MediaError, match="Unknown decoding backend 'vhs'; choose from"):
        model.predict(path, decode="vhs")
    with pytest.raises(MediaError, match="sampling='some', expected one of"):
        model.predict(path, sampling="some")  # type: ignore[arg-type]
