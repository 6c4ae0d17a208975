"""Use cases that create jobs: from an upload or from a named source. Workers are notified after the commit."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import Priority
from app.core.errors import FieldError, InvalidRequestError, NotFoundError, UploadIncompleteError
from app.core.ids import IdPrefix, parse_id
from app.db.engine import advisory_lock, db_now
from app.db.queries import jobs as job_queries
from app.db.queries import uploads as upload_queries
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage, Upload
from app.infra.egress import EgressPolicy
from app.infra.job_queue import JobNotifier
from app.schemas.submissions import JobOptions, JobRequest, Source
from app.services import audit, policies, webhooks
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of
from app.services.lifecycle import create_job

EndpointIds = dict[str | None, UUID]
"""Webhook endpoints by URL. A job without ``webhook_url`` looks up None and finds no endpoint."""


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """Resources of every submission."""

    storage: ClipStorage
    notifier: JobNotifier
    egress: EgressPolicy
    """Decides which URLs workers and the webhook dispatcher may connect to."""
    find_models: Callable[[], Collection[str]]
    """Returns the names of the installed models."""
    batch_delay: timedelta
    """Time for which a batch job lets live jobs pass."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Tenant that submits, and its quota."""

    tenant: str
    charge: Callable[[int], None]
    """Counts jobs against the quota. Raises QuotaExceededError. Called last: a refused submission costs nothing."""


@dataclass(frozen=True, slots=True)
class SubmitUpload:
    """Command: create a job for a clip that came with the request."""

    upload: Upload
    clip_name: str | None
    """Client's name of the clip; never used as a path."""
    options: JobOptions


@dataclass(frozen=True, slots=True)
class ClipRef:
    """Clip of a new job: its file, or its URL."""

    name: str | None = None
    url: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    deleted_at: datetime | None = None
    """Time at which the file was deleted; only for a job that has already ended."""


@dataclass(frozen=True, slots=True)
class JobLinks:
    """Objects that a new job belongs to."""

    tenant: str
    batch_id: UUID | None = None
    reanalysis_of: UUID | None = None
    webhook_endpoint_id: UUID | None = None
    """Endpoint that the job names, in addition to the endpoints for all jobs."""


def submit_upload(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    claim: IdempotencyClaim | None,
    *,
    command: SubmitUpload,
) -> UUID:
    """Create a job for an uploaded clip. After the commit it cannot be lost.

    Args:
        session: Has no transaction yet.
        context: Resources.
        submitter: Owner of the job.
        claim: The request's Idempotency-Key; a used key returns its job.
        command: The clip and its options.

    Returns:
        The id of the job.

    Raises:
        InvalidRequestError: The model or policy does not exist, or webhooks may not be sent to the URL.
        IdempotencyMismatchError: The key was used for another submission.
        IdempotencyInProgressError: Another request has claimed the key meanwhile.
        QuotaExceededError: The quota is used up.
        StorageFullError: The disk is full.
    """
    options = command.options
    check_options(context, options)
    sha256 = command.upload.finish()
    fingerprint = fingerprint_of(sha256, options)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        endpoint_ids = _lock_references(session, [options], [sha256], tenant=submitter.tenant)
        links = JobLinks(submitter.tenant, webhook_endpoint_id=endpoint_ids.get(options.webhook_url))
        clip = ClipRef(command.clip_name, None, sha256, command.upload.size_bytes)
        job = add_job(session, context, links, clip, options)
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        submitter.charge(1)
        # Last: if the database refuses the row, no file must remain.
        context.storage.store_upload(command.upload, sha256)
    context.notifier.notify(job.id)
    return job.id


def submit_source(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    claim: IdempotencyClaim | None,
    *,
    request: JobRequest,
) -> UUID:
    """Create a job for a clip that the service has, or fetches from a URL. Returns the id of the job.

    Raises:
        NotFoundError: The tenant has no such upload, or no clip with these bytes.
        UploadIncompleteError: The upload lacks bytes.
        InvalidRequestError, IdempotencyMismatchError, IdempotencyInProgressError, QuotaExceededError: As
            ``submit_upload``.
    """
    check_request(context, request)
    fingerprint = fingerprint_of(request.source, request.options)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        endpoint_ids = lock_references(session, [request], tenant=submitter.tenant)
        links = JobLinks(submitter.tenant, webhook_endpoint_id=endpoint_ids.get(request.options.webhook_url))
        clip = resolve_clip(session, request.source, tenant=submitter.tenant)
        job = add_job(session, context, links, clip, request.options)
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        submitter.charge(1)
    context.notifier.notify(job.id)
    return job.id


