"""A card's page: metadata in YAML, then sections in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from ter_fast.experts.card.facts import MOST_LISTED, CardFacts
from ter_fast.experts.card.metadata import metadata, title_of
from ter_fast.experts.card.tables import (
    cell_text,
    count,
    damage_row,
    data_name,
    figure_table,
    names_or_count,
    recall_of,
    recall_text,
    table,
    values_of,
)
from ter_fast.experts.config import ExpertConfig, ModelConfig

MARK = "<!-- Written by ter_fast from config.json and card.json: change those, not this. -->"
"""Stands in every card that this module wrote, so that no other is overwritten by a save."""

_PEOPLE = ("sex", "age", "ethnicity", "language")
_ROUGH = 10


def card_text(
    config: ModelConfig, facts: CardFacts | None = None, sizes: Mapping[str, int] | None = None
) -> str:
    """Return the card: metadata in YAML between `---`, and a page in Markdown.

    Args:
        config: Of the model.
        facts: Figures, splits and notes; None for a model that was not measured yet.
        sizes: By modality, how many parameters its expert has.

    Example:
        >>> from ter_fast import Model
        >>> config = Model.build(["calm", "tense"], modalities=("audio",)).config
        >>> card_text(config).splitlines()[1]
        'license: other'
    """
    import yaml

    known = facts or CardFacts()
    head = yaml.safe_dump(
        metadata(config, known), sort_keys=False, allow_unicode=True, width=10_000
    )
    sections = (
        _what(config, known, sizes or {}), _terms(config), _data(config, known),
        _thresholds(config), _label_sets(config), _figures(known), _corruptions(known), _limits(config, known),
        _uses(), _training(config),
    )  # fmt: skip
    return f"---\n{head}---\n\n{MARK}\n\n" + "\n".join(
        line for section in sections for line in section
    )


def _what(config: ModelConfig, facts: CardFacts, sizes: Mapping[str, int]) -> Iterator[str]:
    yield f"# {title_of(config, facts)}\n"
    yield (
        f"Says which of {len(config.labels)} expressions ({cell_text(', '.join(config.labels))}) a clip shows, how "
        "surely, and whether to trust the answer. Evidence of each modality becomes an opinion with an "
        f"uncertainty of its own; several are fused by the rule `{config.rule}`. The confidence held "
        f"against the threshold is `{config.confidence}`.\n"
    )
    yield from table(
        ("modality", "encoder", "parameters", "classes it knows", "reliability"),
        (
            (
                name,
                _encoder(expert),
                f"{sizes[name]:,}" if name in sizes else "–",
                "all" if set(expert.labels) == set(config.labels) else ", ".join(expert.labels),
                f"{expert.reliability:g}",
            )
            for name, expert in config.experts.items()
        ),
    )
    yield '```python\nimport ter_fast\n\nmodel = ter_fast.Model.from_pretrained("this folder or hub id")'
    yield 'print(model.predict("clip.mp4"))\n```\n'
    yield (
        "**What a label means.** The expression as it was acted, or as people who heard or saw it named "
        "it in the training data: never what a person feels.\n"
    )


def _terms(config: ModelConfig) -> Iterator[str]:
    yield "## Terms\n"
    if not config.terms:
        yield "No terms of training data are on record: ask whoever trained it before you pass it on.\n"
        return
    yield "The weights are not under the licence of the code; they carry the terms of their data:\n"
    parts = dict.fromkeys(part for terms in config.terms for part in terms.split("; "))
    yield from (f"- {part}" for part in parts)
    yield ""


def _data(config: ModelConfig, facts: CardFacts) -> Iterator[str]:
    yield "## Data and splits\n"
    yield from table(
        ("expert", "data", "training clips", "validation clips"),
        # Members of one expert have a record each.
        dict.fromkeys(
            (
                " + ".join(record.modalities),
                record.data,
                *(count(record.samples.get(side)) for side in ("train", "validation")),
            )
            for record in config.training
        ),
        "No training is on record.",
    )
    yield from table(
        ("expert", "learned from", "speakers or sources"),
        dict.fromkeys(
            (" + ".join(record.modalities), f"{record.data}, {split}", _group_names(groups))
            for record in config.training
            for split, groups in record.groups.items()
        ),
    )
    yield (
        "Training learned the weights; validation chose the epoch and the scale of the evidence. Test "
        "data had no part in either.\n"
    )
    yield from table(
        ("data", "split", "clips", "speakers or sources", "clips by class"),
        (
            (
                each["name"],
                split,
                count(part["clips"]),
                names_or_count(part["groups"]),
                ", ".join(f"{label} {count}" for label, count in part["classes"].items()),
            )
            for each in facts.splits
            for split, part in each.items()
            if isinstance(part, Mapping)
        ),
        "Who is on which side is not on record here.",
    )


def _encoder(expert: ExpertConfig) -> str:
    members = expert.options.get("members") if expert.encoder == "ensemble" else None
    if not members:
        return f"`{expert.encoder}`"
    return "mean of " + ", ".join(f"`{member['encoder']}`" for member in members)


def _group_names(groups: Sequence[str] | int) -> str:
    if isinstance(groups, int) or len(groups) <= MOST_LISTED:
        return names_or_count(groups)
    return names_or_count(len(groups))


def _thresholds(config: ModelConfig) -> Iterator[str]:
    yield "## Trusted thresholds\n"
    yield from table(
        ("modalities", "threshold", "chosen by", "on", "clips", "guarantee"),
        (
            (
                name,
                f"{each.threshold:.3f}",
                each.criterion,
                each.data + (f" ({each.pairing} pairs)" if each.pairing else ""),
                count(each.samples),
                each.guarantee_text or "none",
            )
            for name, each in config.thresholds.items()
        ),
        "Not calibrated: no answer is trusted or distrusted until `calibrate` was run.",
    )
    if config.disagreement_limit is not None:
        yield (
            f"An answer whose modalities disagree by more than {config.disagreement_limit:.3f} is not trusted.\n"
        )


def _label_sets(config: ModelConfig) -> Iterator[str]:
    rows = [
        (
            name, unit, each.percent, f"{1 - each.quantile:.3f}",
            each.data + (f" ({each.pairing} pairs)" if each.pairing else ""), count(each.samples),
        )
        for unit, records in (("clips", config.conformal), ("windows", config.window_conformal))
        for name, each in records.items()
    ]  # fmt: skip
    if not rows:
        return
    yield "## Label sets\n"
    yield from table(
        ("modalities", "of", "coverage", "least probability of a label in the set", "on", "samples"), rows
    )  # fmt: skip
    yield (
        "A set holds the true label as often as the coverage says for further clips of the speakers that it was "
        "calibrated on, on average over clips: not for new speakers, other recordings or each class apart.\n"
    )


def _figures(facts: CardFacts) -> Iterator[str]:
    yield "## Figures\n"
    found = facts.evaluations
    if not found:
        yield "Not measured with these weights and thresholds. Take nothing for granted.\n"
        return
    yield "With 95 % intervals, speakers or sources resampled whole.\n"
    yield from figure_table(
        found, ("accuracy", "uar", "macro_f1", "aurc", "augrc", "ece"), ("clips", "groups")
    )
    yield (
        "Trust at the thresholds above. Accept-all F1 is what trusting every answer would score: a "
        "trusted F1 below it is the price of a higher precision.\n"
    )
    calibrated = [each for each in found if "trusted_precision" in each["figures"]]
    yield from figure_table(
        calibrated,
        ("trusted_precision", "trusted_recall", "trusted_f1", "accept_all_f1", "coverage"),
        ("threshold",),
    )
    labels = list(dict.fromkeys(label for each in found for label in each["labels"]))
    yield from table(
        ("recall by class", *labels),
        ((data_name(each), *(recall_text(each, label) for label in labels)) for each in found),
    )
    for each in found:
        for column, parts in each["subgroups"].items():
            if column in ("class", "predicted class"):
                continue
            yield f"### {cell_text(data_name(each))}, by {cell_text(column)}\n"
            yield from table(
                (column, "clips", "accuracy", "trusted precision", "coverage", "AURC"),
                (
                    (value, count(part["samples"]), *values_of(part, *_BY_GROUP))
                    for value, part in parts.items()
                ),
            )


_BY_GROUP = ("accuracy", "trusted_precision", "coverage", "aurc")


def _corruptions(facts: CardFacts) -> Iterator[str]:
    for each in facts.robustness:
        yield f"## Damaged input: {cell_text(each['name'])}, {each['modalities']}, {each['samples']} clips\n"
        clean, *cells = each["cells"]
        rows = [damage_row("clean", clean, "")]
        for name, trend in each["trends"].items():
            worst = max(
                (cell for cell in cells if cell["corruption"] == name),
                key=lambda cell: int(cell["severity"]),
            )
            rows.append(damage_row(f"{name}, severity {worst['severity']}", worst, trend))
        yield from table(
            ("", "accuracy", "trusted precision", "coverage", "uncertainty with severity"), rows
        )


def _limits(config: ModelConfig, facts: CardFacts) -> Iterator[str]:
    yield "## Limits\n"
    yield (
        "- Data of another language, recording, culture or age than those above: expect worse, and measure "
        "before trusting any threshold."
    )
    for each in facts.evaluations:
        if each["groups"] < _ROUGH:
            yield (
                f"- {cell_text(data_name(each))}: {each['groups']} speakers or sources, so that its intervals are "
                "themselves rough."
            )
        if known := each.get("known_groups"):
            yield (
                f"- {cell_text(data_name(each))}: the model learned from {len(known)} of its speakers or sources, "
                "going by their names, so that these figures flatter it."
            )
        if each["pairing"]:
            yield (
                f"- {cell_text(data_name(each))}: pairs of clips of equal label from two corpora, no person's own "
                "voice and face. What one person's voice and face share is not in these figures."
            )
        weak = [n for n in each["labels"] if (r := recall_of(each, n)) is not None and r < 0.5]
        if weak:
            yield f"- {cell_text(data_name(each))}: fewer than half are found of {', '.join(weak)}."
    for split in facts.splits:
        counts = split.get("train", {}).get("classes", {})
        if lacking := [label for label in config.labels if not counts.get(label)]:
            yield f"- {cell_text(split['name'])} has no training clip of {', '.join(lacking)}."
    measured = {column for each in facts.evaluations for column in each["subgroups"]}
    if unknown := [name for name in _PEOPLE if name not in measured]:
        yield (
            f"- Trust was not measured by {', '.join(unknown)} of people. A model that is trusted on "
            "average can be wrong about some people every time."
        )
    blind = [n for each in facts.robustness for n, t in each["trends"].items() if t["blind"]]
    if blind:
        yield (
            f"- **Blind to {', '.join(dict.fromkeys(blind))}**: answers get worse and no less certain. Keep "
            "such input away from it."
        )
    if not facts.robustness:
        yield "- Noise, compression and other damage were not measured: `ter-fast evaluate --corrupt suite`."
    if not any(threshold.guarantee_text for threshold in config.thresholds.values()):
        yield "- No threshold carries a guarantee: the shares above were observed, not guaranteed."
    yield ""
    if facts.notes:
        yield facts.notes.strip() + "\n"


def _uses() -> Iterator[str]:
    yield "## Uses\n"
    yield (
        "**Intended**: research on emotion recognition that knows when not to answer, and a start for "
        "models trained on your own data.\n"
    )
    yield (
        "**Not for** decisions about people, nor for telling what someone feels, thinks or intends. The "
        "European AI Act (Article 5(1)(f)) prohibits inferring emotions in workplaces and education, "
        "medical and safety uses aside. What is not trusted is no answer.\n"
    )


def _training(config: ModelConfig) -> Iterator[str]:
    if config.training:
        yield "## Training\n"
    for record in config.training:
        yield f"{' + '.join(record.modalities)} on {record.data}:\n\n```json"
        yield json.dumps(record.settings, ensure_ascii=False, default=str)
        yield "```\n"
        if record.stopped_in:
            yield f"Training was stopped by hand in epoch {record.stopped_in}.\n"
