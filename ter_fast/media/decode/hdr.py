"""Maps high dynamic range (PQ and HLG in BT.2020) to the standard range that models are trained on."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorTrc

WHITE = 203.0
"""Luminance in cd/m² of diffuse white in HDR (ITU-R BT.2408), which becomes white in SDR."""

PEAK = 1000.0
"""Luminance in cd/m² that HDR is mastered for; what is brighter is shown as this."""

_PQ, _HLG = int(ColorTrc.SMPTE2084), int(ColorTrc.ARIB_STD_B67)
_BT2020_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)
_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)
# The constants of PQ, by their names in BT.2100.
_M1, _M2 = 1305 / 8192, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128
_CODES = 1 << 12
_STEPS = 1 << 14

_Floats = npt.NDArray[np.float32]
_Doubles = npt.NDArray[np.float64]


def is_hdr(transfer: int) -> bool:
    """Say whether a transfer characteristic, by its number in ITU-T H.273, is that of HDR.

    Example:
        >>> is_hdr(16), is_hdr(18), is_hdr(1)
        (True, True, False)
    """
    return transfer in (_PQ, _HLG)


def tone_map(pixels: npt.NDArray[np.uint16], transfer: int) -> npt.NDArray[np.uint8]:
    """Map R'G'B' of BT.2020 with PQ or HLG to R'G'B' of BT.709 with the curve of sRGB.

    The codes become light in cd/m², for HLG that of a display of 1000 cd/m². The curve of BT.2390
    takes 0 … 1000 to 0 … 203: light up to 89 stays as it is, and what is brighter rolls off. The
    largest of the three channels decides, and all three are scaled alike, so that hues stay. Colours
    outside BT.709 are clipped.

    Args:
        pixels: (H, W, 3) uint16, the whole range.
        transfer: 16 for PQ, 18 for HLG, the numbers of ITU-T H.273.

    Returns:
        (H, W, 3) uint8.

    Reference:
        ITU-R BT.2100 (PQ, HLG), BT.2390 section 5.4.1 (the curve), BT.2408 (diffuse white),
        BT.2407 (colours); IEC 61966-2-1 (sRGB).

    Example:
        >>> tone_map(np.zeros((1, 1, 3), np.uint16), 16).tolist()
        [[[0, 0, 0]]]
    """
    light = _light(transfer)[pixels >> 4]
    if transfer == _HLG:
        scene = np.maximum(light @ _LUMA, 1e-6)
        light *= PEAK * scene[..., None] ** np.float32(0.2)
    brightest = np.clip(light.max(axis=-1, keepdims=True), 1e-3, PEAK)
    # Steps of the square root, so that dark light has as many of them as bright light.
    at = (np.sqrt(brightest / np.float32(PEAK)) * (_STEPS - 1)).astype(np.int32)
    light *= _gain()[at]
    rgb = np.clip(light @ _BT2020_TO_BT709.T, 0.0, 1.0)
    codes: npt.NDArray[np.uint8] = _srgb()[(np.sqrt(rgb) * (_STEPS - 1) + 0.5).astype(np.int32)]
    return codes


@cache
def _light(transfer: int) -> _Floats:
    """Return the light of each code of 12 bits: cd/m² for PQ, the scene's in [0, 1] for HLG."""
    code = np.arange(_CODES) / (_CODES - 1)
    if transfer == _PQ:
        light = _from_pq(code)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


def _from_pq(code: _Doubles) -> _Doubles:
    """Return the light in cd/m² of PQ codes in [0, 1]."""
    power = code ** (1 / _M2)
    light: _Doubles = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return light


def _to_pq(light: _Doubles) -> _Doubles:
    """Return the PQ codes in [0, 1] of light in cd/m²."""
    power = (light / 10_000) ** _M1
    code: _Doubles = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return code


@cache
def _gain() -> _Floats:
    """Return by how much to multiply light of up to `PEAK`, so that 1 is the white of SDR."""
    light = PEAK * (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    peak, white = _to_pq(np.array([PEAK, WHITE]))
    top = white / peak
    knee = 1.5 * top - 0.5
    code = _to_pq(light) / peak
    t = np.maximum(code - knee, 0) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * top
    )
    mapped = _from_pq(np.where(code > knee, spline, code) * peak)
    gain = mapped / np.maximum(light, 1e-9) / WHITE
    gain[light < 1] = 1 / WHITE
    return gain.astype(np.float32)


@cache
def _srgb() -> npt.NDArray[np.uint8]:
    """Return the code of sRGB for each step of the square root of light in [0, 1]."""
    light = (np.arange(_STEPS) / (_STEPS - 1)) ** 2
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * code + 0.5).astype(np.uint8)
