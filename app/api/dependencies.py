"""FastAPI dependencies: resources, session, principal, page."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Body, Depends, Header, Request
from pydantic import Field
from sqlalchemy.orm import Session

from app.api.path_ids import JobId
from app.api.resources import Resources
from app.api.sessions import actor_of
from app.core.enums import Scope
from app.core.errors import ForbiddenScopeError
from app.schemas.base import Schema, ShortText
from app.schemas.policies import SimulationRequest
from app.services import jobs
from app.services.audit import set_actor
from app.services.keys import Principal


def get_resources(request: Request) -> Resources:
    """Return the resources that the lifespan of the application made."""
    resources: Resources = request.app.state.resources
    return resources


ResourcesDep = Annotated[Resources, Depends(get_resources)]


def get_session(request: Request, resources: ResourcesDep) -> Iterator[Session]:
    """Yield a session for one request, with its key as the actor. Services begin and commit the transactions."""
    with resources.sessions() as session:
        set_actor(session, actor_of(getattr(request.state, "principal", None)))
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


class RequiresScope:
    """Dependency that returns the principal of a request. Raises ForbiddenScopeError if it has none of the scopes."""

    def __init__(self, *scopes: Scope) -> None:
        self._scopes = scopes

    def __call__(self, request: Request) -> Principal:
        """Return the principal."""
        principal: Principal = request.state.principal
        if any(principal.may(scope) for scope in self._scopes):
            return principal
        wanted = " or ".join(f"'{scope}'" for scope in self._scopes)
        raise ForbiddenScopeError(f"This key lacks the scope {wanted}. Ask the operator for a key that has it.")


Reader = Annotated[Principal, Depends(RequiresScope(Scope.JOBS_READ))]
Writer = Annotated[Principal, Depends(RequiresScope(Scope.JOBS_WRITE))]
WebhookWriter = Annotated[Principal, Depends(RequiresScope(Scope.WEBHOOKS_WRITE))]
CalibrationWriter = Annotated[Principal, Depends(RequiresScope(Scope.CALIBRATIONS_WRITE))]
ModelReader = Annotated[Principal, Depends(RequiresScope(Scope.JOBS_READ, Scope.MODELS_WRITE))]
ModelWriter = Annotated[Principal, Depends(RequiresScope(Scope.MODELS_WRITE))]
Admin = Annotated[Principal, Depends(RequiresScope(Scope.ADMIN))]


IdempotencyKey = Annotated[
    ShortText | None,
    Header(description="A repeated request with the same key creates no second job and returns the first one."),
]


class PageQuery(Schema):
    """Query parameters of a page."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items per page."""
    cursor: str | None = None
    """`next_cursor` of the previous page."""


def require_job(session: SessionDep, reader: Reader, job_id: JobId) -> None:
    """Raise NotFoundError or GoneError before a stream has begun."""
    jobs.get_job(session, job_id, tenant=reader.tenant)


SimulationBody = Annotated[SimulationRequest, Body(default_factory=SimulationRequest)]
"""Body that may be empty."""
