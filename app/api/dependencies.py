"""What endpoints ask for: the process's resources, a session, who is asking, a job's id."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from typing import Annotated, Any
from uuid import UUID

import structlog
from fastapi import Depends, Path, Request
from fastapi.sse import ServerSentEvent
from pydantic import Field
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.api.auth import KeyRing
from app.api.rate_limits import RateLimiter
from app.api.views import view_progress, view_transition
from app.api.waiting import JobWaiters
from app.broker import Doorbell
from app.db.models import Job
from app.egress import Guard
from app.errors import ForbiddenScopeError, NotFoundError
from app.ids import parse_id
from app.registry import find_models
from app.services import idempotency, jobs
from app.services.audit import Actor, act_as
from app.services.idempotency import Ticket
from app.services.keys import Principal
from app.services.submissions import Intake
from app.services.uploads import UploadRules
from app.settings import Settings
from app.states import Scope
from app.storage import ClipStorage
from app.wire import Schema

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


def get_resources(request: Request) -> Resources:
    """The resources that the lifespan made."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def get_session(request: Request, resources: ResourcesDep) -> Iterator[Session]:
    """A session for one request, in which its key acts; services open and commit its transactions."""
    with resources.sessions() as session:
        act_as(session, actor_of(getattr(request.state, "principal", None)))
        yield session


def actor_of(principal: Principal | None) -> Actor:
    """Whom the audit log names for a request; without a key it came by an upload URL."""
    name = principal.key_id if principal else "upload URL"
    return Actor(name, structlog.contextvars.get_contextvars().get("request_id"))


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
Admin = Annotated[Principal, Depends(Requires(Scope.ADMIN))]


class PageQuery(Schema):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items a page."""
    cursor: str | None = None
    """`next_cursor` of the page before."""


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


def parse_policy_id(policy_id: Annotated[str, Path(examples=[f"pol_{_DIGITS}"])]) -> UUID:
    """``pol_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(policy_id, "pol")


def parse_batch_id(batch_id: Annotated[str, Path(examples=[f"batch_{_DIGITS}"])]) -> UUID:
    """``batch_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(batch_id, "batch")


def parse_upload_id(upload_id: Annotated[str, Path(examples=[f"up_{_DIGITS}"])]) -> UUID:
    """``up_<32 hex digits>``, as ``parse_job_id``."""
    return _parse_id(upload_id, "up")


def _parse_id(text: str, prefix: str) -> UUID:
    if (parsed := parse_id(text, prefix)) is None:
        raise NotFoundError(f"There is no such thing. An id looks like {prefix}_{_DIGITS}.")
    return parsed


def check_job(session: SessionDep, reader: Reader, job_id: Annotated[UUID, Depends(parse_job_id)]) -> None:
    """Raises NotFoundError, GoneError before a stream has begun to answer."""
    jobs.get_job(session, job_id, tenant=reader.tenant)


JobId = Annotated[UUID, Depends(parse_job_id)]
EndpointId = Annotated[UUID, Depends(parse_endpoint_id)]
EventId = Annotated[UUID, Depends(parse_event_id)]
PolicyId = Annotated[UUID, Depends(parse_policy_id)]
BatchId = Annotated[UUID, Depends(parse_batch_id)]
UploadId = Annotated[UUID, Depends(parse_upload_id)]
