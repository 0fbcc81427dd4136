"""The report in a browser: it loads, sorts, fits, can be read, and prints."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from playwright import sync_api as playwright

from helpers.tiny import film_corpus, noisy_tone, tiny_model, with_threshold, write_wav
from ter_fast.data import load_dataset
from ter_fast.evaluate.evaluate import measure
from ter_fast.evaluate.report import write_report, write_robustness
from ter_fast.trust.outcomes import ModalityOutcomes, Outcomes

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None, reason="needs a browser on PATH: install chromium or google-chrome"
    ),
]

SIZES = [(390, 844), (1440, 900)]
SCHEMES = ["light", "dark"]

# Elements that stick out of the page to the right or of their own box, and are not inside one that
# scrolls. Text that an SVG draws outside its view box is cut, and so counts too.
STICKING_OUT = """() => {
  const found = [];
  for (const each of document.querySelectorAll("body *")) {
    const box = each.getBoundingClientRect();
    if (!box.width || each.closest(".skip")) continue;
    const name = `${each.tagName} ${(each.textContent || "").trim().slice(0, 40)}`;
    const svg = each.closest("svg");
    if (svg && each.tagName === "text") {
      const frame = svg.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 ||
          box.top < frame.top - 1 || box.bottom > frame.bottom + 1) found.push("cut: " + name);
    }
    if (svg || each.closest(".scroll, .plot")) continue;
    if (box.right > innerWidth + 1 || box.left < -1) found.push("out: " + name);
    if (each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline")
      found.push("wide: " + name);
  }
  for (const each of document.querySelectorAll("td, th")) {
    if (!each.textContent.trim()) continue;
    const range = document.createRange();
    range.selectNodeContents(each);
    const text = range.getBoundingClientRect(), box = each.getBoundingClientRect();
    if (text.right > box.right + 1 || text.left < box.left - 1)
      found.push("cell: " + each.textContent.trim());
  }
  return found;
}"""

# Contrast of every text with what is painted behind it: the backgrounds of its ancestors, and in a
# figure the shapes of its own SVG under the middle of the text.
LOW_CONTRAST = """() => {
  const read = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return [parts[0], parts[1], parts[2], parts.length > 3 ? parts[3] : 1];
  };
  const over = (top, below) => below.map((value, i) => top[3] * top[i] + (1 - top[3]) * value);
  const light = (colour) => {
    const parts = colour.map((value) => {
      const part = value / 255;
      return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const ancestors = (each) => (each ? [...ancestors(each.parentElement), each] : []);
  const found = [];
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const base = read(getComputedStyle(document.body).backgroundColor);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const each = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "title", "desc"].includes(each.tagName)) continue;
    if (each.closest(".skip") || !each.getClientRects().length) continue;
    const style = getComputedStyle(each);
    const svg = each.closest("svg");
    let ground = base.slice(0, 3);
    for (const one of ancestors(each)) ground = over(read(getComputedStyle(one).backgroundColor), ground);
    if (svg) {
      const box = each.getBoundingClientRect();
      const x = box.x + box.width / 2, y = box.y + box.height / 2;
      for (const shape of svg.querySelectorAll("path")) {
        const painted = getComputedStyle(shape);
        if (!painted.fill.startsWith("rgb")) continue;
        const area = shape.getBoundingClientRect();
        if (x < area.left || x > area.right || y < area.top || y > area.bottom) continue;
        const colour = read(painted.fill);
        colour[3] *= Number(painted.fillOpacity) * Number(painted.opacity);
        ground = over(colour, ground);
      }
    }
    const ink = read(svg ? style.fill : style.color);
    const [low, high] = [light(over(ink, ground)), light(ground)].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    checked += 1;
    if (contrast < 4.5) found.push(`${contrast.toFixed(2)} ${node.data.trim().slice(0, 40)}`);
  }
  return [checked, found];
}"""


def answers() -> Outcomes:
    """Return answers of long names, two modalities, some of them missing, and a class never trusted."""
    random = np.random.default_rng(0)
    size, classes = 150, 7
    target = random.integers(0, classes, size)
    logits = random.normal(size=(size, classes))
    logits[np.arange(size), target] += 2.5
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    confidence = chances.max(1)
    confidence[chances.argmax(1) == 3] = np.nan
    found = Outcomes.from_arrays(
        chances,
        target,
        confidence=confidence,
        threshold=0.55,
        labels=[
            "anger",
            "disgust",
            "fear",
            "happiness or something like it",
            "n",
            "sad",
            "surprise",
        ],
        groups=[f"corpus:speaker with a long name {each}" for each in random.integers(0, 8, size)],
        paths=[
            f"/data/{'verylongfoldername' * 3}/{'x' * 70}_{each:03}.wav" for each in range(size)
        ],
        attributes={
            "sex": random.choice(["female", "male"], size),
            "age": random.integers(18, 80, size),
        },
        name="A data set with quite a long name validation",
    )
    mass = random.dirichlet(np.ones(classes + 1), (2, size))
    mass[1, ::3] = np.nan
    return replace(
        found,
        modalities={
            name: ModalityOutcomes(each[:, :-1], each[:, -1])
            for name, each in zip(("audio", "video"), mass, strict=True)
        },
        uncertainty=mass[0, :, -1],
        disagreement=random.random(size),
        disagreement_limit=0.9,
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    evaluation = measure(
        answers(), resamples=50, modalities="audio+video", errors=["a/" + "b" * 300 + ".wav: empty"]
    )
    return write_report(evaluation, tmp_path_factory.mktemp("report")).as_uri()


@pytest.fixture(scope="module")
def robustness_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of every corruption, of a model with thresholds and data with unusable files."""
    folder = tmp_path_factory.mktemp("films")
    data = load_dataset(str(film_corpus(folder, {"test": 2}))).split("test")
    missing = replace(data[0], path=str(folder / f"{'verylongname' * 12}.mp4"))
    data = replace(data, samples=(*data.samples, missing), name="A data set with quite a long name")
    model = tiny_model("audio", "video", labels=("high", "low"))
    model = with_threshold(model, 0.1, "audio", "video", "audio+video")
    found = model.evaluate_corrupted(data, severities=(1, 3, 5), resamples=50)
    return write_robustness(found, tmp_path_factory.mktemp("robustness")).as_uri()


