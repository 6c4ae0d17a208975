"""Lets many requests wait for jobs at the cost of one database connection: LISTEN in a thread, wake in the loop."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID

import psycopg
from sqlalchemy import Engine

from app.core.logging import make_logger
from app.db.queries.transitions import JOB_CHANNEL

_POLL_SECONDS = 1.0
"""A waiter looks for itself this often, should an announcement be lost with the connection."""
_LISTEN_SECONDS = 0.25
"""How often the listening thread looks whether it should end."""


class JobWaiters:
    """Start it in the event loop whose requests wait."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._events: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="job-waiters", daemon=True)
        self._log = make_logger(part="waiters")

    def start(self) -> None:
        """Starts the listening thread."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()
        self._thread.join(timeout=2 * _POLL_SECONDS)

    @contextmanager
    def subscribe(self, job_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change of the job's status."""
        event = asyncio.Event()
        self._events[job_id].add(event)
        try:
            yield event
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]

    async def wait_until(self, job_id: UUID, is_done: Callable[[], Awaitable[bool]], *, timeout: timedelta) -> None:
        """Returns once ``is_done`` holds, asked after each change of the job's status, or after the timeout time."""
        with self.subscribe(job_id) as changed, suppress(TimeoutError):
            async with asyncio.timeout(timeout.total_seconds()):
                while not await is_done():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), timeout=_POLL_SECONDS)
                    changed.clear()

    def _wake(self, job_id: UUID) -> None:
        for event in self._events.get(job_id, ()):
            event.set()

    def _listen(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen_until_stopped()
            except Exception as error:  # noqa: BLE001 (whatever it is, the thread must live on)
                self._log.warning("listen_failed", error=str(error))
                self._stopped.wait(_POLL_SECONDS)

    def _listen_until_stopped(self) -> None:
        url = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
            connection.execute(f"LISTEN {JOB_CHANNEL}".encode())
            while not self._stopped.is_set():
                for notice in connection.notifies(timeout=_LISTEN_SECONDS):
                    self._loop.call_soon_threadsafe(self._wake, UUID(notice.payload))
