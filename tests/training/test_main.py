"""Command line of the training."""

import subprocess
import sys
from pathlib import Path


def test_unreadable_configuration_is_reported_without_traceback(tmp_path: Path) -> None:
    command = ["train", "--config", str(tmp_path / "absent.yaml"), "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [sys.executable, "-m", "training", *command], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "absent.yaml cannot be read" in done.stderr
    assert len(done.stderr.splitlines()) == 1
