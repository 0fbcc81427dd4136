"""The report says what the evaluation says, whatever the answers and names are."""

from __future__ import annotations

import csv
import json
import os
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ter_fast import TerFastError
from ter_fast.evaluate.evaluate import measure
from ter_fast.evaluate.evaluation import Evaluation
from ter_fast.evaluate.report import write_report
from ter_fast.evaluate.report.canvas import HEAT_OPACITY
from ter_fast.evaluate.report.clips import sure_and_wrong, unsure_and_right
from ter_fast.evaluate.report.curves import risk_curve, thin_curve
from ter_fast.evaluate.report.formatting import number, path_end, share, shorten, why_missing
from ter_fast.evaluate.report.modalities import agreement, summaries_of
from ter_fast.evaluate.report.tables import trust_table
from ter_fast.trust.outcomes import ModalityOutcomes, Outcomes
from ter_fast.trust.results import Estimate
from ter_fast.trust.thresholds import sweep

pytestmark = pytest.mark.slow


def answers(
    size: int = 60,
    classes: int = 3,
    speakers: int = 6,
    *,
    threshold: float | None = 0.5,
    skill: float = 2.0,
    missing: float = 0.0,
    **options: object,
) -> Outcomes:
    random = np.random.default_rng(size + classes)
    target = random.integers(0, classes, size)
    logits = random.normal(size=(size, classes))
    logits[np.arange(size), target] += skill
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence = np.where(random.random(size) < missing, np.nan, chances.max(1))
    fixed = {
        "groups": [f"speaker {each}" for each in random.integers(0, speakers, size)],
        "attributes": {"sex": random.choice(["female", "male"], size)},
    }
    return Outcomes.from_arrays(
        chances, target, confidence=confidence, threshold=threshold, **{**fixed, **options}
    )


def with_modalities(found: Outcomes) -> Outcomes:
    """Add two modalities: one that is missing for the first clip, and one that always speaks."""
    random = np.random.default_rng(1)
    size, classes = found.probability.shape
    mass = random.dirichlet(np.ones(classes + 1), (2, size))
    mass[0, 0] = np.nan
    said = {
        name: ModalityOutcomes(each[:, :-1], each[:, -1])
        for name, each in zip(("audio", "video"), mass, strict=True)
    }
    return replace(
        found,
        modalities=said,
        uncertainty=mass[1, :, -1],
        disagreement=random.random(size),
        disagreement_limit=0.8,
    )


def evaluated(found: Outcomes, **options: object) -> Evaluation:
    return measure(found, resamples=50, **options)


class Page(HTMLParser):
    """Read the tags, the identifiers and the tables' cells of a page."""

    EMPTY = ("meta", "link", "br", "hr", "img", "input")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.text += " "
        self.ids += [str(values["id"])] if "id" in values else []
        self.links += [str(values[key]) for key in ("href", "src") if key in values]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "script"} & set(self.open):
            self.text += data


def read(folder: Path) -> Page:
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert not page.open
    return page


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return evaluated(with_modalities(answers()), modalities="audio+video", errors=["a.wav: empty"])