def add_job(session: Session, context: SubmissionContext, links: JobLinks, clip: ClipRef, options: JobOptions) -> Job:
    """Create a queued job in the caller's transaction. The caller notifies the workers after the commit.

    Raises InvalidRequestError: the tenant has no such policy.
    """
    now, tenant, deadline = db_now(session), links.tenant, options.start_within_seconds
    policy = policies.find_policy_for_job(session, options.policy, tenant=tenant)
    job = Job(
        tenant=tenant,
        batch_id=links.batch_id,
        reanalysis_of=links.reanalysis_of,
        webhook_endpoint_id=links.webhook_endpoint_id,
        priority=options.priority,
        turn_at=now + (context.batch_delay if options.priority is Priority.BATCH else timedelta(0)),
        start_before=now + timedelta(seconds=deadline) if deadline else None,
        external_id=options.external_id,
        client_metadata=options.metadata,
        model=options.model,
        policy_id=policy.id if policy else None,
        start_seconds=options.start_seconds,
        end_seconds=options.end_seconds,
        allow_reuse=options.reuse_result,
        clip_name=clip.name,
        clip_url=clip.url,
        clip_sha256=clip.sha256,
        clip_bytes=clip.size_bytes,
        clip_deleted_at=clip.deleted_at,
    )
    create_job(session, job)
    audit.record(session, "job.submitted", job.public_id, tenant=tenant)
    return job


def check_options(context: SubmissionContext, options: JobOptions) -> None:
    """Raise InvalidRequestError if the model is not installed, or webhooks may not be sent to the URL."""
    if options.model is not None and options.model not in (models := context.find_models()):
        known = f"Installed models: {', '.join(sorted(models))}." if models else "No other model is installed."
        detail = (
            f"The model {options.model!r} is not installed, or does not fit this version. {known} Without 'model' the "
            "default one is used. 'unmask models list' names what is wrong."
        )
        raise InvalidRequestError(detail, errors=[FieldError("/options/model", detail)])
    if options.webhook_url:
        webhooks.check_url(context.egress, options.webhook_url, pointer="/options/webhook_url")


def check_request(context: SubmissionContext, request: JobRequest) -> None:
    """Raise InvalidRequestError if the service may not connect to the source's URL, or as ``check_options``."""
    check_options(context, request.options)
    if request.source.url:
        webhooks.check_url(context.egress, request.source.url, pointer="/source/url")


def lock_references(session: Session, requests: Sequence[JobRequest], *, tenant: str) -> EndpointIds:
    """Lock the webhook endpoints and clips that the requests name, so that they are not deleted.

    Returns the endpoints; missing ones are created.
    """
    sources = [request.source for request in requests]
    ids = [upload_id for source in sources if (upload_id := _upload_id(source))]
    uploads = upload_queries.list_uploads(session, ids, tenant=tenant)
    named = [source.sha256 for source in sources] + [upload.clip_sha256 for upload in uploads]
    sha256s = [sha256 for sha256 in named if sha256]
    return _lock_references(session, [request.options for request in requests], sha256s, tenant=tenant)


def _lock_references(
    session: Session, options: Sequence[JobOptions], sha256s: Sequence[str], *, tenant: str
) -> EndpointIds:
    # Endpoints before clips, each sorted: two submissions must not block each other.
    urls = sorted({option.webhook_url for option in options if option.webhook_url})
    endpoint_ids: EndpointIds = {url: webhooks.get_or_create_named(session, tenant=tenant, url=url) for url in urls}
    for sha256 in sorted(set(sha256s)):
        advisory_lock(session, sha256)
    return endpoint_ids


def lock_clip(session: Session, sha256: str, *, tenant: str) -> Job | None:
    """Lock a clip and return a job of the tenant that references it. The clip is not deleted before the commit."""
    advisory_lock(session, sha256)
    return job_queries.find_job_with_clip(session, sha256, tenant=tenant)


def resolve_clip(session: Session, source: Source, *, tenant: str) -> ClipRef:
    """Return the clip of a source. Call ``lock_references`` before.

    Raises NotFoundError, UploadIncompleteError.
    """
    if source.url:
        return ClipRef(url=source.url)
    if source.sha256:
        other = job_queries.find_job_with_clip(session, source.sha256, tenant=tenant)
        if other is None:
            raise NotFoundError("None of your jobs has a clip with this SHA-256. Upload it.")
        return ClipRef(other.clip_name, None, source.sha256, other.clip_bytes)
    upload_id = _upload_id(source)
    upload = upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True) if upload_id else None
    if upload is None:
        raise NotFoundError("No upload has this id, or it has expired. Create one with POST /v1/uploads.")
    if upload.clip_sha256 is None:
        raise UploadIncompleteError(f"The upload is incomplete. Read its offset: GET /v1/uploads/{upload.public_id}.")
    if upload.used_at and job_queries.find_job_with_clip(session, upload.clip_sha256, tenant=tenant) is None:
        raise NotFoundError("The clip of this upload was deleted with its jobs. Upload it again.")
    upload.used_at = upload.used_at or db_now(session)
    return ClipRef(upload.clip_name, None, upload.clip_sha256, upload.size_bytes)


def _upload_id(source: Source) -> UUID | None:
    return parse_id(source.upload_id, IdPrefix.UPLOAD) if source.upload_id else None
