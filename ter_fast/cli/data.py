"""The commands below `data`: `check` and `prepare`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ter_fast.cli.common import dataset_of, escape_markup, renamed, warnings_as_sentences
from ter_fast.cli.options import DATA_FORMS, FaceModelOption, QuietOption, RenameOption


def check_data(
    spec: Annotated[
        str,
        typer.Argument(help=f"{DATA_FORMS}."),
    ],
    open_files: Annotated[
        bool, typer.Option("--open/--quick", help="Open every file, or only look for it.")
    ] = True,
    protocol: Annotated[
        str | None,
        typer.Option(help="Split it so first: {protocols}."),
    ] = None,
    rename: RenameOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every file named.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Count classes, splits and groups, open every file, and refuse a split that shares groups.

    Exit code 1 when a file is missing or cannot be opened, or the split is refused.
    """
    from ter_fast.data import check_dataset, load_dataset
    from ter_fast.data.summary import check_table
    from ter_fast.media.progress import progress_bar

    with warnings_as_sentences():
        dataset = load_dataset(spec, protocol=protocol, check=False, rename=renamed(rename))
    hidden = quiet or as_json or not open_files
    with progress_bar("opening files", len(dataset), show=not hidden) as advance:
        found = check_dataset(dataset, open_files=open_files, on_file=lambda: advance(1))
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n")
    else:
        Console(soft_wrap=True).print(check_table(found))
    if not found.ok:
        raise typer.Exit(1)


def prepare(
    data: Annotated[str, typer.Argument(help="What --data of `train` takes.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the shards.")],
    crop: Annotated[
        str, typer.Option(help="face (smoothed over time), centre (square) or whole.")
    ] = "face",
    size: Annotated[
        int, typer.Option(help="Side of the square, or longest side, in pixels; a multiple of 8.")
    ] = 112,
    frames: Annotated[int, typer.Option(min=1, help="Frames sampled from each window.")] = 16,
    window: Annotated[float, typer.Option(help="Length of a window in seconds.")] = 10.0,
    quality: Annotated[int, typer.Option(min=1, max=100, help="JPEG quality.")] = 90,
    clips: Annotated[int, typer.Option(min=1, help="Most clips in a shard.")] = 128,
    smoothing: Annotated[
        float, typer.Option(help="Seconds over which face boxes are smoothed; 0 for none.")
    ] = 0.25,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; else one per core.")] = None,
    failed_limit: Annotated[
        float, typer.Option(min=0, max=1, help="Share of unusable clips that stops the run.")
    ] = 0.1,
    rename: RenameOption = None,
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Decode a dataset once, crop it, and keep it as WebDataset shards; run again to go on after a stop.

    Train from them with --data shards:FOLDER. Exit code 1 when a clip could not be used.
    """
    from ter_fast.data.shards import ShardSettings, prepare_shards

    settings = ShardSettings(
        crop, size, frames, window, quality, clips_per_shard=clips, smoothing=smoothing
    )
    dataset = dataset_of([data], rename=rename)
    report = prepare_shards(
        dataset, out, settings, face_model=face_model, workers=workers,
        failed_limit=failed_limit, progress=not quiet,
    )  # fmt: skip
    Console().print(escape_markup(report.summary()), highlight=False)
    for reason in report.failed:
        Console(stderr=True, soft_wrap=True).print(escape_markup(reason), highlight=False)
    if report.failed:
        raise typer.Exit(1)