@pytest.fixture(params=["address", "robustness_address"], ids=["report", "robustness"])
def each_address(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox does not start for root, which containers often are; the page is our own.
        window = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield window
        window.close()


@pytest.fixture
def page(browser: playwright.Browser, address: str) -> Iterator[playwright.Page]:
    shown = browser.new_page()
    shown.goto(address)
    yield shown
    shown.close()


def test_figures_load_and_nothing_leaves_the_page(
    browser: playwright.Browser, each_address: str
) -> None:
    shown = browser.new_page()
    said: list[str] = []
    asked: list[str] = []
    shown.on("console", lambda message: said.append(message.text))
    shown.on("pageerror", lambda error: said.append(str(error)))
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(each_address, wait_until="networkidle")
    sizes = shown.eval_on_selector_all(
        "svg",
        "all => all.map(s => [s.getBoundingClientRect().width, s.getBoundingClientRect().height])",
    )
    names = shown.eval_on_selector_all(
        "svg", "all => all.map(s => s.getAttribute('aria-labelledby').split(' ')"
        ".map(id => document.getElementById(id).textContent))",
    )  # fmt: skip
    shown.close()
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [each_address]
    assert len(sizes) > 15
    assert all(width > 300 and height > 100 for width, height in sizes)
    assert all(title and description for title, description in names)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES, ids=["phone", "desktop"])
def test_nothing_overflows_and_all_text_can_be_read(
    browser: playwright.Browser, each_address: str, size: tuple[int, int], scheme: str
) -> None:
    shown = browser.new_page(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )  # fmt: skip
    shown.goto(each_address)
    width = shown.evaluate("document.documentElement.scrollWidth")
    out = shown.evaluate(STICKING_OUT)
    checked, faint = shown.evaluate(LOW_CONTRAST)
    dark = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    small = shown.eval_on_selector_all(
        "svg text", "all => Math.min(...all.map(t => t.getScreenCTM().a * "
        "parseFloat(getComputedStyle(t).fontSize) || 99))",
    )  # fmt: skip
    shown.close()
    assert width <= size[0]
    assert out == []
    assert checked > 500
    assert faint == []
    assert (dark == "rgb(255, 255, 255)") == (scheme == "light")
    assert small >= 10


def column(shown: playwright.Page, table: str, place: int) -> list[str]:
    return shown.eval_on_selector_all(
        f"table:has(#{table}) tbody tr",
        f"rows => rows.map(r => r.cells[{place}].firstChild.data.trim())",
    )


def test_clips_are_played_from_where_they_lie(browser: playwright.Browser, tmp_path: Path) -> None:
    sounds = [
        write_wav(tmp_path / name, noisy_tone(600, 0.5))
        for name in ("a b#1 & <q>?.wav", "100%.wav", "c + d.wav")
    ]
    found = Outcomes.from_arrays([[0.9, 0.1]] * 3, [0, 1, 1], paths=sounds, threshold=0.5)
    for size in SIZES:
        shown = browser.new_page(viewport={"width": size[0], "height": size[1]})
        said: list[str] = []
        shown.on("console", lambda message, said=said: said.append(message.text))
        shown.goto(write_report(measure(found, resamples=20), tmp_path / "report").as_uri())
        lengths = shown.evaluate(
            """() => Promise.all([...document.querySelectorAll("audio")].map((each) => new Promise((done) => {
                each.onloadedmetadata = () => done(each.duration);
                each.onerror = () => done(each.error.message);
                each.preload = "metadata";
                each.load();
            })))"""
        )
        sticking_out = shown.evaluate(STICKING_OUT)
        shown.close()
        assert lengths == pytest.approx([0.5] * 3, abs=0.01)
        assert sticking_out == []
        assert said == []


