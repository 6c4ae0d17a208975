"""ONNX engine: the graph must match the manifest."""

from pathlib import Path

import pytest

from tests.support.models import TINY, edit_manifest
from worker.detector.model.engine import make_engine
from worker.detector.model.manifest import CheckpointError, load_model_manifest


def test_graph_for_another_crop_size_raises_checkpoint_error(model_copy: Path) -> None:
    larger = TINY.model_copy(update={"crop": TINY.crop.model_copy(update={"size_px": 160})})
    edit_manifest(model_copy, detector=larger.model_dump(mode="json"))
    with pytest.raises(CheckpointError, match="its manifest says"):
        make_engine(model_copy, load_model_manifest(model_copy), device="cpu")
