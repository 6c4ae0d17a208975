"""SQL of the audit log. Functions take a session and never commit."""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.tables.audit import AuditEvent


def list_audit_events(session: Session, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEvent]:
    """Return audit events, newest first."""
    query = select(AuditEvent).where(AuditEvent.tenant == tenant)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    return session.scalars(query.order_by(AuditEvent.id.desc()).limit(limit)).all()


def delete_audit_events(session: Session, *, older_than: timedelta) -> None:
    """Delete audit events that are older than a duration."""
    session.execute(delete(AuditEvent).where(AuditEvent.at < func.clock_timestamp() - older_than))
