"""Tone mapping of HDR video to the colours of a standard screen.

Transfer functions: SMPTE ST 2084 (PQ) and ARIB STD-B67 (HLG), as in ITU-R BT.2100. Gamut: ITU-R BT.2087. Brightness:
the curve of ITU-R BT.2390-10, section 5.4.1, from 1000 cd/m2 to the reference white of 203 cd/m2 (ITU-R BT.2408).
"""

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from worker.detector.types import Floats, Image

PQ, HLG = 16, 18
"""Transfer characteristics of HDR in ITU-T H.273, table 3."""
_BT2020_PRIMARIES = 9
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_PEAK, _WHITE = 1000.0, 203.0
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
"""Constants of PQ."""
_BAND_ROWS = 32
"""Rows that are mapped at once: their numbers stay in the cache of the processor."""
_CODES, _STEPS = 4096, 16384
"""Sizes of the tables of the input and of the output."""


def tone_map(pixels: npt.NDArray[np.uint16], *, transfer: int, primaries: int) -> Image:
    """Return an HDR picture in BT.709.

    Args:
        pixels: (H, W, 3) RGB, 16 bits.
        transfer: ``PQ`` or ``HLG``.
        primaries: Colour primaries, as in ITU-T H.273, table 2.
    """
    mapped: Image = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _BAND_ROWS):
        band = slice(start, start + _BAND_ROWS)
        _map_band(pixels[band], mapped[band], transfer, is_bt2020=primaries == _BT2020_PRIMARIES)
    return mapped


def _map_band(pixels: npt.NDArray[np.uint16], mapped: Image, transfer: int, *, is_bt2020: bool) -> None:
    light: Floats = _make_light_table(transfer).take(pixels >> 4)
    if is_bt2020:
        light = cv2.transform(light, _BT2020_TO_BT709).astype(np.float32)
    brightest = light.max(axis=2) * (_WHITE / _PEAK * (_STEPS - 1))
    gain = _make_gain_table().take(np.clip(brightest, 0, _STEPS - 1).astype(np.uint16))
    light *= gain[..., None] * (_STEPS - 1)
    _make_code_table().take(np.clip(light, 0, _STEPS - 1).astype(np.uint16), out=mapped)


@cache
def _make_light_table(transfer: int) -> Floats:
    """Return the light of each code, relative to the reference white."""
    codes = np.linspace(0, 1, _CODES)
    if transfer == PQ:
        light = _decode_pq(codes)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)
        light = _PEAK * scene**1.2  # the system gamma of a screen of 1000 cd/m2
    return (light / _WHITE).astype(np.float32)


@cache
def _make_gain_table() -> Floats:
    """Return the gain of a pixel by the light of its brightest channel, in steps up to the peak."""
    light = np.linspace(0, _PEAK, _STEPS)
    source = _encode_pq(light) / _encode_pq(np.array(_PEAK))
    target = float(_encode_pq(np.array(_WHITE)) / _encode_pq(np.array(_PEAK)))
    knee = 1.5 * target - 0.5
    t = np.clip((source - knee) / (1 - knee), 0, 1)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (-2 * t**3 + 3 * t**2) * target
    mapped = _decode_pq(np.where(source < knee, source, spline) * _encode_pq(np.array(_PEAK)))
    return (mapped / np.maximum(light, 1e-6)).astype(np.float32)


@cache
def _make_code_table() -> npt.NDArray[np.uint8]:
    """Return the code of each step of light, by the inverse of the screen's gamma of 2.4 (ITU-R BT.1886)."""
    return np.round(255 * np.linspace(0, 1, _STEPS) ** (1 / 2.4)).astype(np.uint8)


def _decode_pq(code: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the light of PQ codes in cd/m2."""
    power = code ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def _encode_pq(light: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the PQ codes of light in cd/m2."""
    power = (light / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
