"""The registries of the package, as they were before a test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ter_fast.data import CORPORA
from ter_fast.data.modalities import MODALITIES
from ter_fast.experts.encoders.registry import ENCODERS
from ter_fast.media.corrupt import CORRUPTIONS

REGISTRIES: tuple[dict[str, Any], ...] = (CORPORA, CORRUPTIONS, ENCODERS, MODALITIES)


@contextmanager
def restore_registries() -> Iterator[None]:
    """Restore every registry at the end."""
    before = [dict(registry) for registry in REGISTRIES]
    try:
        yield
    finally:
        for registry, content in zip(REGISTRIES, before, strict=True):
            registry.clear()
            registry.update(content)
