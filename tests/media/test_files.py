"""Files are written whole or not at all, with ordinary permissions and nothing left beside them."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ter_fast.errors import TerFastError
from ter_fast.media.files import PARTIAL, Content, replace_file, write_atomically


@pytest.mark.parametrize(
    ("content", "held"),
    [
        ("é\n", "é\n".encode()),
        (b"\x00\n", b"\x00\n"),
        ([b"a", memoryview(b"bc")], b"abc"),
        (lambda place: place.write_bytes(b"by hand"), b"by hand"),
        ("", b""),
    ],
)
@pytest.mark.parametrize("durable", [False, True])
def test_each_kind_of_content_is_written(
    tmp_path: Path, content: Content, held: bytes, durable: bool
) -> None:
    target = tmp_path / "t.csv"
    target.write_text("before")
    write_atomically(target, content, durable=durable)
    assert target.read_bytes() == held
    assert list(tmp_path.iterdir()) == [target]


def test_durable_content_reaches_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "t.csv"
    target.write_text("before")
    seen = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(target.read_text()))
    write_atomically(target, "fast")
    assert seen == []
    write_atomically(target, lambda place: place.write_text("safe"), durable=True)
    assert seen == ["fast"]
    assert target.read_text() == "safe"


def test_a_function_sees_the_ending_and_parts_have_one_that_tells(tmp_path: Path) -> None:
    endings = []
    write_atomically(tmp_path / "t.png", lambda place: endings.append(place.suffix))
    assert endings == [".png"]

    def stopped() -> list[bytes]:
        endings.extend(each.suffix for each in tmp_path.iterdir() if each.name != "t.png")
        return [b"x"]

    class Parts(list[bytes]):
        def __iter__(self) -> object:  # type: ignore[override]
            return iter(stopped())

    write_atomically(tmp_path / "t.json", Parts())
    assert endings == [".png", PARTIAL]


def full_disk(path: Path) -> None:
    path.write_text("half")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            full_disk,
            TerFastError,
            r"cannot write .*t\.csv: No space left on device; make room there",
        ),
        (lambda path: path.write_text("half \ud800"), UnicodeEncodeError, "surrogates not"),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, content: Content, error: type[Exception], message: str
) -> None:
    target = tmp_path / "t.csv"
    target.write_text("before")
    with pytest.raises(error, match=message):
        write_atomically(target, content)
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "t.csv", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named_or_made(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "t.csv"
    with pytest.raises(TerFastError, match=r"cannot write .*t\.csv: .*choose a folder that exists"):
        write_atomically(target, "x")
    with pytest.raises(FileNotFoundError):
        replace_file(target, "x")
    write_atomically(target, "x", parents=True)
    assert target.read_text() == "x"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_a_written_file_has_the_permissions_that_the_umask_leaves(
    tmp_path: Path, mask: int
) -> None:
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "t.csv", lambda path: path.write_text("x"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "t.csv").stat().st_mode) == 0o666 & ~mask


def test_many_at_once_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "t.csv"
    texts = [str(i) * 10_000 for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda text: write_atomically(target, text), texts))
    assert target.read_text() in texts
    assert list(tmp_path.iterdir()) == [target]


def test_stray_bytes_of_a_name_are_written_as_escapes(tmp_path: Path) -> None:
    write_atomically(tmp_path / "t.txt", "caf\udce9.wav")
    assert (tmp_path / "t.txt").read_text() == "caf\\udce9.wav"


@pytest.mark.parametrize("content", ["x", lambda path: path.write_text("x")])
def test_a_name_may_be_as_long_as_the_system_allows(tmp_path: Path, content: Content) -> None:
    target = tmp_path / f"{'n' * 251}.csv"
    write_atomically(target, content)
    assert list(tmp_path.iterdir()) == [target]
