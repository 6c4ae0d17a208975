"""Training stages: the parameters that each of them trains."""

from pathlib import Path

import torch

from tests.support.training import CONFIGS, load_checkpoint, make_config
from training.config import load_config
from training.trainer.train import train_model
from worker.detector.model.classifier import Classifier


def test_second_stage_keeps_frozen_backbone_unchanged(data: Path, tmp_path: Path) -> None:
    config = make_config(data).model_copy(update={"frames": None})
    train_model(config, tmp_path)
    trained = load_checkpoint(tmp_path, "sequences")
    torch.manual_seed(config.seed)
    start = Classifier(config.detector.classifier).state_dict()
    assert all(torch.equal(trained[name], start[name]) for name in start if name.startswith(("backbone", "frame_head")))
    assert not torch.equal(trained["attention.weight"], start["attention.weight"])


def test_second_stage_without_frozen_backbone_writes_a_model(data: Path, tmp_path: Path) -> None:
    config = load_config(
        CONFIGS / "reference.yaml",
        [f"data.manifest={data}", "data.weights={}", "initial=random", "detector.classifier.backbone=test_efficientnet",
         "sequences.steps=1", "sequences.batch_pairs=1", "compile=false", "loaders=0"],
    )  # fmt: skip
    train_model(config, tmp_path)
    assert (tmp_path / "model" / "manifest.json").exists()
