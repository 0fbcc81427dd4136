"""The commands on media: `predict` and `live`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ter_fast.cli.common import load, options_of
from ter_fast.cli.options import (
    DeviceOption,
    FaceModelOption,
    FacesOption,
    HopOption,
    ModelOption,
    QuietOption,
    WindowOption,
)
from ter_fast.errors import TerFastError


def predict(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Media files and folders.")],
    model: ModelOption = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Also write .csv, .parquet or .jsonl.")
    ] = None,
    window: WindowOption = None,
    hop: HopOption = None,
    per_window: Annotated[
        bool, typer.Option("--per-window", help="A row per window instead of one per clip.")
    ] = False,
    timeline: Annotated[
        Path | None,
        typer.Option(help="Draw belief, uncertainty and trust of one clip: .svg, .png or .pdf."),
    ] = None,
    subtitles: Annotated[
        Path | None, typer.Option(help="Write label and trust of one clip as .srt or .vtt.")
    ] = None,
    device: DeviceOption = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Windows the model sees at once.")] = 16,
    face_model: FaceModelOption = None,
    faces: FacesOption = None,
    decode: Annotated[
        str | None, typer.Option(help="pyav, torchcodec or dali, in place of what `info` names.")
    ] = None,
    keyframes: Annotated[
        bool, typer.Option("--keyframes", help="Take the nearest key frames: quicker, less exact.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per clip instead of a table.")
    ] = False,
    quiet: QuietOption = False,
) -> None:
    """Predict clips: label, confidence, trusted or not, and why not.

    The label is the emotion the expression was acted or perceived as, not what a person feels.
    Exit code 1 when a file could not be used.
    """
    from ter_fast.cli.prediction_table import PredictionTable
    from ter_fast.predict.prediction import check_table_name
    from ter_fast.predict.settings import PredictSettings

    if out is not None:
        check_table_name(out)
    _check_over_time(paths, timeline, subtitles)
    loaded = load(model, device)
    progress = not quiet and not as_json and (len(paths) > 1 or paths[0].is_dir())
    found = loaded.predict(
        list(paths),
        **options_of(context, PredictSettings.__annotations__),
        sampling="keyframe" if keyframes else "exact",
        progress=progress,
    )
    rows = found.windows if per_window else found
    if as_json:
        sys.stdout.write(rows.to_json_lines())
    else:
        Console().print(PredictionTable(rows, loaded.config, per_window))
    if out is not None:
        rows.save(out)
    if timeline is not None and not found.failed:
        found[0].timeline().save(timeline)
    if subtitles is not None and not found.failed:
        found[0].subtitles(subtitles)
    if found.failed:
        raise typer.Exit(1)


def live(
    context: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            help="/dev/video0, alsa:default, rtsp://…, a file, or - for standard input."
        ),
    ],
    model: ModelOption = "default",
    window: WindowOption = None,
    hop: HopOption = None,
    max_delay: Annotated[
        float, typer.Option(min=0.0, help="Seconds of lag before only key frames are decoded.")
    ] = 1.0,
    device: DeviceOption = "cpu",
    face_model: FaceModelOption = None,
    faces: FacesOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per window.")
    ] = False,
) -> None:
    """Predict a camera, a microphone, a pipe or a stream as it happens, until Ctrl-C.

    Keeps up rather than lagging: what there was no time for is dropped, and counted at the end.
    """
    from ter_fast.cli.prediction_table import live_line
    from ter_fast.predict.prediction import Predictions
    from ter_fast.predict.settings import WindowSettings

    loaded = load(model, device)
    settings = options_of(context, WindowSettings.__annotations__)
    with loaded.live(source, max_delay=max_delay, **settings) as stream:
        try:
            for each in stream:
                if as_json:
                    sys.stdout.write(Predictions([each]).to_json_lines())
                else:
                    Console().print(live_line(each))
                sys.stdout.flush()
        except KeyboardInterrupt:
            pass
        finally:
            stats = stream.stats
            Console(stderr=True, soft_wrap=True).print(
                f"{stats.seconds:.0f} s read; dropped to keep up: {stream.dropped} windows, "
                f"{stats.skipped} pictures; {stats.damaged} damaged packets",
                highlight=False,
            )


def _check_over_time(paths: list[Path], timeline: Path | None, subtitles: Path | None) -> None:
    """Refuse what could not be written, before the work is done."""
    if (timeline or subtitles) and (len(paths) > 1 or paths[0].is_dir()):
        raise TerFastError("--timeline and --subtitles are of one clip; name one file")
    if timeline is not None:
        from ter_fast.predict.timeline import check_picture_name

        check_picture_name(timeline)
    if subtitles is not None:
        from ter_fast.predict.subtitles import check_subtitles_name

        check_subtitles_name(subtitles)
