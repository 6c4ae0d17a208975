"""Real service: PostgreSQL, Valkey, uvicorn, Celery workers and the webhook dispatcher as processes."""

import http.server
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from app.client.client import Client
from app.db.engine import make_engine
from app.db.migrations import migrate
from app.local.embedded_servers import embedded_postgres, make_valkey, start_valkey, valkey_url
from app.schemas.jobs import Job
from tests.conftest import API_KEY
from tests.support.processes import command_line
from tests.support.receiver import LOOPBACK
from tests.support.waiting import wait_until

_START_SECONDS = 90


def find_free_port() -> int:
    """Return a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@dataclass
class Process:
    """Process of the service and its log."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.popen.pid

    def kill_group(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self.popen.wait()

    def terminate(self) -> None:
        self.popen.terminate()
        self.popen.wait(60)

    def decoder(self) -> psutil.Process:
        """Return the child process that decodes clips."""
        children = psutil.Process(self.pid).children(recursive=True)
        return next(child for child in children if "worker.detector.sandbox.child" in command_line(child))


@dataclass
class Service:
    """Running service. Tests start and stop workers."""

    url: str
    folder: Path
    environment: dict[str, str]
    valkey: Any
    api: Process
    client: Client
    started: list[Process] = field(default_factory=list)

    def start_worker(self, **environment: str) -> Process:
        """Start a worker and wait until it is ready for jobs."""
        log = self.folder / f"worker-{len(self.started)}.log"
        worker = start([sys.executable, "-m", "worker"], self.environment | environment, log)
        self.started.append(worker)
        wait_until(lambda: "worker_ready" in log.read_text(), _START_SECONDS)
        return worker

    @contextmanager
    def worker(self, **environment: str) -> Iterator[Process]:
        """Run a worker during a block."""
        worker = self.start_worker(**environment)
        try:
            yield worker
        finally:
            if worker.popen.poll() is None:
                worker.terminate()

    @contextmanager
    def dispatcher(self) -> Iterator[Process]:
        """Run a webhook dispatcher during a block."""
        log = self.folder / f"dispatcher-{len(self.started)}.log"
        dispatcher = start([sys.executable, "-m", "app.cli.main", "webhooks"], self.environment, log)
        self.started.append(dispatcher)
        wait_until(lambda: "webhook_dispatcher_ready" in log.read_text(), _START_SECONDS)
        try:
            yield dispatcher
        finally:
            dispatcher.terminate()

    def submit_hung(self, worker: Process, clip: Path) -> Job:
        """Submit a job that the only worker starts and cannot end: its decoder is suspended."""
        worker.decoder().suspend()
        job = self.client.submit(clip)
        wait_until(lambda: self.client.get(job.id).progress)
        return job

    def wait_for_end(self, job: Job, seconds: float = 60) -> Job:
        """Wait for the end of a job and return it."""
        ended: Job = wait_until(
            lambda: found if (found := self.client.get(job.id, wait_seconds=5)).status.is_final else None, seconds
        )
        return ended

    def count_results(self, job: Job) -> int:
        """Return the number of rows in the table of results."""
        engine = make_engine(self.environment["UNMASK_DATABASE_URL"])
        with engine.connect() as connection:
            query = text("SELECT count(*) FROM results WHERE job_id = :id")
            count: int = connection.execute(query, {"id": job.id.removeprefix("job_")}).scalar_one()
        engine.dispose()
        return count


def start(command: list[str], environment: dict[str, str], log: Path) -> Process:
    with log.open("wb") as file:
        popen = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
    return Process(popen, log)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    valkey = make_valkey(folder / "valkey")
    with embedded_postgres(folder / "postgres") as database_url:
        migrate(database_url)
        start_valkey(valkey)
        port = find_free_port()
        environment = dict(os.environ) | {
            "UNMASK_DATABASE_URL": database_url,
            "UNMASK_REDIS_URL": valkey_url(valkey),
            "UNMASK_STORAGE_URL": (folder / "clips").as_uri(),
            "UNMASK_MODELS_DIR": str(folder / "models"),
            "UNMASK_STORAGE_RESERVE_BYTES": "0",
            "UNMASK_API_KEY": API_KEY,
            "UNMASK_API_PORT": str(port),
            "UNMASK_WORKER_PROCESSES": "1",
            # Short, so that a lost worker is noticed within the test.
            "UNMASK_LEASE_DURATION": "2",
            "UNMASK_HEARTBEAT_INTERVAL": "0.2",
            "UNMASK_SWEEP_INTERVAL": "0.5",
            "UNMASK_DRAIN_TIMEOUT": "2",
            "UNMASK_REUSE_RESULTS": "false",  # the same few clips are analyzed repeatedly
            "UNMASK_WAIT_MAX": "5",
            "UNMASK_EGRESS_ALLOW": LOOPBACK,
            "UNMASK_WEBHOOK_RETRY_DELAYS": "[0.5, 0.5, 0.5]",
            "UNMASK_WEBHOOK_TIMEOUT": "3",
        }
        api = start([sys.executable, "-m", "app.cli.main", "api"], environment, folder / "api.log")
        url = f"http://127.0.0.1:{port}"
        with Client(url=url, api_key=API_KEY) as client:
            wait_until(lambda: client.is_ready() or api.popen.poll() is not None, _START_SECONDS)
            assert api.popen.poll() is None, api.log.read_text()
            service = Service(url, folder, environment, valkey, api, client)
            yield service
            for process in service.started:
                if process.popen.poll() is None:
                    process.kill_group()
        api.terminate()
        valkey.stop()


@pytest.fixture(scope="module")
def running_worker(service: Service) -> Iterator[Process]:
    """Run a worker for the tests of a module that do not disturb it."""
    with service.worker() as worker:
        yield worker


@pytest.fixture
def web(clip: Callable[[str], Path]) -> Iterator[str]:
    """Run a web server with the clips."""
    clip("speaker.mp4")
    clip("no_face.mp4")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = partial(Quiet, directory=str(clip("speaker.mp4").parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
