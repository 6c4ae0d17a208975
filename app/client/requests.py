"""The requests of the clients: what is sent, what comes back, and how both fail. How it is sent is theirs."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from app.client.errors import ApiError, StillRunningError, UnreachableError
from app.schemas.batches import Batch, BatchRequest
from app.schemas.feedback import Feedback, FeedbackRequest
from app.schemas.jobs import Job, JobPage, ReanalysisRequest
from app.schemas.problems import Problem
from app.schemas.results import FramePage
from app.schemas.submissions import JobOptions, JobRequest
from app.schemas.uploads import ClipUpload, ClipUploadWithUrl, UploadRequest

_TIMEOUT = httpx.Timeout(30.0, read=90.0)
_WAIT_SECONDS = 30.0
"""How long one request waits for a job; proxies commonly cut a silent connection after a minute."""

Model = TypeVar("Model", bound=BaseModel)
Page = TypeVar("Page", JobPage, FramePage)


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[Model]):
    """A request, and what its answer is."""

    method: str
    path: str
    answer: type[Model]
    arguments: dict[str, Any] = field(default_factory=dict)


def submit_job(file: BinaryIO, name: str, options: JobOptions | None, idempotency_key: str | None) -> ApiRequest[Job]:
    """Uploads a clip."""
    parts: dict[str, Any] = {"file": (name, file)}
    if options is not None:
        parts["options"] = (None, options.model_dump_json(), "application/json")
    return ApiRequest("POST", "/v1/jobs", Job, {"files": parts, "headers": _key(idempotency_key)})


def get_job(job_id: str, wait_seconds: float) -> ApiRequest[Job]:
    """Reads a job."""
    return ApiRequest("GET", f"/v1/jobs/{job_id}", Job, {"params": {"wait": wait_seconds}})


def list_jobs(cursor: str | None, filters: dict[str, str]) -> ApiRequest[JobPage]:
    """Reads a page of jobs."""
    return ApiRequest("GET", "/v1/jobs", JobPage, {"params": _page(cursor, **filters)})


def list_frames(job_id: str, cursor: str | None) -> ApiRequest[FramePage]:
    """Reads a page of frames."""
    return ApiRequest("GET", f"/v1/jobs/{job_id}/frames", FramePage, {"params": _page(cursor)})


def _page(cursor: str | None, **filters: str) -> dict[str, str]:
    return {"limit": "1000", **filters} | ({"cursor": cursor} if cursor else {})


def cancel_job(job_id: str) -> ApiRequest[Job]:
    """Ends a job."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}:cancel", Job)


def add_feedback(job_id: str, feedback: FeedbackRequest) -> ApiRequest[Feedback]:
    """Says what a clip is."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}/feedback", Feedback, _body(feedback))


def submit_source(request: JobRequest, idempotency_key: str | None) -> ApiRequest[Job]:
    """Names a clip that the service has, or can get."""
    return ApiRequest("POST", "/v1/jobs", Job, _body(request) | {"headers": _key(idempotency_key)})


def submit_batch(request: BatchRequest, idempotency_key: str | None) -> ApiRequest[Batch]:
    """Names many."""
    return ApiRequest("POST", "/v1/batches", Batch, _body(request) | {"headers": _key(idempotency_key)})


def get_batch(batch_id: str) -> ApiRequest[Batch]:
    """Reads a batch."""
    return ApiRequest("GET", f"/v1/batches/{batch_id}", Batch)


def reanalyze_job(job_id: str, request: ReanalysisRequest) -> ApiRequest[Job]:
    """Looks at a clip again."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}:reanalyze", Job, _body(request))


def begin_upload(clip: Path) -> ApiRequest[ClipUploadWithUrl]:
    """Begins an upload in pieces."""
    return ApiRequest(
        "POST", "/v1/uploads", ClipUploadWithUrl, _body(UploadRequest(name=clip.name, bytes=clip.stat().st_size))
    )


def get_upload(upload_id: str) -> ApiRequest[ClipUpload]:
    """Reads an upload."""
    return ApiRequest("GET", f"/v1/uploads/{upload_id}", ClipUpload)


def _body(request: BaseModel) -> dict[str, Any]:
    return {"json": request.model_dump(mode="json", exclude_unset=True)}


def _key(idempotency_key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}


def connection_settings(url: str, api_key: str) -> dict[str, Any]:
    """What httpx's clients are made with."""
    headers = {"Authorization": f"Bearer {api_key}"}
    # trust_env: a proxy of the environment must not get the key of a service on this machine.
    return {"base_url": url, "headers": headers, "timeout": _TIMEOUT, "trust_env": False}


def check(response: httpx.Response) -> httpx.Response:
    """The response, if it is no error. Raises ApiError, UnreachableError."""
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(f"{response.url} answered {response.status_code}; is it Unmask?") from error
    raise ApiError(problem)


def parse(call: ApiRequest[Model], response: httpx.Response) -> Model:
    """What a call answered. Raises UnreachableError where it is something else."""
    try:
        return call.answer.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(f"{response.url} answers otherwise than this client expects: {error}") from error


def unreachable(url: str, error: Exception) -> UnreachableError:
    """The error for what httpx could not do."""
    return UnreachableError(f"No answer from {url} ({error}). Start the service with 'make serve', or set --url.")


def next_wait(end: float | None) -> float:
    """Seconds that the next request may wait for a job."""
    return _WAIT_SECONDS if end is None else max(min(_WAIT_SECONDS, end - time.monotonic()), 0)


def is_over(job: Job, end: float | None) -> bool:
    """Whether the job has ended. Raises StillRunningError where its time is over."""
    if not job.status.is_final and end is not None and time.monotonic() >= end:
        raise StillRunningError(job)
    return job.status.is_final
