"""Present jobs, transitions and feedback, with the headers of their responses."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

from fastapi import Request, Response
from fastapi.sse import ServerSentEvent

from app.api.pagination import cut_page
from app.api.presenters.responses import link_next, respond_json
from app.core.enums import STATUS_EVENTS, EventType, JobStatus, Phase
from app.core.ids import IdPrefix, format_id
from app.db.tables.jobs import Feedback, Job, Transition
from app.db.tables.results import Result
from app.schemas import feedback as feedback_schemas
from app.schemas import jobs as job_schemas
from app.schemas import results as result_schemas
from app.services.jobs import JobSnapshot

_PHASE_SHARES = {Phase.EXTRACTING: (0.0, 0.8), Phase.SCORING: (0.8, 0.2)}
"""Begin and share of each phase in the time of an attempt, measured on clips of ten seconds to ten minutes."""
_POLL_AFTER_SECONDS = 1
"""``Retry-After`` of a job that has not ended."""


def present_job(snapshot: JobSnapshot, *, public_url: str) -> job_schemas.Job:
    """Return a job as clients see it, with links that begin with the public URL of the API."""
    job = snapshot.job
    self_link = f"{public_url}/v1/jobs/{job.public_id}"
    return job_schemas.Job(
        id=job.public_id,
        status=job.status,
        priority=job.priority,
        verdict=job.verdict,
        recommended_action=job.result.payload["recommended_action"] if job.result else None,
        external_id=job.external_id,
        metadata=job.client_metadata,
        model=job.model,
        start_seconds=job.start_seconds,
        end_seconds=job.end_seconds,
        policy_id=format_id(IdPrefix.POLICY, job.policy_id) if job.policy_id else None,
        clip=job_schemas.ClipSummary(
            name=job.clip_name,
            url=job.clip_url,
            sha256=job.clip_sha256,
            bytes=job.clip_bytes,
            deleted_at=job.clip_deleted_at,
        ),
        attempts=job.attempt,
        deduplicated_from=format_id(IdPrefix.JOB, job.deduplicated_from) if job.deduplicated_from else None,
        reanalysis_of=format_id(IdPrefix.JOB, job.reanalysis_of) if job.reanalysis_of else None,
        batch_id=format_id(IdPrefix.BATCH, job.batch_id) if job.batch_id else None,
        queue_position=snapshot.queue_position,
        progress=present_progress(job),
        failure=_present_failure(job),
        result=present_result(job.result) if job.result else None,
        start_before=job.start_before,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        links=job_schemas.Links(
            self=self_link, result=f"{self_link}/result", frames=f"{self_link}/frames", events=f"{self_link}/events"
        ),
    )


def present_result(result: Result) -> result_schemas.Result:
    """Return a result as clients see it."""
    return result_schemas.Result.model_validate(result.payload)


def present_progress(job: Job) -> job_schemas.Progress | None:
    """Return the progress of a running attempt, else None."""
    if job.phase is None or job.progress_done is None:
        return None
    return job_schemas.Progress(
        phase=job.phase, done=job.progress_done, total=job.progress_total, eta_seconds=_estimate_seconds_left(job)
    )


def _estimate_seconds_left(job: Job) -> float | None:
    """Return the time until the attempt ends, if it goes on as fast as until now."""
    start, share = _PHASE_SHARES.get(job.phase, (0.0, 0.0)) if job.phase else (0.0, 0.0)
    if job.started_at is None or not job.progress_total:
        return None
    done = start + share * min((job.progress_done or 0) / job.progress_total, 1.0)
    elapsed = (datetime.now(UTC) - job.started_at).total_seconds()
    return round(max(elapsed, 0.0) * (1 - done) / done, 1) if done else None


def present_transition(row: Transition, job: Job) -> ServerSentEvent:
    """Return a transition of a job as a server-sent event. Its id resumes a broken stream."""
    result = present_result(job.result) if row.status is JobStatus.SUCCEEDED and job.result else None
    event = job_schemas.JobEvent(
        job_id=job.public_id,
        status=row.status,
        attempt=row.attempt,
        at=row.at,
        verdict=result.verdict if result else None,
        probability=result.probability if result else None,
    )
    return ServerSentEvent(id=str(row.id), event=STATUS_EVENTS[row.status], data=event)


def present_progress_event(job: Job, *, after: int) -> ServerSentEvent | None:
    """Return the progress of a running attempt as a server-sent event with the id of the last transition, else None."""
    progress = present_progress(job)
    if progress is None:
        return None
    event = job_schemas.ProgressEvent(job_id=job.public_id, at=datetime.now(UTC), **progress.model_dump())
    return ServerSentEvent(id=str(after), event=EventType.JOB_PROGRESS, data=event)


def present_feedback(row: Feedback) -> feedback_schemas.Feedback:
    """Return feedback as clients see it."""
    return feedback_schemas.Feedback(
        id=format_id(IdPrefix.FEEDBACK, row.id),
        label=row.label,
        category=row.category,
        note=row.note,
        created_at=row.created_at,
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


def respond_job(request: Request, snapshot: JobSnapshot, *, status_code: int = 200) -> Response:
    """Return a job with ETag (304 if the client has it), and with Retry-After until the job has ended."""
    job = present_job(snapshot, public_url=_public_url_of(request))
    headers = {} if job.status.is_final else {"Retry-After": str(_POLL_AFTER_SECONDS)}
    if status_code == 202:
        return respond_json(job, status_code=202, headers=headers)
    headers["ETag"] = f'"{hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    if known == "*" or headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return respond_json(job, headers=headers)


def respond_new_job(request: Request, snapshot: JobSnapshot, *, waited_seconds: float | None = None) -> Response:
    """Return a new job: 200 if it has ended, else 202. ``Preference-Applied`` has the time that was waited."""
    response = respond_job(request, snapshot, status_code=200 if snapshot.job.status.is_final else 202)
    response.headers["Location"] = f"{_public_url_of(request)}/v1/jobs/{snapshot.job.public_id}"
    if waited_seconds is not None:
        response.headers["Preference-Applied"] = f"wait={waited_seconds:g}"
    return response


def respond_jobs(request: Request, jobs: Sequence[Job], *, limit: int) -> Response:
    """Return a page of jobs. Pass up to ``limit + 1`` jobs."""
    page, cursor = cut_page(jobs, lambda job: job.id, limit=limit)
    items = [present_job(JobSnapshot(job), public_url=_public_url_of(request)) for job in page]
    return respond_json(job_schemas.JobPage(items=items, next_cursor=cursor), headers=link_next(request, cursor))


def _public_url_of(request: Request) -> str:
    url: str = request.app.state.resources.settings.public_url
    return url
