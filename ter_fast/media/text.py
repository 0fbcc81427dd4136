"""Names as text: what files and terminals can hold of a file name, which may be any bytes."""

from __future__ import annotations

import unicodedata

_SHOWN = 80


def as_text(name: str) -> str:
    r"""Return a name in which bytes that are no text stand as escapes, so that UTF-8 can hold it.

    A file name need not be text; its stray bytes are lone surrogates in Python, which no file of text,
    no JSON and no Parquet may hold.

    Example:
        >>> as_text("caf\udce9.wav")
        'caf\\udce9.wav'
    """
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def clean(text: str, keep: str = "") -> str:
    r"""Return text that terminals, HTML, SVG and UTF-8 can all hold.

    Control characters and lone surrogates stand as escapes.

    Args:
        text: Any text.
        keep: Control characters to leave, such as the line breaks of a message.

    Example:
        >>> clean("a\x1b[31m\nb.wav"), clean("two\nlines", keep="\n")
        ('a\\x1b[31m\\nb.wav', 'two\nlines')
    """
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if unicodedata.category(each) in ("Cc", "Cn", "Cs") and each not in keep
        else each
        for each in text
    )


def short_name(name: str, length: int = _SHOWN) -> str:
    """Return a clean name of at most `length` characters: of a longer one, the end, which tells clips apart.

    Example:
        >>> short_name("a_long_name.wav", 10)
        '…_name.wav'
    """
    shown = clean(name)
    return shown if len(shown) <= length else f"…{shown[1 - length :]}"
