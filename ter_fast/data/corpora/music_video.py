"""Music_video: scenes of music videos in six emotions, with sound and pictures."""

from __future__ import annotations

import re
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample, shared_groups
from ter_fast.data.files import FILM, SOUND, find_media
from ter_fast.data.messages import counted_examples, require_label
from ter_fast.data.names import require_option
from ter_fast.data.registry import register_dataset
from ter_fast.data.tables import read_table
from ter_fast.errors import DataError

REFERENCE = "Pandeya et al. 2021"
TERMS = f"Music_video: research use only, no redistribution of clips ({REFERENCE})"

LABELS = ("excited", "fear", "neutral", "relaxation", "sad", "tension")
"""The folders' own names in lower case: scenes of music, not the seven basic emotions."""

_SPLIT = {"train": "train", "validation": "test"}
_OPTIONS = ("official", "clean")
_PART_OF_SOURCE = re.compile(r"(.+)-\d+-of-\d+")


@register_dataset(
    "music_video",
    title="Music_video",
    description="scenes of music videos",
    modalities=("audio", "video"),
    labels=LABELS,
    terms=TERMS,
    reference=REFERENCE,
    split="as published, which shares sources; split=clean does not",
    clean="music_video:PATH?split=clean leaves their clips out of training",
)
def load_music_video(path: str | Path, split: str = "official") -> Dataset:
    """Read Music_video from ``<split>/<Emotion>/video/*.mp4`` or ``<split>/<Emotion>/*.mp4``.

    The published figures are on the official Validation folder, so Validation becomes the split
    ``"test"`` and Train ``"train"``; make a validation part from Train with
    `ter_fast.data.holdout`.

    The group is the source video: ``source_id`` of ``index.csv`` where that is there, else the
    file name without its ``-3-of-8``, and always with its emotion, for the same number in two
    emotions' folders is two different videos. The official folders share sources; that
    is kept, and `Dataset.check` warns of it.

    In the official tree the sound lies apart: ``attributes["audio_path"]`` names the sound file
    of that clip, and is absent where the film is all there is.

    Args:
        path: Folder that holds ``Train`` and ``Validation``.
        split: ``"official"``, or ``"clean"``, which leaves out of the training part what
            shares a source with Validation, so that figures stay on the same clips.

    Raises:
        DataError: No films, an unknown option, or a folder that is no split or emotion.

    Reference:
        Pandeya, Bhattarai and Lee (2021), "Deep-Learning-Based Multimodal Emotion
        Classification for Music Videos".

    Example:
        >>> load_music_video("clips", split="random")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ter_fast.errors.DataError: music_video: split='random'; expected one of ...
    """
    require_option("music_video", "split", split, _OPTIONS)
    root = Path(path)
    films = find_media(root, FILM)
    sources = _read_sources(root / "index.csv")
    samples = tuple(_sample(film.relative_to(root), root, sources) for film in films)
    dataset = Dataset("music_video", LABELS, samples, TERMS, ("audio", "video"))
    shared = frozenset(shared_groups(dataset))
    kept = samples
    if split == "clean":
        kept = tuple(s for s in samples if s.split == "test" or s.group not in shared)
        shared = frozenset()
    return Dataset("music_video", LABELS, kept, TERMS, ("audio", "video"), shared)


def _read_sources(index: Path) -> dict[str, str]:
    if not index.is_file():
        return {}
    remedy = "Restore it, or delete it to take the sources from the file names."
    rows = list(read_table(index, ("path", "source_id"), remedy))
    sources = {row["path"]: row["source_id"] for row in rows}
    missing = [name for name in sources if not (index.parent / name).is_file()]
    if missing:
        raise DataError(
            f"{index} lists {counted_examples(missing, 'clip')} that its folder does not hold. "
            f"Copy the missing clips, or remove their rows."
        )
    return sources


def _sample(film: Path, root: Path, sources: dict[str, str]) -> Sample:
    where = f"music_video, {film}"
    folders = [part for part in film.parts[:-1] if part.lower() != "video"]
    if len(folders) != 2 or folders[0].lower() not in _SPLIT:
        raise DataError(
            f"{where}: expected <split>/<Emotion>/video/<clip> or <split>/<Emotion>/<clip> with "
            f"the splits Train and Validation. Give the folder that holds Train and Validation."
        )
    folder, emotion = folders
    require_label(emotion.lower(), LABELS, where)
    part = _PART_OF_SOURCE.fullmatch(film.stem)
    source = sources.get(film.as_posix()) or (part[1] if part else film.stem)
    attributes = {"corpus": "music_video", "folder": folder, "source_id": source}
    sound = _sound_beside(root / film)
    if sound is not None:
        attributes["audio_path"] = str(sound)
    return Sample(
        path=str(root / film),
        label=emotion.lower(),
        split=_SPLIT[folder.lower()],
        group=f"music_video:{emotion.lower()}/{source}",
        attributes=attributes,
    )


def _sound_beside(film: Path) -> Path | None:
    if film.parent.name.lower() != "video":
        return None
    candidates = (film.parent.parent / "audio" / f"{film.stem}{suffix}" for suffix in SOUND)
    return next((file for file in candidates if file.is_file()), None)
