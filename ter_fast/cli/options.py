"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelOption = Annotated[str, typer.Option("--model", "-m", help="Bundled name, folder or hub id.")]

DeviceOption = Annotated[str, typer.Option(help="cpu, cuda, cuda:1 …")]

FaceModelOption = Annotated[
    Path | None,
    typer.Option(help="YuNet face detector (ONNX); else the one fetched by `data fetch-models`."),
]

FacesOption = Annotated[
    str | None,
    typer.Option(help="detect or whole, in place of the model's own way to take pictures."),
]

DATA_FORMS = (
    "CORPUS:PATH with {corpora}, or folders (one for each class); or a manifest .csv/.parquet"
)
"""What `--data` takes, in words; see `ter_fast.cli.listed_names` for the names."""

DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        help=f"{DATA_FORMS} with the columns path, label, split, group. Several in one, joined by +, are one "
        "dataset.",
    ),
]

RenameOption = Annotated[
    list[str] | None,
    typer.Option(
        help="OLD=NEW: read the label OLD of the data as NEW, such as joy=happiness; once for each label."
    ),
]

OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace a model that lies in --out already.")
]

WindowOption = Annotated[
    float | None, typer.Option(help="Seconds of a window; else the model's own.")
]

HopOption = Annotated[
    float | None,
    typer.Option(help="Seconds from one window's start to the next; else end to end."),
]

ThresholdOption = Annotated[
    float | None,
    typer.Option(help="Confidence to trust from, 0 to 1, in place of the calibrated thresholds."),
]

QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
