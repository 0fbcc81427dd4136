"""Backbones of Hugging Face transformers: found by name or folder, or built again from what was saved."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ter_fast.errors import ModelError

AUDIO, IMAGE, VIDEO = "audio", "image", "video"
EXAMPLES = {
    AUDIO: "wav2vec2, hubert, wavlm, whisper, audio-spectrogram-transformer or wav2vec2-bert",
    IMAGE: "vit, dinov2, clip, convnext or resnet",
    VIDEO: "videomae, timesformer or vivit",
}
# Towers of larger models, which transformers lists under no task of their own.
_TOWERS = ("clip_vision_model", "siglip_vision_model", "siglip2_vision_model", "vit_mae", "deit")

_PROCESSOR = {AUDIO: "feature_extractor", IMAGE: "image_processor", VIDEO: "video_processor"}
# Random, and never used here: masks of SpecAugment, which is left out.
_UNUSED = ("masked_spec_embed",)
# What transformers raises over a damaged or unknown model.
_FAULTS = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)


@dataclass(frozen=True)
class Backbone:
    """A backbone's description: all but its weights.

    Attributes:
        config: Values of its transformers configuration.
        processor: Values of its feature extractor or image processor.
        drop_pooler: Its pooler has no trained weights and is left out.
    """

    config: Mapping[str, Any]
    processor: Mapping[str, Any]
    drop_pooler: bool = False


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from printing bars and load reports: what matters is checked and raised."""
    logging = _library("transformers.utils.logging")
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _library(module: str) -> Any:
    """Import a module of transformers, most of whose functions have no types."""
    return importlib.import_module(module)


def check_installed() -> None:
    """Check that transformers is there.

    Raises:
        ModelError: It is not; the message says how to install it.
    """
    try:
        import transformers  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"encoders of Hugging Face need transformers: pip install 'ter_fast[hf]' ({error})"
        ) from error


def _file(name: str, revision: str | None, filename: str) -> Path | None:
    found = _library("transformers.utils.hub").cached_file(
        name, filename, revision=revision, _raise_exceptions_for_missing_entries=False
    )
    return None if found is None else Path(found)


