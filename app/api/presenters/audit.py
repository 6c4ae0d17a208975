"""Present the audit log."""

from app.db.tables.audit import AuditEvent
from app.schemas import audit as schemas


def present_audit_event(row: AuditEvent) -> schemas.AuditEvent:
    """Return a recorded change as clients see it."""
    return schemas.AuditEvent.model_validate(row, from_attributes=True)
