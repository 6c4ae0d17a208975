"""Torch engine: the weights must match the network of the manifest."""

from pathlib import Path

import pytest

from tests.support.models import TINY, edit_manifest
from worker.detector.model.manifest import WEIGHTS_NAME, CheckpointError, load_model_manifest
from worker.detector.model.torch_engine import TorchEngine


def test_weights_of_another_network_raise_checkpoint_error(model_copy: Path) -> None:
    wider = TINY.classifier.model_copy(update={"width": 32})
    config = TINY.model_copy(update={"classifier": wider})
    edit_manifest(model_copy, detector=config.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="does not match the network"):
        TorchEngine(model_copy, load_model_manifest(model_copy), device="cpu")


def test_unknown_backbone_raises_checkpoint_error(model_copy: Path) -> None:
    unknown = TINY.classifier.model_copy(update={"backbone": "no_such_network"})
    edit_manifest(model_copy, detector=TINY.model_copy(update={"classifier": unknown}).model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="cannot be created"):
        TorchEngine(model_copy, load_model_manifest(model_copy), device="cpu")


def test_damaged_weights_raise_checkpoint_error(model_copy: Path) -> None:
    (model_copy / WEIGHTS_NAME).write_bytes(b"\x00" * 100)
    with pytest.raises(CheckpointError, match="does not match"):
        TorchEngine(model_copy, load_model_manifest(model_copy), device="cpu")
