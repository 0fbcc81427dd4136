"""Training: it learns, it repeats, it stops, and it refuses data that would flatter it."""

from __future__ import annotations

import logging
import math
import threading
import warnings
from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny import (
    AUDIO,
    VIDEO,
    WHOLE,
    film_corpus,
    noisy_tone,
    rescaled,
    tiny_model,
    tone_corpus,
    with_threshold,
    write_manifest,
    write_wav,
)
from ter_fast import DataError, Model
from ter_fast.data import Dataset, Sample, load_dataset
from ter_fast.opinions._views import drop_views
from ter_fast.predict.prepare import PreparedData, most_unreadable, parse_limit, prepare
from ter_fast.predict.source import Window
from ter_fast.train import Settings, machine, session
from ter_fast.train.batches import Draws, draw_weights, training_loader, window_counts
from ter_fast.train.task import Task, schedule_of

LABELS = ("high", "low")
QUICK: dict[str, Any] = {"learning_rate": 1e-2, "batch_size": 8, "annealing": 2, "progress": False}


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("tones")
    return load_dataset(str(tone_corpus(folder, {"train": 8, "validation": 3, "test": 3})))


def voice(seed: int = 0) -> Model:
    return Model.build(LABELS, {"audio": AUDIO}, seed=seed, window_seconds=2.0)


