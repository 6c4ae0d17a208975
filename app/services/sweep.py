"""The safety net: brings back jobs whose worker vanished, and rings for jobs whose doorbell was lost."""

import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.orm import Session, sessionmaker

from app.broker import Doorbell
from app.db import repositories, submissions
from app.db.models import Job
from app.log import make_logger
from app.services.batches import complete_batches
from app.states import FailureCode, JobStatus

_KEYS_ARE_KEPT = timedelta(days=1)
"""How long an Idempotency-Key is remembered: longer than any client repeats a request."""
_RINGS_A_SWEEP = 100
"""Enough to wake every worker of a large installation; they claim in order, whatever the message says."""


def requeue_lost_jobs(session: Session, *, max_attempts: int) -> list[Job]:
    """Queues the jobs whose lease ran out again, or fails those that lost too many workers."""
    with session.begin():
        lost = repositories.list_expired(session)
        now = repositories.database_time(session)
        for job in lost:
            job.lost_attempts += 1
            worker = job.lease_owner
            if job.lost_attempts < max_attempts:
                session.add(job.move_to(JobStatus.QUEUED, at=now, worker=worker))
                continue
            session.add(job.move_to(JobStatus.FAILED, at=now, worker=worker))
            job.failure_code, job.failure_retryable = FailureCode.WORKER_LOST, True
            job.failure_message = f"The worker was lost in each of {job.lost_attempts} attempts."
        return list(lost)


def expire_late_jobs(session: Session) -> list[Job]:
    """Ends the jobs that did not start before their deadline."""
    with session.begin():
        late = repositories.list_late(session)
        now = repositories.database_time(session)
        session.add_all(job.move_to(JobStatus.EXPIRED, at=now) for job in late)
        return list(late)


class Sweeper:
    """Sweeps at an interval in a thread. Every process may run one: rows are locked, rings are cheap."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        doorbell: Doorbell,
        *,
        interval: timedelta,
        max_attempts: int,
        also: Callable[[Session], None] = lambda _session: None,
    ) -> None:
        self._sessions = sessions
        self._doorbell = doorbell
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
                self._log.warning("job_lost_its_worker", job_id=job.public_id, attempt=job.attempt, status=job.status)
                if job.status is JobStatus.QUEUED:
                    self._doorbell.ring(job.id)
        with self._sessions() as session:
            for job in expire_late_jobs(session):
                self._log.info("job_expired", job_id=job.public_id)
        with self._sessions() as session, session.begin():
            submissions.delete_idempotency_keys(session, older_than=_KEYS_ARE_KEPT)
            waiting = repositories.list_queued_ids(session, older_than=self._interval, limit=_RINGS_A_SWEEP)
        with self._sessions() as session:
            for batch in complete_batches(session):
                self._log.info("batch_completed", batch_id=batch.id, status=batch.status)
        with self._sessions() as session:
            self._also(session)
        if waiting and self._doorbell.is_silent():
            for job_id in waiting:
                self._doorbell.ring(job_id)

    def _run(self) -> None:
        while not self._stop.wait(self._interval.total_seconds()):
            try:
                self.sweep()
            except Exception as error:  # noqa: BLE001 (whatever it is, the next sweep may succeed)
                self._log.warning("sweep_failed", error=str(error))
