"""Resources of a pool process, opened in a process of its own: they replace signal handlers and may stop the parent."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPEN_DRAIN_CLOSE = """
import json, os, signal
from worker import resources
resources.open_resources()
opened = resources.get_resources()
layers = opened.detectors.default.sandbox.start()
before = opened.draining.is_set()
os.kill(os.getpid(), signal.SIGTERM)
after = opened.draining.is_set()
resources.close_resources()
print(json.dumps([layers, before, after, opened.detectors.default.sandbox.pid]))
"""


def run_in_pool_process(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a child of a shell, which takes the place of the worker's main process."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("UNMASK_")}
    return subprocess.run(
        ["sh", "-c", '"$0" -c "$1"; echo "the parent lives"', sys.executable, code],
        cwd=folder,
        env=variables | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_opened_resources_drain_on_sigterm_and_close_the_sandbox(database_url: str, tmp_path: Path) -> None:
    storage_url = (tmp_path / "clips").as_uri()
    environment = {"UNMASK_DATABASE_URL": database_url, "UNMASK_STORAGE_URL": storage_url, "UNMASK_DEVICE": "cpu"}
    done = run_in_pool_process(OPEN_DRAIN_CLOSE, tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    layers, before, after, pid = json.loads(done.stdout.splitlines()[0])
    assert "limits" in layers
    assert (before, after, pid) == (False, True, None)
    assert "worker_ready" in done.stderr


def test_failed_start_stops_the_parent(tmp_path: Path) -> None:
    done = run_in_pool_process("from worker import resources; resources.open_resources()", tmp_path)
    assert done.returncode == -signal.SIGTERM
    assert "the parent lives" not in done.stdout
    assert "worker_failed" in done.stderr
    assert "UNMASK_DATABASE_URL, UNMASK_STORAGE_URL" in done.stderr
