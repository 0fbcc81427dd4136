"""The encoders that are trained from scratch: of sound, of pictures, and of feature vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ter_fast.experts.encoders.pooling import AttentivePooling
from ter_fast.experts.encoders.registry import register_encoder
from ter_fast.media.augment import (
    WaveformAugmentation,
    add_pixel_noise,
    mask_blocks,
    move_frames,
    shift_bands,
    stretch,
)
from ter_fast.media.features import LogMel, normalize_frames


def _convolutions(inputs: int, outputs: int, depth: int = 2) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for index in range(depth):
        layers += [
            nn.Conv2d(inputs if index == 0 else outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]
    return layers


@register_encoder("logmel_cnn")
class LogMelCNN(nn.Module):
    """A 2-D CNN with attentive pooling on log-mel spectrograms, small enough to train on a CPU.

    Args:
        n_mels: Mel bands.
        window: Length of the spectrogram's Hann window in samples.
        hop: Samples from one step to the next.
        widths: Channels of the stem and the three blocks; 16 times fewer bands, 8 times fewer steps leave them.
        dropout: Probability of dropping a pooled feature in training.
        noise_snr: Least and largest signal-to-noise ratio, in dB, of the white noise that sound is given
            in training; (-5, 60) teaches the expert what it cannot hear through.
        dropouts: Largest share of the sound that is lost in training, as `augment.drop_packets` loses it.
        babble: Share of the sounds that others of the batch talk into in training, see `augment.add_babble`.
        low_pass: Share of the sounds that lose high frequencies in training, see `augment.low_pass`.
        centre: Mean that the spectrogram loses, "band" or "clip", see `ter_fast.media.features.LogMel`.
    """

    def __init__(
        self,
        n_mels: int = 64,
        window: int = 512,
        hop: int = 256,
        widths: tuple[int, int, int, int] = (16, 32, 64, 128),
        dropout: float = 0.5,
        noise_snr: tuple[float, float] = (20.0, 60.0),
        dropouts: float = 0.0,
        babble: float = 0.0,
        low_pass: float = 0.0,
        centre: str = "band",
    ) -> None:
        super().__init__()
        self.augmentation = WaveformAugmentation(noise_snr, dropouts, babble, low_pass)
        first, second, third, fourth = widths
        self.logmel = LogMel(n_mels, window=window, hop=hop, centre=centre)
        # The stem halves and the first pooling halves again before any wide convolution: most of the
        # work would otherwise go into its maps.
        self.blocks = nn.Sequential(
            nn.Conv2d(1, first, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            *_convolutions(first, second),
            nn.MaxPool2d(2),
            *_convolutions(second, third),
            nn.MaxPool2d((2, 1)),
            *_convolutions(third, fourth),
        )
        self.stride = 8
        bands = n_mels // 16
        self.project = nn.Sequential(nn.Linear(fourth * bands, fourth), nn.ReLU(inplace=True))
        self.pool = AttentivePooling(fourth, deviation=True)
        self.dropout = nn.Dropout(dropout)
        self.out_features = 2 * fourth

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, samples)` waveforms with `(B,)` valid samples to `(B, out_features)`."""
        if self.training:
            spectrogram, valid = self.logmel(self.augmentation(audio), lengths)
            spectrogram, valid = stretch(spectrogram, valid)
            spectrogram = mask_blocks(shift_bands(spectrogram))
        else:
            spectrogram, valid = self.logmel(audio, lengths)
        # Pooling floors odd lengths, and a clip shorter than one step would vanish: pad to whole steps.
        short = -spectrogram.shape[-1] % self.stride
        spectrogram = nn.functional.pad(spectrogram, (0, short))
        valid = nn.functional.pad(valid, (0, short))
        maps = spectrogram.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for layer in self.blocks:
            maps = layer(maps)
            if isinstance(layer, nn.ReLU):
                # A batch norm's bias lifts the padding off zero; the next convolution would carry it into the sound.
                maps = maps * valid[:, None, None, :: valid.shape[1] // maps.shape[-1]]
        valid = valid[:, :: self.stride]
        steps = self.project(maps.flatten(1, 2).transpose(1, 2))
        features: Tensor = self.dropout(self.pool(steps, valid))
        return features


@register_encoder("frame_cnn")
class FrameCNN(nn.Module):
    """A CNN on each frame with temporal attention over the frames of a clip.

    Args:
        channels: 1 for luma, 3 for RGB.
        widths: Channels of the stem and the three blocks, each of which halves the side.
        dropout: Probability of dropping a pooled feature in training.
        pixel_noise: Largest deviation of the noise that the pixels of half of the clips are given in
            training, full scale being 1, see `augment.add_pixel_noise`.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: tuple[int, int, int, int] = (24, 48, 96, 192),
        dropout: float = 0.3,
        pixel_noise: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= pixel_noise <= 1:
            raise ValueError(
                f"pixel_noise is {pixel_noise}; expected a deviation from 0 to 1, full scale"
            )
        self.pixel_noise = pixel_noise
        stem, first, second, third = widths
        self.blocks = nn.Sequential(
            *_convolutions(channels, stem, 1), nn.MaxPool2d(2),
            *_convolutions(stem, first), nn.MaxPool2d(2),
            *_convolutions(first, second), nn.MaxPool2d(2),
            *_convolutions(second, third),
        )  # fmt: skip
        self.pool = AttentivePooling(third)
        self.dropout = nn.Dropout(dropout)
        self.out_features = third

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, T, C, H, W)` uint8 frames with `(B,)` valid frames to `(B, out_features)`."""
        batch, steps = frames.shape[:2]
        valid = torch.arange(steps, device=frames.device) < lengths[:, None]
        if self.training and self.pixel_noise:
            frames = add_pixel_noise(frames, valid, self.pixel_noise)
        pictures = normalize_frames(frames)
        if self.training:
            pictures = move_frames(pictures)
        pictures = pictures.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.blocks(pictures).mean((-2, -1)).unflatten(0, (batch, steps))
        pooled: Tensor = self.dropout(self.pool(features, valid))
        return pooled


@register_encoder("vector_mlp")
class VectorMLP(nn.Module):
    """A two-layer perceptron on a feature vector: the entry for modalities that come as numbers.

    Args:
        size: Length of the vectors.
        width: Hidden and output features.
        dropout: Probability of dropping a hidden feature in training.
    """

    def __init__(self, size: int, width: int = 128, dropout: float = 0.3) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(size), nn.Linear(size, width), nn.ReLU(inplace=True), nn.Dropout(dropout),
            nn.Linear(width, width), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.out_features = width

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, size)` vectors to `(B, width)`."""
        encoded: Tensor = self.layers(values)
        return encoded
