"""Every registered corruption is described, and named wherever corruptions are; own ones count as well."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import ter_fast
from ter_fast import Clip, DataError, Model
from ter_fast.cli import app
from ter_fast.data import Dataset
from ter_fast.evaluate.report.robustness import KINDS as HEADINGS
from ter_fast.evaluate.robustness import evaluate_corrupted
from ter_fast.media.corrupt import (
    CORRUPTIONS,
    KINDS,
    SEVERITIES,
    chosen,
    corrupt,
    corrupt_audio,
    corrupt_frames,
    register_corruption,
    suite,
)

ROOT = Path(__file__).parents[2]
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_it_is_described(name: str) -> None:
    corruption = CORRUPTIONS[name]
    assert corruption.name == name
    assert corruption.kind in KINDS
    assert corruption.title
    assert corruption.title[0].isupper()
    assert len(corruption.levels) == len(SEVERITIES)
    numbers = {len(level) if isinstance(level, tuple) else 1 for level in corruption.levels}
    assert numbers == {len(corruption.measure.split("; "))}
    assert corruption.change.__doc__
    assert tuple(corruption.level(severity) for severity in SEVERITIES) == corruption.levels


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_page_has_its_levels(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from registry_tables import filled

    page = filled((ROOT / "docs" / "corruptions.md").read_text(encoding="utf-8")).splitlines()
    place = next(i for i, line in enumerate(page) if line.startswith(f"| `{name}` |"))
    measures = CORRUPTIONS[name].measure.split("; ")
    for i, measure in enumerate(measures):
        cells = [cell.strip() for cell in page[place + i].split("|")[1:-1]]
        assert cells[0] == ("" if i else f"`{name}`")
        assert cells[1].startswith(measure)
        levels = [
            level if isinstance(level, tuple) else (level,) for level in CORRUPTIONS[name].levels
        ]
        assert [float(cell) for cell in cells[2:]] == [level[i] for level in levels]


def test_kinds_have_headings_and_order_names() -> None:
    assert tuple(HEADINGS) == KINDS
    order = [KINDS.index(each.kind) for each in CORRUPTIONS.values()]
    assert order == sorted(order)
    assert tuple(CORRUPTIONS) == suite()


def test_help_names_all() -> None:
    shown = CliRunner().invoke(app, ["evaluate", "--help"], env={"COLUMNS": "2000"}).output
    words = "".join(each if each.isalnum() or each == "_" else " " for each in shown).split()
    assert set(CORRUPTIONS) <= set(words)


def quiet(sound: np.ndarray, gain_db: float, draw: np.random.Generator) -> np.ndarray:
    """Turn it down."""
    return sound * np.float32(10 ** (-gain_db / 20))


def register_quiet() -> None:
    register_corruption(
        "quiet", modality="audio", title="Quiet", measure="loss, dB", levels=LEVELS
    )(quiet)


def test_one_of_sound() -> None:
    register_quiet()
    register_quiet()
    assert suite(["audio"])[-1] == "quiet"
    assert list(CORRUPTIONS).index("quiet") < list(CORRUPTIONS).index("gaussian_noise")
    assert chosen("quiet") == ("quiet",)
    sound = torch.ones(4)
    torch.testing.assert_close(corrupt_audio(sound, "quiet", 5), sound * 10**-0.25)
    with pytest.raises(ValueError, match=r"'quiet' is taken by .*\.quiet"):
        register_corruption("quiet", modality="audio", title="Quiet", measure="x", levels=LEVELS)(
            suite
        )


def test_one_of_pictures_is_given_faces_and_one_of_clips_a_clip() -> None:
    seen: list[object] = []

    @register_corruption("hide", modality="video", title="Hide", measure="x", levels=LEVELS)
    def hide(
        pictures: np.ndarray, level: float, draw: np.random.Generator, boxes: object = ()
    ) -> np.ndarray:
        seen.append(boxes)
        return pictures.copy()

    @register_corruption(
        "first", modality="video", title="First", measure="x", levels=LEVELS, on_clip=True
    )
    def first(clip: Clip, level: float, draw: np.random.Generator) -> Clip:
        return Clip.from_arrays(clip.frames[: int(level)], frame_rate=1)

    class NoFace:
        def largest(self, pictures: torch.Tensor) -> list[None]:
            return [None] * len(pictures)

    frames = torch.zeros(6, 4, 4, 3, dtype=torch.uint8)
    corrupt_frames(frames, "hide", 1)
    corrupt_frames(frames, "hide", 1, cropper=NoFace())  # type: ignore[arg-type]
    assert seen == [(), [None] * 6]
    assert len(corrupt_frames(frames, "first", 2)) == 2
    sound = Clip.from_arrays(audio=torch.ones(4))
    assert corrupt(sound, "first", 1) is sound


def test_one_between_both_is_given_other_clips() -> None:
    @register_corruption(
        "echoed", modality="audio", title="Echoed", measure="x", levels=LEVELS, cross=True
    )
    def echoed(clip: Clip, level: float, draw: np.random.Generator, others: list) -> Clip:
        assert [len(other) for other in others] == [3]
        return Clip.from_arrays(clip.frames, torch.from_numpy(others[0]))

    clip = Clip.from_arrays(torch.zeros(1, 4, 4, 3, dtype=torch.uint8), torch.zeros(8))
    assert corrupt(clip, "echoed", 1, others=[torch.ones(3)]).audio.tolist() == [1, 1, 1]
    assert "echoed" not in suite(["audio"])
    assert "echoed" in suite()


def test_it_is_measured_and_reported(voice: Model, tones: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs ter_fast[report]")
    register_quiet()
    found = evaluate_corrupted(voice, tones, "quiet,low_pass", severities=[1, 5], resamples=20)
    assert set(found.trends) == {"quiet", "low_pass"}
    page = found.save(tmp_path).read_text(encoding="utf-8")
    assert "Severity is loss, dB" in page


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a,b", {}, "corruption name 'a,b'; expected letters"),
        ("suite", {}, "not suite or clean"),
        ("own", {"modality": "text"}, "modality 'text' of own; expected 'audio' or 'video'"),
        ("own", {"levels": (1.0, 2.0)}, "own has 2 levels; expected 5"),
    ],
)
def test_registrations_that_are_refused(
    name: str, options: dict[str, object], message: str
) -> None:
    fields = {"modality": "audio", "title": "Own", "measure": "x", "levels": LEVELS, **options}
    with pytest.raises(ValueError, match=message):
        register_corruption(name, **fields)  # type: ignore[arg-type]
    assert name not in CORRUPTIONS
    with pytest.raises(DataError, match=f"'{name}' is no corruption"):
        corrupt(Clip.from_arrays(audio=torch.ones(4)), name, 1)


def test_names_of_corruptions_are_known_without_torch() -> None:
    code = (
        "import sys, types\n"
        "package = types.ModuleType('ter_fast')\n"
        f"package.__path__ = {list(ter_fast.__path__)!r}\n"
        "sys.modules['ter_fast'] = package\n"
        "from ter_fast.media.corrupt import CORRUPTIONS\n"
        "print(*CORRUPTIONS, 'torch' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert run.stdout.split() == [*CORRUPTIONS, "False"]
