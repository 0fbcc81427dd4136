"""From 16 kHz waveforms to what audio backbones read, as tensor operations on the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ter_fast.errors import ModelError
from ter_fast.media.resampling import SAMPLE_RATE

_KALDI_WINDOW, _KALDI_HOP, _KALDI_FFT = 400, 160, 512
_KALDI_FLOOR = 1.192092955078125e-07
# Models on waveforms whose masked steps change nothing in the others.
_MASK_TIGHT = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat")


class SoundInput(nn.Module):
    """What an audio backbone reads, and which of its steps are valid.

    Attributes:
        minimum: Samples of the shortest sound that makes a step; shorter ones are padded to it.
        limit: Samples of the longest sound that the backbone reads; None for any length.
        masked: Rows of differing length may share a batch; else only rows of equal length may.
    """

    minimum: int
    limit: int | None = None
    masked: bool = True

    def inputs(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return the backbone's arguments for `(B, samples)` sound of `(B,)` valid samples."""
        raise NotImplementedError

    def steps(self, backbone: Any, lengths: Tensor) -> Tensor:
        """Return how many of the backbone's steps are valid, `(B,)`."""
        raise NotImplementedError


class Waveform(SoundInput):
    """Sound itself, as wav2vec 2.0, HuBERT and WavLM read it.

    With `normalize`, each row has mean 0 and variance 1 over its valid samples: (x - mean) / sqrt(var + 1e-7).

    Reference:
        Baevski, Zhou, Mohamed & Auli, "wav2vec 2.0", 2020, section 4.
    """

    def __init__(self, processor: Mapping[str, Any], config: Any) -> None:
        super().__init__()
        self.normalize = bool(processor.get("do_normalize", True))
        # Convolutions that normalize over time see padding whatever the mask says, and so do those
        # of layers that do not apply it.
        self.masked = (
            bool(processor.get("return_attention_mask", False))
            and config.model_type in _MASK_TIGHT
            and config.feat_extract_norm == "layer"
        )
        self.minimum = _receptive_field(config)

    def inputs(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return `input_values` and, where the backbone knows it, `attention_mask`, both `(B, samples)`."""
        valid = torch.arange(audio.shape[1], device=audio.device) < lengths[:, None]
        values = torch.where(valid, audio.float(), 0)
        if self.normalize:
            count = lengths[:, None].clamp_min(1)
            centred = torch.where(valid, values - values.sum(1, keepdim=True) / count, 0)
            variance = centred.square().sum(1, keepdim=True) / count
            values = centred / (variance + 1e-7).sqrt()
        return {"input_values": values, **({"attention_mask": valid.long()} if self.masked else {})}

    def steps(self, backbone: Any, lengths: Tensor) -> Tensor:
        """Return how many steps the backbone's convolutions make of the samples."""
        steps: Tensor = backbone._get_feat_extract_output_lengths(lengths).long()
        return steps


class WhisperMel(SoundInput):
    """Whisper's log-mel spectrogram of 30 s, padded with silence.

    m = log10(max(mel power, 1e-10));  (max(m, max m - 8) + 4) / 4

    Reference:
        Radford et al., "Robust speech recognition via large-scale weak supervision", 2023, section 2.2.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, processor: Mapping[str, Any], config: Any) -> None:
        super().__init__()
        self.n_fft, self.hop = (
            int(processor.get("n_fft", 400)),
            int(processor.get("hop_length", 160)),
        )
        self.limit = int(processor.get("chunk_length", 30)) * SAMPLE_RATE
        self.minimum = 1
        filters = _filters(
            1 + self.n_fft // 2, int(processor.get("feature_size", 80)), 0.0, "slaney"
        )
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer(
            "window", torch.hann_window(self.n_fft, dtype=torch.float32), persistent=False
        )

    def inputs(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return `input_features` `(B, mels, frames)`."""
        assert self.limit is not None
        valid = torch.arange(audio.shape[1], device=audio.device) < lengths[:, None]
        padded = F.pad(torch.where(valid, audio.float(), 0), (0, self.limit - audio.shape[1]))
        # Mixed precision would round the power spectrum to 8 bits before its logarithm.
        with torch.autocast(audio.device.type, enabled=False):
            spectrum = torch.stft(
                padded, self.n_fft, self.hop, window=self.window, return_complex=True
            )[..., :-1]
            power = spectrum.real.square() + spectrum.imag.square()
            mel = (self.filters @ power).clamp_min(1e-10).log10()
            mel = torch.maximum(mel, mel.amax((1, 2), keepdim=True) - 8.0)
        return {"input_features": (mel + 4.0) / 4.0}

    def steps(self, backbone: Any, lengths: Tensor) -> Tensor:
        """Return the steps that hold sound: the encoder's second convolution halves the frames."""
        step = 2 * self.hop
        return (lengths + step - 1) // step


class KaldiMel(SoundInput):
    """Kaldi's log-mel filter bank: 25 ms windows every 10 ms, without their mean, pre-emphasized.

    Args:
        processor: Values of the feature extractor.
        window: "hann" or "povey" (a Hann window to the power of 0.85).
        gain: Factor on the waveform.

    Reference:
        Gong, Chung & Glass, "AST: Audio Spectrogram Transformer", 2021, section 2.1.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, processor: Mapping[str, Any], window: str, gain: float) -> None:
        super().__init__()
        self.gain, self.minimum = gain, _KALDI_WINDOW
        bins, mels = _KALDI_FFT // 2 + 1, int(processor["num_mel_bins"])
        self.register_buffer("filters", _filters(bins, mels, 20.0, "kaldi"), persistent=False)
        shape = torch.hann_window(_KALDI_WINDOW, periodic=False, dtype=torch.float32)
        shape = shape**0.85 if window == "povey" else shape
        self.register_buffer("window", shape, persistent=False)

    def filter_bank(self, audio: Tensor) -> Tensor:
        """Return the log-mel filter bank `(B, frames, mels)` of `(B, samples)`."""
        with torch.autocast(audio.device.type, enabled=False):
            frames = (audio.float() * self.gain).unfold(1, _KALDI_WINDOW, _KALDI_HOP)
            frames = frames - frames.mean(-1, keepdim=True)
            # The sample before a window's first is taken to equal it.
            before = F.pad(frames, (1, 0), mode="replicate")[..., :-1]
            spectrum = torch.fft.rfft((frames - 0.97 * before) * self.window, _KALDI_FFT)
            power = spectrum.real.square() + spectrum.imag.square()
            bank: Tensor = (power @ self.filters.T).clamp_min(_KALDI_FLOOR).log()
            return bank

    @staticmethod
    def frames(lengths: Tensor) -> Tensor:
        """Return how many whole windows fit in the samples, `(B,)`."""
        return ((lengths - _KALDI_WINDOW) // _KALDI_HOP + 1).clamp_min(0)


class ASTMel(KaldiMel):
    """The filter bank of the Audio Spectrogram Transformer, padded to a fixed length and scaled."""

    def __init__(self, processor: Mapping[str, Any], config: Any) -> None:
        super().__init__({"num_mel_bins": 128, **processor}, "hann", 1.0)
        self.normalize = bool(processor.get("do_normalize", True))
        self.mean = float(processor.get("mean", -4.2677393))
        self.deviation = float(processor.get("std", 4.5689974))
        self.rows = int(processor.get("max_length", 1024))
        self.limit = self.rows * _KALDI_HOP + _KALDI_WINDOW - 1

    def inputs(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return `input_values` `(B, frames, mels)`."""
        bank = self.filter_bank(audio)[:, : self.rows]
        valid = torch.arange(bank.shape[1], device=bank.device) < self.frames(lengths)[:, None]
        bank = torch.where(valid[..., None], bank, 0)
        bank = F.pad(bank, (0, 0, 0, self.rows - bank.shape[1]))
        if self.normalize:
            bank = (bank - self.mean) / (2 * self.deviation)
        return {"input_values": bank}

    def steps(self, backbone: Any, lengths: Tensor) -> Tensor:
        """Return 1: the model's own token stands for the whole sound."""
        return torch.ones_like(lengths)


class StackedMel(KaldiMel):
    """The filter bank of w2v-BERT 2.0: each band standardized over the sound, frames stacked in pairs."""

    def __init__(self, processor: Mapping[str, Any], config: Any) -> None:
        super().__init__({"num_mel_bins": 80, **processor}, "povey", 2.0**15)
        self.stride = int(processor.get("stride", 2))
        self.minimum = _KALDI_WINDOW + (self.stride - 1) * _KALDI_HOP

    def inputs(self, audio: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Return `input_features` `(B, steps, stride * mels)` and `attention_mask` `(B, steps)`."""
        bank, count = self.filter_bank(audio), self.frames(lengths)
        valid = torch.arange(bank.shape[1], device=bank.device) < count[:, None]
        number, weight = count[:, None, None], valid[..., None]
        mean = (bank * weight).sum(1, keepdim=True) / number
        centred = (bank - mean) * weight
        variance = centred.square().sum(1, keepdim=True) / (number - 1).clamp_min(1)
        bank = centred / (variance + 1e-7).sqrt()
        whole = bank.shape[1] // self.stride
        stacked = bank[:, : whole * self.stride].reshape(len(bank), whole, -1)
        mask = torch.arange(whole, device=bank.device) < (count // self.stride)[:, None]
        return {"input_features": stacked * mask[..., None], "attention_mask": mask.long()}

    def steps(self, backbone: Any, lengths: Tensor) -> Tensor:
        """Return the steps all of whose frames are valid."""
        return self.frames(lengths) // self.stride


SOUND_INPUTS: dict[str, type[Waveform | WhisperMel | ASTMel | StackedMel]] = {
    "Wav2Vec2FeatureExtractor": Waveform,
    "WhisperFeatureExtractor": WhisperMel,
    "ASTFeatureExtractor": ASTMel,
    "SeamlessM4TFeatureExtractor": StackedMel,
}


def sound_input(name: str, processor: Mapping[str, Any], config: Any) -> SoundInput:
    """Build what prepares sound for a backbone, from its own processor's values.

    Args:
        name: The backbone, for messages.
        processor: Values of its feature extractor.
        config: Its transformers configuration.

    Raises:
        ModelError: An unknown feature extractor, or another sampling rate than 16 kHz.
    """
    kind = str(processor.get("feature_extractor_type"))
    if kind not in SOUND_INPUTS:
        raise ModelError(
            f"{name} prepares sound by {kind}, which is not supported; models with "
            f"{', '.join(SOUND_INPUTS)} are"
        )
    rate = processor.get("sampling_rate", SAMPLE_RATE)
    if rate != SAMPLE_RATE:
        raise ModelError(
            f"{name} reads sound at {rate} Hz; clips are read at {SAMPLE_RATE} Hz: choose a model of that rate"
        )
    return SOUND_INPUTS[kind](processor, config)


def _receptive_field(config: Any) -> int:
    """Return the samples that one step of a stack of convolutions sees; SEW pools several to one."""
    samples = int(getattr(config, "squeeze_factor", 1))
    pairs = zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True)
    for kernel, stride in pairs:
        samples = (samples - 1) * stride + kernel
    return samples


def _filters(bins: int, mels: int, lowest: float, scale: str) -> Tensor:
    """Return mel filters `(mels, bins)` as the library's own feature extractors build them."""
    from transformers.audio_utils import mel_filter_bank

    slaney = scale == "slaney"
    filters = mel_filter_bank(
        num_frequency_bins=bins,
        num_mel_filters=mels,
        min_frequency=lowest,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm="slaney" if slaney else None,
        mel_scale=scale,
        triangularize_in_mel_space=not slaney,
    )
    return torch.from_numpy(filters).float().T.contiguous()
