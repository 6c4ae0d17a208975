"""Contact sheets of training pairs, to check data and pseudo-fakes by eye."""

from pathlib import Path

import cv2
import numpy as np

from training.config import BlendConfig, TrainConfig
from training.data.images import ImageStore
from training.data.splits import load_kept_rows
from training.trainer.pairs import PairSampler
from worker.detector.types import Image

_COLUMNS = 6
_MAGNIFICATION = 2


def write_previews(config: TrainConfig, out: Path, *, pairs: int) -> list[Path]:
    """Write a picture of some pairs for each kind of fake; return the paths.

    Kinds are the fakes of the manifest, the swap, the self-blend of each mask region, and with ``data.generator`` the
    generated face of each region and of the whole crop.
    """
    sampler = PairSampler(load_kept_rows(config.data), ImageStore(config.data.manifest.parent), config)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, blend in _list_kinds(config).items():
        rng = np.random.default_rng(config.seed)
        drawn = [sampler.sample(rng, frames_min=1, frames_max=1, kinds=blend) for _ in range(pairs)]
        tiles = [np.concatenate([example.crops[0] for example in pair]) for pair in drawn]
        paths.append(out / f"{name}.png")
        cv2.imwrite(str(paths[-1]), cv2.cvtColor(_arrange(tiles), cv2.COLOR_RGB2BGR))
    return paths


def _list_kinds(config: TrainConfig) -> dict[str, BlendConfig]:
    def only(region: str, **shares: float) -> BlendConfig:
        values = {"share": 1.0, "generator": 0.0, "whole": 0.0, "swap": 0.0, "regions": {region: 1.0}} | shares
        return config.blend.model_copy(update=values)

    kinds = {"fakes": config.blend.model_copy(update={"share": 0.0}), "swap": only("face", swap=1.0)}
    kinds |= {f"self-{region}": only(region) for region in config.blend.regions}
    if config.data.generator is not None:
        kinds |= {f"generator-{region}": only(region, generator=1.0) for region in config.blend.regions}
        kinds["generator-whole"] = only("face", generator=1.0, whole=1.0)
    return kinds


def _arrange(tiles: list[Image]) -> Image:
    """Return tiles of one size in rows, magnified."""
    tiles = [*tiles, *[np.zeros_like(tiles[0])] * (-len(tiles) % _COLUMNS)]
    rows = [np.concatenate(tiles[start : start + _COLUMNS], axis=1) for start in range(0, len(tiles), _COLUMNS)]
    sheet = np.concatenate(rows)
    size = (sheet.shape[1] * _MAGNIFICATION, sheet.shape[0] * _MAGNIFICATION)
    return cv2.resize(sheet, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
