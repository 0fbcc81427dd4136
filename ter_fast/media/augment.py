"""Random changes to sound and pictures that encoders make while they train, and only then."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ter_fast.media.corrupt.audio import TALKERS
from ter_fast.media.resampling import SAMPLE_RATE


@dataclass(frozen=True)
class WaveformAugmentation:
    """What sound goes through in training, so that an expert learns what it cannot hear through.

    Attributes:
        noise_snr: Least and largest signal-to-noise ratio, in dB, of white noise.
        dropouts: Largest share of the sound that is lost, see `drop_packets`.
        babble: Share of the waveforms that others of the batch talk into, see `add_babble`.
        low_pass: Share of the waveforms that lose what lies above a random frequency, see `low_pass`.

    Raises:
        ValueError: A value out of its range.

    Example:
        >>> WaveformAugmentation(dropouts=0.5, babble=0.2)(torch.randn(4, 8000)).shape
        torch.Size([4, 8000])
    """

    noise_snr: tuple[float, float] = (20.0, 60.0)
    dropouts: float = 0.0
    babble: float = 0.0
    low_pass: float = 0.0

    def __post_init__(self) -> None:
        try:
            low, high = map(float, self.noise_snr)
        except (TypeError, ValueError):
            low, high = math.nan, math.nan
        if not low <= high:
            raise ValueError(
                f"noise_snr is {self.noise_snr}; expected a lower and a higher ratio in dB"
            )
        # JSON has lists, which have no hash and equal no tuple.
        object.__setattr__(self, "noise_snr", (low, high))
        for name in ("dropouts", "babble", "low_pass"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1")

    def __call__(self, audio: Tensor) -> Tensor:
        """Change `(B, samples)` waveforms: babble, then the line's filter, then losses, then noise."""
        if self.babble:
            audio = add_babble(audio, self.babble)
        if self.low_pass:
            audio = low_pass(audio, self.low_pass)
        if self.dropouts:
            audio = drop_packets(audio, self.dropouts)
        return add_noise(audio, self.noise_snr)


def add_noise(audio: Tensor, snr_db: tuple[float, float] = (20.0, 60.0)) -> Tensor:
    """Add white noise to `(B, samples)` waveforms, each at a random signal-to-noise ratio in dB."""
    level = _level(audio)
    snr = torch.empty_like(level).uniform_(*snr_db)
    return audio + torch.randn_like(audio) * level * 10 ** (-snr / 20)


def add_babble(audio: Tensor, share: float, snr_db: tuple[float, float] = (-5.0, 20.0)) -> Tensor:
    """Let others of `(B, samples)` waveforms talk into a random share of them.

    One to five voices at once, as many for the whole batch: waveforms that stand a random number of rows further,
    each begun at a random place and equally loud. Levels are those of whole rows, silence at
    their ends included. A waveform that is alone stays as it is.

    Args:
        audio: waveforms.
        share: Of the waveforms, from 0 to 1.
        snr_db: Least and largest signal-to-noise ratio in dB.

    Example:
        >>> add_babble(torch.randn(4, 8000), 0.5).shape
        torch.Size([4, 8000])
    """
    batch, samples = audio.shape
    if batch < 2 or not samples:
        return audio
    # In float16 the least level that is divided by would be 0.
    clean = audio.float()
    voices = clean / _level(clean).clamp_min(1e-12)
    talkers = int(torch.randint(1, TALKERS + 1, ()))
    babble = torch.zeros_like(clean)
    for _ in range(talkers):
        row, begin = int(torch.randint(1, batch, ())), int(torch.randint(samples, ()))
        babble = babble + voices.roll((row, begin), (0, 1))
    level = _level(clean)
    snr = torch.empty_like(level).uniform_(*snr_db)
    heard = torch.rand_like(level) < share
    scale = level * 10 ** (-snr / 20) / _level(babble).clamp_min(1e-12)
    return audio + (babble * scale * heard).to(audio.dtype)


