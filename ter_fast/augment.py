"""Random changes to sound and pictures that encoders make while they train, and only then."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def add_noise(audio: Tensor, snr_db: tuple[float, float] = (20.0, 60.0)) -> Tensor:
    """Add white noise to `(B, samples)` waveforms, each at a random signal-to-noise ratio in dB."""
    level = audio.square().mean(-1, keepdim=True).sqrt()
    snr = torch.empty_like(level).uniform_(*snr_db)
    return audio + torch.randn_like(audio) * level * 10 ** (-snr / 20)


def drop_packets(audio: Tensor, most: float = 0.5, packet: int = 320) -> Tensor:
    """Silence a random share, at most `most`, of the packets of each of `(B, samples)` waveforms.

    Half of the waveforms stay whole. A packet is 320 samples, 20 ms at 16 kHz, as voice over IP
    sends it; half of the losses come as single packets, half as one stretch of them.
    """
    batch, samples = audio.shape
    count = -(-samples // packet)
    share = torch.rand(batch, 1, device=audio.device) * most
    share = share * (torch.rand(batch, 1, device=audio.device) < 0.5)
    place = torch.arange(count, device=audio.device) / count
    begin = torch.rand(batch, 1, device=audio.device) * (1 - share)
    stretched = (place >= begin) & (place < begin + share)
    single = torch.rand(batch, count, device=audio.device) < share
    lost = torch.where(torch.rand(batch, 1, device=audio.device) < 0.5, stretched, single)
    return audio.masked_fill(lost.repeat_interleave(packet, 1)[:, :samples], 0.0)


def stretch(spectrogram: Tensor, valid: Tensor, amount: float = 0.2) -> tuple[Tensor, Tensor]:
    """Play a batch of `(B, M, T)` spectrograms faster or slower, by one factor within 1 ± amount."""
    steps = spectrogram.shape[-1]
    target = max(8, round(steps * (1 + amount * float(torch.empty(()).uniform_(-1, 1)))))
    stretched = F.interpolate(spectrogram, target, mode="linear")
    return stretched, F.interpolate(valid[:, None].float(), target, mode="nearest")[:, 0] > 0


def shift_bands(spectrogram: Tensor, most: int = 5) -> Tensor:
    """Move each `(M, T)` spectrogram of a batch up or down by at most `most` mel bands, edges repeated."""
    batch, bands, _ = spectrogram.shape
    offset = torch.randint(-most, most + 1, (batch, 1), device=spectrogram.device)
    source = (torch.arange(bands, device=spectrogram.device) + offset).clamp(0, bands - 1)
    return spectrogram.gather(1, source[..., None].expand_as(spectrogram))


def mask_blocks(spectrogram: Tensor, blocks: int = 2, bands: int = 12, steps: int = 25) -> Tensor:
    """Zero random stripes of bands and of time steps in each spectrogram of a `(B, M, T)` batch.

    Reference:
        Park et al., "SpecAugment", 2019.
    """
    batch, height, width = spectrogram.shape
    keep = torch.ones_like(spectrogram, dtype=torch.bool)
    for axis, size, most in ((1, height, bands), (2, width, min(steps, width // 5))):
        position = torch.arange(size, device=spectrogram.device)
        for _ in range(blocks):
            length = torch.randint(0, most + 1, (batch, 1), device=spectrogram.device)
            start = (torch.rand(batch, 1, device=spectrogram.device) * (size - length)).long()
            inside = (position >= start) & (position < start + length)
            keep &= ~(inside[:, :, None] if axis == 1 else inside[:, None, :])
    return spectrogram * keep


def move_frames(
    frames: Tensor,
    rotation: float = 12.0,
    scale: float = 0.12,
    translation: float = 0.08,
    erase: float = 0.25,
) -> Tensor:
    """Mirror, turn, zoom, shift and partly cover the frames of each clip, the same way within a clip.

    Args:
        frames: `(B, T, C, H, W)` float.
        rotation: largest angle in degrees.
        scale: largest relative zoom.
        translation: largest shift as a share of the side.
        erase: largest side of the covered square as a share of the side; half of the clips get one.
    """
    batch, steps, _, height, width = frames.shape

    def uniform(most: float) -> Tensor:
        return torch.empty(batch, device=frames.device).uniform_(-most, most)

    angle, zoom = torch.deg2rad(uniform(rotation)), 1 + uniform(scale)
    mirror = torch.where(torch.rand(batch, device=frames.device) < 0.5, -1.0, 1.0)
    affine = torch.stack(
        [
            torch.stack(
                [angle.cos() * zoom * mirror, -angle.sin() * zoom, 2 * uniform(translation)], -1
            ),
            torch.stack(
                [angle.sin() * zoom * mirror, angle.cos() * zoom, 2 * uniform(translation)], -1
            ),
        ],
        1,
    ).repeat_interleave(steps, 0)
    flat = frames.flatten(0, 1)
    grid = F.affine_grid(affine, list(flat.shape), align_corners=False)
    moved = F.grid_sample(flat, grid, padding_mode="border", align_corners=False)
    moved = moved.reshape(frames.shape)
    side = (
        torch.rand(batch, device=frames.device)
        * erase
        * (torch.rand(batch, device=frames.device) < 0.5)
    )
    rows, columns = (
        torch.linspace(0, 1, height, device=frames.device),
        torch.linspace(0, 1, width, device=frames.device),
    )
    top, left = (torch.rand(2, batch, device=frames.device) * (1 - side)).unbind()
    covered = ((rows >= top[:, None]) & (rows < (top + side)[:, None]))[:, :, None] & (
        (columns >= left[:, None]) & (columns < (left + side)[:, None])
    )[:, None, :]
    erased: Tensor = moved.masked_fill(covered[:, None, None], 0.0)
    return erased
