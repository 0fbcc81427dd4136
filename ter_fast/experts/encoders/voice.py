"""Encoders of a voice by its functionals: alone, and beside a CNN on its spectrogram."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.experts.encoders.cnn import LogMelCNN
from ter_fast.experts.encoders.functionals import VoiceFunctionals
from ter_fast.experts.encoders.registry import register_encoder
from ter_fast.media.augment import WaveformAugmentation
from ter_fast.media.resampling import SAMPLE_RATE

_SEGMENT_SECONDS = 3.0


@register_encoder("voice_functionals")
class VoiceMLP(nn.Module):
    """A two-layer perceptron on the functionals of a voice.

    Sound is cut in equal parts of about three seconds, since rhythm over ten seconds is another thing
    than over three; features of the parts are averaged. Functionals are standardized by what
    training has met (where a step has one sound alone, by the mean and variance so far), and jittered in
    training: with a few hundred clips, that is what keeps them from being learned by heart.

    Args:
        n_mels: Mel bands.
        width: Hidden and output features.
        dropout: Probability of dropping an output feature in training.
        jitter: Standard deviation of the noise that standardized functionals are given in training.
        noise_snr: Least and largest signal-to-noise ratio, in dB, of the white noise that sound is given
            in training.
        dropouts: Largest share of the sound that is lost in training, as `augment.drop_packets` loses it.
        babble: Share of the sounds that others of the batch talk into in training, see `augment.add_babble`.
        low_pass: Share of the sounds that lose high frequencies in training, see `augment.low_pass`.
    """

    def __init__(
        self,
        n_mels: int = 64,
        width: int = 256,
        dropout: float = 0.5,
        jitter: float = 0.3,
        noise_snr: tuple[float, float] = (20.0, 60.0),
        dropouts: float = 0.0,
        babble: float = 0.0,
        low_pass: float = 0.0,
    ) -> None:
        super().__init__()
        if jitter < 0:
            raise ValueError(f"jitter is {jitter}; expected a deviation from 0 on")
        self.augmentation = WaveformAugmentation(noise_snr, dropouts, babble, low_pass)
        self.jitter = jitter
        self.functionals = VoiceFunctionals(n_mels)
        self.standardize = nn.BatchNorm1d(self.functionals.out_features, affine=False)
        self.layers = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(self.functionals.out_features, width),
            nn.LayerNorm(width), nn.ReLU(inplace=True), nn.Dropout(dropout),
        )  # fmt: skip
        self.out_features = width

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, samples)` waveforms with `(B,)` valid samples to `(B, width)`."""
        if self.training:
            audio = self.augmentation(audio)
        parts, sizes, owner = _segments(audio, lengths)
        values = self._standardize(self.functionals(parts, sizes), sizes > 0)
        if self.training:
            values = values + self.jitter * torch.randn_like(values)
        encoded = self.layers(values).float()
        count = torch.bincount(owner, minlength=len(audio)).to(encoded.dtype)
        total = encoded.new_zeros(len(audio), encoded.shape[1]).index_add(0, owner, encoded)
        mean: Tensor = total / count[:, None]
        return mean

    def _standardize(self, values: Tensor, heard: Tensor) -> Tensor:
        norm = self.standardize
        count = int(heard.sum()) if self.training else 0
        if count > 1:
            # Rows without sound are no part of what is usual.
            return torch.zeros_like(values).index_put((heard,), norm(values[heard]))
        if count == 1:
            _learn_from_one(norm, values[heard][0])
        standardized: Tensor = F.batch_norm(
            values, norm.running_mean, norm.running_var, eps=norm.eps
        )
        # What lies far from all training is as far as its tails: an expert cannot tell beyond.
        return standardized.clamp(-5, 5)


