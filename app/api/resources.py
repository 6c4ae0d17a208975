"""Resources of the API process: everything that lives as long as it does."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Any
from uuid import UUID

from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.api.job_events import JobWaiters
from app.api.middleware.authentication import KeyRing
from app.api.middleware.rate_limits import RateLimiter
from app.api.presenters.jobs import view_progress, view_transition
from app.core.settings import Settings
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage
from app.infra.egress import Guard
from app.infra.job_queue import Doorbell
from app.infra.model_registry import find_models
from app.services import idempotency, jobs
from app.services.audit import Actor, act_as
from app.services.idempotency import Ticket
from app.services.submissions import Intake
from app.services.uploads import UploadRules

_PROGRESS_SECONDS = 1.0
"""How often a stream of events looks for progress, which is not announced."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What lives as long as the process; for async endpoints also the services they call in a thread."""

    settings: Settings
    sessions: sessionmaker[Session]
    storage: ClipStorage
    doorbell: Doorbell
    waiters: JobWaiters
    keys: KeyRing
    rate_limiter: RateLimiter
    guard: Guard
    schema_version: str | None
    """The migration that the code was written for."""

    @property
    def intake(self) -> Intake:
        """What submissions need."""
        settings = self.settings
        return Intake(
            storage=self.storage,
            doorbell=self.doorbell,
            guard=self.guard,
            find_models=cache(partial(find_models, settings.installed_models)),  # once, for all items of a batch
            batch_delay=settings.batch_delay,
        )

    @asynccontextmanager
    async def hold_key(self, key: str | None, tenant: str) -> AsyncIterator[Ticket | None]:
        """Keeps other requests from an Idempotency-Key; it is free again where the block fails."""
        if key is None:
            yield None
            return
        lock = self.settings.upload_timeout
        ticket = await run_in_threadpool(self.in_session, idempotency.take_key, tenant=tenant, key=key, lock=lock)
        try:
            yield ticket
        except BaseException:
            await run_in_threadpool(self.in_session, idempotency.give_back_key, ticket=ticket)
            raise

    def in_session(self, use_case: Callable[..., Any], *given: Any, actor: Actor | None = None, **named: Any) -> Any:
        """Calls a service with a session of its own, in which somebody acts."""
        with self.sessions() as session:
            if actor is not None:
                act_as(session, actor)
            return use_case(session, *given, **named)

    @property
    def upload_rules(self) -> UploadRules:
        """What the operator allows an upload in pieces."""
        settings = self.settings
        return UploadRules(settings.clip_max_bytes, settings.upload_url_lifetime, settings.upload_retention)

    @property
    def longest_wait(self) -> float:
        """Seconds that a request may wait for a job."""
        return self.settings.wait_max.total_seconds()

    async def await_job(self, job_id: UUID, *, tenant: str, seconds: float) -> tuple[Job, int | None]:
        """``jobs.get_job`` once the job has ended, or the time is over; no thread is held while it waits."""
        found: tuple[Job, int | None]

        async def has_ended() -> bool:
            nonlocal found
            found = await run_in_threadpool(self.in_session, jobs.get_job, job_id=job_id, tenant=tenant)
            return found[0].status.is_final

        if not await has_ended() and seconds > 0:
            longest = min(timedelta(seconds=seconds), self.settings.wait_max)
            await self.waiters.wait_until(job_id, has_ended, longest=longest)
        return found

    async def follow_job(self, job_id: UUID, *, tenant: str, after: int) -> AsyncIterator[ServerSentEvent]:
        """Each transition behind ``after`` and each progress, until the job has ended; no thread is held in between."""
        told = None
        with self.waiters.subscribe(job_id) as changed:
            while True:
                rows, job = await run_in_threadpool(
                    self.in_session, jobs.list_transitions, job_id=job_id, tenant=tenant, after=after
                )
                for row in rows:
                    yield view_transition(row)
                    after = row.id
                if job.status.is_final:
                    return
                progress = view_progress(job)
                if progress and progress != told:
                    told = progress
                    yield ServerSentEvent(event="job.progress", data=progress)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), timeout=_PROGRESS_SECONDS)
                changed.clear()
