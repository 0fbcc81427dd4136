"""Progress bars are on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import sys

import pytest

from ter_fast.media.progress import progress_bar, track


def test_nothing_is_written_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(track(range(5), "reading", 5)) == [0, 1, 2, 3, 4]
    with progress_bar("reading", 5) as advance:
        advance(5)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("show", [True, False])
def test_a_terminal_shows_it_unless_it_is_told_not_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], show: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert list(track("abc", "reading clips", 3, show)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert ("reading clips" in err) == show


def test_an_error_passes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(track((1 // each for each in (1, 0)), "dividing", 2))
