"""Schemas of the audit log."""

from datetime import datetime

from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_REQUEST_ID, EXAMPLE_TIME, Schema, example


class AuditEvent(Schema):
    """A change and its author."""

    actor: str
    """Id of the API key, `operator`, `command line`, `upload URL`, or `service` for maintenance."""
    action: str
    """Object and past participle, as `job.deleted`."""
    target: str
    """Id of the changed object."""
    request_id: str | None
    at: datetime


class AuditPage(Schema):
    """Page of changes, newest first."""

    model_config = example(
        {
            "items": [
                {
                    "actor": "1f0c9a2b",
                    "action": "job.deleted",
                    "target": EXAMPLE_JOB_ID,
                    "request_id": EXAMPLE_REQUEST_ID,
                    "at": EXAMPLE_TIME,
                }
            ],
            "next_cursor": None,
        }
    )

    items: list[AuditEvent]
    next_cursor: str | None
