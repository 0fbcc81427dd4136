"""Training after a recipe."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from ter_fast.data import Dataset, with_validation
from ter_fast.data.renaming import unify
from ter_fast.errors import DataError
from ter_fast.experts.config import VideoInput
from ter_fast.experts.network import Network
from ter_fast.train.calibrate import calibrate
from ter_fast.train.fitting import fit
from ter_fast.train.interrupt import CalibrationStopped
from ter_fast.train.last_layer import fit_last_layer
from ter_fast.train.output import Output
from ter_fast.train.recipes.recipe import Member, Recipe

# Beside a trained member: what it and its data were.
KEY = "recipe.sha256"


def train(
    recipe: Recipe,
    *datasets: Dataset,
    out: str | Path,
    kind: type[Network] = Network,
    validation_share: float = 0.1,
    checkpoints: str | Path | None = None,
    face_model: str | Path | None = None,
    max_unreadable: int | float = 0.05,
    progress: bool = True,
    exist_ok: bool = True,
) -> Network:
    r"""Train every member that the data have a modality for, join them, and set the thresholds.

    Where the recipe says so, the last layer of a modality's members together is retrained before they are
    joined with the others. Members go to `out/experts`, and are not trained again when they are there; the
    model goes to `out`. Each learns from the split "train" and stops on "validation", on which thresholds
    are set too: evaluate on other groups. A second call goes on where the first was stopped or killed, and may
    replace what that saved.

    Args:
        recipe: What to train.
        *datasets: One that has several modalities, or one for each; no modality may be in two (see `join_alike`).
        out: Folder for the model.
        kind: Class of the model, `ter_fast.Model` or another `Network`.
        validation_share: Of the groups held out where the data have no validation split.
        checkpoints: Folder in which a member that is cut off keeps its state after each epoch.
        face_model: YuNet ONNX file for OpenCV; None for the built-in face detector.
        max_unreadable: Files that may be unreadable, a number or a share.
        progress: Show it.
        exist_ok: Whether a model that lies in `out` may be replaced; else that is refused before the work starts.

    Returns:
        The model, as it lies in `out`.

    Raises:
        ModelError: `out` cannot be written to, or holds a model that may not be replaced.
        TrainingStopped: Ctrl-C in the training of a member, which `checkpoints` go on with.
        CalibrationStopped: Ctrl-C in calibration; the joined model is saved, without thresholds.
        DataError: Data for none of the recipe's modalities, one in two datasets, or a folder that
            holds a member trained otherwise.

    Example:
        >>> train(Recipe.read("default"), out="mine")
        Traceback (most recent call last):
        ter_fast.errors.DataError: the recipe default has experts of audio and video; the data have ...
    """
    folder = Path(out)
    output = Output(folder, exist_ok, folder / "experts")
    output.check()
    owners = _owners(recipe, datasets)
    split = {id(each): with_validation(each, validation_share) for each in owners.values()}
    # All are built first: an encoder that there is not shows before hours of training.
    untrained = [
        (
            f"{modality}-{number}-{member.encoder}",
            member,
            split[id(owner)],
            _build(kind, member, owner),
        )
        for modality, owner in owners.items()
        for number, member in enumerate(recipe.experts[modality], 1)
    ]
    members: dict[str, list[Network]] = {}
    for number, (name, member, data, model) in enumerate(untrained, 1):
        title = f"member {number} of {len(untrained)} ({member.modality}, {member.encoder})"
        key, place = _key(model, member, data), folder / "experts" / name
        trained = _trained_before(kind, place, key)
        if progress:
            done = "training" if trained is None else f"trained before, in {place}"
            print(f"{title}: {done}", file=sys.stderr, flush=True)
        if trained is None:
            fit(
                model,
                data,
                **asdict(member.settings),
                checkpoints=None if checkpoints is None else Path(checkpoints) / name,
                resume=True,
                face_model=face_model,
                max_unreadable=max_unreadable,
                progress=progress,
                title=title,
            )
            trained = model
            trained.save_pretrained(place)
            (place / KEY).write_text(key + "\n", encoding="utf-8")
        members.setdefault(member.modality, []).append(trained)
    experts: dict[str, Any] = {**members}
    for modality, options in recipe.last_layer.items():
        if modality in members:
            alone: dict[str, Any] = {modality: members[modality]}
            settings: dict[str, Any] = {**options}
            experts[modality] = kind.from_experts(rule=recipe.rule, **alone)
            fit_last_layer(
                experts[modality],
                split[id(owners[modality])],
                **settings,
                face_model=face_model,
                max_unreadable=max_unreadable,
                progress=progress,
            )
    joined = kind.from_experts(rule=recipe.rule, **experts)
    # Hours of training are not lost to a validation split that no threshold can be set on.
    output.save(joined)
    calibration = dict(recipe.calibrate)
    # One modality has nothing to disagree with.
    if len(owners) < 2:
        calibration.pop("disagreement_quantile", None)
        calibration.pop("disagreement_limit", None)
    held = [each.split("validation") for each in split.values()]
    try:
        calibrate(joined, *held, face_model=face_model, progress=progress, **calibration)
    except KeyboardInterrupt as stopped:
        raise CalibrationStopped from stopped
    output.save(joined)
    return joined


def join_alike(datasets: Sequence[Dataset]) -> list[Dataset]:
    """Join the datasets that have the same modalities, in the order in which these come first.

    Labels that are other spellings of each other are put on one, in all of them, with a warning.

    Args:
        datasets: One or more, each of any modalities.

    Raises:
        DataError: Joined they are no dataset, such as for a clip in two of them; see `Dataset.check`.

    Example:
        >>> from ter_fast.data import Sample
        >>> def clips(name, modality):
        ...     samples = (Sample(f"{name}{k}.wav", k, "", "speaker") for k in ("calm", "joy"))
        ...     return Dataset(name, ("calm", "joy"), tuple(samples), "CC0", (modality,))
        >>> given = [clips("one", "audio"), clips("faces", "video"), clips("two", "audio")]
        >>> [each.name for each in join_alike(given)]
        ['one+two', 'faces']
    """
    alike: dict[tuple[str, ...], list[Dataset]] = {}
    for each in unify(datasets):
        alike.setdefault(each.modalities, []).append(each)
    joined = [reduce(add, group) for group in alike.values()]
    for each, group in zip(joined, alike.values(), strict=True):
        # Each alone was checked as it was read.
        if len(group) > 1:
            each.check()
    return joined


def _owners(recipe: Recipe, datasets: Sequence[Dataset]) -> dict[str, Dataset]:
    """Return the dataset that each modality of the recipe is learned from."""
    owners: dict[str, Dataset] = {}
    for modality in recipe.experts:
        having = [dataset for dataset in datasets if modality in dataset.modalities]
        if len(having) > 1:
            raise DataError(
                f"{' and '.join(each.name for each in having)} both have {modality}; give them as one "
                "dataset (A+B), or one that lacks it"
            )
        if having:
            owners[modality] = having[0]
    if not owners:
        there = sorted({name for each in datasets for name in each.modalities})
        raise DataError(
            f"the recipe {recipe.name} has experts of {' and '.join(recipe.experts)}; the data have "
            f"{' and '.join(there) or 'none'}"
        )
    return owners


def _build(kind: type[Network], member: Member, data: Dataset) -> Network:
    return kind.build(
        data.labels,
        {member.modality: (member.encoder, member.options)},
        video=VideoInput(**member.video) if member.video else None,
        seed=member.settings.seed,
    )


def _key(model: Network, member: Member, data: Dataset) -> str:
    """Return what tells a member and its data from others."""
    clips = [
        (Path(each.path).name, each.label, each.split, each.group)
        for each in (*data.split("train"), *data.split("validation"))
    ]
    said = (data.name, data.labels, clips, asdict(model.config), asdict(member.settings))
    return hashlib.sha256(repr(said).encode()).hexdigest()


def _trained_before(kind: type[Network], place: Path, key: str) -> Network | None:
    """Return the member that an earlier run left, None where there is none.

    Raises:
        DataError: What lies there was trained otherwise.
    """
    if not (place / KEY).is_file():
        return None
    if (place / KEY).read_text(encoding="utf-8").strip() != key:
        raise DataError(
            f"{place} was trained otherwise or on other data; remove it, or give another folder for the model"
        )
    return kind.from_pretrained(place)
