"""Run service functions in a database session, for async endpoints."""

from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from app.services.audit import Actor, set_actor
from app.services.keys import Principal

Returned = TypeVar("Returned")


async def run_in_session(
    sessions: sessionmaker[Session], use_case: Callable[[Session], Returned], *, actor: Actor | None = None
) -> Returned:
    """Run a service function in a new database session, in a thread, on behalf of ``actor``."""

    def run() -> Returned:
        with sessions() as session:
            if actor is not None:
                set_actor(session, actor)
            return use_case(session)

    return await run_in_threadpool(run)


def actor_of(principal: Principal | None) -> Actor:
    """Return the actor of a request for the audit log. Requests to an upload URL have no principal."""
    name = principal.key_id if principal else "upload URL"
    return Actor(name, structlog.contextvars.get_contextvars().get("request_id"))
