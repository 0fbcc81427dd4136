"""IEMOCAP: ten actors in five sessions of dialogue, improvised and scripted, in English."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ter_fast.data.dataset import Dataset, Sample
from ter_fast.data.messages import report_missing
from ter_fast.data.names import require_option
from ter_fast.data.registry import register_dataset
from ter_fast.errors import DataError

REFERENCE = "Busso et al. 2008"
TERMS = f"IEMOCAP: research use on a signed licence, no redistribution ({REFERENCE})"

CLASSES = {
    "4": {
        "ang": "anger",
        "exc": "happiness",
        "hap": "happiness",
        "neu": "neutral",
        "sad": "sadness",
    },
    "6": {
        "ang": "anger",
        "exc": "excitement",
        "fru": "frustration",
        "hap": "happiness",
        "neu": "neutral",
        "sad": "sadness",
    },
}
"""The two conventions: which of the corpus' categories count, and under which name."""

_CATEGORIES = ("ang", "dis", "exc", "fea", "fru", "hap", "neu", "oth", "sad", "sur", "xxx")
_HEADER = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]"
_DIALOGUE = re.compile(r"Ses0([1-5])([FM])_(impro|script)\d\d(?:_\d[a-z]?|[a-z])?", re.ASCII)
_NUMBER = r"\d+(?:\.\d+)?"
_TURN = re.compile(
    rf"\[({_NUMBER}) - ({_NUMBER})\]\t(\S+_([FM])\S*\d+)\t([a-z]{{3}})"
    rf"\t\[({_NUMBER}), ({_NUMBER}), ({_NUMBER})\]",
    re.ASCII,
)
_RATING = re.compile(r"[CA]-\w+:", re.ASCII)


@register_dataset(
    "iemocap",
    title="IEMOCAP",
    description="dialogues in English, improvised and scripted, 10 actors",
    modalities=("audio", "video"),
    labels=set(CLASSES["4"].values()),
    terms=TERMS,
    reference=REFERENCE,
    split="none published; protocol=leave-Ses01-out",
)
def load_iemocap(path: str | Path, classes: str = "4", modality: str = "audio") -> Dataset:
    """Read IEMOCAP from the evaluations of its sessions, one sample for each turn.

    ``Session<n>/dialog/EmoEvaluation/<dialogue>.txt`` says what most evaluators heard in each
    turn, and when it was; the sound is ``Session<n>/sentences/wav/<dialogue>/<turn>.wav``, and
    ``dialog/avi`` holds a film of the whole dialogue. A turn without its sound is warned of, and
    counts as a file that cannot be read.

    The group is the speaker of the turn. Figures are published leaving one session, and so two
    speakers, out: ``protocol="leave-Ses01-out"`` … ``"leave-Ses05-out"``; or one speaker:
    ``"leave-Ses01F-out"``. Of itself the corpus has no split.

    Args:
        path: Folder that holds ``Session1`` … ``Session5``, or some of them.
        classes: ``"4"``: anger, happiness (with excitement), neutral and sadness; 5,531 turns.
            ``"6"``: excitement apart from happiness, and frustration. Other turns are left out.
        modality: ``"audio"``, the sound of the turns; ``"audio-visual"``, the turn's span of the
            film too, where there is a film. It shows both actors, and the largest face may be the
            listener's; and some films end before their last turns do, which then cannot be read.

    Raises:
        DataError: No sessions, an unknown option, an evaluation that is not written as
            published, no sound at all, or no film where films are asked for.

    Reference:
        Busso et al. (2008), "IEMOCAP: interactive emotional dyadic motion capture database".

    Example:
        >>> load_iemocap("IEMOCAP", classes="5")
        Traceback (most recent call last):
        ter_fast.errors.DataError: iemocap: classes='5'; expected one of ['4', '6'].
    """
    require_option("iemocap", "classes", classes, tuple(CLASSES))
    require_option("iemocap", "modality", modality, ("audio", "audio-visual"))
    root = Path(path)
    tables = [
        table
        for table in sorted(root.glob("Session[1-5]/dialog/EmoEvaluation/*.txt"))
        if not table.name.startswith(".")
    ]
    if not tables:
        raise DataError(
            f"{root} holds no Session<n>/dialog/EmoEvaluation/*.txt. Give the folder that holds "
            f"Session1 to Session5 (in the archive: IEMOCAP_full_release)."
        )
    samples = tuple(s for table in tables for s in _turns(table, CLASSES[classes]))
    silent = [Path(s.path).name for s in samples if not Path(s.path).is_file()]
    report_missing(
        silent, len(samples), "sound", f"{root}",
        "They are expected in Session<n>/sentences/wav. Unpack the sentences of every session that "
        "is there; `ter-fast data check` names all. What is missing counts as a file that cannot be "
        "read.",
    )  # fmt: skip
    labels = tuple(sorted(set(CLASSES[classes].values())))
    if modality == "audio":
        return Dataset("iemocap", labels, samples, TERMS, ("audio",))
    seen = tuple(_with_film(sample) for sample in samples)
    unseen = sorted({s.attributes["dialogue"] for s in seen if s.span is None})
    dialogues = {s.attributes["dialogue"] for s in seen}
    report_missing(
        unseen, len(dialogues), "film", f"{root}",
        "They are expected in Session<n>/dialog/avi; their turns are taken as sound alone.",
    )  # fmt: skip
    return Dataset("iemocap", labels, seen, TERMS, ("audio", "video"))


