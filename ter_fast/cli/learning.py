"""The command `train`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ter_fast.cli.common import (
    dataset_of,
    datasets_of,
    escape_markup,
    names_in,
    note_untested,
    options_of,
    warnings_as_sentences,
)
from ter_fast.cli.options import (
    DataOption,
    FaceModelOption,
    OverwriteOption,
    QuietOption,
    RenameOption,
)
from ter_fast.errors import TerFastError

if TYPE_CHECKING:
    from ter_fast.data import Dataset
    from ter_fast.experts.network import Network

# Options of `train` that say nothing which a recipe says too.
BESIDE_RECIPE = (
    *("data", "out", "recipe", "labels", "rename", "validation_share", "checkpoints"),
    *("max_unreadable", "face_model", "overwrite", "quiet"),
)


def train(
    context: typer.Context,
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
    overwrite: OverwriteOption = False,
    recipe: Annotated[
        str,
        typer.Option(
            help="In place of the options below: default, as the shipped model was made (members of each expert "
            "trained alone, joined, calibrated), or a YAML file."
        ),
    ] = "",
    modalities: Annotated[
        str, typer.Option(help="audio, video or audio,video; else those of the data.")
    ] = "",
    labels: Annotated[
        str, typer.Option(help="Class names, comma-separated: any other in the data is an error.")
    ] = "",
    rename: RenameOption = None,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="MODALITY=ENCODER or MODALITY=ENCODER:NAME,OPTION=VALUE, such as audio=voice_functionals or "
            "audio=hf_audio:facebook/wav2vec2-base; once per modality. Else the built-in encoders."
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help="Frames sampled from each window; 16, or what the encoder wants."),
    ] = None,
    frame_size: Annotated[
        int | None,
        typer.Option(
            min=16, help="Side of the square frame in pixels; 48, or what the encoder wants."
        ),
    ] = None,
    color: Annotated[bool, typer.Option("--color", help="RGB frames instead of luma.")] = False,
    faces: Annotated[
        str, typer.Option(help="detect: crop the largest face of each frame; whole: the frame.")
    ] = "detect",
    epochs: Annotated[int, typer.Option(min=1)] = 30,
    batch_size: Annotated[int, typer.Option(min=1)] = 32,
    learning_rate: Annotated[float, typer.Option()] = 2e-3,
    backbone_learning_rate: Annotated[
        float | None,
        typer.Option(help="For what learns of pretrained backbones; else the learning rate."),
    ] = None,
    schedule: Annotated[
        str, typer.Option(help="Of the learning rate: one-cycle, cosine or constant.")
    ] = "one-cycle",
    warmup: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of the steps in which it rises.")
    ] = 0.15,
    weight_decay: Annotated[float, typer.Option(min=0, help="AdamW's.")] = 5e-2,
    gradient_clip: Annotated[
        float, typer.Option(min=0, help="Largest norm of the gradient; 0 for none.")
    ] = 5.0,
    activation: Annotated[
        str, typer.Option(help="From logits to evidence: exp learns fastest; softplus, relu.")
    ] = "exp",
    loss: Annotated[
        str, typer.Option(help="digamma, log (cross-entropy), mse, focal, fisher or relaxed.")
    ] = "digamma",
    kl_weight: Annotated[float, typer.Option(help="Final weight of the KL regularizer.")] = 0.05,
    conflict_weight: Annotated[
        float, typer.Option(min=0, help="Weight of the disagreement of modalities in the loss.")
    ] = 0.0,
    label_smoothing: Annotated[
        float, typer.Option(min=0, max=0.99, help="Share of a label spread over all classes.")
    ] = 0.0,
    modality_dropout: Annotated[
        float, typer.Option(min=0, max=0.99, help="How often a modality is left out in training.")
    ] = 0.0,
    learn_reliability: Annotated[
        bool,
        typer.Option(
            "--learn-reliability", help="Learn how far fusion believes each modality, in training."
        ),
    ] = False,
    ood: Annotated[
        bool, typer.Option("--ood", help="Last, learn to discount out-of-distribution input.")
    ] = False,
    balance: Annotated[
        float, typer.Option(min=0, max=1, help="Weight of classification in TrustedCELoss.")
    ] = 1.0,
    patience: Annotated[int, typer.Option(help="Epochs without improvement before stopping.")] = 8,
    validation_share: Annotated[
        float,
        typer.Option(help="Share of the groups held out where the data have no validation split."),
    ] = 0.1,
    precision: Annotated[
        str,
        typer.Option(
            help="Lightning's: 32-true, bf16-mixed …; auto: the latter where the device has it."
        ),
    ] = "32-true",
    seed: Annotated[int, typer.Option()] = 0,
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the state after each epoch; the same command goes on from there after Ctrl-C or a kill."
        ),
    ] = None,
    devices: Annotated[
        int | None,
        typer.Option(min=1, help="Processes on this machine; under torchrun, what it started."),
    ] = None,
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

    Ctrl-C keeps the best epoch so far; with --checkpoints the same command goes on after it, or after a kill.

    For several processes: torchrun --nproc-per-node 2 -m ter_fast train …; the batch size is that of each.
    """
    from ter_fast.model import Model
    from ter_fast.predict.prepare import parse_limit
    from ter_fast.train import SCHEDULES, Settings, is_first_process, train_model
    from ter_fast.train.encoders import parse_encoders, video_input
    from ter_fast.train.recipes import Recipe, join_alike
    from ter_fast.train.recipes import train as train_by_recipe

    if recipe:
        _check_only_with_recipe(context)
    if schedule not in SCHEDULES:
        raise TerFastError(f"--schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}")
    shared: dict[str, Any] = {
        "validation_share": validation_share, "max_unreadable": parse_limit(max_unreadable),
        "checkpoints": checkpoints, "face_model": face_model, "progress": not quiet,
        "exist_ok": overwrite,
    }  # fmt: skip
    with _stop_as_sentence(data, rename, out, checkpoints, recipe), warnings_as_sentences():
        if recipe:
            datasets = join_alike(datasets_of(data, names_in(labels), rename))
            model: Network = train_by_recipe(
                Recipe.read(recipe), *datasets, out=out, kind=Model, **shared
            )
        else:
            dataset = dataset_of(data, names_in(labels), rename)
            datasets = [dataset]
            encoders = parse_encoders(
                encoder or (), names_in(modalities) or dataset.modalities, 3 if color else 1
            )
            model = train_model(
                dataset, out, encoders, network=Model,
                video=video_input(encoders, frames, frame_size, color, faces),
                activation=activation, kind=loss, devices=devices,
                **options_of(context, (each.name for each in fields(Settings))), **shared,
            )  # fmt: skip
    if is_first_process():
        _say_saved(model, out, datasets)


