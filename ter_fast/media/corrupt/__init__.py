"""Corruptions of sound, pictures and what joins them: five severities each, the same bits by seed.

They are for measuring, not for training (see `ter_fast.media.augment`): a trustworthy model may err on
noise, but must then be less sure. Severity 1 to 5 is

| name | what changes | 1 | 2 | 3 | 4 | 5 |
|---|---|---|---|---|---|---|
| `white_noise` | signal-to-noise ratio, dB | 20 | 14 | 8 | 2 | -5 |
| `babble` | the same, of up to 5 other clips at once | 20 | 14 | 8 | 2 | -5 |
| `reverberation` | decay by 60 dB, s | 0.2 | 0.4 | 0.8 | 1.5 | 3 |
| | direct to reverberant, dB | 10 | 5 | 0 | -5 | -10 |
| `clipping` | share of samples cut off | 0.01 | 0.05 | 0.15 | 0.3 | 0.5 |
| `low_pass` | cut-off, Hz (Butterworth, order 8) | 4000 | 3000 | 2000 | 1000 | 500 |
| `packet_loss` | share of 20 ms packets lost | 0.05 | 0.1 | 0.2 | 0.4 | 0.6 |
| `silence` | share of the sound, one stretch | 0.2 | 0.4 | 0.6 | 0.8 | 1 |
| `gaussian_noise` | standard deviation, of full scale 1 | 0.08 | 0.12 | 0.18 | 0.26 | 0.38 |
| `blur` | standard deviation, of the shorter side | 0.005 | 0.01 | 0.02 | 0.04 | 0.08 |
| `low_light` | share of the light, with photon noise | 0.5 | 0.25 | 0.12 | 0.06 | 0.03 |
| `jpeg` | quality, of 100 | 50 | 25 | 15 | 10 | 5 |
| `occlusion` | share of the face's area | 0.1 | 0.25 | 0.5 | 0.75 | 1 |
| `frozen_frames` | share of frames, one stretch | 0.2 | 0.4 | 0.6 | 0.8 | 1 |
| `dropped_frames` | share of frames (one is always left) | 0.2 | 0.4 | 0.6 | 0.8 | 0.95 |
| `low_resolution` | shorter side, pixels | 96 | 64 | 48 | 32 | 16 |
| `shifted_sound` | shift, s, early or late, end to end | 0.1 | 0.2 | 0.5 | 1 | 2 |
| `other_sound` | share of the sound, one stretch | 0.2 | 0.4 | 0.6 | 0.8 | 1 |
| `missing_audio` | share of clips without sound | 0.2 | 0.4 | 0.6 | 0.8 | 1 |
| `missing_video` | share of clips without pictures | 0.2 | 0.4 | 0.6 | 0.8 | 1 |

The blur's kernel is 2 ceil(3 sd) + 1 pixels wide. SciPy filters and OpenCV scales, blurs and
compresses. `ter_fast.evaluate.robustness` measures a model under them.
"""

from ter_fast.media.corrupt.files import corrupt_file
from ter_fast.media.corrupt.suite import CORRUPTIONS, SEVERITIES, Corruption, chosen, corrupt, suite
from ter_fast.media.corrupt.tensors import corrupt_audio, corrupt_frames

__all__ = [
    "CORRUPTIONS", "SEVERITIES", "Corruption", "chosen", "corrupt", "corrupt_audio", "corrupt_file",
    "corrupt_frames", "suite",
]  # fmt: skip
