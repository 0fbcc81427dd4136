"""Tables of what this installation can do, and of what a model is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.markup import escape

from ter_fast.cli.console import new_table, thresholds_table

if TYPE_CHECKING:
    from ter_fast.experts.config import ExpertConfig
    from ter_fast.model import Model


def info_table(values: dict[str, Any]) -> RenderableType:
    """Return what `ter-fast info` prints."""
    table = new_table("part", "state", "why")
    versions = ", ".join(f"{name} {version or '–'}" for name, version in values["versions"].items())

    def add(*cells: str) -> None:
        # Reasons name extras such as ter_fast[train], which rich would take for styles.
        table.add_row(*map(escape, cells))

    add("versions", f"Python {values['python']}, {versions}", values["platform"])
    add("kernels", values["kernels"]["name"], values["kernels"]["reason"])
    cuda = values["cuda"]
    add(
        "CUDA",
        "available" if cuda["available"] else "not available",
        f"torch built for CUDA {cuda['torch_built_for']}"
        if cuda["torch_built_for"]
        else "this torch has no CUDA",
    )
    add("kernels on CUDA", cuda["kernels"]["name"], cuda["kernels"]["reason"])
    add("decoding", values["decode"]["backend"], values["decode"]["why"])
    for each in values["decode"]["backends"]:
        add(f"--decode {each['name']}", each["state"], each["detail"])
    add("face detector", values["face_model"] or "none", values["face_model_why"])
    return table


def _encoder(expert: ExpertConfig) -> str:
    """Return an encoder's name and, in brackets, that of its pretrained backbone."""
    backbone = expert.options.get("name")
    return f"{expert.encoder} ({backbone})" if backbone else expert.encoder


def model_table(model: Model) -> RenderableType:
    """Return a description of a model: classes, experts, data, terms, thresholds."""
    config = model.config
    table = new_table("entry", "value", title="Model")
    table.add_row("classes", escape(", ".join(config.labels)))
    for name, expert in config.experts.items():
        size = sum(each.numel() for each in model.experts[name].parameters())
        table.add_row(
            escape(f"{name} expert"),
            escape(
                f"{_encoder(expert)}, {size:,} parameters, classes {', '.join(expert.labels)}, "
                f"evidence scale {expert.evidence_scale:.3g}, reliability {expert.reliability:.3f}"
            ),
        )
    table.add_row("fusion", f"{config.rule}; confidence {config.confidence}")
    for record in config.training:
        modalities = escape("+".join(record.modalities))
        if record.samples:
            counts = ", ".join(f"{count:,} {split}" for split, count in record.samples.items())
            table.add_row(f"trained on ({modalities})", escape(f"{record.data}: {counts}"))
        else:
            table.add_row(f"starts from ({modalities})", escape(record.data))
    for terms in config.terms:
        table.add_row("terms", escape(terms))
    return Group(table, thresholds_table(config))
