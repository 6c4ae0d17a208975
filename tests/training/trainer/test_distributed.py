"""Training in several processes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.training import CONFIGS


def test_two_processes_train_one_model(data: Path, tmp_path: Path) -> None:
    torchrun = [sys.executable, "-P", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["train", "--config", str(CONFIGS / "smoke.yaml"), "--out", str(tmp_path), f"data.manifest={data}"]
    short = ["frames.steps=4", "frames.evaluate_every=2", "sequences.steps=2", "sequences.evaluate_every=2"]
    ended = subprocess.run(
        [*torchrun, "-m", "training", *command, *short],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert ended.returncode == 0, ended.stderr
    history = (tmp_path / "history.csv").read_text().splitlines()
    validations = [line.split(",")[:2] for line in history if not line.endswith(",,")]
    assert validations == [["stage", "step"], ["frames", "2"], ["frames", "4"], ["sequences", "2"]]
    assert "nan" not in "".join(history)
    assert (tmp_path / "model/manifest.json").exists()