@pytest.fixture(scope="module")
def folder(evaluation: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    page = evaluation.save(tmp_path_factory.mktemp("report") / "deep" / "er")
    assert page.name == "index.html"
    return page.parent


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the PNG files, a third of the time, where nothing is said of them."""
    monkeypatch.setattr("ter_fast.evaluate.report.canvas._png", lambda _: b"")


# -- what is written ------------------------------------------------------------------------------


def test_page_is_whole_and_needs_no_other_file(folder: Path) -> None:
    page = read(folder)
    assert len(page.ids) == len(set(page.ids))
    inside = [link for link in page.links if link.startswith("#")]
    assert {link[1:] for link in inside} <= set(page.ids)
    assert set(page.links) - set(inside) == {"data:,"}
    # An SVG of one figure must not borrow a clip path or a marker of another.
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(page.ids)


def test_headings_come_in_order(folder: Path) -> None:
    levels = [int(tag[1]) for tag in read(folder).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_figure_lies_beside_the_page(folder: Path) -> None:
    drawn = read(folder).tags.count("svg")
    pictures = sorted((folder / "figures").glob("*.png"))
    assert len(pictures) == drawn > 10
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert ET.parse(picture.with_suffix(".svg")).getroot().tag.endswith("svg")


def test_page_prints_figures_with_their_baseline(folder: Path, evaluation: Evaluation) -> None:
    text = " ".join(read(folder).text.split())
    assert "never what a person feels" in text
    assert "a.wav: empty" in text
    figures = evaluation.figures
    card = f"Trusted F1 {number(figures['trusted_f1'].value)}"
    assert card in text
    after = text[text.index(card) :][:120]
    assert f"accept-all {number(figures['accept_all_f1'].value)}, lift" in after
    assert number(figures["lift"].value) in after


def test_tables_hold_what_was_measured(folder: Path, evaluation: Evaluation) -> None:
    figures = {row["figure"]: row for row in rows_of(folder / "tables" / "figures.csv")}
    assert list(figures) == list(evaluation.figures)
    for name, figure in evaluation.figures.items():
        assert float(figures[name]["value"]) == figure.value
        assert float(figures[name]["low"]) == figure.low
    confusion = rows_of(folder / "tables" / "confusion.csv")
    matrix = [[int(row[label]) for label in evaluation.labels] for row in confusion]
    assert matrix == [list(row) for row in evaluation.confusion]
    by_sex = {row["sex"]: row for row in rows_of(folder / "tables" / "by-sex.csv")}
    for sex, row in evaluation.subgroups["sex"].items():
        assert int(by_sex[sex]["clips"]) == row.samples
        assert float(by_sex[sex]["accuracy"]) == row.figures["accuracy"].value
    assert [row["error"] for row in rows_of(folder / "tables" / "errors.csv")] == ["a.wav: empty"]


def test_bins_make_the_calibration_error(folder: Path, evaluation: Evaluation) -> None:
    bins = [row for row in rows_of(folder / "tables" / "reliability.csv") if row["clips"] != "0"]
    gaps = [
        int(row["clips"]) * abs(float(row["accuracy"]) - float(row["mean_probability"]))
        for row in bins
    ]
    assert sum(int(row["clips"]) for row in bins) == evaluation.samples
    assert sum(gaps) / evaluation.samples == pytest.approx(evaluation.figures["ece"].value)


def test_what_modalities_say_lies_behind_the_page(folder: Path, evaluation: Evaluation) -> None:
    rows = {row["modality"]: row for row in rows_of(folder / "tables" / "modalities.csv")}
    assert list(rows) == ["audio", "video", "all together"]
    assert float(rows["all together"]["accuracy"]) == evaluation.figures["accuracy"].value
    assert rows["all together"]["true_belief"] == ""
    found = evaluation.outcomes
    beliefs = rows_of(folder / "tables" / "beliefs.csv")
    assert len(beliefs) == 2 * len(evaluation.labels)
    for row in beliefs:
        k = evaluation.labels.index(row["class"])
        mass = found.modalities[row["modality"]].belief[:, k]
        assert float(row["belief_in_its_clips"]) == pytest.approx(
            np.nanmean(mass[found.target == k])
        )
        assert float(row["belief_in_others"]) == pytest.approx(np.nanmean(mass[found.target != k]))


def test_curves_carry_their_areas(folder: Path, evaluation: Evaluation) -> None:
    risks = rows_of(folder / "tables" / "risk-coverage.csv")
    columns = {name: np.array([float(row[name]) for row in risks]) for name in risks[0]}
    error = 1 - evaluation.figures["accuracy"].value
    x = np.append(0, columns["coverage"])
    for name, areas in (
        ("risk-coverage", (columns["risk"].mean(), columns["best_risk"].mean(), error)),
        (
            "generalized-risk",
            (
                np.trapezoid(np.append(0, columns["generalized_risk"]), x),
                np.trapezoid(np.append(0, columns["best_generalized_risk"]), x),
                np.trapezoid(x * error, x),
            ),
        ),
    ):
        drawn = (folder / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        for line, area in zip(("this model", "perfect", "random"), areas, strict=True):
            assert f">{line} {number(float(area))}<" in drawn


def test_the_table_of_trust_says_where_precision_and_recall_come_from(
    folder: Path, evaluation: Evaluation
) -> None:
    counts = trust_table(evaluation.outcomes)
    assert counts is not None
    text = " ".join(read(folder).text.split())
    precision, recall = (
        number(evaluation.figures[f"trusted_{name}"].value) for name in ("precision", "recall")
    )
    right = counts.right_trusted
    assert (
        f"{right} of {counts.trusted} trusted clips are right: trusted precision {precision}"
        in text
    )
    assert f"{right} of {counts.right} right clips are trusted: trusted recall {recall}" in text


def test_every_clip_has_its_row(folder: Path, evaluation: Evaluation) -> None:
    found = rows_of(folder / "tables" / "clips.csv")
    known = evaluation.outcomes.rows()
    assert len(found) == len(known) == evaluation.samples
    assert list(found[0]) == list(known[0])
    for row, clip in zip(found, known, strict=True):
        assert float(row["confidence"]) == clip["confidence"]
        assert row["trusted"] == str(clip["trusted"])
    assert found[0]["audio_label"] == found[0]["audio_uncertainty"] == ""


def test_json_is_that_of_the_evaluation(folder: Path, evaluation: Evaluation) -> None:
    found = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    assert found == json.loads(json.dumps(evaluation.to_dict()))


def test_equal_evaluations_make_equal_files(
    folder: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    write_report(evaluation, tmp_path)
    for name in (
        "index.html",
        "figures/thresholds.png",
        "figures/confidence.svg",
        "tables/clips.csv",
    ):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


# -- where it is written --------------------------------------------------------------------------


@pytest.mark.usefixtures("unpainted")
def test_only_its_own_files_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("mine")
    (tmp_path / "index.html").write_text("old")
    constant = replace(answers(20), confidence=np.ones(20))
    write_report(evaluated(constant), tmp_path)
    assert (tmp_path / "figures" / "mine.png").read_text() == "mine"
    assert (tmp_path / "index.html").read_text(encoding="utf-8") != "old"
    assert not list(tmp_path.glob(".*"))


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    place = tmp_path / "report"
    place.write_text("mine")
    with pytest.raises(TerFastError, match="is a file; give a folder"):
        write_report(evaluated(answers(20)), place)
    with pytest.raises(TerFastError, match="choose another folder"):
        write_report(evaluated(answers(20)), place / "below")
    assert place.read_text() == "mine"


def test_a_failed_run_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise OSError(28, os.strerror(28))

    (tmp_path / "index.html").write_text("old")
    monkeypatch.setattr("ter_fast.evaluate.report.sections.sections_of", lambda *_: [])
    monkeypatch.setattr("ter_fast.evaluate.report.page.page_of", fail)
    with pytest.raises(TerFastError, match="No space left on device; make room"):
        write_report(evaluated(answers(20)), tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["index.html"]
    assert (tmp_path / "index.html").read_text() == "old"


def test_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    with pytest.raises(TerFastError, match=r"jinja2.*pip install 'ter_fast\[report\]'"):
        write_report(evaluated(answers(20)), tmp_path)


# -- awkward answers ------------------------------------------------------------------------------


@pytest.mark.usefixtures("unpainted")
@pytest.mark.parametrize(
    ("found", "said"),
    [
        (answers(40, threshold=None), "No threshold was calibrated"),
        (answers(40, threshold=float("inf")), "– (none trusted)"),
        (answers(40, skill=60.0), "– (none wrong)"),
        (answers(40, skill=-60.0), "– (none right)"),
        (answers(40, missing=1.0), "40 clips have no confidence (NaN)"),
        (answers(40, missing=0.2), "no confidence (NaN) and can never be trusted"),
        (answers(1, 2, 1), "There are no intervals"),
        (answers(40, speakers=1, threshold=0.0), "This threshold trusts everything"),
    ],
    ids=["uncalibrated", "none trusted", "all right", "all wrong", "all NaN", "some NaN",
         "one clip", "trust all"],
)  # fmt: skip
def test_awkward_answers_have_a_page(found: Outcomes, said: str, tmp_path: Path) -> None:
    write_report(evaluated(found), tmp_path)
    text = " ".join(read(tmp_path).text.split())
    assert said in text
    assert "nan" not in text.lower().replace("(nan)", "")


@pytest.mark.usefixtures("unpainted")
def test_a_guarantee_stands_beside_what_was_observed(tmp_path: Path) -> None:
    said = "for clips drawn like the 60 calibration clips, at most 0.1 of the trusted are wrong"
    found = replace(answers(), guarantee=said)
    evaluation = evaluated(found)
    evaluation.save(tmp_path)
    text = " ".join(read(tmp_path).text.split())
    assert f"Guaranteed {said}" in text
    wrong = int((found.trusted & ~found.correct).sum())
    part = share(wrong, int(found.trusted.sum())).replace("\u00a0", " ")
    assert f"Of the trusted, {part} are wrong here" in text
    risk = number(evaluation.figures["risk"].value)
    assert re.search(rf"Selective risk {risk} \S+ observed here", text)
    evaluated(answers()).save(tmp_path)
    assert "Guaranteed" not in read(tmp_path).text


@pytest.mark.usefixtures("unpainted")
def test_what_disagreement_forbids_is_told(
    folder: Path, evaluation: Evaluation, tmp_path: Path
) -> None:
    found = evaluation.outcomes
    assert found.disagreement is not None
    beyond = int((found.disagreement > 0.8).sum())
    said = (
        f"In {beyond} clips the modalities disagree beyond the limit",
        "will be acted on, unless the modalities disagree too much;",
    )
    assert "beyond the limit nothing is trusted" in read(folder).text
    evaluated(replace(found, disagreement_limit=None)).save(tmp_path)
    assert "beyond the limit" not in read(tmp_path).text
    evaluated(replace(found, disagreement_limit=1.0)).save(tmp_path)
    for text in said:
        assert text in read(folder).text
        assert text not in read(tmp_path).text


@pytest.mark.usefixtures("unpainted")
def test_few_groups_are_said_beside_the_intervals(tmp_path: Path) -> None:
    for speakers, said in ((6, True), (30, False)):
        evaluation = evaluated(answers(300, speakers=speakers))
        evaluation.save(tmp_path)
        assert bool(evaluation.note) is said
        assert ("intervals from 6 groups are too narrow" in read(tmp_path).text) is said


@pytest.mark.usefixtures("unpainted")
def test_what_averages_hide_is_said(tmp_path: Path) -> None:
    chances = [[0.6, 0.3, 0.1], [0.3, 0.6, 0.1]] * 20
    found = Outcomes.from_arrays(chances, [0, 1, 2, 0] * 10, threshold=0.5, labels=["a", "b", "c"])
    evaluated(found).save(tmp_path)
    text = read(tmp_path).text
    assert "Never predicted, though in these clips, is c." in text
    assert "a resample in which none is trusted counts as 1" not in text
    # Two trusted clips of twenty in a class: many resamples of it hold neither.
    rare = replace(found, confidence=np.where(np.arange(40) < 3, 0.9, 0.1))
    evaluated(rare).save(tmp_path)
    assert "a resample in which none is trusted counts as 1" in read(tmp_path).text


@pytest.mark.usefixtures("unpainted")
def test_clips_without_confidence_are_said_to_come_last(tmp_path: Path) -> None:
    evaluated(answers(40, missing=0.2)).save(tmp_path)
    missing = int(np.isnan(answers(40, missing=0.2).confidence).sum())
    assert f"{missing} clips without a confidence come last, in no order" in read(tmp_path).text
    evaluated(answers(40)).save(tmp_path)
    assert "come last" not in read(tmp_path).text


@pytest.mark.usefixtures("unpainted")
def test_names_cannot_write_html(tmp_path: Path) -> None:
    nasty = "</script><script>alert(1)</script>&\"' $x_1$ \x00\x1b 漢字 " + "long" * 60
    found = answers(
        12,
        2,
        labels=[f"{nasty}a", f"{nasty}b"],
        # The bytes of a file name need not be text; Python then keeps them as lone surrogates.
        paths=[f"{each}{nasty}\udcff.wav" for each in range(12)],
        groups=[f"{nasty}{each % 3}" for each in range(12)],
        attributes={"sex": ["", nasty] * 6},
        name=nasty,
    )
    write_report(evaluated(found, errors=[nasty]), tmp_path)
    page = read(tmp_path)
    assert page.tags.count("script") == 1
    assert "<script>alert(1)</script>" in page.text
    assert "\\udcff.wav" in page.text
    assert "\\x00\\x1b 漢字" in page.text
    assert len(rows_of(tmp_path / "tables" / "clips.csv")) == 12


@pytest.mark.usefixtures("unpainted")
def test_attributes_of_like_names_keep_their_files_apart(tmp_path: Path) -> None:
    values = ["a", "b"] * 10
    names = {"Ä": values, "Ö": values, "a b": values, "a-b": values}
    write_report(measure(answers(20, attributes=names), by=list(names), resamples=50), tmp_path)
    assert len(list((tmp_path / "tables").glob("by*.csv"))) == len(names) + 3
    assert len(read(tmp_path).ids) == len(set(read(tmp_path).ids))


@pytest.mark.usefixtures("unpainted")
def test_many_clips_make_a_small_page(tmp_path: Path) -> None:
    found = answers(20_000, 7, 200)
    page = write_report(evaluated(replace(found, attributes={})), tmp_path)
    assert page.stat().st_size < 2_000_000


# -- its parts ------------------------------------------------------------------------------------


def test_risk_curve_is_the_mean_over_orders_of_ties() -> None:
    random = np.random.default_rng(0)
    confidence = random.integers(0, 4, 12) / 4
    confidence[3] = np.nan
    correct = random.random(12) < 0.6
    expected = np.zeros(12)
    draws = 4000
    for _ in range(draws):
        order = np.lexsort((random.random(12), -np.nan_to_num(confidence, nan=-1)))
        expected += np.cumsum(~correct[order]) / np.arange(1, 13)
    curve = sweep(confidence, correct)
    found = risk_curve(curve)
    np.testing.assert_allclose(found.risk, expected / draws, atol=0.02)
    assert found.risk.mean() == pytest.approx(curve.aurc)
    assert (found.risk - found.best_risk).mean() == pytest.approx(curve.e_aurc)
    x, y = np.append(0, found.coverage), np.append(0, found.generalized)
    assert np.trapezoid(y, x) == pytest.approx(curve.augrc)


def test_thinning_keeps_every_extreme() -> None:
    random = np.random.default_rng(0)
    x, y = np.sort(random.random(50_000)), random.normal(size=50_000)
    kept = thin_curve(x, [y], columns=100)
    assert kept.size <= 4 * 101
    assert {0, x.size - 1, int(y.argmin()), int(y.argmax())} <= set(kept.tolist())
    assert (np.diff(kept) > 0).all()
    assert thin_curve(x[:50], [y[:50]], columns=100).size == 50


def test_trust_table_counts_clips() -> None:
    found = with_modalities(answers(200, missing=0.1))
    table = trust_table(found)
    trusted = (found.confidence >= found.threshold) & (found.disagreement <= 0.8)
    right = found.prediction == found.target
    assert table is not None
    assert table.right_trusted == int((right & trusted).sum())
    assert table.wrong_trusted == int((~right & trusted).sum())
    assert table.whole == 200
    assert table.right == int(right.sum())


def test_lists_hold_the_surprising_clips() -> None:
    found = with_modalities(answers(200, missing=0.1))
    wrong = found.confidence[(found.prediction != found.target) & ~np.isnan(found.confidence)]
    right = found.confidence[(found.prediction == found.target) & ~np.isnan(found.confidence)]
    place = list(sure_and_wrong(found, Path()).columns).index("Confidence")
    sure = [row[place].value for row in sure_and_wrong(found, Path()).rows]
    unsure = [row[place].value for row in unsure_and_right(found, Path()).rows]
    assert sure == sorted(wrong.tolist(), reverse=True)[:10]
    assert unsure == sorted(right.tolist())[:10]


def test_lists_name_a_group_only_where_it_says_more_than_the_clip() -> None:
    shared = answers(200)
    alone = replace(shared, groups=shared.paths)
    assert all(row[0].small.startswith("speaker ") for row in sure_and_wrong(shared, Path()).rows)
    assert {row[0].small for row in sure_and_wrong(alone, Path()).rows} == {""}
    long = replace(shared, labels=("a" * 60, "b", "c"))
    cells = [
        cell for row in sure_and_wrong(long, Path()).rows for cell in row if "a…a" in cell.text
    ]
    assert cells
    assert all(len(cell.text) == 24 and cell.hover == "a" * 60 for cell in cells)


def test_each_modality_is_summed_up_alone() -> None:
    found = with_modalities(answers(200))
    audio, video, fused = summaries_of(found)
    assert (audio.clips, video.clips, fused.clips) == (199, 200, 200)
    said = found.modalities["audio"]
    right, beliefs, unsure = [], [], {True: [], False: []}
    for i in range(1, 200):
        hit = int(said.belief[i].argmax()) == found.target[i]
        right.append(hit)
        beliefs.append(said.belief[i, found.target[i]])
        unsure[hit].append(said.uncertainty[i])
    assert audio.accuracy == pytest.approx(np.mean(right))
    assert audio.true_belief == pytest.approx(np.mean(beliefs))
    assert audio.right_uncertainty == pytest.approx(np.mean(unsure[True]))
    assert audio.wrong_uncertainty == pytest.approx(np.mean(unsure[False]))
    assert fused.accuracy == pytest.approx(found.correct.mean())
    assert np.isnan(fused.true_belief)
    one = replace(found, modalities={"audio": said})
    assert [each.name for each in summaries_of(one)] == ["audio"]


def test_agreement_of_modalities_is_counted() -> None:
    found = with_modalities(answers(200))
    labels = {name: each.prediction for name, each in found.modalities.items()}
    alike = [i for i in range(1, 200) if labels["audio"][i] == labels["video"][i]]
    said = agreement(found)
    assert (
        f"name the same class ({len(alike)} clips), {share(int(found.correct[alike].sum()), len(alike))}"
        in said
    )
    # One clip lacks audio: of one modality nothing agrees.
    assert f"name different ones ({199 - len(alike)} clips)" in said
    assert agreement(answers(20)) == ""


def test_no_value_has_its_reason() -> None:
    def figures(**values: float) -> dict[str, Estimate]:
        return {name: Estimate(value, value, value) for name, value in values.items()}

    nothing = figures(accuracy=0.5, coverage=0.0, trusted_precision=1.0, risk=0.0)
    assert (
        why_missing("trusted_precision", nothing) == why_missing("risk", nothing) == "none trusted"
    )
    assert why_missing("coverage", nothing) == ""
    assert why_missing("trusted_recall", figures(accuracy=0.0, trusted_recall=0.0)) == "none right"
    assert why_missing("ece", figures(accuracy=0.5, ece=float("nan"))) == "a probability is NaN"


def test_numbers_and_names_are_readable() -> None:
    assert number(-0.01234) == "−0.012"
    assert number(-0.0001) == "0.000"
    assert number(float("nan")) == "–"
    assert share(1, 3) == "33.3\u00a0%"
    assert share(1, 10_000) == "< 0.1\u00a0%"
    assert share(0, 10_000) == "0.0\u00a0%"
    assert path_end("/a/b/c.wav") == "b/c.wav"
    assert path_end("C:\\a\\b.wav + /x/y/z.mp4") == "a/b.wav + y/z.mp4"
    assert len(path_end("/a/" + "b" * 99)) == 44
    assert shorten("speaker number 12", 9) == "spea…r 12"
    assert len(shorten("x" * 99, 14)) == 14


def test_cells_leave_their_numbers_readable() -> None:
    """WCAG contrast of the ink on the darkest cell, in the light and the dark scheme."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    css = (Path(write_report.__code__.co_filename).parent / "page.css").read_text(encoding="utf-8")

    def colour(name: str, scheme: int) -> tuple[float, ...]:
        found = re.findall(rf"--{name}: #(\w{{6}});", css)
        text = found[min(scheme, len(found) - 1)]
        return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))

    for scheme in (0, 1):
        heat, paper = colour("heat", scheme), colour("paper", scheme)
        cell = tuple(
            HEAT_OPACITY * h + (1 - HEAT_OPACITY) * p for h, p in zip(heat, paper, strict=True)
        )
        high, low = sorted((luminance(cell), luminance(colour("ink", scheme))), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5
