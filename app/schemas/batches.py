"""Schemas of batches."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.core.enums import JobStatus
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_TIME, Schema, example
from app.schemas.submissions import JOB_REQUEST_EXAMPLE, JobRequest

BATCH_MAX = 100
"""Jobs per batch: one transaction, and an answer that a person can still read."""

BatchStatus = Literal["running", "succeeded", "partially_failed", "failed"]


class BatchRequest(Schema):
    """Clips that are submitted together, all or none."""

    model_config = example({"items": [JOB_REQUEST_EXAMPLE]})

    items: Annotated[list[JobRequest], Field(min_length=1, max_length=BATCH_MAX)]
    """Their jobs have the priority `batch` unless their options name another one."""


class Batch(Schema):
    """Jobs that were submitted together."""

    model_config = example(
        {
            "id": example_id(IdPrefix.BATCH),
            "object": "batch",
            "status": "partially_failed",
            "jobs": {"succeeded": 98, "failed": 2},
            "created_at": EXAMPLE_TIME,
            "completed_at": "2026-11-23T17:03:10Z",
        }
    )

    id: str
    object: Literal["batch"] = "batch"
    status: BatchStatus
    """`succeeded`: all jobs succeeded; `failed`: none did."""
    jobs: dict[JobStatus, int]
    """Number of jobs per status; `GET /v1/jobs?batch_id=` lists them."""
    created_at: datetime
    completed_at: datetime | None
    """Time at which the service noticed that all jobs have ended, and emitted `batch.completed`."""