def state(model: Model) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_model_learns_pitch_and_says_so_on_unseen_speakers(
    tones: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("lightning.pytorch").level
    model = voice()
    before = model.evaluate(tones.split("test"), progress=False, resamples=10)
    assert model.fit(tones, epochs=12, **QUICK) is model
    assert not model.training
    after = model.evaluate(tones.split("test"), progress=False, resamples=10)
    assert after.figures["uar"].value > 0.9
    assert after.figures["nll"].value < before.figures["nll"].value
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().err == ""
    assert logging.getLogger("lightning.pytorch").level == level


def test_the_record_says_what_was_done(tones: Dataset) -> None:
    model = voice().fit(tones, epochs=1, seed=5, **QUICK)
    (record,) = model.config.training
    assert record.modalities == ("audio",)
    assert record.data == "tones"
    assert record.terms == tones.terms
    assert record.samples == {"train": 16, "validation": 6}
    assert (record.settings["epochs"], record.settings["seed"]) == (1, 5)
    assert record.settings["learning_rate"] == 1e-2


@pytest.mark.slow
def test_the_same_seed_gives_the_same_model(tones: Dataset) -> None:
    first, again, other = (voice().fit(tones, epochs=1, seed=seed, **QUICK) for seed in (3, 3, 4))
    assert same(state(first), state(again))
    assert first.config == again.config
    assert not same(state(first), state(other))


def script(
    monkeypatch: pytest.MonkeyPatch, values: list[float], name: str = "nll"
) -> list[dict[str, torch.Tensor]]:
    """Let validation answer these scores, and keep the weights that it saw."""
    seen: list[dict[str, torch.Tensor]] = []

    def scores(model: Model, *_: object) -> dict[str, float]:
        seen.append(state(model))
        return {"nll": 0.0, "accuracy": 0.0, "uar": 0.0, name: values[len(seen) - 1]}

    monkeypatch.setattr(session, "scores", scores)
    return seen


def test_training_stops_when_validation_no_longer_improves(
    tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = script(monkeypatch, [2.0, 1.0, 1.5, 1.2, 0.1, 0.1])
    model = voice().fit(tones, epochs=6, patience=2, **QUICK)
    assert len(seen) == 4
    assert same(seen[1], state(model))
    assert not same(seen[1], seen[3])


def test_uar_may_be_watched_instead(tones: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = script(monkeypatch, [0.5, 0.9, 0.7], "uar")
    model = voice().fit(tones, epochs=3, monitor="uar", **QUICK)
    assert same(seen[1], state(model))


def test_the_evidence_scale_minimizes_the_validation_nll(tones: Dataset) -> None:
    model = voice().fit(tones, epochs=2, **QUICK)
    scale = model.config.experts["audio"].evidence_scale
    assert scale > 0
    assert float(model.get_buffer("experts.audio.scale")) == pytest.approx(scale)
    validation = tones.split("validation")

    def nll(factor: float) -> float:
        changed = rescaled(model, "audio", scale * factor)
        return changed.evaluate(validation, progress=False, resamples=2).figures["nll"].value

    best = nll(1.0)
    edge = scale in (pytest.approx(1e2), pytest.approx(1e-2))
    assert edge or best <= min(nll(0.9), nll(1.1)) + 1e-9
    assert best <= nll(1 / scale) + 1e-9


def test_training_again_goes_on_and_drops_thresholds(tones: Dataset) -> None:
    model = with_threshold(voice(), 0.5, "audio").fit(tones, epochs=1, **QUICK)
    assert model.config.thresholds == {}
    first = state(model)
    model.fit(tones, epochs=1, **QUICK)
    assert len(model.config.training) == 2
    assert not same(first, state(model))


def test_without_a_validation_split_groups_are_held_out(tones: Dataset) -> None:
    unsplit = replace(
        tones, samples=tuple(replace(s, split="") for s in tones if s.split == "train")
    )
    model = voice().fit(unsplit, epochs=1, **QUICK)
    counts = model.config.training[0].samples
    assert sum(counts.values()) == 16
    assert 0 < counts["validation"] < counts["train"]


def test_a_group_on_both_sides_is_refused(tones: Dataset) -> None:
    with pytest.raises(DataError, match="8 groups stand in both training and validation data"):
        voice().fit(tones.split("train"), tones.split("train"), epochs=1, **QUICK)
    mixed = replace(tones, samples=tuple(replace(s, group="one") for s in tones))
    with pytest.raises(
        DataError, match=r"1 groups stand in both .* such as 'one'; split by speaker"
    ):
        voice().fit(mixed, epochs=1, **QUICK)


def test_a_class_that_the_model_lacks_is_refused(tones: Dataset) -> None:
    model = Model.build(("low", "loud"), {"audio": AUDIO})
    with pytest.raises(DataError, match=r"classes high that the model lacks \(it has low, loud\)"):
        model.fit(tones, epochs=1, **QUICK)


def test_a_wrong_setting_is_refused(tones: Dataset) -> None:
    with pytest.raises(TypeError, match="learning_rat"):
        voice().fit(tones, learning_rat=1.0)
    with pytest.raises((ValueError, DataError), match="monitor is 'loss'; expected nll or uar"):
        voice().fit(tones, monitor="loss")
    with pytest.raises(ValueError, match="class_weight is 'even'; expected balanced, or nothing"):
        voice().fit(tones, class_weight="even")
    with pytest.raises(ValueError, match=r"modality_dropout is 1\.0"):
        voice().fit(tones, modality_dropout=1.0)
    with pytest.raises(ValueError, match="kind is 'hinge'; expected one of log"):
        voice().fit(tones, kind="hinge", **QUICK)


def test_files_that_cannot_be_read_cost_only_themselves(tmp_path: Path) -> None:
    manifest = tone_corpus(tmp_path, {"train": 3})
    (tmp_path / "train-0-low.wav").write_text("not a sound\n" * 20)
    write_wav(tmp_path / "train-1-low.wav", 0 * noisy_tone(300))
    dataset = load_dataset(str(manifest))
    data = prepare(voice(), dataset, progress=False)
    assert len(data.clips) == len(data.labels) == len(data.groups) == 4
    assert len(data.errors) == 2
    assert "train-0-low.wav holds text" in data.errors[0]
    assert data.errors[1].endswith("train-1-low.wav: audio: silent")
    assert data.labels.tolist() == [0, 0, 0, 1]
    for sample in dataset:
        Path(sample.path).write_bytes(b"")
    with pytest.raises(DataError, match=r"no clip of tones could be used; the first said: .*empty"):
        prepare(voice(), dataset, progress=False)


@pytest.mark.parametrize(("limit", "most"), [(0, 0), (1, 1), (0.1, 1), (0.2, 2), (0.35, 3)])
def test_unreadable_files_are_skipped_up_to_a_limit(
    tmp_path: Path, limit: int | float, most: int
) -> None:
    dataset = load_dataset(str(tone_corpus(tmp_path, {"train": 5})))
    names = [Path(sample.path).name for sample in dataset]
    # A silent clip can be read, and says nothing of the state of the disk.
    write_wav(tmp_path / names[-1], 0 * noisy_tone(300))
    for bad in range(5):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if bad <= most:
                data = prepare(voice(), dataset, progress=False, max_unreadable=limit)
                data.report()
                assert len(data.clips) == 9 - bad
                assert len(data.unreadable) == bad == len(data.errors) - 1
                assert f"{bad + 1} of 10 clips could not be used" in str(said[0].message)
                listed = str(said[0].message).partition("skipped:")[2]
            else:
                threads = threading.active_count()
                with pytest.raises(DataError, match="clips of tones cannot be read, and") as error:
                    prepare(voice(), dataset, progress=False, max_unreadable=limit)
                assert threading.active_count() == threads
                listed = str(error.value)
                bad = most + 1  # noqa: PLW2901 (the run ends there)
        assert [name in listed for name in names] == [index < bad for index in range(10)]
        (tmp_path / names[min(bad, 4)]).write_bytes(b"RIFF" + bytes(range(256)))


def test_training_ends_with_the_list_of_unreadable_files(tmp_path: Path) -> None:
    dataset = load_dataset(str(tone_corpus(tmp_path, {"train": 4, "validation": 1})))
    bad = Path(dataset[0].path)
    bad.write_bytes(b"")
    with pytest.raises(DataError, match=rf"5\.0% of all may be .*\n  .*{bad.name} is empty"):
        voice().fit(dataset, epochs=1, **QUICK)
    with pytest.warns(UserWarning, match=rf"were skipped:\n  .*{bad.name} is empty"):
        model = voice().fit(dataset, epochs=1, max_unreadable=1, **QUICK)
    assert model.config.training[0].samples == {"train": 7, "validation": 2}


@pytest.mark.parametrize("limit", [-1, -0.1, 1.5, float("nan"), True])
def test_a_limit_that_is_none_is_refused(tones: Dataset, limit: float) -> None:
    with pytest.raises(DataError, match="limit of unreadable files is"):
        prepare(voice(), tones, progress=False, max_unreadable=limit)


@pytest.mark.parametrize("text", ["", "some", "-1", "101%", "1.5", "nan", "%"])
def test_a_limit_that_cannot_be_parsed_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="limit of unreadable files is"):
        parse_limit(text)


@pytest.mark.slow
@given(st.integers(0, 100), st.integers(1, 10_000))
def test_a_share_in_percent_allows_whole_files_exactly(percent: int, count: int) -> None:
    limit = parse_limit(f"{percent}%")
    assert most_unreadable(limit, count) == Fraction(percent, 100) * count // 1


def test_votes_become_soft_targets_in_the_models_order(tones: Dataset) -> None:
    few = tones.samples[:2]
    voted = replace(
        tones, samples=(replace(few[0], target=(0.75, 0.25)), replace(few[1], target=None))
    )
    model = Model.build(("other", "low", "high"), {"audio": AUDIO})
    targets = prepare(model, voted, progress=False).targets
    assert targets[0].tolist() == [0.0, 0.25, 0.75]
    assert targets[1].tolist() == [0.0, float(few[1].label == "low"), float(few[1].label == "high")]


def test_sound_in_a_file_of_its_own_is_heard(tmp_path: Path) -> None:
    """As in the official tree of Music_video: films on one side, their sound on the other."""
    films = load_dataset(str(film_corpus(tmp_path, {"train": 1}, sound=False)))
    sounds = [write_wav(tmp_path / f"{s.label}.wav", noisy_tone(500)) for s in films]
    apart = replace(
        films,
        samples=tuple(
            replace(s, attributes={"audio_path": str(sound)})
            for s, sound in zip(films, sounds, strict=True)
        ),
    )
    both = prepare(tiny_model("audio", "video", labels=LABELS), apart, progress=False)
    for names in (("audio",), ("video",)):
        alone = prepare(tiny_model(*names, labels=LABELS), apart, progress=False)
        assert alone.errors == ()
        for clip, other in zip(alone.clips, both.clips, strict=True):
            value, expected = clip[0].values[names[0]], other[0].values[names[0]]
            assert value is not None
            assert expected is not None
            assert torch.equal(value, expected)


def test_long_clips_are_trained_on_in_windows(tmp_path: Path) -> None:
    rows = []
    for split in ("train", "validation"):
        for label, hertz in (("low", 300), ("high", 2400)):
            file = write_wav(tmp_path / f"{split}-{label}.wav", noisy_tone(hertz, 6.0))
            rows.append({"path": file.name, "label": label, "split": split})
    dataset = load_dataset(str(write_manifest(tmp_path / "long.csv", rows)))
    data = prepare(voice(), dataset.split("train"), progress=False)
    assert [len(windows) for windows in data.clips] == [3, 3]
    model = voice().fit(dataset, epochs=1, crop_seconds=0.5, **QUICK)
    assert model.config.training[0].samples == {"train": 2, "validation": 2}


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "activation"), [("dempster", "softplus"), ("averaging", "exp")])
def test_a_joint_model_learns_from_films(tmp_path: Path, rule: str, activation: str) -> None:
    films = load_dataset(str(film_corpus(tmp_path, {"train": 6, "validation": 2})))
    assert films.modalities == ("audio", "video")
    model = Model.build(
        LABELS, {"audio": AUDIO, "video": VIDEO}, video=WHOLE, rule=rule, activation=activation
    )
    before = state(model)
    model.fit(films, epochs=12, **{**QUICK, "batch_size": 6, "balance": 0.8})
    found = model.evaluate(films.split("validation"), progress=False, resamples=2)
    assert found.modalities == "audio+video"
    assert found.figures["uar"].value > 0.7
    for name in ("audio", "video"):
        key = f"experts.{name}.head.weight"
        assert not torch.equal(model.state_dict()[key], before[key])
    assert {e.evidence_scale for e in model.config.experts.values()} == {1.0}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mse", "focal", "fisher", "relaxed"])
