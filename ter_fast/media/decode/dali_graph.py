"""The parts of DALI pipelines, defined once for CPU and GPU: pictures, sound and log-mel.

Each function takes and returns nodes of a pipeline that is being built, and says which function of
`ter_fast.media.features` it agrees with. A node is a `nvidia.dali.data_node.DataNode`, which has no type
stubs.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import torch

from ter_fast.media.decode.dali import DaliSettings
from ter_fast.media.resampling import SAMPLE_RATE

Node: TypeAlias = Any

_FLOOR_DB = -100.0
_WINDOW, _HOP = 512, 256
_LOWEST, _HIGHEST = 50.0, 8000.0
_LUMA = (0.299, 0.587, 0.114)


def strip_frames(strip: Node, times: Node, settings: DaliSettings) -> tuple[Node, Node]:
    """Decode a film strip to ``FCHW`` pictures and their count; one of zeros, count 0, for none."""
    from nvidia.dali import fn, types

    decoder = "mixed" if settings.device == "gpu" else "cpu"
    if strip.shape()[0] > 0:
        count = fn.decoders.numpy(times, dtype=types.FLOAT64).shape()[0]
        rows = fn.decoders.image(strip, device=decoder, output_type=types.RGB)
        # Of the encoded strip, since the decoded one may lie on the GPU.
        shape = fn.peek_image_shape(strip)
        split = fn.stack(count, shape[0] // count, shape[1], shape[2])
        frames = fn.reshape(rows, shape=split, layout="FHWC")
        pictures = square_frames(frames, settings)
    else:
        blank = np.zeros((1, settings.channels, settings.size, settings.size), np.uint8)
        pictures = fn.reshape(types.Constant(blank, device=settings.device), layout="FCHW")
    return pictures, pictures.shape()[0] * fn.cast(strip.shape()[0] > 0, dtype=types.INT64)


def flac_sound(flac: Node, settings: DaliSettings) -> tuple[Node, Node]:
    """Decode WAV, FLAC or OGG to (samples,) at 16 kHz and their count; one zero, count 0, for none."""
    from nvidia.dali import fn, types

    if flac.shape()[0] > 0:
        sound, _ = fn.decoders.audio(
            flac, dtype=types.FLOAT, downmix=True, sample_rate=float(SAMPLE_RATE)
        )
    else:
        sound = types.Constant(np.zeros(1, np.float32), device="cpu")
    samples = sound.shape()[0] * fn.cast(flac.shape()[0] > 0, dtype=types.INT64)
    return (sound.gpu() if settings.device == "gpu" else sound), samples


def pad_rows(
    pictures: Node, count: Node, sound: Node, samples: Node, settings: DaliSettings
) -> tuple[Node, ...]:
    """Fill pictures and sound up to the longest of the batch, and add the log-mel if asked for."""
    from nvidia.dali import fn

    shown = normalized_frames(pictures) if settings.normalized else pictures
    outputs = [fn.pad(shown, axes=[0]), count, fn.pad(sound, axes=[0]), samples]
    if settings.n_mels:
        mel = log_mel(sound, settings.n_mels)
        outputs.append(fn.pad(mel, axes=[1], fill_value=_FLOOR_DB))
    return tuple(outputs)


def square_frames(frames: Node, settings: DaliSettings) -> Node:
    """Scale the short side, cut the centre square, keep 1 or 3 channels: ``FHWC`` to ``FCHW`` uint8.

    Agrees with `ter_fast.media.features.resize_frames` but for rounding.
    """
    from nvidia.dali import fn, types

    # Floats until the end: to round twice would put many pixels one level off.
    scaled = fn.resize(
        frames,
        resize_shorter=float(settings.size),
        interp_type=types.INTERP_LINEAR,
        antialias=True,
        subpixel_scale=False,
        dtype=types.FLOAT,
    )
    side = (settings.size, settings.size)
    cut = fn.crop(scaled, crop=side, crop_pos_x=0.5, crop_pos_y=0.5, rounding="truncate")
    if settings.channels == 1:
        # DALI's own conversion to grey would round the weights.
        weights = types.Constant(np.array(_LUMA, np.float32), device=settings.device)
        cut = fn.reductions.sum(cut * weights, axes=[3], keep_dims=True)
    whole = fn.cast(cut, dtype=types.UINT8)
    return fn.transpose(fn.reshape(whole, layout="FHWC"), perm=[0, 3, 1, 2])


def normalized_frames(frames: Node) -> Node:
    """Scale each ``FCHW`` picture to mean 0, deviation 1, as `ter_fast.media.features.normalize_frames`."""
    from nvidia.dali import fn, types

    pictures = fn.cast(frames, dtype=types.FLOAT)
    mean = fn.reductions.mean(pictures, axes=[1, 2, 3], keep_dims=True)
    deviation = fn.reductions.std_dev(pictures, mean, axes=[1, 2, 3], keep_dims=True)
    return (pictures - mean) / (deviation + 1.0)


def log_mel(audio: Node, n_mels: int) -> Node:
    """Return the (M, steps) log-mel in dB: spectrogram, HTK triangles, 10 log10(max(power, 1e-10)).

    Agrees with `ter_fast.media.features.LogMel.decibels` to 0.02 dB, and to 0.003 dB within 60 dB of the
    loudest band: both round to float32, each on the way of its own Fourier transform.

    Args:
        audio: (samples,) float32 at 16 kHz.
        n_mels: Bands M.
    """
    from nvidia.dali import fn

    power = fn.spectrogram(
        audio,
        nfft=_WINDOW,
        window_length=_WINDOW,
        window_step=_HOP,
        window_fn=torch.hann_window(_WINDOW, dtype=torch.float64).tolist(),
        reflect_padding=False,
    )
    bands = fn.mel_filter_bank(
        power,
        nfilter=n_mels,
        sample_rate=float(SAMPLE_RATE),
        freq_low=_LOWEST,
        freq_high=_HIGHEST,
        mel_formula="htk",
        normalize=False,
    )
    return fn.to_decibels(bands, multiplier=10.0, reference=1.0, cutoff_db=_FLOOR_DB)
