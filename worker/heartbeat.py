"""Heartbeat of an attempt: a thread that renews the lease, stores the progress, and detects a lost attempt."""

import threading
import time
from datetime import timedelta
from types import TracebackType
from typing import Self

from sqlalchemy.orm import Session, sessionmaker

from app.core.enums import Phase
from app.core.logging import make_logger
from app.services import attempts
from app.services.attempts import Attempt

_EMIT_INTERVAL_SECONDS = 5.0
"""Interval of ``job.progress`` events. Most jobs end earlier and emit none."""


class AttemptLostError(Exception):
    """The attempt no longer owns the job: it was canceled, deleted, or given to another worker."""


class DrainError(Exception):
    """The worker is shutting down. The job returns to the queue."""


class AttemptTimeoutError(Exception):
    """The attempt exceeded its timeout."""


class Heartbeat:
    """Context manager that renews the lease of an attempt while its block runs.

    The block calls ``report_progress`` in its loops; it raises an exception if the work has to stop.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        attempt: Attempt,
        *,
        interval: timedelta,
        lease: timedelta,
        timeout: timedelta,
        draining: threading.Event,
    ) -> None:
        self._sessions = sessions
        self._attempt = attempt
        self._interval = interval
        self._lease = lease
        self._deadline = time.monotonic() + timeout.total_seconds()
        self._draining = draining
        self._progress: tuple[Phase, int, int | None] = (Phase.FETCHING, 0, None)
        self._emitted: tuple[Phase, int, int | None] = self._progress
        self._emit_after = time.monotonic() + _EMIT_INTERVAL_SECONDS
        self._is_lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew_periodically, name="heartbeat", daemon=True)
        self._log = make_logger(part="worker")

    def report_progress(self, phase: Phase, done: int, total: int | None) -> None:
        """Set the progress that the next heartbeat stores.

        Args:
            phase: Current phase of the attempt.
            done: Number of units done: bytes, frames or tracks.
            total: Number of units expected, None if unknown.

        Raises:
            AttemptLostError: The attempt no longer owns the job.
            DrainError: The worker is shutting down.
            AttemptTimeoutError: The attempt exceeded its timeout.
        """
        self._progress = (phase, done, total)
        if self._is_lost:
            raise AttemptLostError
        if self._draining.is_set():
            raise DrainError
        if time.monotonic() > self._deadline:
            raise AttemptTimeoutError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _should_emit(self) -> bool:
        """Return True, once per interval, if the progress has changed since the last event."""
        now = time.monotonic()
        if now < self._emit_after or self._progress == self._emitted:
            return False
        self._emitted, self._emit_after = self._progress, now + _EMIT_INTERVAL_SECONDS
        return True

    def _renew_periodically(self) -> None:
        while not self._stop.wait(self._interval.total_seconds()):
            try:
                with self._sessions() as session:
                    owns_job = attempts.renew_lease(
                        session,
                        self._attempt,
                        lease=self._lease,
                        progress=self._progress,
                        emit_progress=self._should_emit(),
                    )
            except Exception as error:  # noqa: BLE001 (the next heartbeat may succeed after any error)
                # The lease is longer than a short outage of the database.
                self._log.warning("heartbeat_failed", error=str(error))
                continue
            if not owns_job:
                self._is_lost = True
                return
