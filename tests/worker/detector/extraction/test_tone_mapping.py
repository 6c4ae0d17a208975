"""Tone mapping: HDR that was made of a standard picture looks like it again."""

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.clips import speaker
from worker.detector.extraction.tone_mapping import HLG, PQ, tone_map

_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])


def to_hdr(image: npt.NDArray[np.uint8], transfer: int) -> npt.NDArray[np.uint16]:
    """Encode a standard picture, with white at 203 cd/m2, in HDR."""
    light = 203 * ((image / 255) ** 2.4 @ _TO_BT2020.T)
    if transfer == PQ:
        power = (light / 10_000) ** (2610 / 16384)
        codes = ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    else:
        scene = (light / 1000) ** (1 / 1.2)
        codes = np.where(
            scene <= 1 / 12,
            np.sqrt(3 * scene),
            0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073,
        )
    encoded: npt.NDArray[np.uint16] = (codes * 65535).round().astype(np.uint16)
    return encoded


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_standard_picture_returns_from_hdr(transfer: int) -> None:
    image = speaker(0.0)
    mapped = tone_map(to_hdr(image, transfer), transfer=transfer, primaries=9)
    difference = np.abs(mapped.astype(int) - image)
    dark = image.max(axis=2) < 150
    assert difference[dark].mean() < 2  # below the knee nothing changes
    assert difference.mean() < 12


def test_light_above_white_is_compressed_not_clipped() -> None:
    codes = np.linspace(0.58, 0.75, 64)  # PQ, 203 to 1000 cd/m2
    ramp = np.repeat((codes * 65535).astype(np.uint16)[None, :, None], 3, axis=2)
    mapped = tone_map(ramp, transfer=PQ, primaries=1)[0, :, 0].astype(int)
    assert (np.diff(mapped) >= 0).all()
    assert len(set(mapped.tolist())) > 20
    assert mapped[-1] == pytest.approx(255, abs=2)
