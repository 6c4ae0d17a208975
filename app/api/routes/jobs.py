"""Routes of jobs."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api.dependencies import IdempotencyKey, PageQuery, Reader, ResourcesDep, SessionDep, Writer, require_job
from app.api.ingest.limits import streams_body
from app.api.ingest.multipart import OPTIONS_HEADER
from app.api.ingest.submission import parse_preferred_wait, submit, submit_request
from app.api.openapi import COMMON_ERRORS, problems, schema_ref
from app.api.pagination import INTEGER, decode_position, decode_uuid
from app.api.path_ids import JobId
from app.api.presenters.frames import respond_frames
from app.api.presenters.jobs import (
    present_feedback,
    present_result,
    respond_job,
    respond_jobs,
    respond_new_job,
)
from app.core.enums import JobStatus, Verdict
from app.core.ids import IdPrefix, parse_id
from app.db.queries.jobs import JobFilter
from app.schemas import feedback as feedback_schemas
from app.schemas import jobs as schemas
from app.schemas import results as result_schemas
from app.schemas.base import Sha256, ShortText, Timestamp
from app.services import jobs, reanalysis

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=COMMON_ERRORS)

Prefer = Annotated[str, Header(description="`wait=SECONDS` (RFC 7240): wait for the end of the job, at most 60.")]

_SUBMIT_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": OPTIONS_HEADER,
            "in": "header",
            "description": "The options as JSON, for a raw `application/octet-stream` upload.",
            "schema": {"type": "string"},
            "example": '{"external_id": "post-123"}',
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "The clip."},
                        "options": schema_ref("JobOptions"),
                    },
                },
                "encoding": {"options": {"contentType": "application/json"}},
            },
            "application/json": {"schema": schema_ref("JobRequest")},
            "application/octet-stream": {"schema": {"type": "string", "format": "binary", "description": "The clip."}},
        },
    },
}
_SUBMIT_RESPONSES = problems(404, 408, 409, 410, 413, 415, 422, 507) | {
    200: {"model": schemas.Job, "description": "The job has ended within the time of `Prefer`"},
    202: {"description": "The job is queued"},
}
_READ_RESPONSES = problems(404, 410) | {
    200: {"description": "The job; `ETag` identifies its state"},
    304: {"description": "The job has not changed since `If-None-Match`"},
}
_FRAMES_RESPONSES = problems(404, 409, 410) | {
    200: {
        "description": 'A page of frames; `Link: rel="next"` has the next page',
        "content": {
            "application/x-ndjson": {"schema": {"type": "string"}},
            "text/csv": {"schema": {"type": "string"}},
        },
    }
}
_REANALYZE_RESPONSES = problems(404, 409, 410, 422) | {
    200: {
        "model": schemas.Job,
        "description": "The new job has ended: the policy was applied to the stored probabilities",
    },
    202: {"description": "The new job is queued"},
}


ReanalysisBody = Annotated[schemas.ReanalysisRequest, Body(default_factory=schemas.ReanalysisRequest)]
"""Body that may be empty."""


class JobQuery(PageQuery):
    """Filters of a list of jobs."""

    status: JobStatus | None = None
    verdict: Verdict | None = None
    sha256: Sha256 | None = None
    external_id: ShortText | None = None
    created_after: Timestamp | None = None
    batch_id: ShortText | None = None

    def as_filter(self) -> JobFilter:
        """Return the filters without the page. A malformed id matches no batch."""
        batch_id = (parse_id(self.batch_id, IdPrefix.BATCH) or UUID(int=0)) if self.batch_id else None
        return JobFilter(**self.model_dump(exclude={"limit", "cursor", "batch_id"}), batch_id=batch_id)


@router.post(
    "",
    status_code=202,
    summary="Submit a clip",
    response_model=schemas.Job,
    responses=_SUBMIT_RESPONSES,
    openapi_extra=_SUBMIT_BODY,
)
@streams_body
async def submit_job(
    request: Request,
    resources: ResourcesDep,
    writer: Writer,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = "",
) -> Response:
    """Queue a job for a clip. Poll `Location` until the status of the job is final.

    The clip is in the request, or the request names its source: a URL, a complete resumable upload, or the SHA-256 of
    the clip of another job of yours.

    With `Prefer: wait=30` the answer is the finished job (200), if it ends within that time.
    """
    job_id = await submit_request(request, resources, writer, idempotency_key)
    wait_seconds = parse_preferred_wait(prefer)
    snapshot = await resources.job_events.wait_for_end(job_id, tenant=writer.tenant, seconds=wait_seconds or 0)
    waited_seconds = None if wait_seconds is None else resources.job_events.limit_wait(wait_seconds)
    return respond_new_job(request, snapshot, waited_seconds=waited_seconds)


@router.get("", summary="List jobs", response_model=schemas.JobPage)
def list_jobs(request: Request, session: SessionDep, reader: Reader, query: Annotated[JobQuery, Query()]) -> Response:
    """List jobs, newest first. Deleted jobs are not listed."""
    before = decode_uuid(query.cursor)
    page = jobs.list_jobs(session, tenant=reader.tenant, where=query.as_filter(), before=before, limit=query.limit + 1)
    return respond_jobs(request, page, limit=query.limit)


@router.get("/{job_id}", summary="Get a job", response_model=schemas.Job, responses=_READ_RESPONSES)
async def get_job(
    request: Request,
    resources: ResourcesDep,
    reader: Reader,
    job_id: JobId,
    wait: Annotated[float, Query(ge=0, le=3600, description="Seconds to wait for the end of the job, at most 60.")] = 0,
) -> Response:
    """Get a job with its progress, and with its result once it has succeeded."""
    snapshot = await resources.job_events.wait_for_end(job_id, tenant=reader.tenant, seconds=wait)
    return respond_job(request, snapshot)


@router.get(
    "/{job_id}/result", summary="Get a result", response_model=result_schemas.Result, responses=problems(404, 409, 410)
)
def get_result(session: SessionDep, reader: Reader, job_id: JobId) -> result_schemas.Result:
    """Get the result alone. Returns 409 `no_result` if there is none yet."""
    return present_result(jobs.get_result(session, job_id, tenant=reader.tenant))


@router.get(
    "/{job_id}/frames", summary="List frames", response_model=result_schemas.FramePage, responses=_FRAMES_RESPONSES
)
def list_frames(
    request: Request, session: SessionDep, reader: Reader, job_id: JobId, query: Annotated[PageQuery, Query()]
) -> Response:
    """List one row per face in each sampled frame. `Accept` selects JSON, `application/x-ndjson` or `text/csv`."""
    after = decode_position(query.cursor, below=INTEGER)
    rows = jobs.list_frames(session, job_id, tenant=reader.tenant, after=after, limit=query.limit + 1)
    return respond_frames(request, rows, limit=query.limit)


@router.get(
    "/{job_id}/events",
    summary="Stream the events of a job",
    response_class=EventSourceResponse,
    responses=problems(404, 410),
    dependencies=[Depends(require_job)],
)
async def follow_job(
    resources: ResourcesDep,
    reader: Reader,
    job_id: JobId,
    last_event_id: Annotated[int, Header(ge=0, lt=2**63)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Stream server-sent events: each transition of the job after `Last-Event-ID`, and its progress.

    The stream ends with the job.
    """
    async for event in resources.job_events.follow_job(job_id, tenant=reader.tenant, after=last_event_id):
        yield event


