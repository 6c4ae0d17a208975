"""What goes over the wire of the audit log."""

from datetime import datetime

from app.schemas.base import Schema


class AuditEvent(Schema):
    """A change, and who made it."""

    actor: str
    """The id of the API key, `operator`, `command line`, `upload URL`, or `service` for what it does by itself."""
    action: str
    """As `job.deleted`."""
    target: str
    """The id of what was changed."""
    request_id: str | None
    at: datetime


class AuditPage(Schema):
    """Changes, newest first."""

    items: list[AuditEvent]
    next_cursor: str | None
