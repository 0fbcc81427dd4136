"""Links and players of a report, what its page says first, and what it replaces."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest

from ter_fast import TerFastError
from ter_fast.evaluate.evaluate import measure
from ter_fast.evaluate.evaluation import Evaluation
from ter_fast.evaluate.report import check_report
from ter_fast.evaluate.report.clips import links_of
from ter_fast.evaluate.report.page import page_of
from ter_fast.evaluate.report.sections import Section
from ter_fast.evaluate.report.summary import cards, facts_of, verdict
from ter_fast.evaluate.report.tables import Cell, table
from ter_fast.trust.outcomes import Outcomes


def evaluated(predicted: list[int], target: list[int], groups: int = 2) -> Evaluation:
    probability = [[0.8 if k == said else 0.1 for k in range(3)] for said in predicted]
    speakers = [place % groups for place in range(len(target))]
    answers = Outcomes.from_arrays(
        probability, target, labels=("calm", "joy", "tense"), groups=speakers, threshold=0.5
    )
    return measure(answers, resamples=20)


def test_links_lead_from_the_report_to_the_clip(tmp_path: Path) -> None:
    report = tmp_path / "some report"
    names = ('a b#1 & <q>".wav', "100%.mp4", "c:d?.png", "e.mkv", "ü.opus")
    (tmp_path / "clips").mkdir()
    for name in names:
        clip = tmp_path / "clips" / name
        clip.touch()
        (link,) = links_of(str(clip), report)
        assert not re.search(r"[ #?<>\"&]", link.href)
        assert (report / unquote(link.href)).resolve() == clip
        kinds = {".wav": "audio", ".opus": "audio", ".mp4": "video", ".png": "img", ".mkv": ""}
        assert link.kind == kinds[clip.suffix]


def test_spans_and_pairs_are_links_and_what_is_no_file_is_none(tmp_path: Path) -> None:
    sound, film, plus = (tmp_path / name for name in ("a.wav", "b.mp4", "c + d.wav"))
    for file in (sound, film, plus):
        file.touch()
    (span,) = links_of(f"{film}#t=2.5,4", tmp_path)
    assert (span.href, span.kind) == ("b.mp4#t=2.5,4", "video")
    assert [link.href for link in links_of(f"{sound} + {film}", tmp_path)] == ["a.wav", "b.mp4"]
    assert [link.href for link in links_of(str(plus), tmp_path)] == ["c%20%2B%20d.wav"]
    for path in ("3", str(tmp_path), "gone.wav", "faces.parquet#12", "gone.mp4#t=1,2"):
        assert links_of(path, tmp_path) == []


def test_names_of_files_are_escaped_on_the_page(tmp_path: Path) -> None:
    clip = tmp_path / "<img src=x>\"'.wav"
    clip.touch()
    cell = Cell("cut", links=links_of(str(clip), tmp_path))
    section = Section("clips", "Clips", tables=[table("t", "T", ("Clip",), [[cell]])])
    page = page_of(evaluated([0, 1], [0, 1]), [section])
    assert "<img src=x>" not in page
    assert '<audio controls preload="none" src="%3Cimg%20src%3Dx%3E%22%27.wav"' in page
    assert "media-src 'self' file:" in page


def test_the_page_says_first_what_the_model_never_predicts_and_that_it_only_guesses() -> None:
    said = verdict(evaluated([1, 1, 1, 1], [1, 1, 0, 2]))
    assert said[0] == "Never predicted, though in these clips, are calm and tense."
    assert said[1] == (
        "The model is no better than always guessing “joy”: it is right in 50.0\u00a0% of the clips, and that "
        "guess in 50.0\u00a0%."
    )
    good = verdict(evaluated([0, 1, 2, 0], [0, 1, 2, 1]))
    assert not any("guessing" in each or "Never" in each for each in good)


def test_chance_and_the_constant_stand_beside_accuracy() -> None:
    beside = {card.title: card.beside for card in cards(evaluated([0, 1, 2, 0], [0, 1, 2, 1]))}
    assert beside["Accuracy"] == "chance 0.333, always “joy” 0.500"
    assert beside["UAR"] == "always one class 0.333"


@pytest.mark.parametrize(("groups", "meaningless"), [(2, True), (5, True), (6, False)])
def test_intervals_of_few_groups_are_said_to_mean_nothing(groups: int, meaningless: bool) -> None:
    said = " ".join(verdict(evaluated([0, 1, 2] * 6, [0, 1, 0] * 6, groups)))
    assert (
        f"intervals from {groups} groups mean nothing for other speakers" in said
    ) is meaningless
    assert ("cover the truth less" in said) is not meaningless
    # Nor is anything claimed beyond chance from them.
    assert not (meaningless and "beyond chance" in said)


def test_the_head_names_model_data_day_and_version() -> None:
    origin = {
        "model": "my-model",
        "data": "a.csv, split test",
        "date": "2026-01-02",
        "version": "9",
    }
    facts = dict(facts_of(replace(evaluated([0, 1], [0, 1]), origin=origin)))
    assert (facts["Model"], facts["Data"]) == ("my-model", "a.csv, split test")
    assert facts["Measured"] == "2026-01-02, ter_fast 9"
    assert "Measured" not in dict(facts_of(evaluated([0, 1], [0, 1])))


def test_only_an_older_report_is_replaced(tmp_path: Path) -> None:
    check_report(tmp_path)
    check_report(tmp_path / "not there")
    page = tmp_path / "index.html"
    page.write_text("<h1>My site</h1>", encoding="utf-8")
    with pytest.raises(TerFastError, match="is no report of ter_fast; give another folder"):
        check_report(tmp_path)
    check_report(tmp_path, "robustness.html")
    page.write_text(page_of(evaluated([0, 1], [0, 1]), []), encoding="utf-8")
    check_report(tmp_path)
    with pytest.raises(TerFastError, match="is a file; give a folder"):
        check_report(page)


def test_only_older_figures_are_replaced(tmp_path: Path) -> None:
    record = tmp_path / "config.json"
    check_report(record)
    for text in ("{}", "no JSON", "[1]"):
        record.write_text(text, encoding="utf-8")
        with pytest.raises(TerFastError, match="holds no figures of ter_fast; give another name"):
            check_report(record)
    record.write_text(json.dumps(evaluated([0, 1], [0, 1]).to_dict()), encoding="utf-8")
    check_report(record)
