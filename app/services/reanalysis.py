"""A clip that is looked at again: by another policy at once, by another model in its turn. Old results stay."""

from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import EventType, JobStatus
from app.core.errors import GoneError
from app.db.engine import db_now
from app.db.queries import jobs as job_queries
from app.db.queries import policies as policy_queries
from app.db.queries import results as result_queries
from app.db.queries.webhook_outbox import add_job_event
from app.db.tables.jobs import Job
from app.db.tables.results import Result
from app.schemas.jobs import ReanalysisRequest
from app.schemas.submissions import JobOptions
from app.services import policies
from app.services.idempotency import IdempotencyClaim, bind_key, fingerprint_of
from app.services.jobs import require_job, require_result
from app.services.submissions import ClipRef, JobLinks, SubmissionContext, Submitter, add_job, check_options, lock_clip


def reanalyze(
    session: Session,
    context: SubmissionContext,
    submitter: Submitter,
    job_id: UUID,
    *,
    request: ReanalysisRequest,
    claim: IdempotencyClaim | None = None,
) -> UUID:
    """Makes a job that looks at the clip of another one again.

    With a policy alone it has ended at once: the probabilities that are there are judged anew, nothing is decoded.

    Raises:
        NotFoundError: There is no such job.
        GoneError: It was deleted, or its clip was, which another model has to look at.
        NoResultError: There is nothing that a policy could judge.
        InvalidRequestError: There is no such model or policy.
        IdempotencyMismatchError, IdempotencyInProgressError, QuotaExceededError: As ``submissions.submit_upload``.
    """
    check_options(context, JobOptions(model=request.model))
    fingerprint = fingerprint_of(f"{job_id} {request.model_dump_json()}", None)
    if claim and claim.is_used:
        return claim.job_of(fingerprint)
    with session.begin():
        # Held, so that it is not deleted while its result is copied.
        old = require_job(job_queries.find_job(session, job_id, tenant=submitter.tenant, for_share=True))
        links = JobLinks(old.tenant, reanalysis_of=old.id, webhook_endpoint_id=old.webhook_endpoint_id)
        result = None if request.model else require_result(old)
        job = add_job(session, context, links, _clip_of(session, old, request), _options_of(session, old, request))
        if claim:
            bind_key(session, claim, job_id=job.id, fingerprint=fingerprint)
        if result is not None:
            _decide(session, job, old, result)
        submitter.charge(1)
    if result is None:
        context.notifier.notify(job.id)
    return job.id


def emit_verdict_changed(session: Session, job: Job) -> None:
    """Tells the webhooks where a job that looked at a clip again came to another verdict, in its transaction."""
    old = job_queries.find_job(session, job.reanalysis_of, tenant=job.tenant) if job.reanalysis_of else None
    if old is not None and old.verdict is not None and old.verdict is not job.verdict:
        before = {"id": old.public_id, "verdict": old.verdict}
        add_job_event(session, job.id, EventType.JOB_VERDICT_CHANGED, {"verdict": job.verdict, "before": before})


def _clip_of(session: Session, old: Job, request: ReanalysisRequest) -> ClipRef:
    holder = lock_clip(session, old.clip_sha256, tenant=old.tenant) if old.clip_sha256 else None
    if request.model is not None and holder is None:
        raise GoneError("The clip of this job is not kept any longer. Submit it again.")
    deleted_at = None if holder else old.clip_deleted_at
    return ClipRef(old.clip_name, old.clip_url, old.clip_sha256, old.clip_bytes, deleted_at)


def _options_of(session: Session, old: Job, request: ReanalysisRequest) -> JobOptions:
    policy = policy_queries.find_policy(session, old.policy_id, tenant=old.tenant) if old.policy_id else None
    return JobOptions(
        external_id=old.external_id,
        metadata=old.client_metadata,
        model=request.model or old.model,
        policy=request.policy or (policy.name if policy else None),
        priority=old.priority,
    )


def _decide(session: Session, job: Job, old: Job, result: Result) -> None:
    policies.attach_result(session, job, result)
    result_queries.copy_frames(session, old, job)
    session.add(job.move_to(JobStatus.SUCCEEDED, at=db_now(session)))
    emit_verdict_changed(session, job)