def _json(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds no JSON object")
    return values


def _processor(name: str, revision: str | None, kind: str) -> dict[str, Any]:
    """Return the values of a model's processor, from whichever of its files holds them."""
    nested = (_PROCESSOR[kind], "image_processor")
    path = _file(name, revision, "processor_config.json")
    values = {} if path is None else _json(path)
    for key in nested:
        if isinstance(values.get(key), dict):
            return dict(values[key])
    for filename in ("preprocessor_config.json", "video_preprocessor_config.json"):
        if (path := _file(name, revision, filename)) is not None:
            return _json(path)
    raise ModelError(
        f"{name} has no preprocessor_config.json, so that nothing says how its input is prepared; save the "
        "processor beside the model (AutoFeatureExtractor or AutoImageProcessor, save_pretrained)"
    )


def _config(name: str, revision: str | None, kind: str) -> Any:
    """Read a model's configuration, and check that it is of a kind."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(name, revision=revision, trust_remote_code=False)
    tower = getattr(config, "vision_config", None)
    if kind == IMAGE and tower is not None and not isinstance(tower, dict):
        tower._commit_hash = getattr(config, "_commit_hash", None)
        config = tower
    if (found := kind_of(config)) != kind:
        what = f"of type {found}" if found == config.model_type else f"a model of {found}"
        raise ModelError(
            f"{name} is {what} ({config.model_type}); hf_{kind} reads models of {kind}, such as {EXAMPLES[kind]}"
        )
    # Both would drop parts at random in fine-tuning, and fail on sounds shorter than their masks;
    # adapters shorten the sequence and come untrained.
    for option, value in (
        ("apply_spec_augment", False),
        ("layerdrop", 0.0),
        ("add_adapter", False),
    ):
        if hasattr(config, option):
            setattr(config, option, value)
    return config


@contextmanager
def _explain_errors(name: str) -> Iterator[None]:
    """Turn what reading a backbone may raise into one kind of error that says what to do."""
    from safetensors import SafetensorError

    try:
        yield
    except ModelError:
        raise
    except (*_FAULTS, SafetensorError, EOFError, ImportError) as error:
        raise ModelError(_explanation(name, error)) from error


def _explanation(name: str, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if Path(name).is_dir():
        return (
            f"the folder {name} cannot be used as a model of Hugging Face transformers: {first} "
            "It should hold config.json, preprocessor_config.json and model.safetensors; copy it again"
        )
    return (
        f"no model {name!r}: it is no folder here, and the hub did not give it ({first}) "
        "Check the name, the revision and the network, or give a folder"
    )


def _check_name(name: str) -> None:
    if not Path(name).is_dir() and not re.fullmatch(r"[\w-][\w.-]*(/[\w-][\w.-]*)?", name):
        raise ModelError(
            f"no model {name!r}: it is no folder here, and no name on the hub either, such as owner/name"
        )


def describe(name: str, revision: str | None, kind: str) -> tuple[Backbone, str | None]:
    """Read what a backbone is, without its weights.

    Args:
        name: Folder, or name on the hub.
        revision: Branch, tag or commit on the hub.
        kind: "audio", "image" or "video".

    Returns:
        The description, and the commit on the hub (None for a folder).

    Raises:
        ModelError: Nothing of that name, no network, damaged files, or a model of another kind.
    """
    check_installed()
    _check_name(name)
    with _quiet(), _explain_errors(name):
        config = _config(name, revision, kind)
        commit = getattr(config, "_commit_hash", None)
        backbone = Backbone(_values(config), _processor(name, commit or revision, kind))
    return backbone, commit


def _values(config: Any) -> dict[str, Any]:
    """Return a configuration as JSON values, without the names of classes and where it came from."""
    values: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    for entry in ("id2label", "label2id", "architectures", "_name_or_path", "problem_type"):
        values.pop(entry, None)
    return {**values, "dtype": "float32"}


def load(name: str, revision: str | None, kind: str) -> tuple[Backbone, nn.Module, str | None]:
    """Load a backbone in float32: its description, its module in evaluation mode, and its commit.

    Raises:
        ModelError: As `describe`, or weights that are missing, damaged or another model's.
    """
    auto = _library("transformers").AutoModel
    backbone, commit = describe(name, revision, kind)
    revision = commit or revision
    with _quiet(), _explain_errors(name):
        module, report = auto.from_pretrained(
            name,
            config=_config(name, revision, kind),
            revision=revision,
            trust_remote_code=False,
            output_loading_info=True,
            dtype=torch.float32,
        )
        module = _part(module, backbone.config)
        missing = [key for key in report["missing_keys"] if key not in _UNUSED]
        if backbone.config["model_type"] == "whisper":
            missing = [key for key in missing if key.startswith("encoder.")]
        poolers = [key for key in missing if key.startswith("pooler.")]
        if others := sorted(set(missing) - set(poolers)):
            raise ModelError(
                f"the weights of {name} lack {len(others)} tensors, such as {others[0]}: they belong to "
                "another model, or are not whole; get them again"
            )
        backbone = replace(backbone, drop_pooler=bool(poolers))
    return backbone, _finish(module, backbone), commit


def build(backbone: Backbone) -> nn.Module:
    """Build a backbone from its description, with random weights, in evaluation mode.

    Raises:
        ModelError: A description that this version of transformers does not know.
    """
    check_installed()
    transformers = _library("transformers")
    values = dict(backbone.config)
    kind = str(values.pop("model_type", None))
    try:
        with _quiet():
            config = transformers.AutoConfig.for_model(kind, **values)
            if kind == "whisper":
                whisper = _library("transformers.models.whisper.modeling_whisper")
                module = whisper.WhisperEncoder._from_config(config, dtype=torch.float32)
            else:
                module = transformers.AutoModel.from_config(config, dtype=torch.float32)
            return _finish(module, backbone)
    except _FAULTS as error:
        raise ModelError(
            f"transformers {transformers.__version__} cannot build the backbone {kind!r} that the model was saved with "
            f"({type(error).__name__}: {error}); it was transformers {values.get('transformers_version')}"
        ) from error


def _part(module: Any, config: Mapping[str, Any]) -> nn.Module:
    part: nn.Module = module.encoder if config["model_type"] == "whisper" else module
    return part


def _finish(module: nn.Module, backbone: Backbone) -> nn.Module:
    if backbone.drop_pooler:
        module.register_module("pooler", None)
    return module.eval()


def licence(name: str, revision: str | None) -> str:
    """Return the licence that a model's card names; "" where it names none.

    Example:
        >>> licence("no-such-folder/", None)
        ''
    """
    try:
        _check_name(name)
        with _quiet():
            path = _file(name, revision, "README.md")
        text = "" if path is None else path.read_text(encoding="utf-8", errors="replace")
    except (ModelError, OSError, ValueError):
        return ""
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    entry = head and re.search(r"^license:\s*(\S.*?)\s*$", head[1], re.MULTILINE)
    return entry[1].strip("'\"") if entry else ""


def kind_of(config: Any) -> str:
    """Say what a model of this configuration reads: audio, image, video, text, or its type."""
    auto: Any = importlib.import_module("transformers.models.auto.modeling_auto")
    model_type = str(config.model_type)
    if model_type in auto.MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING_NAMES:
        return AUDIO
    if model_type in auto.MODEL_FOR_VIDEO_CLASSIFICATION_MAPPING_NAMES:
        return VIDEO
    images = (auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES, auto.MODEL_FOR_IMAGE_MAPPING_NAMES)
    if any(model_type in names for names in images) or model_type in _TOWERS:
        return IMAGE
    try:
        reads = auto.MODEL_MAPPING[type(config)].main_input_name
    except (KeyError, AttributeError):
        return model_type
    return "text" if reads == "input_ids" else model_type
