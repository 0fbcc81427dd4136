"""From a clip's sound and pictures to the tensors that encoders read: log-mel, frames, `Batch`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.media.clip import MediaInfo
from ter_fast.media.resampling import SAMPLE_RATE

_POWER_FLOOR = 1e-10


def mel_filters(
    n_mels: int,
    n_fft: int,
    sample_rate: int = SAMPLE_RATE,
    f_min: float = 50.0,
    f_max: float = 8000.0,
) -> Tensor:
    """Return triangular filters, spaced evenly on the HTK mel scale and linear in Hz.

    mel(f) = 2595 log10(1 + f / 700); the triangles have peak 1.

    Args:
        n_mels: Number of filters M.
        n_fft: Length of the Fourier transform in samples.
        sample_rate: Samples per second (Hz).
        f_min: Lower edge of the first filter (Hz).
        f_max: Upper edge of the last filter (Hz).

    Returns:
        float32 `(M, n_fft // 2 + 1)`.

    Example:
        >>> mel_filters(4, 512).shape
        torch.Size([4, 257])
    """
    low, high = (
        2595.0 * torch.log10(1 + torch.tensor([f_min, f_max], dtype=torch.float64) / 700)
    ).tolist()
    edges = 700 * (10 ** (torch.linspace(low, high, n_mels + 2, dtype=torch.float64) / 2595) - 1)
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rise = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rise, fall).clamp_min(0).float()


class LogMel(nn.Module):
    """Turn waveforms into normalized log-mel spectrograms.

    power spectrogram (Hann window) -> mel filters -> 10 log10(max(power, 1e-10)) dB; then a mean is
    taken away and the whole is divided by the clip's standard deviation around it. Only the valid part
    of each row counts.

    Args:
        n_mels: Number of mel bands M.
        n_fft: Length of the Fourier transform in samples.
        window: Length of the Hann window in samples (512 = 32 ms).
        hop: Samples from one frame to the next (256 = 16 ms).
        centre: Mean that is taken away. "band": each band's own over the frames (cepstral mean
            normalization), which removes the gain and a microphone's colour; "clip": one, over all bands
            and frames, which removes the gain and keeps the spectral tilt, by which a voice's effort is
            heard: better where all clips were recorded alike.

    Raises:
        ValueError: `centre` is neither.
    """

    filters: Tensor
    window: Tensor

    def __init__(
        self,
        n_mels: int = 64,
        n_fft: int = 512,
        window: int = 512,
        hop: int = 256,
        centre: str = "band",
    ) -> None:
        super().__init__()
        if centre not in ("band", "clip"):
            raise ValueError(f"centre is {centre!r}; expected 'band' or 'clip'")
        self.centre = centre
        self.n_fft, self.window_length, self.hop = n_fft, window, hop
        self.register_buffer("filters", mel_filters(n_mels, n_fft), persistent=False)
        self.register_buffer(
            "window", torch.hann_window(window, dtype=torch.float32), persistent=False
        )

    def decibels(self, audio: Tensor) -> Tensor:
        """Return the log-mel spectrogram in dB, not normalized: `(B, samples)` -> `(B, M, T)`."""
        short = self.n_fft - audio.shape[-1]
        if short > 0:
            audio = F.pad(audio, (0, short))
        spectrum = torch.stft(
            audio.float(), self.n_fft, self.hop, self.window_length, self.window,
            center=True, pad_mode="constant", return_complex=True,
        )  # fmt: skip
        power = spectrum.real.square() + spectrum.imag.square()
        return 10 * torch.log10((self.filters @ power).clamp_min(_POWER_FLOOR))

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(B, M, T)` normalized log-mel and the `(B, T)` mask of valid frames.

        Args:
            audio: `(B, samples)` waveform in [-1, 1] at 16 kHz, zero beyond its length.
            lengths: `(B,)` valid samples of each row; a row of 0 is all masked.
        """
        # Mixed precision would round the power spectrum to 8 bits before its logarithm.
        with torch.autocast(audio.device.type, enabled=False):
            spectrogram = self.decibels(audio)
        frames = torch.arange(spectrogram.shape[-1], device=audio.device)
        valid = frames * self.hop < lengths[:, None]
        weight = valid[:, None].to(spectrogram.dtype)
        count = weight.sum(-1, keepdim=True).clamp_min(1)
        mean = (spectrogram * weight).sum(-1, keepdim=True) / count
        if self.centre == "clip":
            mean = mean.mean(1, keepdim=True)
        centred = (spectrogram - mean) * weight
        variance = centred.square().sum((1, 2), keepdim=True) / (count * spectrogram.shape[1])
        return centred / (variance.sqrt() + 1e-3), valid


