"""Rows as what clients see, and the headers and formats that go with it."""

import csv
import hashlib
import io
import re
from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

from app import schemas
from app.api.cursors import cut_page
from app.db.models import Feedback, FrameScore, Job, Transition, format_job_id
from app.states import STATUS_EVENTS

NDJSON, CSV = "application/x-ndjson", "text/csv"
_POLL_AFTER_SECONDS = 1
_QUALITY = re.compile(r"[01](\.\d{0,3})?")


def view_job(job: Job, queue_position: int | None = None) -> schemas.Job:
    """A job as clients see it."""
    self_link = f"/v1/jobs/{job.public_id}"
    return schemas.Job(
        id=job.public_id,
        status=job.status,
        priority=job.priority,
        verdict=job.verdict,
        recommended_action=job.result.payload["recommended_action"] if job.result else None,
        external_id=job.external_id,
        metadata=job.client_metadata,
        model=job.model,
        policy_id=f"pol_{job.policy_id.hex}" if job.policy_id else None,
        clip=schemas.ClipSummary(
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
        progress=view_progress(job),
        failure=_view_failure(job),
        result=schemas.Result.model_validate(job.result.payload) if job.result else None,
        start_before=job.start_before,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        links=schemas.Links(
            self=self_link, result=f"{self_link}/result", frames=f"{self_link}/frames", events=f"{self_link}/events"
        ),
    )


def view_progress(job: Job) -> schemas.Progress | None:
    """How far a running attempt is."""
    if job.phase is None or job.progress_done is None:
        return None
    return schemas.Progress(phase=job.phase, done=job.progress_done, total=job.progress_total)


def view_transition(row: Transition) -> ServerSentEvent:
    """A move of a job as an event of its stream; its id continues a stream that broke."""
    event = schemas.JobEvent(job_id=format_job_id(row.job_id), status=row.status, attempt=row.attempt, at=row.at)
    return ServerSentEvent(id=str(row.id), event=STATUS_EVENTS[row.status], data=event)


def view_feedback(row: Feedback) -> schemas.Feedback:
    """Feedback as clients see it."""
    return schemas.Feedback(
        id=f"fb_{row.id.hex}", label=row.label, category=row.category, note=row.note, created_at=row.created_at
    )


def _view_failure(job: Job) -> schemas.Failure | None:
    if job.failure_code is None:
        return None
    return schemas.Failure(
        code=job.failure_code,
        message=job.failure_message or "",
        retryable=bool(job.failure_retryable),
        attempt=job.attempt,
    )


def respond_job(request: Request, job: schemas.Job, *, status_code: int = 200) -> Response:
    """A job with ETag (304 where the client has it already) and, until the job ends, Retry-After."""
    headers = {} if job.status.is_final else {"Retry-After": str(_POLL_AFTER_SECONDS)}
    if status_code == 202:
        return _respond_json(job, status_code=202, headers=headers)
    headers["ETag"] = f'"{hashlib.sha256(job.model_dump_json().encode()).hexdigest()[:32]}"'
    known = request.headers.get("if-none-match", "")
    if known == "*" or headers["ETag"] in (tag.strip().removeprefix("W/") for tag in known.split(",")):
        return Response(status_code=304, headers=headers)
    return _respond_json(job, headers=headers)


def respond_submitted(request: Request, job: schemas.Job, *, waited: float | None = None) -> Response:
    """A job that was asked for: 200 where it has ended, else 202; ``Preference-Applied`` says how long was waited."""
    response = respond_job(request, job, status_code=200 if job.status.is_final else 202)
    response.headers["Location"] = job.links.self
    if waited is not None:
        response.headers["Preference-Applied"] = f"wait={waited:g}"
    return response


def respond_jobs(request: Request, jobs: Sequence[Job], *, limit: int) -> Response:
    """A page of jobs; give one more than the limit where there are more."""
    page, cursor = cut_page(jobs, lambda job: job.id, limit=limit)
    items = [view_job(job) for job in page]
    return _respond_json(schemas.JobPage(items=items, next_cursor=cursor), headers=_link_next(request, cursor))


def respond_frames(request: Request, rows: Sequence[FrameScore], *, limit: int) -> Response:
    """A page of frames as the client likes it (Accept): JSON, NDJSON, CSV."""
    page, cursor = cut_page(rows, lambda frame: frame.position, limit=limit)
    frames = [schemas.Frame.model_validate(row.payload) for row in page]
    headers = {"Vary": "Accept"} | _link_next(request, cursor)
    accepted = _preferred(request.headers.get("accept", ""), ("application/json", NDJSON, CSV))
    if accepted == NDJSON:
        lines = "".join(frame.model_dump_json() + "\n" for frame in frames)
        return Response(lines, media_type=NDJSON, headers=headers)
    if accepted == CSV:
        return Response(_as_csv(frames), media_type=CSV, headers=headers)
    return _respond_json(schemas.FramePage(items=frames, next_cursor=cursor), headers=headers)


def _preferred(accept: str, offered: Sequence[str]) -> str:
    """The media type that the client prefers (RFC 9110, 12.5.1), the first one where it names none of them."""
    qualities = {}
    for part in accept.lower().split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((value[2:] for value in parameters if value.startswith("q=")), "1")
        qualities[media_type] = float(quality) if _QUALITY.fullmatch(quality) else 0.0
    return max(offered, key=lambda media_type: qualities.get(media_type, 0.0))


def _link_next(request: Request, cursor: str | None) -> dict[str, str]:
    if cursor is None:
        return {}
    return {"Link": f'<{request.url.include_query_params(cursor=cursor)}>; rel="next"'}


def _as_csv(frames: Sequence[schemas.Frame]) -> str:
    columns = [name for name in schemas.Frame.model_fields if name != "box"]
    box_columns = [f"box_{name}" for name in schemas.Box.model_fields]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=[*columns, *box_columns], lineterminator="\r\n")
    writer.writeheader()
    for frame in frames:
        row = frame.model_dump(mode="json")
        row.update({f"box_{name}": value for name, value in row.pop("box").items()})
        writer.writerow(row)
    return text.getvalue()


def _respond_json(model: BaseModel, *, headers: dict[str, str], status_code: int = 200) -> Response:
    return Response(model.model_dump_json(), status_code=status_code, headers=headers, media_type="application/json")
