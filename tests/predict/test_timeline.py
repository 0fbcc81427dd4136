"""Timelines and subtitles: what they hold, how windows join, and that the files can be read."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ter_fast import Opinion, Prediction, Predictions, TerFastError
from ter_fast.predict.spans import Span, clock
from ter_fast.predict.subtitles import srt, vtt
from ter_fast.predict.timeline import Timeline

LABELS = ("anger", "calm & <b>", "joy")


def window(
    start: float, end: float, label: int | None = 0, trusted: bool | None = True
) -> Prediction:
    if label is None:
        return Prediction("a $5.mp4", start, end, labels=LABELS, reasons=("no modality",))
    evidence = torch.zeros(3)
    evidence[label] = 6.0
    opinion = Opinion(evidence)
    return Prediction(
        "a $5.mp4", start, end, LABELS[label], trusted=trusted, opinion=opinion, labels=LABELS,
        uncertainty=float(opinion.uncertainty),
    )  # fmt: skip


def clip(*windows: Prediction) -> Prediction:
    return replace(
        windows[0], start=windows[0].start, end=windows[-1].end, made_of=lambda: list(windows)
    )


def test_equal_neighbours_are_one_span_and_others_are_not() -> None:
    found = clip(
        window(0, 2), window(2, 4), window(4, 6, trusted=False), window(6, 8, 2), window(9, 11, 2)
    )
    assert found.timeline().spans() == [
        Span(0, 4, "anger", True), Span(4, 6, "anger", False),
        Span(6, 8, "joy", True), Span(9, 11, "joy", True),
    ]  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([True, False, None])), min_size=1),
    st.floats(0.1, 3.0),
)
def test_spans_cover_windows_in_order_without_overlap(
    rows: list[tuple[int, bool | None]], hop: float
) -> None:
    windows = [window(i * hop, i * hop + 1.0, *row) for i, row in enumerate(rows)]
    timeline = clip(*windows).timeline()
    spans = timeline.spans()
    assert spans[0].start == 0
    assert spans[-1].end == windows[-1].end
    for before, behind in pairwise(spans):
        assert before.end <= behind.start
        touching = behind.start - before.end < 1e-6
        assert not touching or (before.label, before.trusted) != (behind.label, behind.trusted)
    # Whoever asks for the answer at the middle of a window's own stretch gets that window's.
    for (start, end), each in zip(timeline.edges, windows, strict=True):
        here = [span for span in spans if span.start <= (start + end) / 2 < span.end]
        assert [(span.label, span.trusted) for span in here] == [(each.label, each.trusted)]


def test_belief_and_uncertainty_sum_to_one_where_there_is_an_answer() -> None:
    timeline = clip(window(0, 2), window(2, 4, None), window(4, 6, 1)).timeline()
    total = timeline.belief.sum(1) + timeline.uncertainty
    assert total[[0, 2]] == pytest.approx(1)
    assert math.isnan(total[1])


def test_a_failed_clip_has_no_timeline(tmp_path: Path) -> None:
    failed = Prediction("gone.mp4", error="gone.mp4 does not exist", labels=LABELS)
    with pytest.raises(TerFastError, match=r"gone\.mp4 has no timeline: gone\.mp4 does not exist"):
        failed.timeline()
    with pytest.raises(TerFastError, match="has no timeline"):
        failed.subtitles(tmp_path / "a.srt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("classes", [2, 30])
def test_pictures_can_be_read_and_name_the_classes(tmp_path: Path, classes: int) -> None:
    labels = tuple(f"class {k}" for k in range(classes))
    windows = []
    for i in range(12):
        evidence = torch.zeros(classes)
        evidence[i % classes] = 3.0 + i
        windows.append(
            replace(window(3.0 * i, 3.0 * i + 2, None), opinion=Opinion(evidence), labels=labels,
                    label=labels[i % classes], trusted=(None, True, False)[i % 3], uncertainty=0.3)
        )  # fmt: skip
    timeline = clip(*windows).timeline()
    timeline.save(tmp_path / "t.svg")
    timeline.save(tmp_path / "t.png")
    root = ET.parse(tmp_path / "t.svg").getroot()
    texts = {"".join(each.itertext()) for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"uncertainty", "belief", "trusted", "label"} <= texts
    shown = {text for text in texts if re.fullmatch(r"class \d+", text)}
    assert len(shown) == min(classes, 7)
    assert (f"{classes - 7} others" in texts) == (classes > 7)
    assert any(text.startswith("a $5.mp4: 12 windows") for text in texts)
    picture = cv2.imread(str(tmp_path / "t.png"))
    assert picture.shape[1] == 1440


def test_a_picture_without_duration_and_a_silent_clip_are_drawn(tmp_path: Path) -> None:
    window(0, 0).timeline().save(tmp_path / "still.svg")
    silent = window(0, 5, None).timeline()
    silent.save(tmp_path / "silent.svg")
    silent.save(tmp_path / "again.svg")
    assert (tmp_path / "silent.svg").read_bytes() == (tmp_path / "again.svg").read_bytes()
    assert len(list(tmp_path.iterdir())) == 3


def test_the_picture_of_a_part_begins_with_the_part() -> None:
    figure = clip(window(1000, 1004), window(1004, 1009, 1)).timeline().figure()
    for axes in figure.axes:
        assert axes.get_xlim() == (1000.0, 1009.0)
    assert figure.axes[1].get_xticks().tolist() == list(range(1000, 1010))


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TerFastError, match=r"cannot draw .*t\.txt: .* ends in \.svg, \.png"):
        window(0, 2).timeline().save(tmp_path / "t.txt")
    with pytest.raises(TerFastError, match=r"subtitles .*t\.ass: .* ends in \.srt or \.vtt"):
        window(0, 2).subtitles(tmp_path / "t.ass")
    with pytest.raises(TerFastError, match="choose a folder that exists"):
        window(0, 2).subtitles(tmp_path / "none" / "t.srt")


def seconds(text: str) -> float:
    hours, minutes, rest = text.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def test_subtitles_say_label_and_trust_over_time(tmp_path: Path) -> None:
    found = clip(
        window(0, 2), window(2, 4), window(4, 6, 1, False), window(6, 7, None),
        window(3600, 3725.4999, 2, None),
    )  # fmt: skip
    found.subtitles(tmp_path / "a.srt")
    text = (tmp_path / "a.srt").read_text(encoding="utf-8")
    blocks = [block.split("\n") for block in text.strip().split("\n\n")]
    assert [block[0] for block in blocks] == ["1", "2", "3"]
    times = [[seconds(each) for each in block[1].split(" --> ")] for block in blocks]
    assert times == [[0, 4], [4, 6], [3600, 3725.5]]
    assert [block[2] for block in blocks] == [
        "anger (trusted)", "calm & <b> (not trusted)", "joy",
    ]  # fmt: skip
    found.subtitles(tmp_path / "a.vtt")
    lines = (tmp_path / "a.vtt").read_text(encoding="utf-8").split("\n")
    assert lines[:2] == ["WEBVTT", ""]
    assert "calm &amp; &lt;b&gt; (not trusted)" in lines
    assert "00:00:00.000 --> 00:00:04.000" in lines


def test_no_label_can_break_the_file() -> None:
    nasty = replace(window(0, 2), label="a\n\n9\n00:00 --> 00:01")
    assert srt(nasty.timeline()).count("\n\n") == 0
    assert srt(nasty.timeline()).count("-->") == 1
    assert vtt(nasty.timeline()).count("-->") == 1


def test_nothing_to_say_is_an_empty_file() -> None:
    assert srt(window(0, 5, None).timeline()) == ""
    assert vtt(window(0, 5, None).timeline()) == "WEBVTT\n"
    assert srt(window(0, 0).timeline()) == ""


@pytest.mark.parametrize(("value", "text"), [(59.999, "1:00"), (3599.999, "1:00:00"), (0, "0:00")])
def test_a_clock_carries(value: float, text: str) -> None:
    assert clock(value) == text


def test_a_table_of_windows_reads_its_clips() -> None:
    table = Predictions([clip(window(0, 2), window(2, 4)), window(0, 1)])
    assert [(each.start, each.end) for each in table.windows] == [(0, 2), (2, 4), (0, 1)]
    assert isinstance(Timeline.of(table[0]), Timeline)
