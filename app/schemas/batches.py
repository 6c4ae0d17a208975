"""Schemas of batches."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.core.enums import JobStatus
from app.schemas.base import Schema
from app.schemas.submissions import JobRequest

BATCH_MAX = 100
"""Jobs a batch: one transaction, and one answer that a person can still read."""


class BatchRequest(Schema):
    """Clips that are submitted together; all are taken, or none."""

    items: Annotated[list[JobRequest], Field(min_length=1, max_length=BATCH_MAX)]
    """Their jobs wait in the lane `batch` unless their options name another one."""


class Batch(Schema):
    """Jobs that were submitted together."""

    id: str
    object: Literal["batch"] = "batch"
    status: Literal["running", "succeeded", "partially_failed", "failed"]
    """`succeeded`: all jobs did; `failed`: none did."""
    jobs: dict[JobStatus, int]
    """How many jobs have which status; `GET /v1/jobs?batch_id=` lists them."""
    created_at: datetime
    completed_at: datetime | None
    """When it was noticed that all jobs have ended; the event `batch.completed` is of then."""
