"""The corpora that are loaded by name: what each holds, on which terms, and what reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from ter_fast.data.dataset import SPLITS, Dataset

CORPORA: dict[str, Corpus] = {}
"""Every registered corpus by name, in alphabetical order."""

FORMATS = ("folders", "shards")
"""What else may stand before a path: layouts that hold any clips."""

# Two letters at least: "C:\clips.csv" names a drive, not a corpus.
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]+")

_Loader = TypeVar("_Loader", bound=Callable[..., Dataset])


@dataclass(frozen=True)
class Corpus:
    """Describe a corpus that `ter_fast.data.load_dataset` knows by name.

    Attributes:
        name: As in ``"ravdess:PATH"``.
        load: From its path, and options as keywords, to the dataset.
        title: Its name as its authors write it.
        description: What it is, in a few words.
        modalities: What its clips may hold.
        labels: Its classes as they are read without options.
        terms: Licence or terms of use, in one line.
        reference: Who published it, and when.
        split: How it is split, in a few words.
        protocols: Splits from papers: by name, the split of each group; other groups are for
            training.
        clean: Where its published split shares groups, how to load one that does not.
    """

    name: str
    load: Callable[..., Dataset]
    title: str
    description: str
    modalities: tuple[str, ...]
    labels: tuple[str, ...]
    terms: str
    reference: str
    split: str
    protocols: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clean: str = ""

    @property
    def options(self) -> tuple[str, ...]:
        """Return what may follow the path, as in ``"ravdess:PATH?calm=keep"``.

        These are the parameters of `load` after the first.

        Example:
            >>> from ter_fast.data import CORPORA
            >>> CORPORA["ravdess"].options
            ('calm', 'channel', 'modality')
        """
        return tuple(inspect.signature(self.load).parameters)[1:]


def register_dataset(
    name: str,
    *,
    title: str,
    description: str = "",
    modalities: Iterable[str],
    labels: Iterable[str],
    terms: str,
    reference: str = "",
    split: str = "none published",
    protocols: Mapping[str, Mapping[str, str]] | None = None,
    clean: str = "",
) -> Callable[[_Loader], _Loader]:
    """Register a function that reads a corpus, so that `load_dataset` takes ``"name:PATH"``.

    The function is given the path, and as keywords whatever options follow a ``?``; their values
    are texts, so its other parameters need defaults that are. On the command line
    ``ter-fast --import MODULE_OR_FILE.py …`` runs the code that registers it.

    Args:
        name: Two letters, digits, ``_`` or ``-`` at least.
        title: Its name as its authors write it.
        description: What it is, in a few words.
        modalities: What its clips may hold: ``"audio"``, ``"video"``, registered ones.
        labels: Its classes as they are read without options.
        terms: Licence or terms of use, in one line.
        reference: Who published it, and when.
        split: How it is split, in a few words.
        protocols: Splits from papers: by name, the split of each group; other groups are for
            training. `load_dataset` takes them as ``"name:PATH?protocol=…"``.
        clean: Where its published split shares groups, how to load one that does not.

    Raises:
        ValueError: The name is none, or taken by another function or a layout; or a protocol
            names an unknown split.

    Example:
        >>> from ter_fast.data import CORPORA, Sample, load_dataset
        >>> @register_dataset(
        ...     "doctest_greetings", title="Greetings", modalities=["audio"],
        ...     labels=["calm", "joy"], terms="CC0", protocols={"ours": {"ben": "test"}},
        ... )
        ... def load_greetings(path):
        ...     clips = (
        ...         Sample(f"{path}/hello.wav", "joy", "", "anna"),
        ...         Sample(f"{path}/bye.wav", "calm", "", "ben"),
        ...     )
        ...     return Dataset("doctest_greetings", ("calm", "joy"), clips, "CC0", ("audio",))
        >>> data = load_dataset("doctest_greetings:clips?protocol=ours")
        >>> [(clip.label, clip.split) for clip in data]
        [('joy', 'train'), ('calm', 'test')]
        >>> del CORPORA["doctest_greetings"]
    """
    if not NAME.fullmatch(name):
        raise ValueError(
            f"corpus name {name!r}; expected letters, digits, _ and -, two at least, as in 'ravdess'"
        )
    if name in FORMATS:
        raise ValueError(f"corpus name {name!r} is that of a layout; choose another")
    protocols = protocols or {}
    if unknown := {each for parts in protocols.values() for each in parts.values()} - {*SPLITS}:
        raise ValueError(f"protocols of {name}: unknown splits {sorted(unknown)}")

    def register(load: _Loader) -> _Loader:
        taken = CORPORA[name].load if name in CORPORA else load
        if (taken.__module__, taken.__qualname__) != (load.__module__, load.__qualname__):
            raise ValueError(
                f"corpus name {name!r} is taken by {taken.__module__}.{taken.__qualname__}"
            )
        CORPORA[name] = Corpus(
            name, load, title, description, tuple(modalities), tuple(sorted(labels)), terms,
            reference, split, protocols, clean,
        )  # fmt: skip
        known = sorted(CORPORA.items())
        CORPORA.clear()
        CORPORA.update(known)
        return load

    return register
