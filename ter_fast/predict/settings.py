"""The keywords of `Model.predict`, `Model.live` and `Model.preprocessor`: names, types and meaning."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypedDict, is_typeddict

from ter_fast.data.messages import closest_name
from ter_fast.errors import ModelError
from ter_fast.media.decode import Sampling


class WindowSettings(TypedDict, total=False):
    """How a clip is cut in windows, and how its pictures are taken: the keywords of `Model.live`.

    Attributes:
        window: Seconds of the windows that longer clips are cut in; None, the default, for the model's own.
            The clip's evidence is the mean over them, and `Prediction.windows` has each.
        hop: Seconds from one window's start to the next: less than `window` makes windows overlap, more
            leaves gaps; None, the default, for windows end to end.
        faces: "detect" or "whole"; None, the default, for the model's own way to take pictures.
        face_model: YuNet face detector (ONNX); None, the default, for the one that `ter-fast data
            fetch-models` fetched, if any. Without one, a model that asks for faces masks "video" and says so.
    """

    window: float | None
    hop: float | None
    faces: str | None
    face_model: str | Path | None


class FileSettings(WindowSettings, total=False):
    """How media files are read: the keywords of `Model.preprocessor`.

    Attributes:
        decode: Decoder of files, "pyav", "torchcodec" or "dali" (NVDEC where there is a GPU); None, the
            default, for the one that `ter-fast info` names.
        sampling: "exact", the default, takes the pictures shown at the sampled times; "keyframe" the
            nearest key frames, several times sooner.
    """

    decode: str | None
    sampling: Sampling


class PredictSettings(FileSettings, total=False):
    """How clips are predicted: the keywords of `Model.predict`.

    Attributes:
        batch_size: Windows that the experts see at once; 16 by default.
        workers: Threads that decode; None, the default, for one per core, at most 8.
        progress: Show a progress bar; False by default.
        threshold: In [0, 1], takes the place of the calibrated thresholds, of clips and of windows; `reasons`
            then say so, and there is no guarantee. None, the default, for the calibrated ones.
    """

    threshold: float | None
    batch_size: int
    workers: int | None
    progress: bool


def check_threshold(threshold: float | None) -> None:
    """Refuse a threshold that no confidence can be compared with.

    Raises:
        ModelError: It is not a number from 0 to 1.

    Example:
        >>> check_threshold(0.8)
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise ModelError(f"threshold is {threshold}; expected a number from 0 to 1")


def check_keywords(caller: str, given: Iterable[str], *takers: Callable[..., object]) -> None:
    """Refuse keywords that nothing takes.

    Args:
        caller: What was called, for the message.
        given: Names of the keywords.
        takers: What takes them: functions, by their keyword-only parameters; dataclasses and typed
            dictionaries, by their fields.

    Raises:
        TypeError: The message names all that are taken.

    Example:
        >>> check_keywords("live", ["hop"], WindowSettings)
        >>> check_keywords("live", ["windows"], WindowSettings)
        Traceback (most recent call last):
        TypeError: live takes no keyword 'windows'. Did you mean 'window'? It takes window, hop, ...
    """
    known = list(dict.fromkeys(name for taker in takers for name in _keywords(taker)))
    for name in given:
        if name not in known:
            raise TypeError(
                f"{caller} takes no keyword {name!r}. {closest_name(name, known)} It takes {', '.join(known)}"
            )


def _keywords(taker: Callable[..., object]) -> Iterator[str]:
    if is_typeddict(taker):
        yield from taker.__annotations__
        return
    for name, parameter in inspect.signature(taker).parameters.items():
        if inspect.isclass(taker) or parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            yield name
