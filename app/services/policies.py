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
from app.services.verdicts import _actions_of, _verdict, apply, decide

_EXAMPLES_MAX = 100


def find_for_job(session: Session, name: str | None, *, tenant: str) -> Policy | None:
    """The policy of a job that is being made, in its transaction; None: there is no default one.

    Raises InvalidRequestError: the tenant has no policy of the name that the job gives.
    """
    policy = policy_queries.find_newest_policy(session, name or DEFAULT_POLICY, tenant=tenant)
    if policy is None and name not in {None, DEFAULT_POLICY}:
        detail = f"There is no policy {name!r}. GET /v1/policies lists yours."
        raise InvalidRequestError(detail, errors=[FieldError("/options/policy", detail)])
    return policy


def create_policy(session: Session, *, tenant: str, request: PolicyRequest) -> Policy:
    """Adds a policy, or the next version of the one with this name."""
    with session.begin():
        advisory_lock(session, f"policy {tenant} {request.name}")
        policy = Policy(tenant=tenant, **request.model_dump(mode="json"))
        policy_queries.add_policy(session, policy)
        audit.record(session, "policy.created", policy.public_id, tenant=tenant)
        return policy


def get_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy:
    """A version of a policy. Raises NotFoundError."""
    with session.begin():
        return _existing(policy_queries.find_policy(session, policy_id, tenant=tenant))


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Versions of policies, newest first."""
    with session.begin():
        return policy_queries.list_policies(session, tenant=tenant, before=before, limit=limit)


def list_calibrations(session: Session) -> list[Calibration]:
    """The calibrations of the models that have judged: they are the operator's and no secret."""
    with session.begin():
        return [Calibration.model_validate(stored.payload) for stored in result_queries.list_calibrations(session)]


def simulate(session: Session, policy_id: UUID, *, tenant: str, request: SimulationRequest) -> Simulation:
    """Tries a policy on past jobs; nothing changes. Raises NotFoundError."""
    with session.begin():
        policy = _existing(policy_queries.find_policy(session, policy_id, tenant=tenant))
        applied: dict[str, AppliedPolicy] = {}
        actions, before, then, flips = _actions_of(policy), Counter[Verdict](), Counter[Verdict](), 0
        examples: list[Flip] = []
        for past in result_queries.iterate_verdicts(session, tenant=tenant, **dict(request)):
            sha256 = past.calibration_sha256
            if sha256 not in applied:
                stored = result_queries.get_calibration(session, sha256)
                applied[sha256] = apply(policy, Calibration.model_validate(stored.payload))
            verdict = _verdict(applied[sha256], past.probability)
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
    """Gives a job the result of another one, or a new one without a job, judged by the job's own policy."""
    stored = result_queries.get_calibration(session, result.calibration_sha256)
    policy = policy_queries.find_policy(session, job.policy_id, tenant=job.tenant) if job.policy_id else None
    judged = decide(result.payload, Calibration.model_validate(stored.payload), policy)
    job.verdict = judged["verdict"]
    session.add(
        Result(
            job_id=job.id,
            attempt=job.attempt,
            payload=judged,
            detector_sha256=result.detector_sha256,
            calibration_sha256=result.calibration_sha256,
        )
    )


def _existing(policy: Policy | None) -> Policy:
    if policy is None:
        raise NotFoundError("There is no such policy. GET /v1/policies lists yours.")
    return policy
