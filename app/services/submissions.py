"""Use cases that create jobs: from an upload or from a named source. Workers are notified after the commit."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import JobStatus, Priority
from app.core.errors import FieldError, InvalidRequestError, NotFoundError, UploadIncompleteError
from app.core.ids import parse_id
from app.db.engine import advisory_lock, db_now
from app.db.queries import jobs as job_queries
from app.db.queries import transitions
from app.db.queries import uploads as upload_queries
from app.db.tables.jobs import Job
from app.infra.clip_storage import ClipStorage, Upload
from app.infra.egress import EgressPolicy
from app.infra.job_queue import JobNotifier
from app.schemas.submissions import JobOptions, JobRequest, Source
from app.services import audit, policies, webhooks
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of

EndpointIds = dict[str | None, UUID]
"""Webhook endpoints by their URL; a job that names none finds none."""


@dataclass(frozen=True, slots=True)
class SubmissionContext:
    """What every submission needs."""

    storage: ClipStorage
    notifier: JobNotifier
    """Is rung for the workers."""
    egress: EgressPolicy
    """Where workers and couriers may connect to."""
    find_models: Callable[[], Collection[str]]
    """The names of the installed models."""
    batch_delay: timedelta
    """How long batch jobs let live ones pass."""


@dataclass(frozen=True, slots=True)
class Submitter:
    """Who submits."""

    tenant: str
    charge: Callable[[int], None]
    """Counts jobs against a quota. Raises QuotaExceededError; called last, so that what is refused costs nothing."""


@dataclass(frozen=True, slots=True)
class ClipRef:
    """The clip of a job to be: where it is, or where it will come from."""

    name: str | None = None
    url: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    deleted_at: datetime | None = None
    """When the bytes went; only a job that has ended may have such a clip."""


@dataclass(frozen=True, slots=True)
class JobLinks:
    """What a job belongs to."""

    tenant: str
    batch_id: UUID | None = None
    reanalysis_of: UUID | None = None
    webhook_endpoint_id: UUID | None = None
    """Whom it tells, beside the endpoints for all jobs."""


def submit_upload(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    *,
    upload: Upload,
    clip_name: str | None,
    options: JobOptions,
    claim: IdempotencyClaim | None = None,
) -> UUID:
    """Queues a job for a clip that came with the request; after the commit it can no longer be lost.

    Args:
        session: Has no transaction yet.
        context: What every submission needs.
        submitter: Whose job it is.
        upload: The clip.
        clip_name: What the client calls it.
        options: What the client says about it.
        claim: The request's Idempotency-Key; one that was used leads to its job.

    Raises:
        InvalidRequestError: The model or policy does not exist, or webhooks do not go to the URL.
        IdempotencyMismatchError: The key belongs to another submission.
        IdempotencyInProgressError: Another request has taken the key meanwhile.
        QuotaExceededError: The submitter has used up its day.
        StorageFullError: The clip could not be written to the disk.
    """
    check_options(context, options)
    sha256 = upload.finish()
    fingerprint = fingerprint_of(sha256, options)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        endpoint_ids = _lock_references(session, [options], [sha256], tenant=submitter.tenant)
        links = JobLinks(submitter.tenant, webhook_endpoint_id=endpoint_ids.get(options.webhook_url))
        clip = ClipRef(clip_name, None, sha256, upload.size_bytes)
        job = add_job(session, context, links, clip, options)
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        submitter.charge(1)
        # Last: a row that the database refuses must not leave a clip behind.
        context.storage.keep(upload, sha256)
    context.notifier.notify(job.id)
    return job.id


def submit_source(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    *,
    request: JobRequest,
    claim: IdempotencyClaim | None = None,
) -> UUID:
    """Queues a job for a clip that the service has, or gets from a URL.

    Raises:
        NotFoundError: The tenant has no such upload, or no clip with these bytes.
        UploadIncompleteError: The upload lacks some bytes.
        InvalidRequestError, IdempotencyMismatchError, IdempotencyInProgressError, QuotaExceededError: As
            ``submit_upload``.
    """
    check_request(context, request)
    fingerprint = fingerprint_of(request.source.model_dump_json(), request.options)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        endpoint_ids = lock_all_references(session, [request], tenant=submitter.tenant)
        links = JobLinks(submitter.tenant, webhook_endpoint_id=endpoint_ids.get(request.options.webhook_url))
        clip = find_clip(session, request.source, tenant=submitter.tenant)
        job = add_job(session, context, links, clip, request.options)
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        submitter.charge(1)
    context.notifier.notify(job.id)
    return job.id


def add_job(session: Session, context: SubmissionContext, links: JobLinks, clip: ClipRef, options: JobOptions) -> Job:
    """Inserts a queued job, in the caller's transaction, which rings the notifier after it.

    Raises InvalidRequestError: the tenant has no such policy.
    """
    now, tenant, deadline = db_now(session), links.tenant, options.start_within_seconds
    policy = policies.find_for_job(session, options.policy, tenant=tenant)
    job = Job(
        tenant=tenant,
        batch_id=links.batch_id,
        reanalysis_of=links.reanalysis_of,
        webhook_endpoint_id=links.webhook_endpoint_id,
        status=JobStatus.QUEUED,
        priority=options.priority,
        turn_at=now + (context.batch_delay if options.priority is Priority.BATCH else timedelta(0)),
        start_before=now + timedelta(seconds=deadline) if deadline else None,
        external_id=options.external_id,
        client_metadata=options.metadata,
        model=options.model,
        policy_id=policy.id if policy else None,
        allow_reuse=options.reuse_result,
        clip_name=clip.name,
        clip_url=clip.url,
        clip_sha256=clip.sha256,
        clip_bytes=clip.size_bytes,
        clip_deleted_at=clip.deleted_at,
    )
    transitions.add_job(session, job)
    audit.record(session, "job.submitted", job.public_id, tenant=tenant)
    return job


def check_options(context: SubmissionContext, options: JobOptions) -> None:
    """Raises InvalidRequestError where the model is not installed, or webhooks do not go to the URL."""
    if options.model is not None and options.model not in (models := context.find_models()):
        known = f"Installed are: {', '.join(sorted(models))}." if models else "None is: leave it out."
        detail = f"The model {options.model!r} is not installed. {known}"
        raise InvalidRequestError(detail, errors=[FieldError("/options/model", detail)])
    if options.webhook_url:
        webhooks.check_url(context.egress, options.webhook_url, pointer="/options/webhook_url")


def lock_clip(session: Session, sha256: str, *, tenant: str) -> Job | None:
    """A job of the tenant whose clip has these bytes; nobody deletes them before the transaction has ended."""
    advisory_lock(session, sha256)
    return job_queries.find_holder(session, sha256, tenant=tenant)


def check_request(context: SubmissionContext, request: JobRequest) -> None:
    """Raises InvalidRequestError where a URL leads to where the service does not connect, or as ``check_options``."""
    check_options(context, request.options)
    if request.source.url:
        webhooks.check_url(context.egress, request.source.url, pointer="/source/url")


def lock_all_references(session: Session, requests: Sequence[JobRequest], *, tenant: str) -> EndpointIds:
    """As ``_lock_references``, for all that the requests name."""
    sources = [request.source for request in requests]
    ids = [upload_id for source in sources if (upload_id := _upload_id(source))]
    uploads = upload_queries.list_uploads(session, ids, tenant=tenant)
    named = [source.sha256 for source in sources] + [upload.clip_sha256 for upload in uploads]
    sha256s = [sha256 for sha256 in named if sha256]
    return _lock_references(session, [request.options for request in requests], sha256s, tenant=tenant)


def _lock_references(
    session: Session, options: Sequence[JobOptions], sha256s: Sequence[str], *, tenant: str
) -> EndpointIds:
    """Keeps webhook endpoints, then clips, from being deleted; each in one order: two submissions must not block.

    Returns the endpoints that the options name, which are made where there are none.
    """
    urls = sorted({option.webhook_url for option in options if option.webhook_url})
    endpoint_ids: EndpointIds = {url: webhooks.find_or_add_named(session, tenant=tenant, url=url) for url in urls}
    for sha256 in sorted(set(sha256s)):
        advisory_lock(session, sha256)
    return endpoint_ids


def find_clip(session: Session, source: Source, *, tenant: str) -> ClipRef:
    """The clip of a source; call ``lock_all_references`` before."""
    if source.url:
        return ClipRef(url=source.url)
    if source.sha256:
        holder = job_queries.find_holder(session, source.sha256, tenant=tenant)
        if holder is None:
            raise NotFoundError("No job of yours holds a clip with this SHA-256. Upload it.")
        return ClipRef(holder.clip_name, None, source.sha256, holder.clip_bytes)
    upload_id = _upload_id(source)
    upload = upload_queries.find_upload(session, upload_id, tenant=tenant, lock=True) if upload_id else None
    if upload is None:
        raise NotFoundError("There is no such upload, or it has expired. Begin one with POST /v1/uploads.")
    if upload.clip_sha256 is None:
        raise UploadIncompleteError(
            f"The upload is not complete. GET /v1/uploads/{upload.public_id} says what is there."
        )
    if upload.used_at and job_queries.find_holder(session, upload.clip_sha256, tenant=tenant) is None:
        raise NotFoundError("The clip of this upload was deleted with the jobs that were made of it. Upload it again.")
    upload.used_at = upload.used_at or db_now(session)
    return ClipRef(upload.clip_name, None, upload.clip_sha256, upload.size_bytes)


def _upload_id(source: Source) -> UUID | None:
    return parse_id(source.upload_id, "up") if source.upload_id else None