def test_every_loss_trains_a_model(tones: Dataset, kind: str) -> None:
    model = voice()
    options = {**QUICK, "label_smoothing": 0.05, "class_weight": "balanced"}
    model.fit(tones, epochs=10, kind=kind, **options)
    found = model.evaluate(tones.split("validation"), progress=False, resamples=2)
    assert found.figures["uar"].value > 0.7
    settings = model.config.training[0].settings
    assert (settings["kind"], settings["class_weight"]) == (kind, "balanced")


def test_a_modality_is_left_out_at_times_but_never_the_last() -> None:
    torch.manual_seed(0)
    mask = torch.tensor([[True, True, False], [True, False, False]]).repeat(1, 4000)
    kept = drop_views(mask, 0.3)
    assert not (kept & ~mask).any()
    assert torch.equal(kept.any(0), mask.any(0))
    # Both of two are drawn out in 9 of 100 windows, which then keep both.
    assert float(kept[0, ::3].float().mean()) == pytest.approx(0.7 + 0.09, abs=0.02)
    assert kept[0, 1::3].all()
    assert drop_views(mask, 0.0) is mask
    assert drop_views(mask[:1], 0.9).all() == mask[:1].all()


@pytest.mark.slow
def test_what_was_left_out_in_training_does_without_it(tmp_path: Path) -> None:
    """The thinned mask reaches the fusion, and only that: each modality learns from every window."""
    films = load_dataset(str(film_corpus(tmp_path, {"train": 6, "validation": 2})))
    model = Model.build(LABELS, {"audio": AUDIO, "video": VIDEO}, video=WHOLE)
    seen: list[torch.Tensor] = []
    opinions = model.opinions

    def watched(evidence: torch.Tensor, mask: torch.Tensor, *more: Any) -> Any:
        if model.training:
            seen.append(mask.clone())
        return opinions(evidence, mask, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model, "opinions", watched)
        options = {"modality_dropout": 0.5, "conflict_weight": 0.1, "batch_size": 6}
        model.fit(films, epochs=4, **{**QUICK, **options})
    masks = torch.cat(seen, 1)
    assert masks.any(0).all()
    assert 0.2 < float((masks.sum(0) == 1).float().mean()) < 0.8


