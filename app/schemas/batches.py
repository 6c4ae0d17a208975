"""Schemas of batches."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from app.core.enums import JobStatus
from app.core.ids import IdPrefix, example_id
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_TIME, Schema, example
from app.schemas.submissions import JOB_REQUEST_EXAMPLE, JobRequest

BATCH_MAX = 100
"""Jobs per batch: one transaction, and an answer that a person can still read."""

BatchStatus = Literal["running", "succeeded", "partially_failed", "failed"]


class BatchRequest(Schema):
    """Clips that are submitted together, all or none."""

    model_config = example({"items": [JOB_REQUEST_EXAMPLE]})

    items: Annotated[list[JobRequest], Field(min_length=1, max_length=BATCH_MAX)]
    """Their jobs have the priority `batch` unless their options name another one."""


class BatchJob(Schema):
    """Job of an item of a batch."""

    index: int
    """Position of the item in the request, from 0."""
    id: str
    status: JobStatus


class Batch(Schema):
    """Jobs that were submitted together."""

    model_config = example(
        {
            "id": example_id(IdPrefix.BATCH),
            "object": "batch",
            "status": "partially_failed",
            "counts": {"succeeded": 1, "failed": 1},
            "jobs": [
                {"index": 0, "id": EXAMPLE_JOB_ID, "status": "succeeded"},
                {"index": 1, "id": f"{EXAMPLE_JOB_ID[:-1]}0", "status": "failed"},
            ],
            "created_at": EXAMPLE_TIME,
            "completed_at": "2026-11-23T17:03:10Z",
        }
    )

    id: str
    object: Literal["batch"] = "batch"
    status: BatchStatus
    """`succeeded`: all jobs succeeded; `failed`: none did."""
    counts: dict[JobStatus, int]
    """Number of jobs per status."""
    jobs: list[BatchJob]
    """Jobs in the order of the items; `GET /v1/jobs?batch_id=` has their results."""
    created_at: datetime
    completed_at: datetime | None
    """Time at which the service noticed that all jobs have ended, and emitted `batch.completed`."""