@router.post("/{job_id}/feedback", status_code=201, summary="Add feedback", responses=problems(404, 410))
def add_feedback(
    session: SessionDep, writer: Writer, job_id: JobId, body: feedback_schemas.FeedbackRequest
) -> feedback_schemas.Feedback:
    """Store a moderator's label in addition to earlier ones, and send `job.feedback` to the webhook endpoints."""
    return present_feedback(
        jobs.add_feedback(session, job_id, tenant=writer.tenant, key_id=writer.key_id, feedback=body)
    )


@router.get("/{job_id}/feedback", summary="List feedback", responses=problems(404, 410))
def list_feedback(session: SessionDep, reader: Reader, job_id: JobId) -> feedback_schemas.FeedbackList:
    """List all feedback on a job, in order."""
    rows = jobs.list_feedback(session, job_id, tenant=reader.tenant)
    return feedback_schemas.FeedbackList(items=[present_feedback(row) for row in rows])


@router.post("/{job_id}:cancel", summary="Cancel a job", response_model=schemas.Job, responses=problems(404, 409, 410))
def cancel_job(request: Request, session: SessionDep, writer: Writer, job_id: JobId) -> Response:
    """Cancel a queued or running job. Returns 409 `not_cancelable` if it has already ended."""
    jobs.cancel_job(session, job_id, tenant=writer.tenant)
    return respond_job(request, jobs.get_job(session, job_id, tenant=writer.tenant))


@router.post(
    "/{job_id}:reanalyze",
    status_code=202,
    summary="Reanalyze a job",
    response_model=schemas.Job,
    responses=_REANALYZE_RESPONSES,
)
async def reanalyze_job(
    request: Request,
    resources: ResourcesDep,
    writer: Writer,
    job_id: JobId,
    body: ReanalysisBody,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Create a new job, `reanalysis_of` this one. The old result stays as it is.

    Without a model the answer is the finished job (200): policy and calibration decide the stored probabilities again.
    With a model the clip is queued again; it must not have been deleted.
    If the verdict differs, `job.verdict_changed` is sent.
    """
    submission = partial(reanalysis.reanalyze_job, job_id=job_id, request=body)
    new_id = await submit(resources, writer, idempotency_key, submission)
    snapshot = await resources.job_events.wait_for_end(new_id, tenant=writer.tenant)
    return respond_new_job(request, snapshot)


@router.delete("/{job_id}", status_code=204, summary="Delete a job", responses=problems(404, 410))
def delete_job(session: SessionDep, resources: ResourcesDep, writer: Writer, job_id: JobId) -> None:
    """Delete the clip, the frames and the result. Afterwards the job returns 410 `gone_deleted`."""
    jobs.delete_job(session, resources.storage, job_id, tenant=writer.tenant)