def _with_film(sample: Sample) -> Sample:
    known = dict(sample.attributes)
    film = known.pop("film", None)
    if film is None:
        return sample
    span = float(known["start"]), float(known["end"])
    return replace(sample, path=film, span=span, attributes=known | {"audio_path": sample.path})


def _turns(table: Path, names: dict[str, str]) -> Iterator[Sample]:
    session = table.parents[2]
    dialogue = _DIALOGUE.fullmatch(table.stem)
    if dialogue is None or dialogue[1] != session.name[-1]:
        raise DataError(
            f"{table}: expected a name as Ses01F_impro01.txt or Ses01F_script01_1.txt in the "
            f"folder of its session. Move other files elsewhere."
        )
    films = sorted(session.glob(f"dialog/avi/**/{table.stem}.avi"))
    shown = [film for film in films if not film.name.startswith(".")]
    for number, line in enumerate(_lines(table), start=1):
        if not line or line == _HEADER or _RATING.match(line):
            continue
        turn = _TURN.fullmatch(line)
        if turn is None or not turn[3].startswith(f"{table.stem}_") or turn[5] not in _CATEGORIES:
            raise DataError(
                f"{table}, line {number}: {line[:80]!r} is not written as published; expected "
                f"[start - end], turn, category and [valence, activation, dominance] with tabs "
                f"between. Unpack the archive again."
            )
        if turn[5] not in names:
            continue
        start, end, name, sex, category, valence, activation, dominance = turn.groups()
        yield Sample(
            path=str(session / "sentences" / "wav" / table.stem / f"{name}.wav"),
            label=names[category],
            split="",
            group=f"iemocap:Ses0{dialogue[1]}{sex}",
            attributes={
                "corpus": "iemocap",
                "session": f"Ses0{dialogue[1]}",
                "dialogue": table.stem,
                "kind": "improvised" if dialogue[3] == "impro" else "scripted",
                "category": category,
                "sex": "female" if sex == "F" else "male",
                "language": "english",
                "start": start,
                "end": end,
                "valence": valence,
                "activation": activation,
                "dominance": dominance,
                **({"film": str(shown[0])} if shown else {}),
            },
        )


def _lines(table: Path) -> list[str]:
    try:
        # The turns are plain ASCII; an evaluator's remark in another encoding is no matter.
        text = table.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(
            f"{table} cannot be read ({error.strerror}). Unpack the archive again."
        ) from error
    return [line.rstrip() for line in text.splitlines()]
