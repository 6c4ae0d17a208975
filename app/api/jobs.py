"""The routes of jobs: signatures; the work is in services, the looks in views."""

import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import Field
from starlette.concurrency import run_in_threadpool

from app import schemas
from app.api import openapi
from app.api.cursors import decode_position, decode_uuid
from app.api.dependencies import JobId, Reader, ResourcesDep, SessionDep, Writer, check_job
from app.api.uploads import declared_bytes, limits_of, receive_clip
from app.api.views import respond_frames, respond_job, respond_jobs, view_feedback, view_job
from app.db.repositories import JobFilter
from app.services import jobs
from app.states import JobStatus, Verdict
from app.wire import Schema, ShortText, Timestamp

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=openapi.problems(400, 401, 403, 429, 503))


IdempotencyKey = Annotated[
    ShortText | None,
    Header(description="A request with a key that was used before makes no second job; it answers with the first one."),
]


Prefer = Annotated[str, Header(description="`wait=SECONDS` (RFC 7240): wait for the job's end, at most 60.")]


class PageQuery(Schema):
    """Which page."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    """Items a page."""
    cursor: str | None = None
    """`next_cursor` of the page before."""


class JobQuery(PageQuery):
    """Which jobs."""

    status: JobStatus | None = None
    verdict: Verdict | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    external_id: ShortText | None = None
    created_after: Timestamp | None = None

    def as_filter(self) -> JobFilter:
        """The conditions without the page."""
        return JobFilter(**self.model_dump(exclude={"limit", "cursor"}))


@router.post("", status_code=202, summary="Submit a clip", **openapi.SUBMIT)
async def submit_job(
    request: Request,
    resources: ResourcesDep,
    writer: Writer,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = "",
) -> Response:
    """Queues a job for the clip and answers at once. Poll `Location` until the job's status is final.

    With `Prefer: wait=30` the answer is the finished job (200), if it ends within that time.
    """
    limits = limits_of(resources.settings)
    expected_bytes = declared_bytes(request, limits)
    async with resources.hold_key(idempotency_key, writer.tenant) as ticket:
        with resources.storage.begin_upload(expected_bytes=expected_bytes) as upload:
            form = await receive_clip(request, upload, limits)
            job = await run_in_threadpool(resources.submit, upload, form, writer.tenant, ticket)
    seconds = _preferred_wait(prefer)
    if seconds is not None:
        job = await resources.await_job(job[0].id, tenant=writer.tenant, seconds=seconds)
    has_ended = seconds is not None and job[0].status.is_final
    response = respond_job(request, view_job(*job), status_code=200 if has_ended else 202)
    if seconds is not None:
        waited = min(seconds, resources.settings.wait_max.total_seconds())
        response.headers["Preference-Applied"] = f"wait={waited:g}"
    return response


def _preferred_wait(prefer: str) -> float | None:
    """``wait`` of a ``Prefer`` header (RFC 7240), in seconds."""
    found = re.search(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?(?:$|[,;\s])", prefer)
    return float(found[1]) if found else None


@router.get("", summary="List jobs", response_model=schemas.JobPage)
def list_jobs(request: Request, session: SessionDep, reader: Reader, query: Annotated[JobQuery, Query()]) -> Response:
    """Jobs, newest first. Deleted jobs are not listed."""
    before = decode_uuid(query.cursor)
    page = jobs.list_jobs(session, tenant=reader.tenant, where=query.as_filter(), before=before, limit=query.limit + 1)
    return respond_jobs(request, page, limit=query.limit)


@router.get("/{job_id}", summary="Read a job", **openapi.READ_JOB)
async def get_job(
    request: Request,
    resources: ResourcesDep,
    reader: Reader,
    job_id: JobId,
    wait: Annotated[
        float, Query(ge=0, le=3600, description="Seconds to wait for the job's end; 60 are waited at most.")
    ] = 0,
) -> Response:
    """The job with its progress, and its result once it has succeeded."""
    return respond_job(request, view_job(*await resources.await_job(job_id, tenant=reader.tenant, seconds=wait)))


@router.get("/{job_id}/result", summary="Read a result", response_model=schemas.Result, **openapi.READ_RESULT)
def get_result(session: SessionDep, reader: Reader, job_id: JobId) -> schemas.Result:
    """The result alone; 409 `no_result` while there is none."""
    return schemas.Result.model_validate(jobs.get_result(session, job_id, tenant=reader.tenant).payload)


@router.get("/{job_id}/frames", summary="Read frames", **openapi.READ_FRAMES)
def list_frames(
    request: Request, session: SessionDep, reader: Reader, job_id: JobId, query: Annotated[PageQuery, Query()]
) -> Response:
    """One row for each face in each sampled frame. `Accept` chooses JSON, `application/x-ndjson` or `text/csv`."""
    after = decode_position(query.cursor)
    rows = jobs.list_frames(session, job_id, tenant=reader.tenant, after=after, limit=query.limit + 1)
    return respond_frames(request, rows, limit=query.limit)


@router.get(
    "/{job_id}/events",
    summary="Follow a job",
    response_class=EventSourceResponse,
    responses=openapi.problems(404, 410),
    dependencies=[Depends(check_job)],
)
async def follow_job(
    resources: ResourcesDep,
    reader: Reader,
    job_id: JobId,
    last_event_id: Annotated[int, Header(ge=0, lt=2**63)] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events: each move of the job, from the first one or behind `Last-Event-ID`, and its progress.

    The stream ends with the job.
    """
    async for event in resources.follow_job(job_id, tenant=reader.tenant, after=last_event_id):
        yield event


@router.post("/{job_id}/feedback", status_code=201, summary="Say what a clip is", **openapi.FEEDBACK)
def add_feedback(session: SessionDep, writer: Writer, job_id: JobId, body: schemas.FeedbackRequest) -> schemas.Feedback:
    """Keeps what a moderator decided, beside what was said before, and sends `job.feedback` to the webhooks."""
    return view_feedback(jobs.add_feedback(session, job_id, tenant=writer.tenant, key_id=writer.key_id, feedback=body))


@router.get("/{job_id}/feedback", summary="Read what was said", **openapi.FEEDBACK)
def list_feedback(session: SessionDep, reader: Reader, job_id: JobId) -> schemas.FeedbackList:
    """All feedback on a job, in order."""
    rows = jobs.list_feedback(session, job_id, tenant=reader.tenant)
    return schemas.FeedbackList(items=[view_feedback(row) for row in rows])


@router.post("/{job_id}:cancel", summary="Cancel a job", response_model=schemas.Job, **openapi.CANCEL)
def cancel_job(request: Request, session: SessionDep, writer: Writer, job_id: JobId) -> Response:
    """Ends a queued or running job at once; 409 `not_cancelable` where it has ended."""
    jobs.cancel_job(session, job_id, tenant=writer.tenant)
    return respond_job(request, view_job(*jobs.get_job(session, job_id, tenant=writer.tenant)))


@router.delete("/{job_id}", status_code=204, summary="Delete a job", responses=openapi.problems(404, 410))
def delete_job(session: SessionDep, resources: ResourcesDep, writer: Writer, job_id: JobId) -> None:
    """Removes the clip, the frames and the result. Afterwards the job answers 410 `gone_deleted`."""
    jobs.delete_job(session, resources.storage, job_id, tenant=writer.tenant)
