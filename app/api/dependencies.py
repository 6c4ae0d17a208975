"""What endpoints ask for: the process's resources, a session, who is asking, a job's id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Request
from fastapi.sse import ServerSentEvent
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.api.auth import KeyRing
from app.api.rate_limits import RateLimiter
from app.api.uploads import ClipForm
from app.api.views import view_progress, view_transition
from app.api.waiting import JobWaiters
from app.broker import Doorbell
from app.db.models import Job
from app.egress import Guard
from app.errors import ForbiddenScopeError, NotFoundError
from app.registry import find_models
from app.services import idempotency, jobs
from app.services.idempotency import Ticket
from app.services.keys import Principal
from app.settings import Settings
from app.states import Scope
from app.storage import ClipStorage, Upload

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

    def submit(self, upload: Upload, form: ClipForm, tenant: str, ticket: Ticket | None) -> tuple[Job, int | None]:
        """``jobs.submit_job`` in a session of its own."""
        with self.sessions() as session:
            job_id = jobs.submit_job(
                session,
                self.storage,
                self.doorbell,
                tenant=tenant,
                upload=upload,
                clip_name=form.clip_name,
                options=form.options,
                models=find_models(self.settings.installed_models) if form.options.model else (),
                guard=self.guard,
                batch_delay=self.settings.batch_delay,
                ticket=ticket,
            )
            return jobs.get_job(session, job_id, tenant=tenant)

    @asynccontextmanager
    async def hold_key(self, key: str | None, tenant: str) -> AsyncIterator[Ticket | None]:
        """Keeps other requests from an Idempotency-Key; it is free again where the block fails."""
        if key is None:
            yield None
            return
        lock = self.settings.upload_timeout
        ticket = await run_in_threadpool(self._in_session, idempotency.take_key, tenant=tenant, key=key, lock=lock)
        try:
            yield ticket
        except BaseException:
            await run_in_threadpool(self._in_session, idempotency.give_back_key, ticket=ticket)
            raise

    def _in_session(self, use_case: Callable[..., Any], **arguments: Any) -> Any:
        with self.sessions() as session:
            return use_case(session, **arguments)

    async def await_job(self, job_id: UUID, *, tenant: str, seconds: float) -> tuple[Job, int | None]:
        """``jobs.get_job`` once the job has ended, or the time is over; no thread is held while it waits."""
        found: tuple[Job, int | None]

        async def has_ended() -> bool:
            nonlocal found
            found = await run_in_threadpool(self._in_session, jobs.get_job, job_id=job_id, tenant=tenant)
            return found[0].status.is_final

        if not await has_ended():
            longest = min(timedelta(seconds=seconds), self.settings.wait_max)
            await self.waiters.wait_until(job_id, has_ended, longest=longest)
        return found

    async def follow_job(self, job_id: UUID, *, tenant: str, after: int) -> AsyncIterator[ServerSentEvent]:
        """Each transition behind ``after`` and each progress, until the job has ended; no thread is held in between."""
        told = None
        with self.waiters.subscribe(job_id) as changed:
            while True:
                rows, job = await run_in_threadpool(
                    self._in_session, jobs.list_transitions, job_id=job_id, tenant=tenant, after=after
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


def get_resources(request: Request) -> Resources:
    """The resources that the lifespan made."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def get_session(resources: ResourcesDep) -> Iterator[Session]:
    """A session for one request; services open and commit its transactions."""
    with resources.sessions() as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


class Requires:
    """Lets keys with a scope through and says who sent it. Raises ForbiddenScopeError."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, request: Request) -> Principal:
        """What FastAPI calls."""
        principal: Principal = request.state.principal
        if principal.may(self._scope):
            return principal
        raise ForbiddenScopeError(f"This key lacks the scope '{self._scope}'. Ask the operator for one that has it.")


Reader = Annotated[Principal, Depends(Requires(Scope.JOBS_READ))]
Writer = Annotated[Principal, Depends(Requires(Scope.JOBS_WRITE))]
WebhookWriter = Annotated[Principal, Depends(Requires(Scope.WEBHOOKS_WRITE))]


_DIGITS = "0199c1f27d0a7c3e8a51b0c2d3e4f506"


def parse_job_id(job_id: Annotated[str, Path(examples=[f"job_{_DIGITS}"])]) -> UUID:
    """``job_<32 hex digits>`` as a UUID. Raises NotFoundError: a malformed id names no job."""
    return _parse_id(job_id, "job")


def parse_endpoint_id(endpoint_id: Annotated[str, Path(examples=[f"we_{_DIGITS}"])]) -> UUID:
    """``we_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(endpoint_id, "we")


def parse_event_id(event_id: Annotated[str, Path(examples=[f"evt_{_DIGITS}"])]) -> UUID:
    """``evt_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(event_id, "evt")


def _parse_id(text: str, prefix: str) -> UUID:
    found, _, digits = text.partition("_")
    try:
        if found == prefix and len(digits) == 32:
            return UUID(hex=digits)
    except ValueError:
        pass
    raise NotFoundError(f"There is no such thing. An id looks like {prefix}_{_DIGITS}.")


def check_job(session: SessionDep, reader: Reader, job_id: Annotated[UUID, Depends(parse_job_id)]) -> None:
    """Raises NotFoundError, GoneError before a stream has begun to answer."""
    jobs.get_job(session, job_id, tenant=reader.tenant)


JobId = Annotated[UUID, Depends(parse_job_id)]
EndpointId = Annotated[UUID, Depends(parse_endpoint_id)]
EventId = Annotated[UUID, Depends(parse_event_id)]
