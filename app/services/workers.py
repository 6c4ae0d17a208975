"""Use cases of operations: report worker processes, list them, describe the queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from app.core.enums import Priority
from app.db.engine import db_now
from app.db.queries import workers as worker_queries
from app.db.queries.workers import RunningWorker

REPORT_INTERVAL = timedelta(seconds=15)
"""Interval at which a worker reports its processes."""
_ALIVE_WITHIN = 4 * REPORT_INTERVAL
"""A process that was not reported for longer counts as gone: three reports may be lost."""
_FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """State of the queue at one moment."""

    queued: dict[Priority, int]
    running: int
    workers: int
    oldest_seconds: float | None
    """Time that the oldest queued job has waited."""
    job_seconds: float | None
    """Median duration of recent jobs."""

    @property
    def eta_seconds(self) -> float | None:
        """Time until the queue is empty at the current speed; None if it is unknown or no worker runs."""
        if self.job_seconds is None or not self.workers:
            return None
        return sum(self.queued.values()) * self.job_seconds / self.workers


def report_workers(session: Session, running: Sequence[str], ended: Sequence[str], *, model: str) -> None:
    """Store which processes of a worker run.

    Args:
        session: Has no transaction yet.
        running: Names of the processes that run.
        ended: Names of those that have ended.
        model: Name and version of the default model.
    """
    with session.begin():
        if running:
            worker_queries.report_workers(session, running, model=model)
        if ended:
            worker_queries.remove_workers(session, ended)
        worker_queries.remove_silent_workers(session, older_than=_FORGOTTEN_AFTER)


def list_workers(session: Session) -> list[RunningWorker]:
    """Return the live worker processes with their jobs."""
    with session.begin():
        return worker_queries.list_workers(session, seen_within=_ALIVE_WITHIN)


def describe_queue(session: Session) -> QueueStatus:
    """Return the state of the queue, of all tenants together."""
    with session.begin():
        oldest = worker_queries.find_oldest_queued(session)
        return QueueStatus(
            queued=dict.fromkeys(Priority, 0) | worker_queries.count_queued(session),
            running=worker_queries.count_running(session),
            workers=worker_queries.count_workers(session, seen_within=_ALIVE_WITHIN),
            oldest_seconds=(db_now(session) - oldest).total_seconds() if oldest else None,
            job_seconds=worker_queries.measure_job_seconds(session),
        )
