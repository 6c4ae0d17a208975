"""Training command: refused data."""

import shutil
from pathlib import Path

import pytest

from tests.support.training import make_config
from training.config import TrainConfig
from training.data.manifest import ManifestError
from training.trainer.train import check_same_run, train_model


def test_group_in_two_splits_raises_manifest_error(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data.parent, tmp_path / "leaky")
    manifest = tmp_path / "leaky" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("g9", "g0"))
    with pytest.raises(ManifestError, match="group g0: train, val"):
        train_model(make_config(manifest), tmp_path / "out")


def test_only_the_first_process_writes_the_configuration(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    check_same_run(make_config(data), path, write=False)
    assert not path.exists()
    check_same_run(make_config(data), path, write=True)
    assert TrainConfig.model_validate_json(path.read_text()) == make_config(data)
    assert list(tmp_path.iterdir()) == [path]