@register_encoder("voice")
class VoiceEncoder(nn.Module):
    """A CNN on the spectrogram of a voice beside a perceptron on its functionals.

    The CNN learns from many clips, functionals from few; what each gets wrong differs. Features are
    [a h, (1 - a) g], with h of the CNN and g of the functionals, and a linear layer on them so
    averages the logits of both by a. In training a is 1 or 0 for a random share `alone` of
    the clips, so that neither learns only what the other has left, and 1/2 otherwise, as ever after.

    Args:
        n_mels: Mel bands.
        widths: Channels of the CNN, see `LogMelCNN`.
        width: Features of the perceptron.
        dropout: Probability of dropping a feature in training.
        jitter: Of functionals in training, see `VoiceMLP`.
        alone: Share of the clips that in training are seen by one of the two alone.
        noise_snr: Least and largest signal-to-noise ratio, in dB, of the white noise that sound is given
            in training.
        dropouts: Largest share of the sound that is lost in training, as `augment.drop_packets` loses it.
        babble: Share of the sounds that others of the batch talk into in training, see `augment.add_babble`.
        low_pass: Share of the sounds that lose high frequencies in training, see `augment.low_pass`.
        centre: Mean that the CNN's spectrogram loses, "band" or "clip", see `ter_fast.media.features.LogMel`.
    """

    def __init__(
        self,
        n_mels: int = 64,
        widths: tuple[int, int, int, int] = (16, 32, 64, 128),
        width: int = 256,
        dropout: float = 0.5,
        jitter: float = 0.3,
        alone: float = 0.8,
        noise_snr: tuple[float, float] = (20.0, 60.0),
        dropouts: float = 0.0,
        babble: float = 0.0,
        low_pass: float = 0.0,
        centre: str = "band",
    ) -> None:
        super().__init__()
        if not 0 <= alone <= 1:
            raise ValueError(f"alone is {alone}; expected a share from 0 to 1")
        self.alone = alone
        self.spectral = LogMelCNN(
            n_mels, widths=widths, dropout=dropout, noise_snr=noise_snr, dropouts=dropouts,
            babble=babble, low_pass=low_pass, centre=centre,
        )  # fmt: skip
        self.statistical = VoiceMLP(
            n_mels, width, dropout, jitter, noise_snr=noise_snr, dropouts=dropouts, babble=babble,
            low_pass=low_pass,
        )  # fmt: skip
        self.out_features = self.spectral.out_features + self.statistical.out_features

    def forward(self, audio: Tensor, lengths: Tensor) -> Tensor:
        """Encode `(B, samples)` waveforms with `(B,)` valid samples to `(B, out_features)`."""
        if not len(audio):
            return audio.new_zeros(0, self.out_features)
        spectral = self.spectral(audio, lengths)
        statistical = self.statistical(audio, lengths)
        share = torch.full((len(audio), 1), 0.5, dtype=torch.float32, device=audio.device)
        if self.training:
            draw = torch.rand_like(share)
            share = share.masked_fill(draw < self.alone / 2, 0.0)
            share = share.masked_fill(draw > 1 - self.alone / 2, 1.0)
        return torch.cat([share * spectral, (1 - share) * statistical], -1)


@torch.no_grad()
def _learn_from_one(norm: nn.BatchNorm1d, value: Tensor) -> None:
    """Take one row into running statistics, of which it has no variance of its own.

    With rate a and d = x - m: m' = m + a d and v' = (1 - a)(v + a d^2). The rate of the n-th step is 1/n,
    which gives mean and variance of all rows so far (the variance with the initial one among its terms),
    but at least that of a row in a batch of 32, so that what is long past counts for less.

    Reference:
        West, "Updating mean and variance estimates: an improved method", 1979.
    """
    mean, variance, steps = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None
    assert variance is not None
    assert steps is not None
    steps += 1
    number = int(steps)
    rate = max(1 / number, (norm.momentum or 0.0) / 32)
    step = value.to(mean.dtype) - mean
    if number > 1:
        variance.add_(rate * step.square()).mul_(1 - rate)
    mean.add_(rate * step)


def _segments(audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cut `(B, samples)` rows in equal parts of about three seconds.

    Returns:
        `(P, samples)` parts, zero beyond their lengths, their `(P,)` lengths, and the `(P,)` rows they
        are of.
    """
    count = (lengths.float() / (_SEGMENT_SECONDS * SAMPLE_RATE)).round().long().clamp_min(1)
    owner = torch.repeat_interleave(count)
    index = torch.arange(len(owner), device=audio.device) - (count.cumsum(0) - count)[owner]
    begin = lengths[owner] * index // count[owner]
    size = lengths[owner] * (index + 1) // count[owner] - begin
    longest = int(size.max()) if len(size) else 0
    place = torch.arange(max(1, longest), device=audio.device)
    source = (begin[:, None] + place).clamp_max(audio.shape[1] - 1)
    inside = place < size[:, None]
    return audio[owner[:, None], source] * inside, size, owner
