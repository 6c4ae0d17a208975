"""Use cases of policies: create, read, list, simulate, apply to a job."""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.enums import Verdict
from app.core.errors import FieldError, InvalidRequestError, NotFoundError
from app.db.engine import advisory_lock
from app.db.queries import policies as policy_queries
from app.db.queries import results as result_queries
from app.db.tables.jobs import Job
from app.db.tables.policies import Policy
from app.db.tables.results import Result
from app.schemas.policies import (
    DEFAULT_POLICY,
    AppliedPolicy,
    Calibration,
    Flip,
    PolicyRequest,
    Simulation,
    SimulationRequest,
)
from app.services import audit
from app.services.verdicts import actions_of, apply_policy, decide, decide_verdict

_EXAMPLES_MAX = 100


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
    """Create a policy, or the next version of the policy with this name."""
    with session.begin():
        advisory_lock(session, f"policy {tenant} {request.name}")
        policy = Policy(tenant=tenant, **request.model_dump(mode="json"))
        policy_queries.add_policy(session, policy)
        audit.record(session, "policy.created", policy.public_id, tenant=tenant)
        return policy


def get_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy:
    """Return a version of a policy. Raises NotFoundError."""
    with session.begin():
        return _require_policy(policy_queries.find_policy(session, policy_id, tenant=tenant))


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Return versions of policies, newest first."""
    with session.begin():
        return policy_queries.list_policies(session, tenant=tenant, before=before, limit=limit)


def list_calibrations(session: Session) -> list[Calibration]:
    """Return the calibrations of the models that have produced results. They are the same for all tenants."""
    with session.begin():
        return [Calibration.model_validate(stored.payload) for stored in result_queries.list_calibrations(session)]


def simulate_policy(session: Session, policy_id: UUID, *, tenant: str, request: SimulationRequest) -> Simulation:
    """Apply a policy to past jobs and count the verdicts and actions that would flip. Raises NotFoundError."""
    with session.begin():
        policy = _require_policy(policy_queries.find_policy(session, policy_id, tenant=tenant))
        applied: dict[str, AppliedPolicy] = {}
        actions, before, then, flips = actions_of(policy), Counter[Verdict](), Counter[Verdict](), 0
        examples: list[Flip] = []
        for past in result_queries.iterate_verdicts(session, tenant=tenant, **dict(request)):
            sha256 = past.calibration_sha256
            if sha256 not in applied:
                stored = result_queries.get_calibration(session, sha256)
                applied[sha256] = apply_policy(policy, Calibration.model_validate(stored.payload))
            verdict = decide_verdict(applied[sha256], past.probability)
            before[past.verdict] += 1
            then[verdict] += 1
            action = actions.on(verdict)
            if (past.verdict, past.recommended_action) == (verdict, action):
                continue
            flips += 1
            if flips <= _EXAMPLES_MAX:
                flip = Flip(
                    job_id=past.job_id,
                    verdict=past.verdict,
                    recommended_action=past.recommended_action,
                    verdict_then=verdict,
                    recommended_action_then=action,
                )
                examples.append(flip)
        return Simulation(
            jobs=before.total(), flips=flips, verdicts=dict(before), verdicts_then=dict(then), examples=examples
        )


def attach_result(session: Session, job: Job, result: Result) -> None:
    """Attach a result to a job, with verdicts decided by the job's policy. ``result`` is a new row or another job's."""
    stored = result_queries.get_calibration(session, result.calibration_sha256)
    policy = policy_queries.find_policy(session, job.policy_id, tenant=job.tenant) if job.policy_id else None
    decided = decide(result.payload, Calibration.model_validate(stored.payload), policy)
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


def _require_policy(policy: Policy | None) -> Policy:
    if policy is None:
        raise NotFoundError("No policy has this id. List yours with GET /v1/policies.")
    return policy
