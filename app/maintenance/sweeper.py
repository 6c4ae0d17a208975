"""Thread that runs the maintenance tasks at an interval."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import JobStatus
from app.core.logging import make_logger
from app.db.queries import idempotency as idempotency_queries
from app.db.queries import jobs as job_queries
from app.infra.job_queue import JobNotifier
from app.maintenance.lost_jobs import expire_late_jobs, requeue_lost_jobs
from app.services.batches import complete_batches
from app.services.models import IMPORT_TIMEOUT, fail_lost_imports, has_queued_imports

_KEY_RETENTION = timedelta(days=1)
"""Lifetime of an Idempotency-Key: longer than any client repeats a request."""
_NOTIFICATIONS_PER_SWEEP = 100
"""Enough to wake every worker of a large installation. Workers claim in order, whatever job the message names."""

MaintenanceTask = Callable[[Session], None]
"""Task with a session that has no transaction yet."""


class Sweeper:
    """Runs the maintenance tasks in order. Several processes may run one: rows are locked, notifications are cheap."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        notifier: JobNotifier,
        *,
        interval: timedelta,
        max_attempts: int,
        tasks: Sequence[MaintenanceTask] = (),
    ) -> None:
        self._sessions = sessions
        self._notifier = notifier
        self._interval = interval
        self._max_attempts = max_attempts
        self._tasks: tuple[MaintenanceTask, ...] = (
            self._requeue_lost_jobs,
            self._expire_late_jobs,
            self._delete_idempotency_keys,
            self._complete_batches,
            self._fail_lost_imports,
            *tasks,
            self._resend_notifications,
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._log = make_logger(part="sweeper")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread after the current sweep."""
        self._stop.set()
        self._thread.join(timeout=self._interval.total_seconds() + 5)

    def sweep(self) -> None:
        """Run each task once, each in a session of its own."""
        for task in self._tasks:
            with self._sessions() as session:
                task(session)

    def _requeue_lost_jobs(self, session: Session) -> None:
        for job in requeue_lost_jobs(session, max_attempts=self._max_attempts):
            self._log.warning("lease_expired", job_id=job.public_id, attempt=job.attempt, status=job.status)
            if job.status is JobStatus.QUEUED:
                self._notifier.notify(job.id)

    def _expire_late_jobs(self, session: Session) -> None:
        for job in expire_late_jobs(session):
            self._log.info("job_expired", job_id=job.public_id)

    def _delete_idempotency_keys(self, session: Session) -> None:
        with session.begin():
            idempotency_queries.delete_idempotency_keys(session, older_than=_KEY_RETENTION)

    def _complete_batches(self, session: Session) -> None:
        for snapshot in complete_batches(session):
            self._log.info("batch_completed", batch_id=snapshot.batch.public_id, status=snapshot.status)

    def _fail_lost_imports(self, session: Session) -> None:
        for import_id in fail_lost_imports(session, older_than=IMPORT_TIMEOUT):
            self._log.warning("model_import_lost", import_id=str(import_id))
        if has_queued_imports(session):  # one message per sweep: a lost one is replaced also under load
            self._notifier.notify_import(uuid4())

    def _resend_notifications(self, session: Session) -> None:
        with session.begin():
            waiting = job_queries.list_queued_ids(session, older_than=self._interval, limit=_NOTIFICATIONS_PER_SWEEP)
        if waiting and self._notifier.is_queue_empty():
            for job_id in waiting:
                self._notifier.notify(job_id)

    def _run(self) -> None:
        while not self._stop.wait(self._interval.total_seconds()):
            try:
                self.sweep()
            except Exception as error:  # noqa: BLE001 (any error: the next sweep may succeed)
                self._log.warning("sweep_failed", error=str(error))
