"""Keeps an attempt's lease alive from a thread, carries its progress out, and brings word that it should stop."""

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

_TELL_SECONDS = 5.0
"""How often webhooks that want it are told of the progress: most jobs have ended by then."""


class AttemptLostError(Exception):
    """The job was canceled or deleted, or another worker has it: whatever this attempt finds is not wanted."""


class DrainError(Exception):
    """This worker was asked to stop: the job goes back to the queue."""


class AttemptTimeoutError(Exception):
    """The attempt took too long as a whole."""


class Heartbeat:
    """Beats while its block runs. ``report`` belongs in the work's loop."""

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
        self._told: tuple[Phase, int, int | None] = self._progress
        self._tell_after = time.monotonic() + _TELL_SECONDS
        self._is_lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._log = make_logger(part="worker")

    def report(self, phase: Phase, done: int, total: int | None) -> None:
        """Notes the progress. Raises AttemptLostError, DrainError or AttemptTimeoutError: stop the work."""
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

    def _has_news(self) -> bool:
        """Whether it is time to tell the webhooks of a progress that they do not know."""
        now = time.monotonic()
        if now < self._tell_after or self._progress == self._told:
            return False
        self._told, self._tell_after = self._progress, now + _TELL_SECONDS
        return True

    def _beat(self) -> None:
        while not self._stop.wait(self._interval.total_seconds()):
            try:
                with self._sessions() as session:
                    is_ours = attempts.renew_lease(
                        session,
                        self._attempt,
                        lease=self._lease,
                        progress=self._progress,
                        tell=self._has_news(),
                    )
            except Exception as error:  # noqa: BLE001 (whatever it is, the next beat may succeed)
                # The lease outlives a short absence of the database.
                self._log.warning("heartbeat_missed", error=str(error))
                continue
            if not is_ours:
                self._is_lost = True
                return
