"""Requests and responses of the API, shared by ``Client`` and ``AsyncClient``, which send them."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from app.client.clip_file import name_of
from app.client.errors import ApiError, InvalidApiKeyError, StillRunningError, UnreachableError
from app.schemas.batches import Batch, BatchRequest
from app.schemas.calibrations import CalibrationList, CalibrationRequest, StoredCalibration
from app.schemas.feedback import Feedback, FeedbackRequest
from app.schemas.jobs import Job, JobPage, ReanalysisRequest
from app.schemas.models import ModelImport
from app.schemas.problems import Problem
from app.schemas.results import FramePage
from app.schemas.submissions import JobOptions, JobRequest
from app.schemas.uploads import ClipUpload, ClipUploadWithUrl, UploadRequest

_TIMEOUT = httpx.Timeout(30.0, read=90.0)
_WAIT_SECONDS = 30.0
"""Time that one request waits for a job. Proxies commonly close an idle connection after a minute."""

Model = TypeVar("Model", bound=BaseModel)
Page = TypeVar("Page", JobPage, FramePage)


@dataclass(frozen=True, slots=True)
class ApiRequest(Generic[Model]):
    """Request with the model of its response."""

    method: str
    path: str
    response_model: type[Model]
    arguments: dict[str, Any] = field(default_factory=dict)


def submit_job(file: BinaryIO, name: str, options: JobOptions | None, idempotency_key: str | None) -> ApiRequest[Job]:
    """Make the request that uploads a clip."""
    parts: dict[str, Any] = {"file": (name, file)}
    if options is not None:
        parts["options"] = (None, options.model_dump_json(), "application/json")
    return ApiRequest("POST", "/v1/jobs", Job, {"files": parts, "headers": _idempotency_header(idempotency_key)})


def get_job(job_id: str, wait_seconds: float) -> ApiRequest[Job]:
    """Make the request that reads a job."""
    return ApiRequest("GET", f"/v1/jobs/{job_id}", Job, {"params": {"wait": wait_seconds}})


def list_jobs(cursor: str | None, filters: dict[str, str]) -> ApiRequest[JobPage]:
    """Make the request that reads a page of jobs."""
    return ApiRequest("GET", "/v1/jobs", JobPage, {"params": _page_parameters(cursor, **filters)})


def list_frames(job_id: str, cursor: str | None) -> ApiRequest[FramePage]:
    """Make the request that reads a page of frames."""
    return ApiRequest("GET", f"/v1/jobs/{job_id}/frames", FramePage, {"params": _page_parameters(cursor)})


def _page_parameters(cursor: str | None, **filters: str) -> dict[str, str]:
    return {"limit": "1000", **filters} | ({"cursor": cursor} if cursor else {})


def cancel_job(job_id: str) -> ApiRequest[Job]:
    """Make the request that cancels a job."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}:cancel", Job)


