"""Watch over the pool processes: the jobs of a killed process return to the queue at once, not after their lease."""

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import JobStatus
from app.core.logging import make_logger
from app.infra.job_queue import JobNotifier
from app.maintenance.lost_jobs import requeue_lost_jobs
from app.services.workers import REPORT_INTERVAL, report_workers

_INTERVAL_SECONDS = 0.5
_MARK_VARIABLE = "UNMASK_WORKER_MARK"


def mark_worker() -> None:
    """Give this worker a mark that its pool processes inherit: containers may share host names and process ids."""
    os.environ[_MARK_VARIABLE] = secrets.token_hex(4)


def worker_name(pid: int | None = None) -> str:
    """Return the name under which a pool process holds leases; None: this process."""
    mark = os.environ.get(_MARK_VARIABLE, "unmarked")
    return f"{socket.gethostname()}:{os.getpid() if pid is None else pid}:{mark}"


class ProcessWatcher:
    """Thread that notices pool processes that have ended.

    Args:
        sessions: Sessions of the main process.
        notifier: Wakes another process for the job.
        list_pids: Returns the ids of the running pool processes.
        max_attempts: Number of workers that a job may lose.
        model: Name and version of the default model of the processes.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        notifier: JobNotifier,
        list_pids: Callable[[], Iterable[int]],
        *,
        max_attempts: int,
        model: str,
    ) -> None:
        self._sessions, self._notifier, self._list_pids = sessions, notifier, list_pids
        self._max_attempts = max_attempts
        self._model = model
        self._report_after = 0.0
        self._running: set[int] = set()
        self._lost: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="process-watcher", daemon=True)
        self._log = make_logger(part="worker")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join()
        with suppress(SQLAlchemyError):
            self._report([], self._running)

    def check(self) -> None:
        """Requeue the jobs of the processes that have ended since the last check. A failure is tried again."""
        running = set(self._list_pids())
        ended = self._running - running
        is_changed = running != self._running
        self._lost |= ended
        self._running = running
        for pid in sorted(self._lost):
            with self._sessions() as session:
                jobs = requeue_lost_jobs(session, max_attempts=self._max_attempts, worker=worker_name(pid))
            self._lost.discard(pid)
            for job in jobs:
                self._log.warning("job_lost", job_id=job.public_id, status=job.status, worker=worker_name(pid))
                if job.status is JobStatus.QUEUED:
                    self._notifier.notify(job.id)
        if is_changed or time.monotonic() >= self._report_after:
            self._report(running, ended)

    def _report(self, running: Iterable[int], ended: Iterable[int]) -> None:
        with self._sessions() as session:
            report_workers(session, [*map(worker_name, running)], [*map(worker_name, ended)], model=self._model)
        self._report_after = time.monotonic() + REPORT_INTERVAL.total_seconds()

    def _run(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            try:
                self.check()
            except SQLAlchemyError as error:
                self._log.warning("process_check_failed", error=str(error))
