"""FastAPI dependencies: resources, session, principal, page."""

from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Request
from pydantic import Field
from sqlalchemy.orm import Session

from app.api.path_ids import parse_job_id
from app.api.resources import Resources
from app.core.enums import Scope
from app.core.errors import ForbiddenScopeError
from app.schemas.base import Schema
from app.services import jobs
from app.services.audit import Actor, set_actor
from app.services.keys import Principal


def get_resources(request: Request) -> Resources:
    """The resources that the lifespan made."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def get_session(request: Request, resources: ResourcesDep) -> Iterator[Session]:
    """A session for one request, in which its key acts; services open and commit its transactions."""
    with resources.sessions() as session:
        set_actor(session, actor_of(getattr(request.state, "principal", None)))
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


def check_job(session: SessionDep, reader: Reader, job_id: Annotated[UUID, Depends(parse_job_id)]) -> None:
    """Raises NotFoundError, GoneError before a stream has begun to answer."""
    jobs.get_job(session, job_id, tenant=reader.tenant)
