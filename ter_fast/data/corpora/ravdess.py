"""RAVDESS: acted English speech and song, 24 actors, eight emotions."""

from __future__ import annotations

import re
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.files import FILM, SOUND, find_media, modalities_of
from ter_fast.data.messages import counted_examples
from ter_fast.data.names import require_option
from ter_fast.data.registry import register_dataset
from ter_fast.errors import DataError

REFERENCE = "Livingstone & Russo 2018"
TERMS = f"RAVDESS: CC BY-NC-SA 4.0 ({REFERENCE}), non-commercial use only"

_TEST_ACTORS = ("05", "10", "16", "19")
_VALIDATION_ACTORS = ("11", "13", "18", "22")
CHUMACHENKO = {
    **{f"ravdess:{actor}": "test" for actor in _TEST_ACTORS},
    **{f"ravdess:{actor}": "validation" for actor in _VALIDATION_ACTORS},
}
"""The split of Chumachenko et al. (2022); other actors are for training."""

_MODALITY = {"01": "audio-visual", "02": "video", "03": "audio"}
_CHANNEL = {"01": "speech", "02": "song"}
_EMOTION = {
    "01": ("neutral", "neutral"),
    "02": ("calm", "calm"),
    "03": ("happy", "happiness"),
    "04": ("sad", "sadness"),
    "05": ("angry", "anger"),
    "06": ("fearful", "fear"),
    "07": ("disgust", "disgust"),
    "08": ("surprised", "surprise"),
}
_INTENSITY = {"01": "normal", "02": "strong"}
_STATEMENT = {"01": "kids", "02": "dogs"}
_NAME = re.compile(
    r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(0[1-9]|1\d|2[0-4])", re.ASCII
)
_PICK = {
    "calm": ("merge", "keep"),
    "channel": ("speech", "song", "all"),
    "modality": ("richest", "audio-visual", "video", "audio"),
}


@register_dataset(
    "ravdess",
    title="RAVDESS",
    description="acted English speech and song, 24 actors",
    modalities=("audio", "video"),
    labels={label for _, label in _EMOTION.values()} - {"calm"},
    terms=TERMS,
    reference=REFERENCE,
    split="by actor, after Chumachenko et al. 2022",
    protocols={"chumachenko": CHUMACHENKO},
)
def load_ravdess(
    path: str | Path, calm: str = "merge", channel: str = "speech", modality: str = "richest"
) -> Dataset:
    """Read RAVDESS from its published file names, found at any depth below a folder.

    The seven fields of a name are modality, vocal channel, emotion, intensity, statement,
    repetition and actor. The split is by actor, after Chumachenko et al.: test 5, 10, 16, 19,
    validation 11, 13, 18, 22, training the rest. Copies of one recording count once. Song has
    neither disgust nor surprise, and none of actor 18.

    Args:
        path: Folder that holds the clips, such as ``Actor_01`` … or one with all of them.
        calm: ``"merge"`` counts calm as neutral and keeps the acted word in
            ``attributes["emotion"]``; ``"keep"`` makes it a class.
        channel: ``"speech"``, ``"song"`` or ``"all"``.
        modality: ``"audio-visual"``, ``"video"`` or ``"audio"`` for the files of that kind;
            ``"richest"`` leaves a film without sound, or a sound track, out where the
            audio-visual recording of the same performance is there.

    Raises:
        DataError: No clips, an unknown option, or names that are not RAVDESS names.

    Reference:
        Livingstone and Russo (2018), "The Ryerson Audio-Visual Database of Emotional Speech and
        Song". Split: Chumachenko et al. (2022), "Self-attention fusion for audiovisual emotion
        recognition with incomplete data".

    Example:
        >>> load_ravdess("no/such/folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: no/such/folder is not a folder. ...
    """
    for name, value in (("calm", calm), ("channel", channel), ("modality", modality)):
        require_option("ravdess", name, value, _PICK[name])
    samples = [_sample(file) for file in _recordings(Path(path))]
    if channel != "all":
        samples = [s for s in samples if s.attributes["channel"] == channel]
    samples = _of_modality(samples, modality)
    if not samples:
        raise DataError(
            f"{path} holds RAVDESS clips, but none with channel={channel!r} and "
            f"modality={modality!r}. Choose channel=all or another modality."
        )
    dataset = Dataset(
        name="ravdess",
        labels=tuple(sorted({label for _, label in _EMOTION.values()})),
        samples=tuple(samples),
        terms=TERMS,
        modalities=tuple(sorted({m for s in samples for m in _available_modalities(s)})),
    )
    return dataset.merge_classes({"calm": "neutral"}) if calm == "merge" else dataset


def _recordings(folder: Path) -> list[Path]:
    files = find_media(folder, FILM + SOUND)
    unnamed = [f for f in files if not _parse(f)]
    if unnamed:
        raise DataError(
            f"{counted_examples((f.name for f in unnamed), 'file')} below {folder} without a "
            f"RAVDESS name; expected seven two-digit fields as in 03-01-05-02-01-02-16.wav "
            f"(modality, channel, emotion, intensity, statement, repetition, actor). Move other "
            f"files elsewhere, or describe them in a manifest."
        )
    # Archives of RAVDESS repeat whole folders, and extracted sound lies beside its film under
    # the same name: the film, which has both, is the one to keep.
    films_first = sorted(files, key=lambda f: f.suffix.lower() in SOUND)
    unique: dict[str, Path] = {}
    for file in films_first:
        unique.setdefault(file.stem, file)
    return sorted(unique.values())


def _parse(file: Path) -> tuple[str, ...]:
    match = _NAME.fullmatch(file.stem)
    if match is None:
        return ()
    fields = match.groups()
    neutral_is_never_strong = fields[2] != "01" or fields[3] == "01"
    song_has_six_emotions = fields[1] == "01" or fields[2] not in ("07", "08")
    return fields if neutral_is_never_strong and song_has_six_emotions else ()


def _sample(file: Path) -> Sample:
    modality, channel, emotion, intensity, statement, repetition, actor = _parse(file)
    acted, label = _EMOTION[emotion]
    group = f"ravdess:{actor}"
    return Sample(
        path=str(file),
        label=label,
        split=CHUMACHENKO.get(group, "train"),
        group=group,
        attributes={
            "corpus": "ravdess",
            "modality": _MODALITY[modality],
            "channel": _CHANNEL[channel],
            "emotion": acted,
            "intensity": _INTENSITY[intensity],
            "statement": _STATEMENT[statement],
            "repetition": str(int(repetition)),
            "actor": actor,
            "sex": "male" if int(actor) % 2 else "female",
        },
    )


def _performance(sample: Sample) -> str:
    return Path(sample.path).stem[3:]


def _of_modality(samples: list[Sample], modality: str) -> list[Sample]:
    if modality != "richest":
        return [s for s in samples if s.attributes["modality"] == modality]
    both = {_performance(s) for s in samples if s.attributes["modality"] == "audio-visual"}
    return [
        s
        for s in samples
        if s.attributes["modality"] == "audio-visual" or _performance(s) not in both
    ]


def _available_modalities(sample: Sample) -> tuple[str, ...]:
    by_name = {"audio-visual": ("audio", "video"), "video": ("video",), "audio": ("audio",)}
    claimed = by_name[sample.attributes["modality"]]
    return tuple(m for m in claimed if m in modalities_of(sample.path))
