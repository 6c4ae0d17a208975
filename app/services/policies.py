"""Use cases of policies: create, read, list, apply to a job."""

import math
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import FieldError, InvalidRequestError, NotFoundError, RateNotSupportedError
from app.db.engine import advisory_lock
from app.db.queries import models as model_queries
from app.db.queries import policies as policy_queries
from app.db.tables.jobs import Job
from app.db.tables.policies import Policy
from app.db.tables.results import Result
from app.schemas.base import WarningDetail
from app.schemas.calibrations import Calibration
from app.schemas.policies import DEFAULT_POLICY, PolicyRequest
from app.services import audit
from app.services.calibrations import find_active_calibration
from app.services.verdicts import decide, warn_about_rates


def find_policy_for_job(session: Session, name: str | None, *, tenant: str) -> Policy | None:
    """Return the policy of a new job, in its transaction, or None if the tenant has no default policy.

    Raises InvalidRequestError: the tenant has no policy with the name that the job gives.
    """
    policy = policy_queries.find_newest_policy(session, name or DEFAULT_POLICY, tenant=tenant)
    if policy is None and name not in {None, DEFAULT_POLICY}:
        detail = f"The policy {name!r} does not exist. List yours with GET /v1/policies."
        raise InvalidRequestError(detail, errors=[FieldError("/options/policy", detail)])
    return policy


def create_policy(session: Session, *, tenant: str, request: PolicyRequest) -> Policy:
    """Create a policy, or the next version of the policy with this name.

    Raises RateNotSupportedError: the calibration of the default model cannot show a rate.
    """
    with session.begin():
        _require_supported(session, request, tenant=tenant)
        advisory_lock(session, f"policy {tenant} {request.name}")
        policy = Policy(tenant=tenant, **request.model_dump(mode="json"))
        policy_queries.add_policy(session, policy)
        audit.record(session, "policy.created", policy.public_id, tenant=tenant)
        return policy


def get_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy:
    """Return a version of a policy. Raises NotFoundError."""
    with session.begin():
        return require_policy(policy_queries.find_policy(session, policy_id, tenant=tenant))


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Return versions of policies, newest first."""
    with session.begin():
        return policy_queries.list_policies(session, tenant=tenant, before=before, limit=limit)


def attach_result(session: Session, job: Job, result: Result) -> None:
    """Attach a result to a job, with verdicts decided by the job's policy. ``result`` is a new row or another job's."""
    active = find_active_calibration(session, result.calibration_sha256, tenant=job.tenant)
    policy = policy_queries.find_policy(session, job.policy_id, tenant=job.tenant) if job.policy_id else None
    decided = decide(result.payload, active, policy)
    job.verdict = decided["verdict"]
    session.add(
        Result(
            job_id=job.id,
            attempt=job.attempt,
            payload=decided,
            detector_sha256=result.detector_sha256,
            calibration_sha256=result.calibration_sha256,
        )
    )


def warn_about_policies(session: Session, policies: Sequence[Policy], *, tenant: str) -> list[list[WarningDetail]]:
    """Return the warnings of each policy: rates that the calibration of the default model cannot show."""
    with session.begin():
        default = _find_default_calibration(session, tenant=tenant)
    return [warn_about_rates(default, policy, people=1) if default else [] for policy in policies]


def _find_default_calibration(session: Session, *, tenant: str) -> Calibration | None:
    """Return the calibration that holds for results of the default model; None if no worker has started."""
    model = model_queries.find_default_model(session)
    return find_active_calibration(session, model.calibration_sha256, tenant=tenant).calibration if model else None


def _require_supported(session: Session, request: PolicyRequest, *, tenant: str) -> None:
    """Raise RateNotSupportedError if the calibration of the default model cannot show a rate of a policy."""
    calibration = _find_default_calibration(session, tenant=tenant)
    lowest = calibration.lowest_false_positive_rate if calibration else None
    if calibration is None or lowest is None:
        return
    for name in ("manipulated_false_positive_rate", "suspicious_false_positive_rate"):
        rate = getattr(request, name)
        if rate is not None and rate < lowest:
            needed = calibration.curve.count_needed(rate)
            detail = (
                f"The {calibration.curve.real_clips} real clips of the calibration of {calibration.model} "
                f"{calibration.version} can show {math.ceil(lowest * 1e4) / 1e4:.2%} at the lowest; {rate:.2%} needs "
                f"{needed}. Use a higher rate, or a model that was calibrated on more real clips."
            )
            raise RateNotSupportedError(detail, errors=[FieldError(f"/{name}", detail)])


def require_policy(policy: Policy | None) -> Policy:
    """Return the policy if it exists. Raises NotFoundError."""
    if policy is None:
        raise NotFoundError("No policy has this id. List yours with GET /v1/policies.")
    return policy
