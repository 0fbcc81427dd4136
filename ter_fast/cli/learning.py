"""The commands that make models: `train`, `join` and `calibrate`."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ter_fast.cli.common import (
    dataset_of,
    escape_markup,
    load,
    names_in,
    note_untested,
    number_or_name,
    options_of,
    warnings_as_sentences,
)
from ter_fast.cli.options import DataOption, DeviceOption, FaceModelOption, QuietOption
from ter_fast.cli.out_of_distribution import learn_or_drop
from ter_fast.errors import TerFastError
from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS
from ter_fast.opinions.fusion_rules import FUSION_RULES


def train(
    context: typer.Context,
    data: DataOption,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model.")],
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
            help="Folder for the state after each epoch; the same command goes on from there after a kill."
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

    For several processes: torchrun --nproc-per-node 2 -m ter_fast train …; the batch size is that of each.
    """
    from ter_fast.cli.console import thresholds_table
    from ter_fast.cli.encoders import chosen_encoders, video_input
    from ter_fast.cli.recipes import by_recipe, only_with_recipe
    from ter_fast.data import with_validation
    from ter_fast.model import Model
    from ter_fast.predict.prepare import parse_limit
    from ter_fast.train import SCHEDULES, Settings, is_first_process

    if recipe:
        only_with_recipe(context)
        by_recipe(
            recipe, data, out, labels=names_in(labels), validation_share=validation_share, checkpoints=checkpoints,
            max_unreadable=parse_limit(max_unreadable), face_model=face_model, progress=not quiet,
        )  # fmt: skip
        return
    if schedule not in SCHEDULES:
        raise TerFastError(f"--schedule is {schedule!r}; expected one of {', '.join(SCHEDULES)}")
    limit = parse_limit(max_unreadable)
    dataset = with_validation(dataset_of(data, names_in(labels)), validation_share, seed)
    chosen = names_in(modalities) or dataset.modalities
    encoders = chosen_encoders(encoder or (), chosen, 3 if color else 1)
    video = video_input(encoders, frames, frame_size, color, faces)
    model = Model.build(
        dataset.labels,
        encoders if encoder else chosen,
        video=video,
        seed=seed,
        activation=activation,
    )
    model.fit(
        dataset,
        **options_of(context, (each.name for each in fields(Settings))),
        kind=loss,
        checkpoints=checkpoints,
        resume=True,
        devices=devices,
        max_unreadable=limit,
        face_model=face_model,
        progress=not quiet,
    )
    if not is_first_process():
        return
    # Hours of training are not lost to a validation split that no threshold can be set on.
    model.save_pretrained(out)
    model.calibrate(dataset.split("validation"), face_model=face_model, progress=not quiet)
    model.save_pretrained(out)
    Console().print(thresholds_table(model.config), escape_markup(f"saved to {out}"))
    if said := note_untested(dataset):
        Console().print(said)


def join(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the joined model.")],
    audio: Annotated[
        list[str] | None,
        typer.Option(help="Model with an audio expert; repeated, their logits are averaged."),
    ] = None,
    video: Annotated[
        list[str] | None,
        typer.Option(help="Model with a video expert; repeated, their logits are averaged."),
    ] = None,
    rule: Annotated[
        str, typer.Option(help=f"Fusion rule: {', '.join(FUSION_RULES)}.")
    ] = "dempster",
) -> None:
    """Join experts, trained apart, into one model; calibrate it next."""
    from ter_fast.model import Model

    if not audio and not video:
        raise TerFastError("there is nothing to join; give models by --audio and --video")
    given = {"audio": audio or [], "video": video or []}
    experts: dict[str, Any] = {
        name: [load(each) for each in names] for name, names in given.items() if names
    }
    joined = Model.from_experts(rule=rule, **experts)
    joined.save_pretrained(out)
    Console().print(
        escape_markup(f"saved to {out}; now: ter-fast calibrate --model {out} --data … --data …")
    )


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
            help="In place of a criterion: guarantee that at most this share of the trusted is wrong."
        ),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Largest probability that the guarantee is broken; 0.05 when left out."),
    ] = None,
    guarantee_for: Annotated[
        str | None,
        typer.Option(
            help="groups: for new speakers (the default); clips: for further clips of the same."
        ),
    ] = None,
    confidence: Annotated[
        str | None,
        typer.Option(
            help=f"Kind of confidence to use from now on: {', '.join(CONFIDENCE_KINDS)}; best: that of the "
            "lowest AURC."
        ),
    ] = None,
    disagreement_limit: Annotated[
        str | None,
        typer.Option(
            help="Not trusted above this disagreement; youden: where it best tells right predictions from "
            "clips whose modalities are of two labels.",
        ),
    ] = None,
    disagreement_quantile: Annotated[
        float | None,
        typer.Option(
            help="Set that limit so that this share of the right predictions stays within."
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            help="clip, or window: thresholds of the windows that long clips are cut in, kept apart."
        ),
    ] = "clip",
    reliability: Annotated[
        bool, typer.Option("--reliability", help="First learn how far to believe each modality.")
    ] = False,
    conformal: Annotated[
        float | None,
        typer.Option(
            help="Also calibrate label sets, of which at most this share miss the true label, such as 0.1."
        ),
    ] = None,
    ood: Annotated[
        bool | None,
        typer.Option(
            "--ood/--no-ood",
            help="First learn, from the splits train and --split, to discount out-of-distribution input; or drop that.",
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
    from ter_fast.cli.console import thresholds_table

    loaded = load(model, device)
    if out is None and not Path(model).is_dir():
        raise TerFastError(
            f"--model {model} is not a folder that can be changed; give --out FOLDER"
        )
    datasets = [dataset_of([each], loaded.config.labels) for each in data]
    with warnings_as_sentences():
        if ood is not None:
            learn_or_drop(
                loaded, datasets, split, learn=ood, with_risk=risk is not None,
                face_model=face_model, progress=not quiet,
            )  # fmt: skip
        loaded.calibrate(
            *(dataset.split(split) for dataset in datasets),
            criterion=criterion,
            risk=risk,
            delta=delta,
            guarantee_for=guarantee_for,
            confidence=confidence,
            disagreement_limit=number_or_name(disagreement_limit),
            disagreement_quantile=disagreement_quantile,
            unit=unit,
            reliability=reliability,
            conformal=conformal,
            face_model=face_model,
            progress=not quiet,
        )
    loaded.save_pretrained(out or model)
    Console().print(thresholds_table(loaded.config), escape_markup(f"saved to {out or model}"))