def resize_frames(frames: Tensor, size: int, channels: int = 3) -> Tensor:
    """Scale the short side of frames to `size`, cut the centre square, and keep 1 or 3 channels.

    Args:
        frames: `(T, H, W, 3)` uint8 RGB.
        size: Side of the square in pixels.
        channels: 3 for RGB, 1 for luma (ITU-R BT.601).

    Returns:
        `(T, channels, size, size)` uint8.
    """
    pictures = frames.permute(0, 3, 1, 2).float()
    if channels == 1:
        luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float32, device=frames.device)
        pictures = (pictures * luma[:, None, None]).sum(1, keepdim=True)
    height, width = pictures.shape[-2:]
    scale = size / min(height, width)
    if (height, width) != (size, size):
        target = (max(size, round(height * scale)), max(size, round(width * scale)))
        pictures = F.interpolate(pictures, target, mode="bilinear", antialias=scale < 1)
        top, left = (target[0] - size) // 2, (target[1] - size) // 2
        pictures = pictures[..., top : top + size, left : left + size]
    return pictures.round().clamp(0, 255).to(torch.uint8)


def normalize_frames(frames: Tensor) -> Tensor:
    """Scale each uint8 frame to mean 0 and standard deviation 1 over its pixels and channels.

    `(…, C, H, W)` -> float32 of that shape; a frame of one flat colour becomes zeros. Removing each
    picture's brightness and contrast makes the encoder indifferent to exposure.
    """
    pictures = frames.float()
    mean = pictures.mean((-3, -2, -1), keepdim=True)
    deviation = pictures.std((-3, -2, -1), keepdim=True, correction=0)
    return (pictures - mean) / (deviation + 1.0)


@dataclass(frozen=True)
class Batch:
    """Inputs of B samples, by modality.

    Attributes:
        inputs: `audio` `(B, samples)` float32, `video` `(B, T, C, H, W)` uint8, any other `(B, …)`.
        lengths: By modality `(B,)` int64: valid samples, frames or steps; 0 means the modality is missing.
    """

    inputs: dict[str, Tensor]
    lengths: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.lengths.values()))) if self.lengths else 0

    @property
    def mask(self) -> dict[str, Tensor]:
        """By modality `(B,)` bool: True where it is present."""
        return {name: length > 0 for name, length in self.lengths.items()}

    def to(self, device: torch.device | str) -> Batch:
        """Return the batch with every tensor on `device`."""
        return Batch(
            {name: value.to(device, non_blocking=True) for name, value in self.inputs.items()},
            {name: value.to(device, non_blocking=True) for name, value in self.lengths.items()},
        )


def collate(
    items: Sequence[Mapping[str, Tensor | None]],
    empty: Mapping[str, Tensor],
) -> Batch:
    """Pad samples of differing length to one `Batch`.

    Args:
        items: One mapping per sample: modality -> `(N, …)` tensor, or None where it is missing.
        empty: Modality -> a `(0, …)` tensor that gives the dtype and the trailing shape.

    Returns:
        The batch, zero beyond each sample's length.
    """
    inputs, lengths = {}, {}
    for name, blank in empty.items():
        values = [blank if (value := item.get(name)) is None else value for item in items]
        lengths[name] = torch.tensor([len(value) for value in values], dtype=torch.int64)
        longest = max(1, int(lengths[name].max()) if values else 0)
        padded = blank.new_zeros((len(values), longest, *blank.shape[1:]))
        for row, value in zip(padded, values, strict=True):
            row[: len(value)] = value
        inputs[name] = padded
    return Batch(inputs, lengths)


def longest_side(info: MediaInfo, size: int) -> int | None:
    """Return the long side of a picture whose short side is `size`, or None where no size is stated.

    Example:
        >>> longest_side(MediaInfo("a.mp4", 1.0, 0.0, True, False, width=640, height=360), 180)
        320
    """
    if not info.width or not info.height:
        return None
    return math.ceil(size * max(info.width, info.height) / min(info.width, info.height))
