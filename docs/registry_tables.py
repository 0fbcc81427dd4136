"""Tables of what is registered, for `<!-- table: NAME -->` in a page: a new row needs no edit of the docs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

PLACE = re.compile(r"^<!-- table: ([a-z_]+) -->$", re.MULTILINE)


def filled(markdown: str) -> str:
    """Return a page with its tables in place of the comments that ask for them.

    Raises:
        KeyError: There is no such table.
    """
    return PLACE.sub(lambda match: TABLES[match[1]](), markdown)


def corpora() -> str:
    """Return a row for each registered corpus."""
    from ter_fast.data import CORPORA

    rows = [
        (
            f"`{corpus.name}:PATH`",
            f"{corpus.title}: {corpus.description} ({corpus.reference})",
            ", ".join(corpus.modalities),
            ", ".join(corpus.labels),
            corpus.split,
            ", ".join(f"`{option}`" for option in corpus.options),
            corpus.terms.removeprefix(f"{corpus.title}: ").replace(f" ({corpus.reference})", ""),
        )
        for corpus in CORPORA.values()
    ]
    head = ("name", "corpus", "holds", "classes", "split", "options", "terms")
    return _table(head, rows)


def fusion_rules() -> str:
    """Return a row for each fusion rule."""
    from ter_fast.opinions.fusion_rules import FUSION_RULES

    rows = [
        (f"`{rule.name}`", f"${rule.equation}$", rule.description, rule.source)
        for rule in FUSION_RULES.values()
    ]
    return _table(("rule", "fused evidence $e_k$", "what it is", "from"), rows)


def confidence_kinds() -> str:
    """Return a row for each kind of confidence."""
    from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS

    rows = [
        (f"`{kind.name}`", f"${kind.equation}$", kind.description)
        for kind in CONFIDENCE_KINDS.values()
    ]
    return _table(("kind", "confidence", "what it is"), rows)


def corruptions() -> str:
    """Return a row for each registered corruption; one more for each further number of its levels."""
    from ter_fast.media.corrupt import CORRUPTIONS, SEVERITIES

    rows = []
    for corruption in CORRUPTIONS.values():
        measures = corruption.measure.split("; ")
        levels = [each if isinstance(each, tuple) else (each,) for each in corruption.levels]
        measures[0] = "; ".join(filter(None, (measures[0], corruption.description)))
        for i, measure in enumerate(measures):
            name = "" if i else f"`{corruption.name}`"
            rows.append((name, measure, *(f"{level[i]:g}" for level in levels)))
    return _table(("name", "what changes", *map(str, SEVERITIES)), rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


TABLES: dict[str, Callable[[], str]] = {
    each.__name__: each for each in (corpora, corruptions, fusion_rules, confidence_kinds)
}
