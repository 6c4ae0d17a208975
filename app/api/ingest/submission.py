"""Submit jobs from requests: Idempotency-Key, quotas, the body, then the service that creates the jobs."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from uuid import UUID

from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.ingest.body import declared_bytes, is_json, receive_clip, receive_source
from app.api.ingest.limits import UploadLimits, make_limits
from app.api.resources import Resources
from app.api.sessions import actor_of, run_in_session
from app.infra.model_registry import load_installed_models
from app.services import idempotency
from app.services.idempotency import IdempotencyClaim
from app.services.keys import Principal
from app.services.submissions import SubmissionContext, Submitter, SubmitUpload, submit_source, submit_upload

Submission = Callable[[Session, SubmissionContext, Submitter, IdempotencyClaim | None], UUID]
"""Use case that creates jobs. Returns the id of the job or batch."""

_WAIT = re.compile(r"(?:^|[,;\s])wait=\"?(\d{1,6})\"?(?:$|[,;\s])")


async def submit_request(request: Request, resources: Resources, writer: Principal, key: str | None) -> UUID:
    """Create a job for the clip that a request contains or names. Returns its id.

    Args:
        request: Body not read yet.
        resources: Resources of the process.
        writer: Principal of the request.
        key: Idempotency-Key; a used key returns its job.

    Raises:
        UnmaskError: See ``submit_upload``, ``submit_source`` and ``receive_clip``.
    """
    limits = make_limits(resources.settings)
    async with idempotency_claim(resources, writer, key) as claim:
        if not is_json(request):
            return await _submit_clip(request, resources, writer, limits, claim)
        source = await receive_source(request, limits)
        return await _run(resources, writer, claim, partial(submit_source, request=source))


async def submit(resources: Resources, writer: Principal, key: str | None, submission: Submission) -> UUID:
    """Run a use case that creates jobs, under an Idempotency-Key and against the quota of the principal."""
    async with idempotency_claim(resources, writer, key) as claim:
        return await _run(resources, writer, claim, submission)


def parse_preferred_wait(prefer: str) -> float | None:
    """Return ``wait`` of a ``Prefer`` header (RFC 7240) in seconds."""
    found = _WAIT.search(prefer)
    return float(found[1]) if found else None


async def _submit_clip(
    request: Request, resources: Resources, writer: Principal, limits: UploadLimits, claim: IdempotencyClaim | None
) -> UUID:
    limiter = resources.rate_limiter
    expected_bytes = declared_bytes(request, limits)
    is_repeated = claim is not None and claim.is_used
    if not is_repeated:
        await run_in_threadpool(limiter.consume_bytes, writer, expected_bytes)
    with resources.storage.begin_upload(expected_bytes=expected_bytes) as upload:
        form = await receive_clip(request, upload, limits)
        if not is_repeated:
            await run_in_threadpool(limiter.consume_bytes, writer, max(upload.size_bytes - expected_bytes, 0))
        command = SubmitUpload(upload, form.clip_name, form.options)
        return await _run(resources, writer, claim, partial(submit_upload, command=command))


async def _run(resources: Resources, writer: Principal, claim: IdempotencyClaim | None, submission: Submission) -> UUID:
    settings = resources.settings
    context = SubmissionContext(
        storage=resources.storage,
        notifier=resources.notifier,
        egress=resources.egress,
        find_models=cache(partial(load_installed_models, settings.installed_models)),  # once for all items of a batch
        batch_delay=settings.batch_delay,
    )
    submitter = Submitter(writer.tenant, partial(resources.rate_limiter.consume_jobs, writer))
    return await run_in_session(
        resources.sessions,
        lambda session: submission(session, context, submitter, claim),
        actor=actor_of(writer),
    )


@asynccontextmanager
async def idempotency_claim(
    resources: Resources, writer: Principal, key: str | None
) -> AsyncIterator[IdempotencyClaim | None]:
    """Claim an Idempotency-Key for the block; released if the block fails. Yields None without a key.

    Raises IdempotencyInProgressError.
    """
    if key is None:
        yield None
        return
    lock = resources.settings.upload_timeout
    claim = await run_in_session(
        resources.sessions, lambda session: idempotency.claim_key(session, tenant=writer.tenant, key=key, lock=lock)
    )
    try:
        yield claim
    except BaseException:
        await run_in_session(resources.sessions, lambda session: idempotency.release_key(session, claim))
        raise
