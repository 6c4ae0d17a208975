"""Use case of reanalysis: apply another policy at once, or queue the clip for another model. Old results stay."""

from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, JobStatus
from app.core.errors import GoneError
from app.db.queries import jobs as job_queries
from app.db.queries import policies as policy_queries
from app.db.queries import results as result_queries
from app.db.tables.jobs import Job
from app.db.tables.results import Result
from app.schemas.jobs import ReanalysisRequest
from app.schemas.submissions import JobOptions
from app.services import policies
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of
from app.services.jobs import require_job, require_result
from app.services.lifecycle import move_job
from app.services.submissions import (
    ClipRef,
    JobLinks,
    SubmissionContext,
    Submitter,
    add_job,
    check_options,
    lock_clip,
)
from app.services.webhook_events import emit_job_event


def reanalyze_job(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    claim: IdempotencyClaim | None,
    *,
    job_id: UUID,
    request: ReanalysisRequest,
) -> UUID:
    """Create a job for the clip of another job. Returns its id.

    With a policy alone the new job ends at once: the policy is applied to the stored probabilities, nothing is decoded.

    Raises:
        NotFoundError: The tenant has no such job.
        GoneError: It was deleted, or its clip was and a model has to analyze it.
        NoResultError: The job has no result that a policy could be applied to.
        InvalidRequestError: The model or policy does not exist.
        IdempotencyMismatchError, IdempotencyInProgressError, QuotaExceededError: As ``submissions.submit_upload``.
    """
    check_options(context, JobOptions(model=request.model))
    fingerprint = fingerprint_of(str(job_id), request)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        # Locked, so that it is not deleted while its result is copied.
        old = require_job(job_queries.find_job(session, job_id, tenant=submitter.tenant, for_share=True))
        links = JobLinks(old.tenant, reanalysis_of=old.id, webhook_endpoint_id=old.webhook_endpoint_id)
        result = None if request.model else require_result(old)
        clip, options = _make_clip_ref(session, old, request), _make_options(session, old, request)
        job = add_job(session, context, links, clip, options)
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        if result is not None:
            _decide_again(session, job, old, result)
        submitter.charge(1)
    if result is None:
        context.notifier.notify(job.id)
    return job.id


def emit_verdict_changed(session: Session, job: Job) -> None:
    """Emit ``job.verdict_changed`` if a reanalysis came to another verdict, in the caller's transaction."""
    old = job_queries.find_job(session, job.reanalysis_of, tenant=job.tenant) if job.reanalysis_of else None
    if old is not None and old.verdict is not None and old.verdict is not job.verdict:
        before = {"id": old.public_id, "verdict": old.verdict}
        emit_job_event(session, job, EventType.JOB_VERDICT_CHANGED, {"verdict": job.verdict, "before": before})


def _make_clip_ref(session: Session, old: Job, request: ReanalysisRequest) -> ClipRef:
    other = lock_clip(session, old.clip_sha256, tenant=old.tenant) if old.clip_sha256 else None
    if request.model is not None and other is None:
        raise GoneError("The clip of this job was deleted. Submit it again.")
    deleted_at = None if other else old.clip_deleted_at
    return ClipRef(old.clip_name, old.clip_url, old.clip_sha256, old.clip_bytes, deleted_at)


def _make_options(session: Session, old: Job, request: ReanalysisRequest) -> JobOptions:
    policy = policy_queries.find_policy(session, old.policy_id, tenant=old.tenant) if old.policy_id else None
    return JobOptions(
        external_id=old.external_id,
        metadata=old.client_metadata,
        model=request.model or old.model,
        start_seconds=old.start_seconds,
        end_seconds=old.end_seconds,
        policy=request.policy or (policy.name if policy else None),
        priority=old.priority,
    )


def _decide_again(session: Session, job: Job, old: Job, result: Result) -> None:
    policies.attach_result(session, job, result)
    result_queries.copy_frames(session, old, job)
    move_job(session, job, JobStatus.SUCCEEDED)
    emit_verdict_changed(session, job)
