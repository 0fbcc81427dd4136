"""The commands `join` and `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from ter_fast.cli.common import (
    datasets_of,
    escape_markup,
    load,
    number_or_name,
    warnings_as_sentences,
)
from ter_fast.cli.options import (
    DataOption,
    DeviceOption,
    FaceModelOption,
    OverwriteOption,
    QuietOption,
    RenameOption,
)
from ter_fast.errors import TerFastError
from ter_fast.opinions.confidence_kinds import CONFIDENCE_KINDS
from ter_fast.opinions.fusion_rules import FUSION_RULES


def join(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the joined model.")],
    overwrite: OverwriteOption = False,
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
    from ter_fast.experts.target import check_target
    from ter_fast.model import Model

    if not audio and not video:
        raise TerFastError("there is nothing to join; give models by --audio and --video")
    check_target(out, overwrite)
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
    overwrite: OverwriteOption = False,
    split: Annotated[str, typer.Option(help="Split to calibrate on.")] = "validation",
    rename: RenameOption = None,
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
    from ter_fast.experts.target import check_target
    from ter_fast.train import drop_ood, fit_ood_by_dataset

    if out is None and not Path(model).is_dir():
        raise TerFastError(
            f"--model {model} is not a folder that can be changed; give --out FOLDER"
        )
    target = Path(model) if out is None else out
    # A copy may not replace another model unasked; a model is calibrated in its own folder by design.
    check_target(target, overwrite or target.resolve() == Path(model).resolve())
    if ood and risk is not None:
        raise TerFastError(
            f"--ood sets a limit on the split {split!r}, and a guarantee made on it would be void: run "
            "calibrate with --ood first, then with --risk on other data"
        )
    loaded = load(model, device)
    datasets = datasets_of(data, loaded.config.labels, rename)
    with warnings_as_sentences():
        held = [dataset.split(split) for dataset in datasets]
        if ood:
            fit_ood_by_dataset(loaded, datasets, split, face_model=face_model, progress=not quiet)
        elif ood is not None:
            drop_ood(loaded)
        loaded.calibrate(
            *held,
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
    loaded.save_pretrained(target)
    Console().print(thresholds_table(loaded.config), escape_markup(f"saved to {target}"))
