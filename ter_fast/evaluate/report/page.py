"""The page: one file of HTML that asks the network for nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ter_fast.evaluate.report.formatting import NOTICE
from ter_fast.evaluate.report.sections import Section
from ter_fast.evaluate.report.summary import facts_of
from ter_fast.evaluate.report.target import MADE_BY
from ter_fast.media.text import clean

if TYPE_CHECKING:
    from ter_fast.evaluate.evaluation import Evaluation

_FOLDER = Path(__file__).parent


def page_of(evaluation: Evaluation, sections: Sequence[Section]) -> str:
    """Return the page of an evaluation."""
    facts = facts_of(evaluation)
    return render("Trust report", evaluation.name, facts, sections, "evaluation.json")


def render(
    kind: str,
    title: str,
    facts: Sequence[tuple[str, str]],
    sections: Sequence[Section],
    record: str,
) -> str:
    """Return a page.

    Args:
        kind: What kind of report it is.
        title: Of the page, what was measured.
        facts: For its head, name and value.
        sections: In their order.
        record: Name of the JSON file that lies beside it.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_readable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Both are our own files, and "</" occurs in neither.
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    css = (_FOLDER / "page.css").read_text(encoding="utf-8")
    page: str = environment.get_template("page.html").render(
        kind=kind,
        title=title,
        notice=NOTICE,
        made_by=MADE_BY,
        facts=facts,
        sections=sections,
        record=record,
        css=Markup(css),
        script=Markup(script),
        # The browser runs this script and no other, whatever a file name may hold.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    return page


def _readable(value: Any) -> Any:
    return value if isinstance(value, Markup) or not isinstance(value, str) else clean(value)
