"""Output that the terminal or the pipe cannot encode: plain letters and escapes in its place, never an error."""

from __future__ import annotations

import codecs
import sys

_PLAIN = {
    "✓": "+", "✗": "x", "─": "-", "━": "-", "│": "|", "…": "~", "–": "-", "—": "-", "−": "-", "→": ">",
    "·": ".", "•": "*", "×": "x", "“": '"', "”": '"', "’": "'", "\N{NO-BREAK SPACE}": " ",
}  # fmt: skip


def escape_unencodable() -> None:
    """Make standard output and error write what their encoding lacks as plain letters or escapes.

    Windows' code pages and the C locale lack most of Unicode, and no encoding has the lone surrogates that
    stand for stray bytes of a file name. An error there would cost the rows that were predicted.
    """
    codecs.register_error("ter_fast.escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="ter_fast.escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    r"""Return what stands for the characters that cannot be encoded.

    Example:
        >>> _escape(UnicodeEncodeError("ascii", "✓ é", 0, 3, ""))
        ('+ \\u00e9', 3)
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    # In JSON an escape is the character itself, so there nothing may stand for it.
    table = {} if error.object.lstrip().startswith(("{", "[")) else _PLAIN
    text = error.object[error.start : error.end]
    return "".join(table.get(each) or _json_escape(each) for each in text), error.end


def _json_escape(character: str) -> str:
    if character.isascii():
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(
        f"\\u{int.from_bytes(units[place : place + 2]):04x}" for place in range(0, len(units), 2)
    )
