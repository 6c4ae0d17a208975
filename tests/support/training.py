"""Rows, configurations and checkpoints for tests of the training."""

from pathlib import Path

import torch

from tests.support.models import TINY
from training.config import DataConfig, FrameStageConfig, SequenceConfig, StageConfig, TrainConfig
from training.data.manifest import CropRow

CONFIGS = Path(__file__).parents[2] / "training" / "configs"


def make_row(name: str, **changes: object) -> CropRow:
    """Return the row of a crop, clip and group of one name, in split 'val' of data set 'd'."""
    values = {"path": name, "dataset": "d", "label": 0, "split": "val", "group": name, "clip": name}
    return CropRow(**(values | changes))  # type: ignore[arg-type]


def make_config(manifest: Path) -> TrainConfig:
    """Return a configuration that trains both stages of a tiny network within seconds."""
    return TrainConfig(
        data=DataConfig(manifest=manifest),
        detector=TINY,
        frames=FrameStageConfig(steps=6, batch_pairs=4, evaluate_every=3, learning_rate=1e-3, warmup_steps=1),
        sequences=StageConfig(steps=4, batch_pairs=2, evaluate_every=2, warmup_steps=1),
        sequence=SequenceConfig(cached_pairs=4),
        initial="random",
        compile=False,
        loaders=0,
    )


def load_checkpoint(out: Path, stage: str) -> dict[str, torch.Tensor]:
    """Load the weights of the last checkpoint of a stage."""
    saved: dict[str, torch.Tensor] = torch.load(out / f"{stage}.pt", weights_only=True)["model"]
    return saved
