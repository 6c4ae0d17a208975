"""Takes a submission: quotas, the body, then the service that makes a job of it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.dependencies import actor_of
from app.api.ingest.body import declared_bytes, is_json, receive_clip, receive_source
from app.api.ingest.limits import limits_of
from app.api.resources import Resources
from app.services import submissions
from app.services.idempotency import IdempotencyClaim
from app.services.keys import Principal
from app.services.submissions import Submitter

_WAIT = re.compile(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?(?:$|[,;\s])")


async def take_job(request: Request, resources: Resources, writer: Principal, claim: IdempotencyClaim | None) -> UUID:
    """Makes a job of the clip that comes with a request, or that it names; returns its id. Raises UnmaskError."""
    if is_json(request):
        source = await receive_source(request, limits_of(resources.settings))
        return await submit(resources, writer, submissions.submit_source, request=source, claim=claim)
    limits, limiter = limits_of(resources.settings), resources.rate_limiter
    expected_bytes = declared_bytes(request, limits)
    is_repeated = claim is not None and claim.is_used
    if not is_repeated:
        await run_in_threadpool(limiter.consume_bytes, writer, expected_bytes)
    with resources.storage.begin_upload(expected_bytes=expected_bytes) as upload:
        form = await receive_clip(request, upload, limits)
        if not is_repeated:
            await run_in_threadpool(limiter.consume_bytes, writer, max(upload.size_bytes - expected_bytes, 0))
        clip = {"upload": upload, "clip_name": form.clip_name, "options": form.options}
        return await submit(resources, writer, submissions.submit_upload, **clip, claim=claim)


async def submit(
    resources: Resources, writer: Principal, service: Callable[..., UUID], *given: Any, **named: Any
) -> UUID:
    """Calls a service that submits jobs, for a key and against its quota. Raises UnmaskError."""
    submitter = Submitter(writer.tenant, partial(resources.rate_limiter.consume_jobs, writer))
    call = partial(resources.in_session, service, resources.context, submitter, *given, actor=actor_of(writer), **named)
    made: UUID = await run_in_threadpool(call)
    return made


def preferred_wait(prefer: str) -> float | None:
    """``wait`` of a ``Prefer`` header (RFC 7240), in seconds."""
    found = _WAIT.search(prefer)
    return float(found[1]) if found else None
