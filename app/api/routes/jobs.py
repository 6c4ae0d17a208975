"""The routes of jobs: signatures; the work is in services, the looks in views."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.api import openapi
from app.api.dependencies import PageQuery, Reader, ResourcesDep, SessionDep, Writer, check_job
from app.api.ingest.submission import preferred_wait, submit, take_job
from app.api.pagination import INTEGER, decode_position, decode_uuid
from app.api.path_ids import JobId
from app.api.presenters.frames import respond_frames
from app.api.presenters.jobs import present_feedback, present_job, respond_job, respond_jobs, respond_submitted
from app.core.enums import JobStatus, Verdict
from app.core.ids import parse_id
from app.db.queries.jobs import JobFilter
from app.schemas import feedback as feedback_schemas
from app.schemas import jobs as job_schemas
from app.schemas import results as result_schemas
from app.schemas.base import Sha256, ShortText, Timestamp
from app.services import jobs
from app.services.reanalysis import reanalyze

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=openapi.COMMON_ERRORS)


IdempotencyKey = Annotated[
    ShortText | None,
    Header(description="A request with a key that was used before makes no second job; it answers with the first one."),
]


Prefer = Annotated[str, Header(description="`wait=SECONDS` (RFC 7240): wait for the job's end, at most 60.")]


class JobQuery(PageQuery):
    """Which jobs."""

    status: JobStatus | None = None
    verdict: Verdict | None = None
    sha256: Sha256 | None = None
    external_id: ShortText | None = None
    created_after: Timestamp | None = None
    batch_id: ShortText | None = None

    def as_filter(self) -> JobFilter:
        """The conditions without the page."""
        # An id that is none is one of nothing.
        batch_id = (parse_id(self.batch_id, "batch") or UUID(int=0)) if self.batch_id else None
        return JobFilter(**self.model_dump(exclude={"limit", "cursor", "batch_id"}), batch_id=batch_id)


@router.post("", status_code=202, summary="Submit a clip", **openapi.SUBMIT)
async def submit_job(
    request: Request,
    resources: ResourcesDep,
    writer: Writer,
    idempotency_key: IdempotencyKey = None,
    prefer: Prefer = "",
) -> Response:
    """Queues a job for the clip and answers at once. Poll `Location` until the job's status is final.

    The clip comes with the request, or the request names where it is: a URL, an upload in pieces that is complete, or
    the SHA-256 of a clip that a job of yours holds.

    With `Prefer: wait=30` the answer is the finished job (200), if it ends within that time.
    """
    async with resources.idempotency_claim(idempotency_key, writer.tenant) as claim:
        job_id = await take_job(request, resources, writer, claim)
    seconds = preferred_wait(prefer)
    job = await resources.await_job(job_id, tenant=writer.tenant, seconds=seconds or 0)
    return respond_submitted(request, present_job(*job), waited=seconds and min(seconds, resources.longest_wait))


@router.get("", summary="List jobs", response_model=job_schemas.JobPage)
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
    return respond_job(request, present_job(*await resources.await_job(job_id, tenant=reader.tenant, seconds=wait)))


@router.get("/{job_id}/result", summary="Read a result", response_model=result_schemas.Result, **openapi.READ_RESULT)
def get_result(session: SessionDep, reader: Reader, job_id: JobId) -> result_schemas.Result:
    """The result alone; 409 `no_result` while there is none."""
    return result_schemas.Result.model_validate(jobs.get_result(session, job_id, tenant=reader.tenant).payload)


@router.get("/{job_id}/frames", summary="Read frames", **openapi.READ_FRAMES)
def list_frames(
    request: Request, session: SessionDep, reader: Reader, job_id: JobId, query: Annotated[PageQuery, Query()]
) -> Response:
    """One row for each face in each sampled frame. `Accept` chooses JSON, `application/x-ndjson` or `text/csv`."""
    after = decode_position(query.cursor, below=INTEGER)
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
def add_feedback(
    session: SessionDep, writer: Writer, job_id: JobId, body: feedback_schemas.FeedbackRequest
) -> feedback_schemas.Feedback:
    """Keeps what a moderator decided, beside what was said before, and sends `job.feedback` to the webhooks."""
    return present_feedback(
        jobs.add_feedback(session, job_id, tenant=writer.tenant, key_id=writer.key_id, feedback=body)
    )


@router.get("/{job_id}/feedback", summary="Read what was said", **openapi.FEEDBACK)
def list_feedback(session: SessionDep, reader: Reader, job_id: JobId) -> feedback_schemas.FeedbackList:
    """All feedback on a job, in order."""
    rows = jobs.list_feedback(session, job_id, tenant=reader.tenant)
    return feedback_schemas.FeedbackList(items=[present_feedback(row) for row in rows])


@router.post("/{job_id}:cancel", summary="Cancel a job", response_model=job_schemas.Job, **openapi.CANCEL)
def cancel_job(request: Request, session: SessionDep, writer: Writer, job_id: JobId) -> Response:
    """Ends a queued or running job at once; 409 `not_cancelable` where it has ended."""
    jobs.cancel_job(session, job_id, tenant=writer.tenant)
    return respond_job(request, present_job(*jobs.get_job(session, job_id, tenant=writer.tenant)))


@router.post("/{job_id}:reanalyze", status_code=202, summary="Look at a clip again", **openapi.REANALYZE)
async def reanalyze_job(
    request: Request,
    resources: ResourcesDep,
    writer: Writer,
    job_id: JobId,
    body: job_schemas.ReanalysisRequest,
    *,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Makes a new job, `reanalysis_of` this one; the old result stays as it is.

    With a policy alone the answer is the finished job (200): its probabilities are judged anew. With a model the clip
    is queued again, if it is still kept. Where the verdict differs, the webhooks get `job.verdict_changed`.
    """
    async with resources.idempotency_claim(idempotency_key, writer.tenant) as claim:
        new_id = await submit(resources, writer, reanalyze, job_id, request=body, claim=claim)
    return respond_submitted(request, present_job(*await resources.await_job(new_id, tenant=writer.tenant, seconds=0)))


@router.delete("/{job_id}", status_code=204, summary="Delete a job", responses=openapi.problems(404, 410))
def delete_job(session: SessionDep, resources: ResourcesDep, writer: Writer, job_id: JobId) -> None:
    """Removes the clip, the frames and the result. Afterwards the job answers 410 `gone_deleted`."""
    jobs.delete_job(session, resources.storage, job_id, tenant=writer.tenant)