def low_pass(audio: Tensor, share: float, hertz: tuple[float, float] = (400.0, 6000.0)) -> Tensor:
    """Take what lies above a frequency from a random share of `(B, samples)` waveforms.

    The filter has the gain of a Butterworth filter of order 8, and no delay.

    Args:
        audio: Waveforms at 16 kHz.
        share: Of the waveforms, from 0 to 1.
        hertz: Least and largest cut-off frequency, drawn evenly on a logarithmic scale.

    Example:
        >>> low_pass(torch.randn(4, 8000), 0.5).shape
        torch.Size([4, 8000])
    """
    if not audio.numel():
        return audio
    batch, samples = audio.shape
    low, high = (math.log(each) for each in hertz)
    cut = torch.empty(batch, 1, dtype=torch.float32, device=audio.device).uniform_(low, high).exp()
    frequency = torch.fft.rfftfreq(
        samples, 1 / SAMPLE_RATE, dtype=torch.float32, device=audio.device
    )
    gain = (1 + (frequency / cut) ** 16).rsqrt()
    gain = torch.where(torch.rand(batch, 1, device=audio.device) < share, gain, 1.0)
    # Half precision has no transform everywhere.
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(audio.float()) * gain, samples)
    return filtered.to(audio.dtype)


def _level(audio: Tensor) -> Tensor:
    """Return the root mean square `(B, 1)`."""
    return audio.square().mean(-1, keepdim=True).sqrt()


def drop_packets(audio: Tensor, most: float = 0.5, packet: int = 320) -> Tensor:
    """Silence a random share, at most `most`, of the packets of each of `(B, samples)` waveforms.

    Half of the waveforms stay whole. A packet is 320 samples, 20 ms at 16 kHz, as voice over IP
    sends it; half of the losses come as single packets, half as one stretch of them.
    """
    batch, samples = audio.shape
    count = -(-samples // packet)
    share = torch.rand(batch, 1, dtype=torch.float32, device=audio.device) * most
    share = share * (torch.rand(batch, 1, device=audio.device) < 0.5)
    place = torch.arange(count, dtype=torch.float32, device=audio.device) / count
    begin = torch.rand(batch, 1, dtype=torch.float32, device=audio.device) * (1 - share)
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
        rotation: Largest angle in degrees.
        scale: Largest relative zoom.
        translation: Largest shift as a share of the side.
        erase: Largest side of the covered square as a share of the side; half of the clips get one.
    """
    batch, steps, _, height, width = frames.shape

    def uniform(most: float) -> Tensor:
        return torch.empty(batch, dtype=torch.float32, device=frames.device).uniform_(-most, most)

    angle, zoom = torch.deg2rad(uniform(rotation)), 1 + uniform(scale)
    mirror = 1 - 2 * (torch.rand(batch, device=frames.device) < 0.5).float()
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
        torch.rand(batch, dtype=torch.float32, device=frames.device)
        * erase
        * (torch.rand(batch, device=frames.device) < 0.5)
    )
    rows, columns = (
        torch.linspace(0, 1, height, dtype=torch.float32, device=frames.device),
        torch.linspace(0, 1, width, dtype=torch.float32, device=frames.device),
    )
    top, left = (
        torch.rand(2, batch, dtype=torch.float32, device=frames.device) * (1 - side)
    ).unbind()
    covered = ((rows >= top[:, None]) & (rows < (top + side)[:, None]))[:, :, None] & (
        (columns >= left[:, None]) & (columns < (left + side)[:, None])
    )[:, None, :]
    erased: Tensor = moved.masked_fill(covered[:, None, None], 0.0)
    return erased


def add_pixel_noise(frames: Tensor, valid: Tensor, deviation: float) -> Tensor:
    """Add Gaussian noise to the pixels of half of the clips, as float32 from 0 to 255.

    Args:
        frames: `(B, T, C, H, W)` uint8.
        valid: `(B, T)` bool; other frames are padding, and stay blank.
        deviation: Largest standard deviation, full scale being 1; that of a clip is drawn evenly below it.

    Example:
        >>> frames = torch.zeros(2, 3, 1, 8, 8, dtype=torch.uint8)
        >>> add_pixel_noise(frames, torch.ones(2, 3, dtype=torch.bool), 0.4).shape
        torch.Size([2, 3, 1, 8, 8])
    """
    pictures = frames.float()
    batch = len(pictures)
    strength = torch.rand(batch, dtype=torch.float32, device=frames.device) * deviation
    strength = strength * (torch.rand(batch, device=frames.device) < 0.5)
    noise = torch.randn_like(pictures) * (255 * strength)[:, None, None, None, None]
    noisy = (pictures + noise).clamp(0, 255)
    return torch.where(valid[..., None, None, None], noisy, pictures)
