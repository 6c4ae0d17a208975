"""The safety net: brings back jobs whose worker vanished, and rings for jobs whose notifier was lost."""

import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import JobStatus
from app.core.logging import make_logger
from app.db.queries import idempotency as idempotency_queries
from app.db.queries import jobs as job_queries
from app.infra.job_queue import JobNotifier
from app.maintenance.lost_jobs import expire_late_jobs, requeue_lost_jobs
from app.services.batches import complete_batches

_KEYS_ARE_KEPT = timedelta(days=1)
"""How long an Idempotency-Key is remembered: longer than any client repeats a request."""
_NOTIFICATIONS_PER_SWEEP = 100
"""Enough to wake every worker of a large installation; they claim in order, whatever the message says."""


class Sweeper:
    """Sweeps at an interval in a thread. Every process may run one: rows are locked, rings are cheap."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        notifier: JobNotifier,
        *,
        interval: timedelta,
        max_attempts: int,
        also: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self._sessions = sessions
        self._doorbell = notifier
        self._interval = interval
        self._max_attempts = max_attempts
        self._also = also
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._log = make_logger(part="sweeper")

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread after the sweep in hand."""
        self._stop.set()
        self._thread.join(timeout=self._interval.total_seconds() + 5)

    def sweep(self) -> None:
        """One round."""
        with self._sessions() as session:
            for job in requeue_lost_jobs(session, max_attempts=self._max_attempts):
                self._log.warning("lease_expired", job_id=job.public_id, attempt=job.attempt, status=job.status)
                if job.status is JobStatus.QUEUED:
                    self._doorbell.notify(job.id)
        with self._sessions() as session:
            for job in expire_late_jobs(session):
                self._log.info("job_expired", job_id=job.public_id)
        with self._sessions() as session, session.begin():
            idempotency_queries.delete_idempotency_keys(session, older_than=_KEYS_ARE_KEPT)
            waiting = job_queries.list_queued_ids(session, older_than=self._interval, limit=_NOTIFICATIONS_PER_SWEEP)
        with self._sessions() as session:
            for batch in complete_batches(session):
                self._log.info("batch_completed", batch_id=batch.id, status=batch.status)
        with self._sessions() as session:
            self._also(session)
        if waiting and self._doorbell.is_queue_empty():
            for job_id in waiting:
                self._doorbell.notify(job_id)

    def _run(self) -> None:
        while not self._stop.wait(self._interval.total_seconds()):
            try:
                self.sweep()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next sweep may succeed)
                self._log.warning("sweep_failed", error=str(error))
