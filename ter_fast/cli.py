"""The command `ter-fast`: parse, call, print."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer
from rich.console import Console

from ter_fast.errors import TerFastError

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.evaluate import Evaluation
    from ter_fast.model import Model

app = typer.Typer(
    name="ter-fast",
    help="Estimate emotions from audio and video, and say when not to trust the estimate.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
data_app = typer.Typer(help="Data and the models that prepare it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

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
DataOption = Annotated[
    list[str],
    typer.Option(
        "--data",
        "-d",
        help="CORPUS:PATH with cremad, emodb, enterface, fer2013, iemocap, meld, music_video, nemo, ravdess, "
        "savee, tess, or folders (one for each class); or a manifest .csv/.parquet with the columns path, "
        "label, split, group. Several in one, joined by +, are one dataset.",
    ),
]
WindowOption = Annotated[
    float | None, typer.Option(help="Seconds of a window; else the model's own.")
]
HopOption = Annotated[
    float | None,
    typer.Option(help="Seconds from one window's start to the next; else end to end."),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


def main() -> None:
    """Run the command line; errors that a user can cause end it with one sentence."""
    try:
        app()
    except TerFastError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {_escape(str(error))}", highlight=False
        )
        sys.exit(1)


@app.command()
def predict(
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
        str | None, typer.Option(help="pyav or torchcodec, in place of what `info` names.")
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
    from ter_fast.prediction import check_table_name
    from ter_fast.present import PredictionTable

    if out is not None:
        check_table_name(out)
    _check_over_time(paths, timeline, subtitles)
    loaded = _load(model, device)
    progress = not quiet and not as_json and (len(paths) > 1 or paths[0].is_dir())
    found = loaded.predict(
        list(paths), window=window, hop=hop, batch_size=batch_size, progress=progress, faces=faces,
        face_model=face_model, decode=decode, sampling="keyframe" if keyframes else "exact",
    )  # fmt: skip
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


@app.command()
def live(
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
    from ter_fast.prediction import Predictions
    from ter_fast.present import live_line

    loaded = _load(model, device)
    with loaded.live(
        source, window=window, hop=hop, max_delay=max_delay, faces=faces, face_model=face_model
    ) as stream:
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


@app.command()
def train(
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    modalities: Annotated[
        str, typer.Option(help="audio, video or audio,video; else those of the data.")
    ] = "",
    labels: Annotated[
        str, typer.Option(help="Class names, comma-separated: any other in the data is an error.")
    ] = "",
    frames: Annotated[int, typer.Option(min=1, help="Frames sampled from each window.")] = 16,
    frame_size: Annotated[
        int, typer.Option(min=16, help="Side of the square frame in pixels.")
    ] = 48,
    color: Annotated[bool, typer.Option("--color", help="RGB frames instead of luma.")] = False,
    faces: Annotated[
        str, typer.Option(help="detect: crop the largest face of each frame; whole: the frame.")
    ] = "detect",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option()] = 2e-3,
    activation: Annotated[
        str, typer.Option(help="From logits to evidence: exp learns fastest; softplus, relu.")
    ] = "exp",
    kl_weight: Annotated[float, typer.Option(help="Final weight of the KL regularizer.")] = 0.05,
    balance: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of classification in TrustedCELoss.")
    ] = 1.0,
    patience: Annotated[int, typer.Option(help="Epochs without improvement before stopping.")] = 8,
    validation_share: Annotated[
        float,
        typer.Option(help="Share of the groups held out where the data have no validation split."),
    ] = 0.1,
    precision: Annotated[str, typer.Option(help="Lightning's: 32-true, bf16-mixed …")] = "32-true",
    seed: Annotated[int, typer.Option()] = 0,
    max_unreadable: Annotated[
        str,
        typer.Option(
            help="Files that may be unreadable and are skipped: 20, 0.05 or 5%; more end the run."
        ),
    ] = "5%",
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Train an expert (one modality) or a joint model (several), end to end, and save it.

    Trains on the split "train" and stops early on "validation"; where the data have no validation
    split, a tenth of the groups is held out. Thresholds are set on the validation split.
    """
    from ter_fast.config import VideoInput
    from ter_fast.data import with_validation
    from ter_fast.model import Model
    from ter_fast.prepare import parse_limit
    from ter_fast.present import thresholds_table

    limit = parse_limit(max_unreadable)
    dataset = with_validation(_dataset(data, _names(labels)), validation_share, seed)
    chosen = _names(modalities) or dataset.modalities
    video = VideoInput(frames, frame_size, 3 if color else 1, faces)
    model = Model.build(dataset.labels, chosen, video=video, seed=seed, activation=activation)
    model.fit(
        dataset,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        kl_weight=kl_weight,
        balance=balance,
        patience=patience,
        precision=precision,
        seed=seed,
        max_unreadable=limit,
        face_model=face_model,
        progress=not quiet,
    )
    # Hours of training are not lost to a validation split that no threshold can be set on.
    model.save_pretrained(out)
    model.calibrate(dataset.split("validation"), face_model=face_model, progress=not quiet)
    model.save_pretrained(out)
    Console().print(thresholds_table(model.config), f"saved to {out}")


