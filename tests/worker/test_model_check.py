"""Check of a model in a confined process: what it answers, and what it cannot do."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.models import edit_manifest
from worker.detector.model.manifest import CheckpointError
from worker.detector.sandbox.parent import make_environment
from worker.model_check import find_problem
from worker.model_install import install_model


class InfiniteEngine:
    """Engine whose network diverges."""

    def score(self, crops: np.ndarray, _times: np.ndarray) -> object:
        return type("Score", (), {"logit": float("inf"), "frame_logits": [0.0] * len(crops)})


class FailingEngine:
    """Engine whose graph fails while it runs."""

    def score(self, *_: object) -> object:
        raise RuntimeError("bad node")


@pytest.mark.parametrize(
    ("engine", "problem"), [(InfiniteEngine(), "not finite"), (FailingEngine(), "RuntimeError: bad node")]
)
def test_network_without_finite_logits_is_named(
    model_copy: Path, monkeypatch: pytest.MonkeyPatch, engine: object, problem: str
) -> None:
    monkeypatch.setattr("worker.model_check.make_engine", lambda *_, **__: engine)
    assert problem in (find_problem(model_copy) or "")
    monkeypatch.undo()
    assert find_problem(model_copy) is None


def run_confined(code: str, model: Path) -> subprocess.CompletedProcess[str]:
    """Run code in place of the check of a model, in the same confinement."""
    script = (
        "import sys; from pathlib import Path; import worker.model_check as check\n"
        f"def attack(model):\n    {code}\ncheck.find_problem = attack\n"
        f"sys.argv = ['check', {str(model)!r}, '{os.getpid()}', 'limits']\ncheck.main()"
    )
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=make_environment(), capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no seccomp")
@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.create_connection(('127.0.0.1', 1))",
        "import subprocess; subprocess.run(['true'])",
        "Path('/etc/passwd').read_text()",
        "(model / 'new').write_text('x')",
    ],
)
def test_check_has_no_network_programs_and_other_files(model_copy: Path, code: str) -> None:
    done = run_confined(code, model_copy)
    assert done.returncode == 1
    assert "PermissionError" in done.stderr


def test_check_has_no_passwords(model_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNMASK_API_KEY", "secret")
    done = run_confined("import os; return ' '.join(os.environ)", model_copy)
    assert "PYTHONPATH" in done.stdout
    assert "UNMASK_API_KEY" not in done.stdout


def test_missing_layer_is_named(model_copy: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="lacks unknown, which UNMASK_SANDBOX requires"):
        install_model(model_copy, tmp_path / "installed", layers_required=frozenset({"unknown"}))


def test_model_that_hangs_is_ended(model_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.model_install.CHECK_TIMEOUT_SECONDS", 0.01)
    with pytest.raises(CheckpointError, match="did not answer"):
        install_model(model_copy, tmp_path / "installed")
    edit_manifest(model_copy, version="2")
    assert not (tmp_path / "installed").exists()