def test_lightning_missing_says_what_to_install(
    tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "lightning", None)
    with pytest.raises(Exception, match=r"pip install 'ter_fast\[train\]'"):
        voice().fit(tones, epochs=1, **QUICK)


def test_a_schedule_follows_its_formula() -> None:
    steps, rising, peak = 20, 5, 0.1
    expected = {
        "one-cycle": [
            # Smith and Topin's cycle as torch has it: from peak / 25, at step 4 at its peak, to 1 / 1e4 of the start.
            peak / 25 + (peak - peak / 25) * (1 - math.cos(math.pi * t / 4)) / 2
            if t <= 4
            else peak / 25e4 + (peak - peak / 25e4) * (1 + math.cos(math.pi * (t - 4) / 15)) / 2
            for t in range(steps)
        ],
        "cosine": [
            peak * (1 + t * rising / rising) / (rising + 1)
            if t < rising
            else peak * (1 + math.cos(math.pi * (t - rising) / (steps - rising))) / 2
            for t in range(steps + 1)
        ],
        "constant": [peak * min(1.0, (1 + t) / (rising + 1)) for t in range(steps)],
    }
    for name, rates in expected.items():
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=peak)
        schedule = schedule_of(
            optimizer, Settings(schedule=name, warmup=0.25, learning_rate=peak), steps
        )
        found = []
        for _ in rates:
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if len(found) < len(rates):
                schedule.step()
        assert found == pytest.approx(rates, rel=1e-9), name


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 0.99])
def test_every_schedule_trains_for_any_number_of_steps(schedule: str, warmup: float) -> None:
    for steps in (1, 2, 7):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        chosen = Settings(schedule=schedule, warmup=warmup, learning_rate=0.1)
        following = schedule_of(optimizer, chosen, steps)
        rates = []
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            if step < steps - 1:
                following.step()
        assert all(0 <= rate <= 0.1 * (1 + 1e-9) for rate in rates)
        assert rates[0] > 0


