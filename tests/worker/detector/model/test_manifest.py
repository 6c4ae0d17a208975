"""Manifests: the bundled model, and errors that name the difference."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.models import edit_manifest
from worker.detector.model.manifest import (
    BUNDLED_MODEL,
    MANIFEST_NAME,
    CheckpointError,
    load_model_manifest,
    verify_files,
)


def test_bundled_model_is_complete_trained_calibrated_and_small() -> None:
    manifest = load_model_manifest(BUNDLED_MODEL)
    verify_files(BUNDLED_MODEL, manifest)
    assert manifest.trained
    assert manifest.calibrated
    assert {path.name for path in BUNDLED_MODEL.iterdir()} == {*manifest.files, MANIFEST_NAME}
    assert sum(path.stat().st_size for path in BUNDLED_MODEL.iterdir()) <= 30 * 2**20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "format"),
        ({"format": 1}, "python -m training calibrate --model"),
        ({"label_fake": 0}, "label_fake"),
        ({"surprise": 1}, "surprise"),
        ({"files": {}}, "lacks the sha256 of model.onnx, model.safetensors"),
        ({"name": "../evil"}, "name"),
        ({"detector": {"crop": {"size_px": -1}}}, "detector.crop.size_px"),
    ],
)
def test_load_invalid_manifest_names_the_difference(model_copy: Path, changes: dict[str, Any], message: str) -> None:
    edit_manifest(model_copy, **changes)
    with pytest.raises(CheckpointError, match=message):
        load_model_manifest(model_copy)


def test_load_folder_without_manifest_raises_checkpoint_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a model"):
        load_model_manifest(tmp_path)
