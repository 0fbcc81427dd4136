"""The suite: which corruptions there are, what each changes, and how much of it a severity is."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ter_fast.errors import DataError

SEVERITIES = (1, 2, 3, 4, 5)
"""The severities of every corruption, the last the worst."""

KINDS = ("audio", "video", "cross")
"""What a corruption is of, in the order in which they are listed."""

CORRUPTIONS: dict[str, Corruption] = {}
"""Every registered corruption by name: of sound, of pictures, then between them."""

Level = float | tuple[float, ...]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = ("suite", "clean")

_Change = TypeVar("_Change", bound=Callable[..., Any])


@dataclass(frozen=True)
class Corruption:
    """Describe one corruption.

    Attributes:
        name: As it is asked for.
        modality: What it changes: ``"audio"`` or ``"video"``; the other one stays as it is.
        title: In words, as a heading.
        measure: What the levels are, with their unit; of several numbers a level, with ``;``
            between.
        levels: (5,) levels, of severity 1 to 5.
        change: The function that makes it.
        description: What else the documentation says of the levels.
        cross: Whether it is between sound and pictures, and so needs both.
        on_clip: Whether `change` takes and returns a `Clip`, not an array; always so with `cross`.
        whole_file: Decided once for a file, so that all of its windows fare alike.
        another_class: Whether other clips should be of another class, where there are such.
    """

    name: str
    modality: str
    title: str
    measure: str
    levels: tuple[Level, ...]
    change: Callable[..., Any]
    description: str = ""
    cross: bool = False
    on_clip: bool = False
    whole_file: bool = False
    another_class: bool = False

    @property
    def kind(self) -> str:
        """Return ``"cross"`` where it is between sound and pictures, else its modality."""
        return "cross" if self.cross else self.modality

    def takes(self, argument: str) -> bool:
        """Return whether `change` is to be given ``"others"`` or ``"boxes"``.

        Example:
            >>> CORRUPTIONS["babble"].takes("others"), CORRUPTIONS["silence"].takes("others")
            (True, False)
        """
        return argument in inspect.signature(self.change).parameters

    def level(self, severity: int) -> Level:
        """Return the level of a severity.

        Raises:
            DataError: The severity is none of 1 to 5.

        Example:
            >>> CORRUPTIONS["white_noise"].level(5)
            -5.0
        """
        if severity not in SEVERITIES:
            raise DataError(f"severity {severity!r} of {self.name}; expected 1, 2, 3, 4 or 5")
        return self.levels[severity - 1]


def register_corruption(
    name: str,
    *,
    modality: str,
    title: str,
    measure: str,
    levels: Sequence[Level],
    description: str = "",
    cross: bool = False,
    on_clip: bool = False,
    whole_file: bool = False,
    another_class: bool = False,
) -> Callable[[_Change], _Change]:
    """Register a function as a corruption, so that `corrupt` and ``--corrupt`` know its name.

    The function is given what it changes, the level of the severity and a `numpy.random.Generator`,
    and returns what it made of it: (samples,) float32 sound at 16 kHz, or (T, H, W, 3) uint8 pictures;
    the argument itself stays as it is. A parameter called ``others`` is given the sound of other
    clips, a list of (samples,); one called ``boxes`` the faces: left, top, width and height in each
    picture, None where there is none. For severities to be nested, draw the same random numbers
    at every level. On the command line ``ter-fast --import MODULE_OR_FILE.py …`` runs the code that
    registers it.

    Args:
        name: As it is asked for: letters, digits and ``_``.
        modality: What it changes: ``"audio"`` or ``"video"``; the other one stays as it is.
        title: In words, as a heading.
        measure: What the levels are, with their unit; of several numbers a level, with ``;`` between.
        levels: Of severity 1 to 5, a number or several.
        description: What else the documentation says of the levels.
        cross: Whether it is between sound and pictures, and so measured where a model has both. The
            function takes and returns a `Clip`, which may lack what it does not change.
        on_clip: Whether the function takes and returns a `Clip` in any case, as it must to change the
            number of pictures.
        whole_file: Whether it is decided once for a file, so that all of its windows fare alike.
        another_class: Whether ``others`` should be of another class, where there are such.

    Raises:
        ValueError: The name is none or taken by another function, the modality is another, or there are
            not five levels.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from ter_fast.media.corrupt import corrupt_audio
        >>> @register_corruption(
        ...     "doctest_quiet", modality="audio", title="Quiet", measure="gain, dB",
        ...     levels=(-6.0, -12.0, -18.0, -24.0, -30.0),
        ... )
        ... def quiet(sound, gain_db, draw):
        ...     return sound * np.float32(10 ** (gain_db / 20))
        >>> corrupt_audio(torch.ones(2), "doctest_quiet", 5)
        tensor([0.0316, 0.0316])
        >>> del CORRUPTIONS["doctest_quiet"]
    """
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise ValueError(
            f"corruption name {name!r}; expected letters, digits and _, and not {' or '.join(_RESERVED)}"
        )
    if modality not in ("audio", "video"):
        raise ValueError(f"modality {modality!r} of {name}; expected 'audio' or 'video'")
    if len(levels) != len(SEVERITIES):
        raise ValueError(f"{name} has {len(levels)} levels; expected {len(SEVERITIES)}")

    def register(change: _Change) -> _Change:
        taken = CORRUPTIONS[name].change if name in CORRUPTIONS else change
        if (taken.__module__, taken.__qualname__) != (change.__module__, change.__qualname__):
            raise ValueError(
                f"corruption name {name!r} is taken by {taken.__module__}.{taken.__qualname__}"
            )
        CORRUPTIONS[name] = Corruption(
            name, modality, title, measure, tuple(levels), change, description, cross,
            on_clip or cross, whole_file, another_class,
        )  # fmt: skip
        known = sorted(CORRUPTIONS.items(), key=lambda item: KINDS.index(item[1].kind))
        CORRUPTIONS.clear()
        CORRUPTIONS.update(known)
        return change

    return register


def suite(modalities: Sequence[str] = ("audio", "video")) -> tuple[str, ...]:
    """Return the names of the corruptions that touch these modalities, in the table's order.

    Those between sound and pictures need both.

    Example:
        >>> suite(["audio"])[:3]
        ('white_noise', 'babble', 'reverberation')
    """
    both = {"audio", "video"} <= set(modalities)
    return tuple(
        each.name
        for each in CORRUPTIONS.values()
        if (both if each.cross else each.modality in modalities)
    )


def chosen(text: str, modalities: Sequence[str] = ("audio", "video")) -> tuple[str, ...]:
    """Return the corruptions that a text names: "suite", or names with commas between.

    Raises:
        DataError: A name is no corruption, or is none of these modalities.

    Example:
        >>> chosen("babble, jpeg")
        ('babble', 'jpeg')
    """
    possible = suite(modalities)
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("suite",):
        return possible
    if not names or (unknown := [name for name in names if name not in possible]):
        given = ", ".join(unknown) if names else "nothing"
        raise DataError(
            f"{given} is no corruption of {' and '.join(modalities)}; give suite, or some of "
            f"{', '.join(possible)}"
        )
    return names
