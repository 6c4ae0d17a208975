"""``unmask demo``: start the whole service, analyze clips over HTTP, stop the service."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from app.cli.scan import scan_clips, worst_exit_code
from app.client.client import Client
from app.local.serve import find_or_make_api_key
from app.local.supervisor import terminate_with_parent

_START_TIMEOUT_SECONDS = 120
_LOG_TAIL_LINES = 40


class DemoError(Exception):
    """Failed start of the stack; the message contains the end of its log."""


def run_demo(clips: Sequence[Path], data_dir: Path) -> int:
    """Analyze clips with a temporary stack and return the exit code of ``unmask scan``.

    Raises:
        DemoError: The stack did not start.
        ApiError, UnreachableError: A request failed.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # SIGTERM stops the stack, as Ctrl-C does
    data_dir.mkdir(parents=True, exist_ok=True)
    key = find_or_make_api_key(data_dir)
    with _running_stack(data_dir, key) as url, Client(url=url, api_key=key) as client:
        return worst_exit_code(scan_clips(client, clips, as_json=False))


@contextmanager
def _running_stack(data_dir: Path, key: str) -> Iterator[str]:
    """Start a stack that ignores the settings of the environment; yield its URL once it is ready."""
    port = _find_free_port()
    url = f"http://127.0.0.1:{port}"
    with TemporaryFile("w+") as log:
        stack = subprocess.Popen(
            [sys.executable, "-m", "app.cli.main", "serve"],
            env=_environment(data_dir, key, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=terminate_with_parent,  # noqa: PLW1509 (only calls prctl)
        )
        try:
            if not _wait_until_ready(stack, url):
                log.seek(0)
                tail = "".join(log.readlines()[-_LOG_TAIL_LINES:])
                raise DemoError(f"The service did not start. Its log ends:\n{tail}")
            yield url
        finally:
            stack.send_signal(signal.SIGTERM)
            stack.wait()


def _environment(data_dir: Path, key: str, port: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("UNMASK_")}
    return inherited | {
        # Empty, not absent: the demo must not use the servers of a .env file.
        "UNMASK_DATABASE_URL": "",
        "UNMASK_REDIS_URL": "",
        "UNMASK_STORAGE_URL": "",
        "UNMASK_API_KEY": key,
        "UNMASK_API_HOST": "127.0.0.1",
        "UNMASK_API_PORT": str(port),
        "UNMASK_DATA_DIR": str(data_dir),
        "UNMASK_WORKER_PROCESSES": "1",
    }


def _wait_until_ready(stack: "subprocess.Popen[bytes]", url: str) -> bool:
    deadline = time.monotonic() + _START_TIMEOUT_SECONDS
    # Without the real key: until the stack is ready, another process may listen on the port.
    with Client(url=url, api_key="unknown") as client:
        while stack.poll() is None and time.monotonic() < deadline:
            if client.is_ready():
                return stack.poll() is None
            time.sleep(0.2)
    return False


def _find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