def test_training_follows_the_schedule_that_was_asked_for(tones: Dataset) -> None:
    seen: list[float] = []
    original = Task.training_step

    def watched(self: Task, batch: Any, index: int) -> torch.Tensor:
        seen.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return original(self, batch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "training_step", watched)
        voice().fit(tones, epochs=2, schedule="constant", warmup=0.5, **QUICK)
    assert seen == pytest.approx([1e-2 / 3, 2e-2 / 3, 1e-2, 1e-2])


def norms(tones: Dataset, **options: Any) -> list[float]:
    """Train, and return the norm of the gradient that each step took."""
    seen: list[float] = []
    original = Task.configure_gradient_clipping

    def watched(self: Task, *given: Any, **named: Any) -> None:
        original(self, *given, **named)
        grads = [p.grad.flatten() for p in self.model.parameters() if p.grad is not None]
        seen.append(float(torch.cat(grads).norm()))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Task, "configure_gradient_clipping", watched)
        voice().fit(tones, epochs=2, **options, **QUICK)
    return seen


@pytest.mark.slow
def test_clipping_bounds_the_norm_of_the_gradient(tones: Dataset) -> None:
    free = norms(tones, gradient_clip=0)
    assert len(free) == 4
    bound = min(free) / 2
    clipped = norms(tones, gradient_clip=bound)
    assert clipped == pytest.approx([bound] * 4, rel=1e-3)
    assert norms(tones, gradient_clip=max(free) * 1e3) == free


