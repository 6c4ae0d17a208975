"""The requests of the clients: what is sent, and what comes back. How it is sent is theirs."""

from dataclasses import dataclass, field
from typing import Any, BinaryIO, Generic, TypeVar

from pydantic import BaseModel

from app.schemas import Feedback, FeedbackRequest, FramePage, Job, JobOptions, JobPage

Model = TypeVar("Model", bound=BaseModel)
Page = TypeVar("Page", JobPage, FramePage)


@dataclass(frozen=True, slots=True)
class Call(Generic[Model]):
    """A request, and what its answer is."""

    method: str
    path: str
    answer: type[Model]
    arguments: dict[str, Any] = field(default_factory=dict)


def submit_job(file: BinaryIO, name: str, options: JobOptions | None, idempotency_key: str | None) -> Call[Job]:
    """Uploads a clip."""
    parts: dict[str, Any] = {"file": (name, file)}
    if options is not None:
        parts["options"] = (None, options.model_dump_json(), "application/json")
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
    return Call("POST", "/v1/jobs", Job, {"files": parts, "headers": headers})


def get_job(job_id: str, wait_seconds: float) -> Call[Job]:
    """Reads a job."""
    return Call("GET", f"/v1/jobs/{job_id}", Job, {"params": {"wait": wait_seconds}})


def list_jobs(cursor: str | None, filters: dict[str, str]) -> Call[JobPage]:
    """Reads a page of jobs."""
    return Call("GET", "/v1/jobs", JobPage, {"params": _page(cursor, **filters)})


def list_frames(job_id: str, cursor: str | None) -> Call[FramePage]:
    """Reads a page of frames."""
    return Call("GET", f"/v1/jobs/{job_id}/frames", FramePage, {"params": _page(cursor)})


def _page(cursor: str | None, **filters: str) -> dict[str, str]:
    return {"limit": "1000", **filters} | ({"cursor": cursor} if cursor else {})


def cancel_job(job_id: str) -> Call[Job]:
    """Ends a job."""
    return Call("POST", f"/v1/jobs/{job_id}:cancel", Job)


def add_feedback(job_id: str, feedback: FeedbackRequest) -> Call[Feedback]:
    """Says what a clip is."""
    return Call("POST", f"/v1/jobs/{job_id}/feedback", Feedback, {"json": feedback.model_dump(mode="json")})