def _say_saved(model: Network, out: Path, datasets: Sequence[Dataset]) -> None:
    from ter_fast.cli.console import thresholds_table

    Console().print(thresholds_table(model.config), escape_markup(f"saved to {out}"))
    if said := note_untested(*datasets):
        Console().print(said)


def _check_only_with_recipe(context: typer.Context) -> None:
    """Refuse options that the recipe settles."""
    given = [
        name
        for name in context.params
        if name not in BESIDE_RECIPE
        and getattr(context.get_parameter_source(name), "name", "") == "COMMANDLINE"
    ]
    if given:
        options = ", ".join("--" + name.replace("_", "-") for name in given)
        raise TerFastError(
            f"--recipe settles {options}; leave it out, or give a copy of the recipe's YAML that says otherwise"
        )


@contextmanager
def _stop_as_sentence(
    data: Sequence[str],
    rename: Sequence[str] | None,
    out: Path,
    checkpoints: Path | None,
    recipe: str,
) -> Iterator[None]:
    """Say what Ctrl-C left, and how to go on; the exit code is 130, as of all that it stops."""
    from ter_fast.train import CalibrationStopped, TrainingStopped, is_first_process

    try:
        yield
    except (CalibrationStopped, TrainingStopped) as stopped:
        kept = isinstance(stopped, CalibrationStopped) or (stopped.best > 0 and not recipe)
        lines = [str(stopped)]
        if kept:
            options = [("--data", each) for each in data] + [("--rename", r) for r in rename or ()]
            given = shlex.join(part for option in options for part in option)
            lines += [
                f"saved to {out}, without thresholds",
                f"to use it as it is: ter-fast calibrate --model {shlex.quote(str(out))} {given}",
            ]
        if recipe:
            lines.append(f"members that are finished lie in {out / 'experts'}")
        lines.append(
            "to go on: the same command"
            if recipe or checkpoints is not None
            else "to start again: the same command" + (" with --overwrite" if kept else "")
        )
        if checkpoints is None:
            lines.append("with --checkpoints FOLDER it would go on after the last whole epoch")
        if is_first_process():
            _say_stopped(lines)
        raise typer.Exit(130) from stopped
    except KeyboardInterrupt as stopped:
        _say_stopped(["stopped before training began; nothing is saved"])
        raise typer.Exit(130) from stopped


def _say_stopped(lines: Sequence[str]) -> None:
    Console(stderr=True, soft_wrap=True).print(escape_markup("\n".join(lines)), highlight=False)