def test_the_average_of_the_weights_is_what_is_validated(
    tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the literal mean over the steps, with a decay that grows as (1 + n) / (10 + n)."""
    raw: list[dict[str, torch.Tensor]] = []
    original = Task.optimizer_step

    def watched(self: Task, *given: Any, **named: Any) -> None:
        original(self, *given, **named)
        raw.append(state(self.model))

    monkeypatch.setattr(Task, "optimizer_step", watched)
    seen = script(monkeypatch, [3.0, 2.0, 1.0])
    model = voice().fit(tones, epochs=3, ema=0.4, **QUICK)
    mean = raw[0]
    for count, current in enumerate(raw[1:], 1):
        decay = min(0.4, (1 + count) / (10 + count))
        mean = {
            name: decay * mean[name] + (1 - decay) * value if value.is_floating_point() else value
            for name, value in current.items()
        }
    torch.testing.assert_close(state(model), mean)
    assert same(seen[-1], state(model))
    assert not same(raw[-1], state(model))


def test_without_an_average_the_weights_themselves_are_kept(
    tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw: list[dict[str, torch.Tensor]] = []
    original = Task.optimizer_step

    def watched(self: Task, *given: Any, **named: Any) -> None:
        original(self, *given, **named)
        raw.append(state(self.model))

    monkeypatch.setattr(Task, "optimizer_step", watched)
    script(monkeypatch, [2.0, 1.0])
    assert same(state(voice().fit(tones, epochs=2, ema=0, **QUICK)), raw[-1])


@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("native", [True, False])
def test_precision_is_what_the_processor_is_good_at(
    monkeypatch: pytest.MonkeyPatch, native: bool, public: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    if public:
        known = {"avx512_bf16": native}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    else:
        monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
        for name, value in (
            ("_is_avx512_bf16_supported", native),
            ("_is_amx_tile_supported", False),
        ):
            monkeypatch.setattr(torch.cpu, name, lambda value=value: value, raising=False)
    assert machine.precision_here("auto") == ("bf16-mixed" if native else "32-true")
    assert machine.precision_here("32-true") == "32-true"
    with nullcontext() if native else pytest.warns(UserWarning, match="far slower than 32-true"):
        assert machine.precision_here("bf16-mixed") == "bf16-mixed"


def test_the_precision_that_was_taken_is_recorded(
    tones: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    for native, taken in ((False, "32-true"), (True, "bf16-mixed")):
        monkeypatch.setattr(machine, "computes_in_bfloat16", lambda native=native: native)
        model = voice().fit(tones, epochs=1, precision="auto", **QUICK)
        assert model.config.training[0].settings["precision"] == taken


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:this machine does not multiply in bfloat16")
def test_mixed_precision_computes_in_bfloat16_and_keeps_float32(tones: Dataset) -> None:
    seen: set[torch.dtype] = set()
    model = voice()
    layer = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))

    def watched(module: torch.nn.Module, given: Any, answer: torch.Tensor) -> None:
        if model.training:
            seen.add(answer.dtype)

    handle = layer.register_forward_hook(watched)
    model.fit(tones, epochs=10, precision="bf16-mixed", **QUICK)
    handle.remove()
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    found = model.evaluate(tones.split("validation"), progress=False, resamples=2)
    assert found.figures["uar"].value > 0.7


@given(st.integers(1, 6), st.integers(0, 5), st.integers(0, 3))
def test_processes_deal_one_epoch_out_among_them(processes: int, seed: int, epoch: int) -> None:
    weights = [1.0] * 60
    shares = []
    for rank in range(processes):
        draws = Draws(weights, seed, rank, processes)
        draws.set_epoch(epoch)
        shares.append(list(draws))
        assert len(draws) == len(shares[-1]) == 60 // processes
    if processes > 1:
        whole = [share[turn] for turn in range(len(shares[0])) for share in shares]
        by_two = [Draws(weights, seed, rank, 2) for rank in (0, 1)]
        for draws in by_two:
            draws.set_epoch(epoch)
        assert whole == [index for pair in zip(*by_two, strict=True) for index in pair]
        by_two[0].set_epoch(epoch + 1)
        assert list(by_two[0]) != whole[::2]


def test_classes_are_balanced_by_windows_not_by_clips() -> None:
    # Three clips of a window each, and one clip of six.
    window = Window({"audio": torch.zeros(160)}, {}, 0.0, 1.0)
    labels = torch.tensor([0, 0, 0, 1])
    sample = Sample("a.wav", "low", "train", "anna")
    data = PreparedData(
        [[window], [window], [window], [window] * 6], labels, torch.eye(2)[labels], (sample,) * 4,
        {"audio": torch.zeros(0)}, (),
    )  # fmt: skip
    counts = window_counts(data, 2)
    assert counts.tolist() == [3.0, 6.0]
    loader = training_loader(data, Settings(class_balance=1.0), 0, 1, lambda: None)
    assert isinstance(loader.sampler, Draws)
    shares = loader.sampler.weights / loader.sampler.weights.sum()
    assert float(shares[:3].sum()) == pytest.approx(0.5)


def test_corpora_are_balanced_where_asked() -> None:
    """A corpus of 8 clips and one of 2: by class alone the small one is a fifth of the draws."""
    window = Window({"audio": torch.zeros(160)}, {}, 0.0, 1.0)
    labels = torch.tensor([0, 1] * 5)
    samples = tuple(
        Sample(f"{row}.wav", "low", "train", "anna", attributes={"corpus": "big" if row < 8 else "small"})
        for row in range(10)
    )  # fmt: skip
    data = PreparedData(
        [[window]] * 10, labels, torch.eye(2)[labels], samples, {"audio": torch.zeros(0)}, ()
    )
    small = []
    for settings in (
        Settings(class_balance=1.0),
        Settings(class_balance=1.0, balance_corpora=True),
    ):
        weights = draw_weights(data, settings)
        small.append(float(weights[8:].sum() / weights.sum()))
    assert small == pytest.approx([0.2, 0.5])
    # A class that the small corpus alone has is one of three there, and none in the other.
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 2, 2, 0, 1])
    samples = tuple(
        replace(each, attributes={"corpus": "small" if row > 5 else "big"})
        for row, each in enumerate(samples)
    )
    data = replace(data, labels=labels, targets=torch.eye(3)[labels], samples=samples)
    weights = draw_weights(data, Settings(class_balance=1.0, balance_corpora=True))
    shares = torch.bincount(labels, weights) / weights.sum()
    assert shares.tolist() == pytest.approx([0.4, 0.4, 0.2])


def test_corpora_are_not_balanced_where_classes_are_not() -> None:
    with pytest.raises(DataError, match="balance_corpora counts for class_balance, which is 0"):
        Settings(class_balance=0.0, balance_corpora=True)


def test_draws_follow_the_weights() -> None:
    weights = [1.0, 3.0] * 5000
    drawn = torch.tensor(list(Draws(weights, 0, 0, 2)))
    assert float((drawn % 2).float().mean()) == pytest.approx(0.75, abs=0.03)
    assert len(Draws(weights[:7], 0, 0, 2)) == len(list(Draws(weights[:7], 0, 1, 2))) == 4


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("schedule", "linear", "schedule is 'linear'; expected one of one-cycle"),
        ("warmup", 1.0, r"warmup is 1\.0"),
        ("gradient_clip", -1.0, r"gradient_clip is -1\.0"),
        ("gradient_clip", math.nan, "gradient_clip is nan"),
        ("epochs", 0, "epochs is 0; expected a whole number from 1 on"),
        ("epochs", 2.5, r"epochs is 2\.5; expected a whole number"),
        ("epochs", "5", "epochs is '5'; expected a whole number"),
        ("batch_size", True, "batch_size is True; expected a whole number"),
        ("patience", -1, "patience is -1; expected a whole number from 1 on"),
        ("learning_rate", 0.0, r"learning_rate is 0\.0; expected a rate above 0"),
        ("learning_rate", math.inf, "learning_rate is inf; expected a rate above 0"),
        ("learning_rate", "fast", "learning_rate is 'fast'; expected a rate above 0"),
        ("backbone_learning_rate", -1e-5, "backbone_learning_rate is -1e-05; expected a rate"),
        ("label_smoothing", 1.0, r"label_smoothing is 1\.0; expected a share of the target"),
        ("crop_seconds", math.nan, "crop_seconds is nan; expected seconds above 0"),
        ("ema", 1.0, r"ema is 1\.0; expected a decay"),
        ("balance_corpora", 1, "balance_corpora is 1; expected true or false"),
        ("ema", None, "ema is None; expected a decay"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: str, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Settings(**{setting: value})


def test_settings_at_the_ends_of_their_ranges_are_taken() -> None:
    Settings(epochs=np.int64(1), batch_size=1, patience=1, warmup=0, gradient_clip=0, ema=0)
    Settings(learning_rate=np.float32(1e-9), crop_seconds=1e-3, label_smoothing=0)


def test_a_rate_for_backbones_needs_one(tones: Dataset) -> None:
    with pytest.raises(DataError, match="is 1e-05, and no encoder has a backbone"):
        voice().fit(tones, backbone_learning_rate=1e-5)


def test_fewer_processes_than_one_are_refused(tones: Dataset) -> None:
    with pytest.raises(DataError, match="devices is 0; expected a number of processes from 1 on"):
        voice().fit(tones, devices=0)
