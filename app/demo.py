"""``unmask demo``: starts the whole service, judges a clip over HTTP, stops the service."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.client import Client
from app.embedded import find_or_make_secret
from app.scan import ExitCode, scan_clips
from app.serve import API_KEY_FILE
from app.states import ReasonCode

_START_TIMEOUT_SECONDS = 120
_LOG_TAIL_LINES = 40


class DemoError(Exception):
    """The stack did not start; the end of its log says why."""


def run_demo(clip: Path, data_dir: Path) -> int:
    """Judges a clip with a stack of its own. Returns 0 where it was judged as well as the model can.

    Raises:
        DemoError: The stack did not start.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    key = find_or_make_secret(data_dir / API_KEY_FILE, prefix="umk_")
    with _running_stack(data_dir) as url, Client(url=url, api_key=key) as client:
        _wait_until_ready(client, data_dir)
        (outcome,) = scan_clips(client, [clip], as_json=False)
    # An untrained model judges nothing, and says so: then the machinery has done all that it can.
    is_only_untrained = outcome.reasons == [ReasonCode.MODEL_UNTRAINED]
    return ExitCode.JUDGED if is_only_untrained else outcome.exit_code


@contextmanager
def _running_stack(data_dir: Path) -> Iterator[str]:
    port = _find_free_port()
    settings = {
        "UNMASK_DATA_DIR": str(data_dir),
        "UNMASK_API_PORT": str(port),
        "UNMASK_WORKER_PROCESSES": "1",
    }
    with _log(data_dir).open("w") as log:
        stack = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            env=dict(os.environ) | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stack.send_signal(signal.SIGTERM)
        stack.wait()


def _wait_until_ready(client: Client, data_dir: Path) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    while not client.is_ready():
        if time.monotonic() > deadline:
            lines = _log(data_dir).read_text().splitlines()[-_LOG_TAIL_LINES:]
            raise DemoError("The service did not start. Its log ends:\n" + "\n".join(lines))
        time.sleep(0.2)


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def _log(data_dir: Path) -> Path:
    return data_dir / "demo.log"
