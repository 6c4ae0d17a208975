"""``unmask serve`` and ``unmask demo``: start, stop, crash, restart."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.client.client import Client
from app.schemas.submissions import JobOptions
from tests.e2e.conftest import Process, find_free_port, start
from tests.support.processes import command_line
from tests.support.waiting import wait_until

Clip = Callable[[str], Path]
pytestmark = pytest.mark.xdist_group("serve")


def make_environment(folder: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("UNMASK_")}
    return clean | {
        "UNMASK_DATA_DIR": str(folder / "data"),
        "UNMASK_API_PORT": str(find_free_port()),
        "UNMASK_WORKER_PROCESSES": "1",
        "UNMASK_STORAGE_RESERVE_BYTES": "0",
    }


def serve(environment: dict[str, str], log: Path) -> Process:
    return start([sys.executable, "-m", "app.cli.main", "serve"], environment, log)


def connect(environment: dict[str, str]) -> Client:
    key_file = Path(environment["UNMASK_DATA_DIR"]) / "api-key"
    wait_until(key_file.exists)
    assert key_file.stat().st_mode & 0o077 == 0
    client = Client(url=f"http://127.0.0.1:{environment['UNMASK_API_PORT']}", api_key=key_file.read_text().strip())
    wait_until(client.is_ready)
    return client


def family(folder: Path, *, command: str = "") -> list[psutil.Process]:
    """Return the processes whose command line or environment contains the folder, and whose command line ``command``.

    A process that ends meanwhile is left out.
    """
    found = []
    for process in psutil.process_iter():
        try:
            data_dir = process.environ().get("UNMASK_DATA_DIR", "")
        except psutil.Error:
            continue
        line = command_line(process)
        if str(folder) in line + data_dir and command in line and process.pid != os.getpid():
            found.append(process)
    return found


def stop(stack: Process, number: signal.Signals, folder: Path) -> None:
    """Send a signal to the stack and check that it ends in time and leaves no process."""
    stack.popen.send_signal(number)
    assert stack.popen.wait(60) == 0, stack.log.read_text()
    assert family(folder) == []


def test_serve_signal_stops_everything_and_keeps_data(tmp_path: Path, clip: Clip) -> None:
    environment = make_environment(tmp_path)
    stack = serve(environment, tmp_path / "first.log")
    with connect(environment) as client:
        job = client.submit(clip("speaker.mp4"), options=JobOptions(external_id="kept"))
        ended = wait_until(lambda: found if (found := client.get(job.id, wait_seconds=5)).status.is_final else None, 90)
        assert ended.result is not None
    stop(stack, signal.SIGINT, tmp_path)
    log = stack.log.read_text()
    assert "/docs" in log
    assert "api-key" in log
    assert "worker   | " in log

    again = serve(environment, tmp_path / "second.log")
    with connect(environment) as client:
        assert client.get(job.id) == ended
    stop(again, signal.SIGTERM, tmp_path)


def test_serve_twice_is_refused_restart_after_kill_works_and_lost_server_ends_it(tmp_path: Path) -> None:
    environment = make_environment(tmp_path)
    stack = serve(environment, tmp_path / "first.log")
    connect(environment).close()
    second = serve(environment, tmp_path / "second.log")
    assert second.popen.wait(30) == 1
    assert "in use" in second.log.read_text()
    stack.popen.kill()
    stack.popen.wait()
    wait_until(lambda: not family(tmp_path, command="app.cli.main"), 60)
    again = serve(environment, tmp_path / "third.log")
    connect(environment).close()
    family(tmp_path, command="valkey-server")[0].kill()
    assert again.popen.wait(60) == 1
    assert "The embedded Valkey server has ended" in again.log.read_text()
    assert family(tmp_path) == []


@pytest.mark.parametrize(
    ("delay_seconds", "number"),
    [(0.8, signal.SIGINT), (1.2, signal.SIGTERM), (1.6, signal.SIGINT), (2.4, signal.SIGTERM)],
)
def test_serve_signal_during_start_leaves_no_process(
    tmp_path: Path, delay_seconds: float, number: signal.Signals
) -> None:
    stack = serve(make_environment(tmp_path), tmp_path / "log")
    time.sleep(delay_seconds)
    os.killpg(stack.pid, number)  # as a terminal does: its child processes get the signal too
    stack.popen.wait(60)
    assert family(tmp_path) == []


def test_serve_with_broken_worker_exits_with_reason(tmp_path: Path) -> None:
    stack = serve(make_environment(tmp_path) | {"UNMASK_MODEL_DIR": "/nonexistent"}, tmp_path / "log")
    assert stack.popen.wait(90) == 1
    log = stack.log.read_text()
    assert "is not a model" in log
    assert "worker exited 3 times in a row" in log
    assert "Traceback" not in log
    assert family(tmp_path) == []


def test_demo_signal_leaves_no_process(tmp_path: Path, clip: Clip) -> None:
    demo = start(
        [sys.executable, "-m", "app.cli.main", "demo", str(clip("speaker.mp4"))],
        make_environment(tmp_path),
        tmp_path / "log",
    )
    wait_until(lambda: len(family(tmp_path)) > 4)
    demo.terminate()
    assert family(tmp_path) == []


def test_demo_analyzes_clip_and_leaves_no_process(tmp_path: Path, clip: Clip) -> None:
    # Settings of somebody's own service, which the demo must not touch.
    foreign = {"UNMASK_API_KEY": "umk_mine", "UNMASK_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    environment = make_environment(tmp_path) | foreign | {"COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-m", "app.cli.main", "demo", str(clip("speaker.mp4"))],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "t0" in done.stdout
    assert any(verdict in done.stdout for verdict in ("AUTHENTIC", "INCONCLUSIVE", "SUSPICIOUS", "MANIPULATED"))
    assert family(tmp_path) == []