@app.command()
def join(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the joined model.")],
    audio: Annotated[str, typer.Option(help="Model with the audio expert.")],
    video: Annotated[str, typer.Option(help="Model with the video expert.")],
    rule: Annotated[
        str, typer.Option(help="Fusion rule: dempster, cumulative, averaging, weighted.")
    ] = "dempster",
) -> None:
    """Join an audio and a video expert, trained apart, into one model; calibrate it next."""
    from ter_fast.model import Model

    joined = Model.from_experts(rule=rule, audio=_load(audio), video=_load(video))
    joined.save_pretrained(out)
    Console().print(f"saved to {out}; now: ter-fast calibrate --model {out} --data … --data …")


@app.command()
def calibrate(
    data: DataOption,
    model: Annotated[
        str, typer.Option("--model", "-m", help="Model folder; changed in place without --out.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the calibrated model.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split to calibrate on.")] = "validation",
    criterion: Annotated[
        str | None,
        typer.Option(help="balance (the default), f1, accuracy, precision=P or coverage=Q."),
    ] = None,
    risk: Annotated[
        float | None,
        typer.Option(
            help="In place of a criterion: promise that at most this share of the trusted is wrong."
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Largest probability that the promise is broken; 0.05 when left out."),
    ] = None,
    promise: Annotated[
        str | None,
        typer.Option(
            help="groups: for new speakers (the default); clips: for further clips of the same."
        ),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(help="Kind of confidence to use from now on; best: that of the lowest AURC."),
    ] = None,
    disagreement_limit: Annotated[
        float | None, typer.Option(help="Not trusted above this disagreement.")
    ] = None,
    disagreement_quantile: Annotated[
        float | None,
        typer.Option(
            help="Set that limit so that this share of the right predictions stays within."
        ),
    ] = None,
    device: DeviceOption = "cpu",
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Set the trusted thresholds on validation data.

    With --risk, on data that had no part in the model: not in its training, not in stopping it, not in
    the choice of its settings.

    Give --data twice, one dataset per modality, to calibrate a model joined from two experts: clips of
    equal label are then paired.
    """
    from ter_fast.present import thresholds_table

    loaded = _load(model, device)
    if out is None and not Path(model).is_dir():
        raise TerFastError(
            f"--model {model} is not a folder that can be changed; give --out FOLDER"
        )
    with _warnings_as_sentences():
        loaded.calibrate(
            *(_dataset([each], loaded.config.labels).split(split) for each in data),
            criterion=criterion,
            risk=risk,
            delta=delta,
            promise=promise,
            confidence=confidence,
            disagreement_limit=disagreement_limit,
            disagreement_quantile=disagreement_quantile,
            face_model=face_model,
            progress=not quiet,
        )
    loaded.save_pretrained(out or model)
    Console().print(thresholds_table(loaded.config), f"saved to {out or model}")


@app.command()
def evaluate(
    data: DataOption,
    model: ModelOption = "default",
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    modalities: Annotated[
        str, typer.Option(help="Use only these, such as audio or audio,video.")
    ] = "",
    by: Annotated[
        str, typer.Option(help="Attributes of the clips to break trust down by, such as sex,age.")
    ] = "",
    against: Annotated[
        str | None, typer.Option(help="A second model: the differences on the same clips.")
    ] = None,
    corrupt: Annotated[
        str,
        typer.Option(
            help="Measure under corruptions instead: suite, or names such as white_noise,jpeg."
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the report; or a .json for the figures alone."
        ),
    ] = None,
    device: DeviceOption = "cpu",
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Measure accuracy and trust on labelled data, with 95 % intervals resampled by group.

    Give --data twice, one dataset per modality, to measure a joined model on pairs of equal label.
    """
    if corrupt:
        if by or against:
            raise TerFastError(
                "--corrupt measures one model as a whole; leave --by and --against out"
            )
        _evaluate_corrupted(data, model, split, modalities, corrupt, out, device, face_model, quiet)
        return
    from ter_fast.present import comparison_table, evaluation_table

    first, *others = (_load(each, device) for each in (model, against) if each is not None)

    def measure(loaded: Model) -> Evaluation:
        return loaded.evaluate(
            *(_dataset([each], loaded.config.labels).split(split) for each in data),
            modalities=_names(modalities) or None,
            by=_names(by) or None,
            face_model=face_model,
            progress=not quiet,
        )

    figures = measure(first)
    Console().print(evaluation_table(figures))
    for other in others:
        Console().print(comparison_table(figures.compare(measure(other)), model, str(against)))
    if out is None:
        return
    if out.suffix == ".json":
        figures.to_json(out)
    else:
        Console().print(f"report: {figures.save(out)}")


def _evaluate_corrupted(
    data: list[str],
    model: str,
    split: str,
    modalities: str,
    corruptions: str,
    out: Path | None,
    device: str,
    face_model: Path | None,
    quiet: bool,
) -> None:
    from ter_fast.robustness import evaluate_corrupted
    from ter_fast.robustness.table import robustness_table

    loaded = _load(model, device)
    found = evaluate_corrupted(
        loaded,
        _dataset(data, loaded.config.labels).split(split),
        corruptions,
        modalities=_names(modalities) or None,
        face_model=face_model,
        progress=not quiet,
    )
    Console().print(robustness_table(found))
    if out is None:
        return
    if out.suffix == ".json":
        found.to_json(out)
    else:
        Console().print(f"report: {found.save(out)}")


@app.command()
def info(
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also describe this model.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show versions, and which backends are active and why."""
    from ter_fast.present import info_table, information, model_table

    described = None if model is None else _load(model)
    if as_json:
        entries = information()
        if described is not None:
            entries["model"] = json.loads(described.config.to_json())
        sys.stdout.write(json.dumps(entries, indent=2) + "\n")
        return
    Console().print(info_table(information()))
    if described is not None:
        Console().print(model_table(described))


@data_app.command("check")
def check_data(
    spec: Annotated[
        str, typer.Argument(help="What --data takes: corpus:PATH, or a manifest .csv or .parquet.")
    ],
    open_files: Annotated[
        bool, typer.Option("--open/--quick", help="Open every file, or only look for it.")
    ] = True,
    protocol: Annotated[
        str | None,
        typer.Option(help="Split it so first: chumachenko, leave-NAME-out, 5-fold-1 …"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every file named.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Count classes, splits and groups, open every file, and refuse a split that shares groups.

    Exit code 1 when a file is missing or cannot be opened, or the split is refused.
    """
    from rich.progress import Progress

    from ter_fast.data import check_dataset, load_dataset
    from ter_fast.data.summary import check_table

    dataset = load_dataset(spec, protocol=protocol, check=False)
    hidden = quiet or as_json or not open_files
    with Progress(console=Console(stderr=True), transient=True, disable=hidden) as progress:
        task = progress.add_task("opening files", total=len(dataset))
        found = check_dataset(
            dataset, open_files=open_files, on_file=lambda: progress.advance(task)
        )
    if as_json:
        sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n")
    else:
        Console(soft_wrap=True).print(check_table(found))
    if not found.ok:
        raise typer.Exit(1)


@data_app.command("fetch-models")
def fetch_models() -> None:
    """Download the YuNet face detector, check its checksum, and keep it for later."""
    from ter_fast.faces import fetch_face_model

    Console().print(f"face detector: {fetch_face_model()}")


@data_app.command("prepare")
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
    face_model: FaceModelOption = None,
    quiet: QuietOption = False,
) -> None:
    """Decode a dataset once, crop it, and keep it as WebDataset shards; run again to go on after a stop.

    Train from them with --data shards:FOLDER. Exit code 1 when a clip could not be used.
    """
    from ter_fast.shards import ShardSettings, prepare_shards

    settings = ShardSettings(
        crop, size, frames, window, quality, clips_per_shard=clips, smoothing=smoothing
    )
    with _warnings_as_sentences():
        dataset = _dataset([data])
    report = prepare_shards(
        dataset, out, settings, face_model=face_model, workers=workers,
        failed_limit=failed_limit, progress=not quiet,
    )  # fmt: skip
    Console().print(report.summary(), highlight=False)
    for reason in report.failed:
        Console(stderr=True, soft_wrap=True).print(_escape(reason), highlight=False)
    if report.failed:
        raise typer.Exit(1)


def _check_over_time(paths: list[Path], timeline: Path | None, subtitles: Path | None) -> None:
    """Refuse what could not be written, before the work is done."""
    if (timeline or subtitles) and (len(paths) > 1 or paths[0].is_dir()):
        raise TerFastError("--timeline and --subtitles are of one clip; name one file")
    if timeline is not None:
        from ter_fast.timeline import check_picture_name

        check_picture_name(timeline)
    if subtitles is not None:
        from ter_fast.subtitles import check_subtitles_name

        check_subtitles_name(subtitles)


def _load(name: str, device: str = "cpu") -> Model:
    from ter_fast.model import Model

    model = Model.from_pretrained(name)
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        raise TerFastError(
            f"the device {device!r} cannot be used ({str(error).splitlines()[0]}); try --device cpu"
        ) from error


@contextlib.contextmanager
def _warnings_as_sentences() -> Iterator[None]:
    """Print what the package warns of as sentences, without the lines of code that warned."""
    with warnings.catch_warnings():
        warnings.showwarning = _say_warning
        yield


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    Console(stderr=True, soft_wrap=True).print(
        f"[bold yellow]warning:[/] {_escape(str(message))}", highlight=False
    )


def _dataset(specifications: list[str], labels: tuple[str, ...] = ()) -> Dataset:
    from ter_fast.data import load_dataset

    return load_dataset("+".join(specifications), labels or None)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
