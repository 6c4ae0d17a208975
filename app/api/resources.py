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
from app.api.middleware.authentication import ApiKeyAuthenticator
from app.api.middleware.rate_limits import RateLimiter
from app.api.presenters.jobs import present_progress, present_transition
from app.core.settings import Settings
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage
from app.infra.egress import EgressPolicy
from app.infra.job_queue import JobNotifier
from app.infra.model_registry import find_models
from app.services import idempotency, jobs
from app.services.audit import Actor, set_actor
from app.services.idempotency import IdempotencyClaim
from app.services.submissions import SubmissionContext
from app.services.uploads import UploadRules

_PROGRESS_SECONDS = 1.0
"""How often a stream of events looks for progress, which is not announced."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What lives as long as the process; for async endpoints also the services they call in a thread."""

    settings: Settings
    sessions: sessionmaker[Session]
    storage: ClipStorage
    notifier: JobNotifier
    waiters: JobWaiters
    keys: ApiKeyAuthenticator
    rate_limiter: RateLimiter
    egress: EgressPolicy
    schema_version: str | None
    """The migration that the code was written for."""

    @property
    def context(self) -> SubmissionContext:
        """What submissions need."""
        settings = self.settings
        return SubmissionContext(
            storage=self.storage,
            notifier=self.notifier,
            egress=self.egress,
            find_models=cache(partial(find_models, settings.installed_models)),  # once, for all items of a batch
            batch_delay=settings.batch_delay,
        )

    @asynccontextmanager
    async def idempotency_claim(self, key: str | None, tenant: str) -> AsyncIterator[IdempotencyClaim | None]:
        """Keeps other requests from an Idempotency-Key; it is free again where the block fails."""
        if key is None:
            yield None
            return
        lock = self.settings.upload_timeout
        claim = await run_in_threadpool(self.in_session, idempotency.claim_key, tenant=tenant, key=key, lock=lock)
        try:
            yield claim
        except BaseException:
            await run_in_threadpool(self.in_session, idempotency.release_key, claim=claim)
            raise

    def in_session(self, use_case: Callable[..., Any], *given: Any, actor: Actor | None = None, **named: Any) -> Any:
        """Calls a service with a session of its own, in which somebody acts."""
        with self.sessions() as session:
            if actor is not None:
                set_actor(session, actor)
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
            timeout = min(timedelta(seconds=seconds), self.settings.wait_max)
            await self.waiters.wait_until(job_id, has_ended, timeout=timeout)
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
                    yield present_transition(row)
                    after = row.id
                if job.status.is_final:
                    return
                progress = present_progress(job)
                if progress and progress != told:
                    told = progress
                    yield ServerSentEvent(event="job.progress", data=progress)
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), timeout=_PROGRESS_SECONDS)
                changed.clear()