def add_feedback(job_id: str, feedback: FeedbackRequest) -> ApiRequest[Feedback]:
    """Make the request that adds a person's label of a clip."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}/feedback", Feedback, _json_body(feedback))


def submit_source(request: JobRequest, idempotency_key: str | None) -> ApiRequest[Job]:
    """Make the request that submits a job for a named source."""
    arguments = _json_body(request) | {"headers": _idempotency_header(idempotency_key)}
    return ApiRequest("POST", "/v1/jobs", Job, arguments)


def submit_batch(request: BatchRequest, idempotency_key: str | None) -> ApiRequest[Batch]:
    """Make the request that submits many jobs at once."""
    arguments = _json_body(request) | {"headers": _idempotency_header(idempotency_key)}
    return ApiRequest("POST", "/v1/batches", Batch, arguments)


def get_batch(batch_id: str) -> ApiRequest[Batch]:
    """Make the request that reads a batch."""
    return ApiRequest("GET", f"/v1/batches/{batch_id}", Batch)


def reanalyze_job(job_id: str, request: ReanalysisRequest) -> ApiRequest[Job]:
    """Make the request that reanalyzes the clip of a job."""
    return ApiRequest("POST", f"/v1/jobs/{job_id}:reanalyze", Job, _json_body(request))


def begin_upload(clip: Path) -> ApiRequest[ClipUploadWithUrl]:
    """Make the request that begins a resumable upload. Raises OSError if the clip cannot be read."""
    request = UploadRequest(name=name_of(clip), bytes=clip.stat().st_size)
    return ApiRequest("POST", "/v1/uploads", ClipUploadWithUrl, _json_body(request))


def get_upload(upload_id: str) -> ApiRequest[ClipUpload]:
    """Make the request that reads a resumable upload."""
    return ApiRequest("GET", f"/v1/uploads/{upload_id}", ClipUpload)


def list_calibrations() -> ApiRequest[CalibrationList]:
    """Make the request that lists calibrations."""
    return ApiRequest("GET", "/v1/calibrations", CalibrationList)


def create_calibration(request: CalibrationRequest) -> ApiRequest[StoredCalibration]:
    """Make the request that calibrates a model on stored results."""
    return ApiRequest("POST", "/v1/calibrations", StoredCalibration, _json_body(request))


def activate_calibration(calibration_id: str) -> ApiRequest[StoredCalibration]:
    """Make the request that activates a calibration."""
    return ApiRequest("POST", f"/v1/calibrations/{calibration_id}:activate", StoredCalibration)


def deactivate_calibration(calibration_id: str) -> ApiRequest[StoredCalibration]:
    """Make the request that deactivates a calibration."""
    return ApiRequest("POST", f"/v1/calibrations/{calibration_id}:deactivate", StoredCalibration)


def add_model(archive: BinaryIO) -> ApiRequest[ModelImport]:
    """Make the request that adds a model."""
    content = {"content": archive.read(), "headers": {"Content-Type": "application/zip"}}
    return ApiRequest("POST", "/v1/models", ModelImport, content)


def get_import(import_id: str) -> ApiRequest[ModelImport]:
    """Make the request that reads the import of a model."""
    return ApiRequest("GET", f"/v1/model-imports/{import_id}", ModelImport)


def _json_body(request: BaseModel) -> dict[str, Any]:
    return {"json": request.model_dump(mode="json", exclude_unset=True)}


def _idempotency_header(idempotency_key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": idempotency_key} if idempotency_key else {}


def connection_settings(url: str, api_key: str) -> dict[str, Any]:
    """Return the arguments of ``httpx.Client`` and ``httpx.AsyncClient``."""
    api_key = api_key.strip()  # a line of a file ends with a newline
    if not (api_key.isascii() and api_key.isprintable()):
        raise InvalidApiKeyError
    headers = {"Authorization": f"Bearer {api_key}"}
    # trust_env: a proxy of the environment must not receive the API key of a local service.
    return {"base_url": url, "headers": headers, "timeout": _TIMEOUT, "trust_env": False}


def require_success(response: httpx.Response) -> httpx.Response:
    """Return the response if it is no error. Raises ApiError, UnreachableError."""
    if response.is_success:
        return response
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(
            f"{response.url} answered {response.status_code} without a problem document. Check the URL."
        ) from error
    raise ApiError(problem)


def parse_response(request: ApiRequest[Model], response: httpx.Response) -> Model:
    """Parse the response to a request. Raises UnreachableError if it does not fit the model."""
    try:
        return request.response_model.model_validate_json(response.content)
    except ValidationError as error:
        raise UnreachableError(
            f"The response of {response.url} does not fit this client. Compare their versions: {error}"
        ) from error


def make_unreachable_error(url: str, error: Exception) -> UnreachableError:
    """Make the error for a failed connection."""
    return UnreachableError(f"No answer from {url} ({error}). Start the service with 'make serve', or set --url.")


def remaining_wait_seconds(deadline: float | None) -> float:
    """Return the time that the next request may wait for a job; ``deadline`` is a value of ``time.monotonic``."""
    return _WAIT_SECONDS if deadline is None else max(min(_WAIT_SECONDS, deadline - time.monotonic()), 0)


def is_ended(job: Job, deadline: float | None) -> bool:
    """Return whether the job has ended. Raises StillRunningError if the deadline has passed first."""
    if not job.status.is_final and deadline is not None and time.monotonic() >= deadline:
        raise StillRunningError(job)
    return job.status.is_final
