"""Takes a submission: quotas, the body, then the service that makes a job of it."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.dependencies import Resources
from app.api.receiving import declared_bytes, is_json, limits_of, receive_clip, receive_source
from app.services import submissions
from app.services.idempotency import Ticket
from app.services.keys import Principal
from app.submission_schemas import BatchRequest

_WAIT = re.compile(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?(?:$|[,;\s])")


async def take_job(request: Request, resources: Resources, writer: Principal, ticket: Ticket | None) -> UUID:
    """Makes a job of the clip that comes with a request, or that it names; returns its id. Raises UnmaskError."""
    limits = limits_of(resources.settings)
    await run_in_threadpool(resources.rate_limiter.take_jobs, writer, 1)
    known = {"tenant": writer.tenant, "ticket": ticket, "by": writer}
    if is_json(request):
        source = await receive_source(request, limits)
        return await _call(resources, submissions.submit_source, request=source, **known)
    expected_bytes = declared_bytes(request, limits)
    await run_in_threadpool(resources.rate_limiter.take_bytes, writer, expected_bytes)
    with resources.storage.begin_upload(expected_bytes=expected_bytes) as upload:
        form = await receive_clip(request, upload, limits)
        undeclared_bytes = max(upload.size_bytes - expected_bytes, 0)
        await run_in_threadpool(resources.rate_limiter.take_bytes, writer, undeclared_bytes)
        clip = {"upload": upload, "clip_name": form.clip_name, "options": form.options}
        return await _call(resources, submissions.submit_upload, **clip, **known)


async def take_batch(body: BatchRequest, resources: Resources, writer: Principal, ticket: Ticket | None) -> UUID:
    """Makes the jobs of a batch; returns its id. Raises UnmaskError."""
    await run_in_threadpool(resources.rate_limiter.take_jobs, writer, len(body.items))
    known = {"tenant": writer.tenant, "ticket": ticket, "by": writer}
    return await _call(resources, submissions.submit_batch, request=body, **known)


async def _call(resources: Resources, submit: Callable[..., UUID], **arguments: Any) -> UUID:
    job_id: UUID = await run_in_threadpool(resources.in_session, submit, resources.intake, **arguments)
    return job_id


def preferred_wait(prefer: str) -> float | None:
    """``wait`` of a ``Prefer`` header (RFC 7240), in seconds."""
    found = _WAIT.search(prefer)
    return float(found[1]) if found else None
