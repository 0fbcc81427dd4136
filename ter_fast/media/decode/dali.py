"""Batches through NVIDIA DALI on the CPU or the GPU: settings, pipelines, and what they hand over.

The tensors that come out share DALI's memory: nothing is copied on the way to torch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from ter_fast.errors import MediaError
from ter_fast.media.features import Batch

DEVICES = ("cpu", "gpu")


@dataclass(frozen=True)
class DaliSettings:
    """How DALI makes batches.

    Attributes:
        batch_size: Windows in a batch.
        size: Side of the square pictures in pixels.
        channels: 1 for luma, 3 for RGB.
        device: ``"cpu"`` or ``"gpu"``.
        device_id: Which GPU.
        threads: CPU threads of the pipeline.
        prefetch: Batches made ahead.
        normalized: Scale each picture to mean 0 and deviation 1 (float32 instead of uint8).
        n_mels: Also return log-mel spectrograms of so many bands; 0 for none.
        shard_id: Which part of the data this process reads.
        num_shards: Into how many parts the data are divided, such as one per GPU.
        shuffle: Whether to shuffle windows.
        seed: Of the shuffling.

    Raises:
        MediaError: A value is out of range; the message names it.

    Example:
        >>> DaliSettings(device="tpu")
        Traceback (most recent call last):
        ter_fast.errors.MediaError: device='tpu'; expected one of ['cpu', 'gpu'].
    """

    batch_size: int = 16
    size: int = 48
    channels: int = 1
    device: str = "cpu"
    device_id: int = 0
    threads: int = 2
    prefetch: int = 2
    normalized: bool = False
    n_mels: int = 0
    shard_id: int = 0
    num_shards: int = 1
    shuffle: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no pipeline could run."""
        if self.device not in DEVICES:
            raise MediaError(f"device={self.device!r}; expected one of {list(DEVICES)}.")
        if self.channels not in (1, 3) or self.size < 1:
            raise MediaError(
                f"channels={self.channels}, size={self.size}; expected 1 or 3, and a side above 0."
            )
        if min(self.batch_size, self.threads, self.prefetch) < 1 or self.n_mels < 0:
            raise MediaError(
                f"batch_size={self.batch_size}, threads={self.threads}, prefetch={self.prefetch}, "
                f"n_mels={self.n_mels}; expected at least 1, and no negative number of bands."
            )
        if not 0 <= self.shard_id < self.num_shards:
            raise MediaError(
                f"shard_id={self.shard_id} of num_shards={self.num_shards}; expected "
                "0 <= shard_id < num_shards."
            )


@dataclass(frozen=True)
class DaliBatch:
    """What a pipeline hands over.

    Attributes:
        batch: What a model reads: ``audio`` (B, samples) float32, ``video`` (B, T, C, H, W).
        mel: (B, M, steps) log-mel in dB, or None where none was asked for.
        records: What is stored of each window: label, group, start, end and so on (B,).
    """

    batch: Batch
    mel: Tensor | None
    records: tuple[dict[str, Any], ...]


def build(nodes: Callable[..., tuple[Any, ...]], settings: DaliSettings, *given: Any) -> Any:
    """Build a pipeline of the nodes that ``nodes(settings, *given)`` makes.

    Raises:
        MediaError: DALI is not installed, or cannot use the device; the message gives the reason
            and the way out.
    """
    try:
        from nvidia.dali import pipeline_def
    except ImportError:
        raise MediaError(
            "DALI is not installed; pip install 'ter_fast[dali-cuda13]' (or dali-cuda12 for an older "
            "driver), which also runs without a GPU, or decode with PyAV."
        ) from None
    if settings.device == "gpu" and not torch.cuda.is_available():
        raise MediaError("device='gpu', but torch sees no GPU; choose device='cpu'.")
    define = pipeline_def(
        batch_size=settings.batch_size,
        num_threads=settings.threads,
        device_id=settings.device_id if settings.device == "gpu" else None,
        prefetch_queue_depth=settings.prefetch,
        # New outputs for each batch, which torch may keep.
        exec_dynamic=True,
        seed=settings.seed,
        enable_conditionals=True,
    )
    try:
        pipeline = define(nodes)(settings, *given)
        pipeline.build()
    except RuntimeError as error:
        raise explain_refusal(error) from error
    return pipeline


def stream_of(settings: DaliSettings) -> Any:
    """Return the stream to run a pipeline for: torch's current one on the GPU, None on a CPU.

    DALI's memory then is not filled again before what torch has begun to do with it is done.

    Example:
        >>> stream_of(DaliSettings()) is None
        True
    """
    return torch.cuda.current_stream(settings.device_id) if settings.device == "gpu" else None


def explain_refusal(error: RuntimeError) -> MediaError:
    """Return DALI's complaint in one sentence, with the way out.

    Example:
        >>> str(explain_refusal(RuntimeError("Error in decoder")))
        'DALI stopped (Error in decoder); check the data ...'
    """
    return MediaError(
        f"DALI stopped ({reason_of(error)}); check the data (prepared shards with "
        "ter_fast.data.shards.verify_shards), or decode with PyAV."
    )


def reason_of(error: Exception) -> str:
    r"""Return the one line of DALI's complaint that says what happened.

    Example:
        >>> reason_of(RuntimeError("Error in operator,\nencountered:\n\nno such codec\n"))
        'no such codec'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # The operator and the trace of its definition come first, and what it met after this word.
    if "encountered:" in lines[:-1]:
        lines = lines[lines.index("encountered:") + 1 :]
    reason = next((line for line in lines if "rror" in line), lines[0] if lines else "no reason")
    return re.sub('^Assert on ".*?" failed: ', "", reason)


def to_batch(nodes: list[Any], count: int, records: tuple[dict[str, Any], ...]) -> DaliBatch:
    """Hand the first `count` rows of a pipeline's outputs to torch, without a copy.

    Args:
        nodes: Outputs in the order of `ter_fast.media.decode.dali_graph.pad_rows`.
        count: Rows that are of this epoch.
        records: What is known of each (B,).
    """
    video, frames, audio, samples, *mel = (from_dlpack(n.as_tensor())[:count] for n in nodes)
    # DALI counts on the CPU, and a model compares the counts with what lies on its device.
    lengths = {"audio": samples.long().to(audio.device), "video": frames.long().to(video.device)}
    batch = Batch({"audio": audio, "video": video}, lengths)
    return DaliBatch(batch, mel[0] if mel else None, records)
