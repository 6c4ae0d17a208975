"""Rows as what clients see, and the headers and formats that go with it."""

import hashlib
from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.sse import ServerSentEvent

from app.api.pagination import cut_page
from app.api.presenters.responses import link_next, respond_json
from app.core.enums import STATUS_EVENTS
from app.db.tables.jobs import Feedback, Job, Transition, format_job_id
from app.schemas import feedback as feedback_schemas
from app.schemas import jobs as job_schemas
from app.schemas import results as result_schemas

_POLL_AFTER_SECONDS = 1


def present_job(job: Job, queue_position: int | None = None) -> job_schemas.Job:
    """A job as clients see it."""
    self_link = f"/v1/jobs/{job.public_id}"
    return job_schemas.Job(
        id=job.public_id,
        status=job.status,
        priority=job.priority,
        verdict=job.verdict,
        recommended_action=job.result.payload["recommended_action"] if job.result else None,
        external_id=job.external_id,
        metadata=job.client_metadata,
        model=job.model,
        policy_id=f"pol_{job.policy_id.hex}" if job.policy_id else None,
        clip=job_schemas.ClipSummary(
            name=job.clip_name,
            url=job.clip_url,
            sha256=job.clip_sha256,
            bytes=job.clip_bytes,
            deleted_at=job.clip_deleted_at,
        ),
        attempts=job.attempt,
        deduplicated_from=format_job_id(job.deduplicated_from) if job.deduplicated_from else None,
        reanalysis_of=format_job_id(job.reanalysis_of) if job.reanalysis_of else None,
        batch_id=f"batch_{job.batch_id.hex}" if job.batch_id else None,
        queue_position=queue_position,
        progress=present_progress(job),
        failure=_present_failure(job),
        result=result_schemas.Result.model_validate(job.result.payload) if job.result else None,
        start_before=job.start_before,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        links=job_schemas.Links(
            self=self_link, result=f"{self_link}/result", frames=f"{self_link}/frames", events=f"{self_link}/events"
        ),
    )


def present_progress(job: Job) -> job_schemas.Progress | None:
    """How far a running attempt is."""
    if job.phase is None or job.progress_done is None:
        return None
    return job_schemas.Progress(phase=job.phase, done=job.progress_done, total=job.progress_total)


def present_transition(row: Transition) -> ServerSentEvent:
    """A move of a job as an event of its stream; its id continues a stream that broke."""
    event = job_schemas.JobEvent(job_id=format_job_id(row.job_id), status=row.status, attempt=row.attempt, at=row.at)
    return ServerSentEvent(id=str(row.id), event=STATUS_EVENTS[row.status], data=event)


def present_feedback(row: Feedback) -> feedback_schemas.Feedback:
    """Feedback as clients see it."""
    return feedback_schemas.Feedback(
        id=f"fb_{row.id.hex}", label=row.label, category=row.category, note=row.note, created_at=row.created_at
    )


def _present_failure(job: Job) -> job_schemas.Failure | None:
    if job.failure_code is None:
        return None
    return job_schemas.Failure(
        code=job.failure_code,
        message=job.failure_message or "",
        retryable=bool(job.failure_retryable),
        attempt=job.attempt,
    )


def respond_job(request: Request, job: job_schemas.Job, *, status_code: int = 200) -> Response:
    """A job with ETag (304 where the client has it already) and, until the job ends, Retry-After."""
    headers = {} if job.status.is_final else {"Retry-After": str(_POLL_AFTER_SECONDS)}
    if status_code == 202:
        return respond_json(job, status_code=202, headers=headers)
    headers["ETag"] = f'"{hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    if known == "*" or headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return respond_json(job, headers=headers)


def respond_submitted(request: Request, job: job_schemas.Job, *, waited: float | None = None) -> Response:
    """A job that was asked for: 200 where it has ended, else 202; ``Preference-Applied`` says how long was waited."""
    response = respond_job(request, job, status_code=200 if job.status.is_final else 202)
    response.headers["Location"] = job.links.self
    if waited is not None:
        response.headers["Preference-Applied"] = f"wait={waited:g}"
    return response


def respond_jobs(request: Request, jobs: Sequence[Job], *, limit: int) -> Response:
    """A page of jobs; give one more than the limit where there are more."""
    page, cursor = cut_page(jobs, lambda job: job.id, limit=limit)
    items = [present_job(job) for job in page]
    return respond_json(job_schemas.JobPage(items=items, next_cursor=cursor), headers=link_next(request, cursor))
