"""Raters' votes as evidence: fuse those who heard with those who saw, and ask those who did both."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.comparison.folds import Protocol, grouped_folds
from ter_fast.errors import DataError

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]

CHANNELS = ("voice", "face", "audiovisual")
"""What raters were given, in the order of `counts`."""


@dataclass(frozen=True)
class Votes:
    """Hold how many raters chose each emotion for N clips.

    Attributes:
        voice: (N, K) votes of those who heard the clip.
        face: (N, K) votes of those who saw it.
        both: (N, K) votes of those who heard and saw it.
        intended: (N,) number of the emotion that the actor was asked for.
        actor: (N,) who acted.
        classes: (K,) emotions.
    """

    voice: Floats
    face: Floats
    both: Floats
    intended: Labels
    actor: Labels
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.actor)

    def __getitem__(self, rows: Any) -> Votes:
        """Return some of the clips."""
        return Votes(
            self.voice[rows], self.face[rows], self.both[rows], self.intended[rows],
            self.actor[rows], self.classes,
        )  # fmt: skip


def read_vote_counts(path: str | Path) -> Votes:
    """Read votes from a NumPy archive.

    It holds `counts` (N, 3, K) of voice, face and both, `intended` (N,), `actor` (N,) and `classes`
    (K,). Clips without a vote in one of the three are left out.

    Args:
        path: The archive, or a folder that holds one .npz file.

    Raises:
        DataError: It cannot be read, or holds something else; the message says what.

    Example:
        >>> read_vote_counts("nowhere.npz")
        Traceback (most recent call last):
        ter_fast.errors.DataError: nowhere.npz cannot be read (No such file or directory); check the path
    """
    file = Path(path)
    if file.is_dir():
        found = sorted(file.glob("*.npz"))
        if len(found) != 1:
            raise DataError(f"{file} holds {len(found)} .npz files; name the one with the votes")
        file = found[0]
    content = _read(file)
    if absent := sorted({"counts", "intended", "actor", "classes"} - set(content)):
        raise DataError(
            f"{file} holds {sorted(content)}, but no {absent[0]}; it is no table of votes"
        )
    counts, intended, actor = (content[key] for key in ("counts", "intended", "actor"))
    classes = tuple(map(str, content["classes"].ravel()))
    shapes = (counts.shape[1:], intended.shape, actor.shape)
    wanted = ((len(CHANNELS), len(classes)), counts.shape[:1], counts.shape[:1])
    whole = all(np.issubdtype(each.dtype, np.integer) for each in (counts, intended, actor))
    if shapes != wanted or not whole or len(classes) < 2:
        raise DataError(
            f"{file}: counts {counts.shape}, intended {intended.shape} and actor {actor.shape} of "
            f"{len(classes)} classes; expected whole numbers (N, 3, K), (N,) and (N,)"
        )
    if counts.size and (
        counts.min() < 0 or not 0 <= intended.min() <= intended.max() < len(classes)
    ):
        raise DataError(f"{file}: a count is negative, or an intended emotion is none of {classes}")
    kept = counts.sum(2).all(1)
    voice, face, both = np.moveaxis(counts[kept].astype(np.float64), 1, 0)
    return Votes(
        voice, face, both, intended[kept].astype(np.int64), actor[kept].astype(np.int64), classes
    )


def shares(counts: Floats) -> Floats:
    """Return the share of each class among the votes of a clip, (N, K).

    Example:
        >>> shares(np.array([[3.0, 1.0]])).tolist()
        [[0.75, 0.25]]
    """
    return np.asarray(counts / counts.sum(1, keepdims=True))


def majority(counts: Floats) -> Labels:
    """Return the class with most votes, (N,); -1 where two have as many.

    Example:
        >>> majority(np.array([[3.0, 1.0], [2.0, 2.0]])).tolist()
        [0, -1]
    """
    ordered = np.sort(counts, axis=1)
    return np.where(ordered[:, -1] > ordered[:, -2], counts.argmax(1), -1)


def log_loss(probability: Floats, target: Floats) -> float:
    """Return the mean of -sum_k y_k ln p_k over (N, K).

    Example:
        >>> round(log_loss(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])), 4)
        0.6931
    """
    return float(log_losses(probability, target).mean())


def log_losses(probability: Floats, target: Floats) -> Floats:
    """Return -sum_k y_k ln p_k of each clip, (N,)."""
    return np.asarray(-(target * np.log(np.maximum(probability, 1e-12))).sum(1))


def jensen_shannon(probability: Floats, target: Floats) -> Floats:
    """Return the Jensen-Shannon divergence of each clip in nats, (N,), in [0, ln 2].

    Reference:
        Lin, "Divergence measures based on the Shannon entropy", 1991.

    Example:
        >>> round(float(jensen_shannon(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]]))[0]), 4)
        0.6931
    """
    from scipy.special import rel_entr

    middle = (probability + target) / 2
    return np.asarray((rel_entr(probability, middle) + rel_entr(target, middle)).sum(1) / 2)


def _read(file: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with file.open("rb") as opened, np.load(opened) as archive:
            return {key: archive[key] for key in archive.files}
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{file} cannot be read ({reason}); check the path") from error
    except (
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        raise DataError(f"{file} is no archive of votes, or cut off ({error})") from error


def half_of_actors(actors: Labels, seed: int) -> Sequence[tuple[Labels, Labels]]:
    """Return rows to fit on and rows to ask, for both halves of the actors.

    Example:
        >>> sorted(asked.tolist() for _, asked in half_of_actors(np.array([1, 1, 2]), 0))
        [[0, 1], [2]]
    """
    halves = grouped_folds(actors, Protocol(2, "actor", "", {}), seed)
    return [(half.train, half.test) for half in halves]
