"""Wait for jobs and stream their events. One database connection serves all: a LISTEN thread wakes the event loop."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

import psycopg
from fastapi.sse import ServerSentEvent
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from app.api.presenters.jobs import present_progress_event, present_transition
from app.api.sessions import run_in_session
from app.core.logging import make_logger
from app.db.queries.transitions import JOB_CHANNEL
from app.services import jobs
from app.services.jobs import JobSnapshot

_POLL_SECONDS = 1.0
"""Interval at which a waiting request reads the job anyway: notifications may be lost, and progress causes none."""
_LISTEN_SECONDS = 0.25
"""Interval at which the LISTEN thread checks if it should stop."""


class JobEvents:
    """Waits for jobs. Start it in the event loop whose requests wait."""

    def __init__(self, engine: Engine, sessions: sessionmaker[Session], *, wait_max: timedelta) -> None:
        self._engine = engine
        self._wait_max = wait_max
        self._sessions = sessions
        self._changed: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="job-events", daemon=True)
        self._log = make_logger(part="job_events")

    def start(self) -> None:
        """Start the LISTEN thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread."""
        self._stopped.set()
        self._thread.join(timeout=2 * _POLL_SECONDS)

    def limit_wait(self, seconds: float) -> float:
        """Return a requested wait, limited by ``UNMASK_WAIT_MAX``."""
        return min(seconds, self._wait_max.total_seconds())

    async def wait_for_end(self, job_id: UUID, *, tenant: str, seconds: float = 0) -> JobSnapshot:
        """Return a job as soon as it has ended, at the latest after a limited wait. No thread is blocked meanwhile.

        Raises as ``jobs.get_job``.
        """
        snapshot: JobSnapshot

        async def has_ended() -> bool:
            nonlocal snapshot
            snapshot = await run_in_session(
                self._sessions, lambda session: jobs.get_job(session, job_id, tenant=tenant)
            )
            return snapshot.job.status.is_final

        if not await has_ended() and seconds > 0:
            await self._wait_until(job_id, has_ended, seconds=self.limit_wait(seconds))
        return snapshot

    async def follow_job(self, job_id: UUID, *, tenant: str, after: int) -> AsyncIterator[ServerSentEvent]:
        """Yield each transition after ``after`` and each progress until the job has ended."""
        sent = None
        with self.subscribe(job_id) as changed:
            while True:
                find = partial(jobs.list_transitions, job_id=job_id, tenant=tenant, after=after)
                rows, job = await run_in_session(self._sessions, find)
                for row in rows:
                    yield present_transition(row, job)
                    after = row.id
                if job.status.is_final:
                    return
                progress = (job.phase, job.progress_done, job.progress_total)
                event = present_progress_event(job, after=after)
                if event and progress != sent:
                    sent = progress
                    yield event
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), timeout=_POLL_SECONDS)
                changed.clear()

    @contextmanager
    def subscribe(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set at each change of the job's status."""
        event = asyncio.Event()
        self._changed[job_id].add(event)
        try:
            yield event
        finally:
            self._changed[job_id].discard(event)
            if not self._changed[job_id]:
                del self._changed[job_id]

    async def _wait_until(self, job_id: UUID, is_done: Callable[[], Awaitable[bool]], *, seconds: float) -> None:
        """Return when ``is_done`` holds, at the latest after a time. It is checked after each change of the job."""
        with self.subscribe(job_id) as changed, suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not await is_done():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), timeout=_POLL_SECONDS)
                    changed.clear()

    def _wake(self, job_id: UUID) -> None:
        for event in self._changed.get(job_id, ()):
            event.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen_until_stopped()
            except Exception as error:  # noqa: BLE001 (any error: the thread must survive it)
                self._log.warning("listen_failed", error=str(error))
                self._stopped.wait(_POLL_SECONDS)

    def _listen_until_stopped(self) -> None:
        url = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"LISTEN {JOB_CHANNEL}".encode())
            while not self._stopped.is_set():
                for notice in connection.notifies(timeout=_LISTEN_SECONDS):
                    self._loop.call_soon_threadsafe(self._wake, UUID(notice.payload))
