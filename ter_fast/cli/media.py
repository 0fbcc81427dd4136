"""The commands on media: `predict` and `live`."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ter_fast.cli.common import load, options_of, warnings_as_sentences
from ter_fast.cli.options import (
    DeviceOption,
    FaceModelOption,
    FacesOption,
    HopOption,
    ModelOption,
    QuietOption,
    ThresholdOption,
    WindowOption,
)
from ter_fast.errors import TerFastError

_INTERRUPTED = 130


def predict(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            help="Media files, folders, addresses (https://…), or - for standard input."
        ),
    ],
    model: ModelOption = "default",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write .csv, .parquet or .jsonl, row by row."),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Keep the rows of a former --out, and leave out its clips."),
    ] = False,
    window: WindowOption = None,
    hop: HopOption = None,
    threshold: ThresholdOption = None,
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
    Exit code 1 when a clip got no answer, 130 after Ctrl-C, which keeps what is done.
    """
    _check_outputs(paths, out, resume, timeline, subtitles)
    from ter_fast.cli.prediction_output import PredictionOutput
    from ter_fast.predict.prediction import table_columns
    from ter_fast.predict.settings import PredictSettings
    from ter_fast.predict.writing import open_table

    loaded = load(model, device)
    config = loaded.config
    with ExitStack() as opened:
        opened.enter_context(warnings_as_sentences())
        table = None
        if out is not None:
            columns = table_columns(config.labels, config.modalities, config.has_label_sets)
            table = opened.enter_context(open_table(out, columns, resume))
        stream = opened.enter_context(
            loaded.predict_iter(
                paths,
                skip=() if table is None else table.done,
                **options_of(context, PredictSettings.__annotations__),
                sampling="keyframe" if keyframes else "exact",
            )
        )
        output = opened.enter_context(
            PredictionOutput(config, stream.names or (), table, per_window, as_json, quiet)
        )
        try:
            for prediction in stream:
                output.add(prediction)
                if timeline is not None and not prediction.error:
                    prediction.timeline().save(timeline)
                if subtitles is not None and not prediction.error:
                    prediction.subtitles(subtitles)
        except KeyboardInterrupt:
            output.interrupted = True
    if output.interrupted:
        _say_interrupted(output.clips, len(stream.names or ()), out)
        raise typer.Exit(_INTERRUPTED)
    if output.failed:
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
    threshold: ThresholdOption = None,
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
    with loaded.live(source, max_delay=max_delay, threshold=threshold, **settings) as stream:
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
            if stats.seconds:
                Console(stderr=True, soft_wrap=True).print(
                    f"{stats.seconds:.0f} s read; dropped to keep up: {stream.dropped} windows, "
                    f"{stats.skipped} pictures; {stats.damaged} damaged packets",
                    highlight=False,
                )


def _check_outputs(
    paths: list[str],
    out: Path | None,
    resume: bool,
    timeline: Path | None,
    subtitles: Path | None,
) -> None:
    """Refuse what could not be written, before the work is done."""
    from ter_fast.media.files import check_writable
    from ter_fast.predict.writing import check_table_file

    if resume and out is None:
        raise TerFastError("--resume goes on with a file of a former run; name it by --out")
    if out is not None:
        check_table_file(out)
    if (timeline or subtitles) and (len(paths) > 1 or os.path.isdir(paths[0])):
        raise TerFastError("--timeline and --subtitles are of one clip; name one file")
    if timeline is not None:
        from ter_fast.predict.timeline import check_picture_name

        check_picture_name(timeline)
        check_writable(timeline)
    if subtitles is not None:
        from ter_fast.predict.subtitles import check_subtitles_name

        check_subtitles_name(subtitles)
        check_writable(subtitles)


def _say_interrupted(done: int, total: int, out: Path | None) -> None:
    """Say after Ctrl-C how much is done, where it is, and how to go on."""
    text = f"interrupted: {done} of {total} clips are done"
    if out is None:
        text += " and printed above; with --out FILE, a later run could go on from there"
    else:
        again = [each for each in sys.argv[1:] if each != "--resume"]
        text += f" and kept in {out}; go on with:\n{shlex.join(['ter-fast', *again, '--resume'])}"
    Console(stderr=True, soft_wrap=True).print(text, highlight=False, markup=False)
