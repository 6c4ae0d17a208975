"""The audit log: who changed what, noted in the transaction of the change. One line in a service notes it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.db.queries import audit as audit_queries
from app.db.tables.audit import AuditEvent

_ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts in a session."""

    name: str
    """The id of an API key, or a part of the service."""
    request_id: str | None = None


SERVICE = Actor("service")
"""Who acts where nobody asked: retention, dispatcher."""


def set_actor(session: Session, actor: Actor) -> None:
    """Says who acts in a session from now on."""
    session.info[_ACTOR] = actor


def record(session: Session, action: str, target: str, *, tenant: str) -> None:
    """Notes a change, in the caller's transaction.

    Args:
        session: Whose actor did it.
        action: As ``job.deleted``.
        target: The id of what was changed.
        tenant: Whose it is.
    """
    actor: Actor = session.info.get(_ACTOR, SERVICE)
    session.add(AuditEvent(tenant=tenant, actor=actor.name, action=action, target=target, request_id=actor.request_id))


def list_events(session: Session, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEvent]:
    """What was changed, newest first."""
    with session.begin():
        return audit_queries.list_audit_events(session, tenant=tenant, before=before, limit=limit)