def test_numbers_sort_as_numbers_and_missing_ones_last(page: playwright.Page) -> None:
    table = "by-predicted-class-table"
    head = page.locator(f"table:has(#{table}) th", has_text="Trusted precision")
    place = head.evaluate("each => each.cellIndex")
    before = column(page, table, place)
    assert before.count("–") == 1
    numbers = sorted(float(text) for text in before if text != "–")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text) for text in column(page, table, place)[:-1]] == numbers
    assert column(page, table, place)[-1] == "–"
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in column(page, table, place)[:-1]] == numbers[::-1]
    assert column(page, table, place)[-1] == "–"


def test_texts_sort_by_keyboard(page: playwright.Page) -> None:
    table = "sure-and-wrong"
    head = page.locator(f"table:has(#{table}) th", has_text="Clip")
    names = column(page, table, 0)
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = column(page, table, 0)
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert rising == sorted(names)
    assert rising != names
    assert column(page, table, 0) == rising[::-1]


def test_sorting_one_table_leaves_the_others(page: playwright.Page) -> None:
    before = column(page, "unsure-and-right", 0)
    page.locator("table:has(#sure-and-wrong) th button").first.click()
    assert column(page, "unsure-and-right", 0) == before
    sorted_by = page.locator("th[aria-sort=ascending]")
    assert sorted_by.count() == 1


def test_row_names_stay_while_a_phone_scrolls_a_table(
    browser: playwright.Browser, address: str
) -> None:
    shown = browser.new_page(viewport={"width": 390, "height": 844})
    shown.goto(address)
    box = shown.locator(".scroll:has(#sure-and-wrong)")
    moved = box.evaluate("each => { each.scrollLeft = 500; return each.scrollLeft; }")
    left = box.evaluate("each => each.getBoundingClientRect().left")
    names = box.locator("tbody th").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect().left)"
    )
    trust = shown.locator(".scroll:has(.trust)").evaluate("e => e.scrollWidth - e.clientWidth")
    shown.close()
    assert moved > 100
    assert names == [pytest.approx(left, abs=1)] * 10
    assert trust <= 0


def test_a_class_is_never_broken_within_a_word(browser: playwright.Browser, address: str) -> None:
    shown = browser.new_page(viewport={"width": 673, "height": 1000})
    shown.goto(address)
    shown.emulate_media(media="print")
    # Each class of one word stands on one line.
    lines = shown.locator("table:has(#sure-and-wrong) tbody td").evaluate_all(
        """all => all.map(each => each.firstChild).filter(text => text && /^\\S+$/.test(text.data.trim()))
        .map(text => { const range = document.createRange(); range.selectNode(text);
          return new Set(Array.from(range.getClientRects(), r => r.top)).size; })"""
    )
    shown.close()
    assert len(lines) > 30
    assert set(lines) == {1}


def test_contents_lead_to_each_section(page: playwright.Page) -> None:
    links = page.locator("nav a")
    assert links.count() == page.locator("section").count() > 5
    links.last.click()
    target = page.locator(str(links.last.get_attribute("href")))
    page.wait_for_function(
        "each => each.getBoundingClientRect().top < innerHeight", arg=target.element_handle()
    )
    assert target.evaluate("each => each.tagName") == "H2"


def printed(address: str, folder: Path) -> bytes:
    """Return the page as a PDF, from a browser of its own.

    Printing now and then never ends, and the driver would wait for it without limit. Whatever was
    written after a minute is looked at, and a browser that wrote nothing is asked again.
    """
    paper = folder / "printed.pdf"
    options = ["--headless", "--no-sandbox", "--no-pdf-header-footer", f"--print-to-pdf={paper}"]
    command = [str(CHROMIUM), *options, f"--user-data-dir={folder / 'profile'}", address]
    for _ in range(3):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as window:
            with contextlib.suppress(subprocess.TimeoutExpired):
                window.wait(60)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(window.pid, signal.SIGKILL)
        if paper.exists():
            return paper.read_bytes()
    pytest.fail("the browser did not print in three minutes")


def test_page_prints(browser: playwright.Browser, each_address: str, tmp_path: Path) -> None:
    # The paper's width between its margins, in a reader's dark scheme.
    shown = browser.new_page(viewport={"width": 673, "height": 1000}, color_scheme="dark")
    shown.goto(each_address)
    shown.emulate_media(media="print")
    out = shown.evaluate(STICKING_OUT)
    wide = shown.eval_on_selector_all(
        ".scroll, .plot",
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)",
    )
    _, faint = shown.evaluate(LOW_CONTRAST)
    ink = shown.evaluate("getComputedStyle(document.body).color")
    shown.close()
    paper = printed(each_address, tmp_path)
    assert out == []
    assert wide == []
    assert faint == []
    assert ink == "rgb(27, 31, 36)"
    assert paper.startswith(b"%PDF")
    assert paper.rstrip().endswith(b"%%EOF")
    assert len(paper) > 50_000
