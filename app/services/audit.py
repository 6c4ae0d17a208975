"""Audit log: each change is recorded in its transaction, with the actor of the session."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.queries import audit as audit_queries
from app.db.tables.audit import AuditEvent

_ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class Actor:
    """Author of the changes in a session."""

    name: str
    """Id of an API key, or a part of the service."""
    request_id: str | None = None


SERVICE = Actor("service")
"""Actor of changes without a request: retention, webhook dispatcher."""


def set_actor(session: Session, actor: Actor) -> None:
    """Set the actor of a session."""
    session.info[_ACTOR] = actor


def record(session: Session, action: str, target: str, *, tenant: str) -> None:
    """Record a change in the caller's transaction.

    Args:
        session: Session with the actor.
        action: Object and past participle, as ``job.deleted``.
        target: Id of the changed object.
        tenant: Owner of the object.
    """
    actor: Actor = session.info.get(_ACTOR, SERVICE)
    session.add(AuditEvent(tenant=tenant, actor=actor.name, action=action, target=target, request_id=actor.request_id))


def list_audit_events(session: Session, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEvent]:
    """Return the recorded changes, newest first."""
    with session.begin():
        return audit_queries.list_audit_events(session, tenant=tenant, before=before, limit=limit)
