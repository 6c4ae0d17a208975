"""Schemas of operations: workers and the queue."""

from datetime import datetime

from app.core.enums import Priority
from app.schemas.base import EXAMPLE_JOB_ID, EXAMPLE_TIME, Schema, example


class Worker(Schema):
    """Process that runs jobs."""

    name: str
    """Host, process id and a mark of its worker."""
    model: str
    """Name and version of its default model."""
    busy: bool
    job_id: str | None
    """Job that it runs; null if it runs none, or one of another tenant."""
    started_at: datetime
    seen_at: datetime
    """Time of the last report, every 15 s."""


class WorkerList(Schema):
    """Live worker processes, by name."""

    model_config = example(
        {
            "items": [
                {
                    "name": "gpu-1:4711:9f86d081",
                    "model": "unmask-b3 0.3.0",
                    "busy": True,
                    "job_id": EXAMPLE_JOB_ID,
                    "started_at": EXAMPLE_TIME,
                    "seen_at": EXAMPLE_TIME,
                }
            ]
        }
    )

    items: list[Worker]


class Queue(Schema):
    """State of the queue, of all tenants together."""

    model_config = example(
        {
            "queued": {"live": 12, "batch": 240},
            "running": 4,
            "workers": 4,
            "oldest_seconds": 31.5,
            "job_seconds": 0.9,
            "eta_seconds": 56.7,
        }
    )

    queued: dict[Priority, int]
    running: int
    workers: int
    """Number of live worker processes."""
    oldest_seconds: float | None
    """Time that the oldest queued job has waited."""
    job_seconds: float | None
    """Median duration of the last 100 jobs that succeeded."""
    eta_seconds: float | None
    """Time until the queue is empty at this speed; null if no job has ended or no worker runs."""
