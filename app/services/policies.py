"""Policies: what turns the probabilities of a result into verdicts, and a verdict into an action."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.db import repositories, results, tenants
from app.db.models import Job, Result
from app.db.tenant_models import Policy
from app.errors import FieldError, InvalidRequestError, NotFoundError
from app.policy_schemas import (
    DEFAULT_POLICY,
    Actions,
    AppliedPolicy,
    Calibration,
    Flip,
    OperatingPoint,
    PolicyRequest,
    Simulation,
    SimulationRequest,
)
from app.services import audit
from app.states import Verdict

_EXAMPLES_MAX = 100


def judge(payload: dict[str, Any], calibration: Calibration, policy: Policy | None) -> dict[str, Any]:
    """Judges the probabilities of a finding, or of a result that another policy has judged.

    Args:
        payload: ``schemas.Finding`` or ``schemas.Result`` as JSON; it is left as it is.
        calibration: Of the model that found it.
        policy: None: the model's own thresholds.

    Returns:
        ``schemas.Result`` as JSON.
    """
    applied = apply(policy, calibration)
    tracks = [track | {"verdict": _verdict(applied, track["probability"])} for track in payload["tracks"]]
    verdict = _verdict(applied, payload["probability"])
    judged = {
        "verdict": verdict,
        "tracks": tracks,
        "recommended_action": _actions_of(policy).on(verdict),
        "policy": applied.model_dump(mode="json"),
    }
    return payload | judged


def apply(policy: Policy | None, calibration: Calibration) -> AppliedPolicy:
    """The thresholds of a policy for a model."""
    own = calibration.model_dump(include=set(AppliedPolicy.model_fields))
    described = {"id": None, "name": DEFAULT_POLICY, "version": 0, "calibration_sha256": calibration.sha256}
    if policy is None:
        return AppliedPolicy.model_validate(own | described)
    described |= {"id": policy.public_id, "name": policy.name, "version": policy.version}
    low, high = policy.manipulated_false_positive_rate, policy.suspicious_false_positive_rate
    if low is None or high is None or not calibration.operating_points:
        return AppliedPolicy.model_validate(own | described)
    manipulated, suspicious = (_nearest(calibration.operating_points, rate) for rate in (low, high))
    chosen = {
        "suspicious_at": suspicious.threshold,
        "suspicious_false_positive_rate": suspicious.false_positive_rate,
        "manipulated_at": manipulated.threshold,
        "manipulated_false_positive_rate": manipulated.false_positive_rate,
    }
    return AppliedPolicy.model_validate(described | chosen)


def _nearest(points: Sequence[OperatingPoint], rate: float) -> OperatingPoint:
    """The one whose rate is nearest to the one that may be, from below; the strictest where all are above."""
    by_rate = sorted(points, key=lambda point: point.false_positive_rate)
    return [by_rate[0], *(point for point in by_rate if point.false_positive_rate <= rate)][-1]


def _verdict(applied: AppliedPolicy, probability: float | None) -> Verdict:
    return Verdict.of(probability, suspicious_at=applied.suspicious_at, manipulated_at=applied.manipulated_at)


def _actions_of(policy: Policy | None) -> Actions:
    return Actions.model_validate(policy.actions) if policy else Actions()


def find_for_job(session: Session, name: str | None, *, tenant: str) -> Policy | None:
    """The policy of a job that is being made, in its transaction; None: there is no default one.

    Raises InvalidRequestError: the tenant has no policy of the name that the job gives.
    """
    policy = tenants.find_newest_policy(session, name or DEFAULT_POLICY, tenant=tenant)
    if policy is None and name not in {None, DEFAULT_POLICY}:
        detail = f"There is no policy {name!r}. GET /v1/policies lists yours."
        raise InvalidRequestError(detail, errors=[FieldError("/options/policy", detail)])
    return policy


def create_policy(session: Session, *, tenant: str, request: PolicyRequest) -> Policy:
    """Adds a policy, or the next version of the one with this name."""
    with session.begin():
        repositories.lock(session, f"policy {tenant} {request.name}")
        policy = Policy(tenant=tenant, **request.model_dump(mode="json"))
        tenants.add_policy(session, policy)
        audit.note(session, "policy.created", policy.public_id, tenant=tenant)
        return policy


def get_policy(session: Session, policy_id: UUID, *, tenant: str) -> Policy:
    """A version of a policy. Raises NotFoundError."""
    with session.begin():
        return _existing(tenants.find_policy(session, policy_id, tenant=tenant))


def list_policies(session: Session, *, tenant: str, before: UUID | None, limit: int) -> Sequence[Policy]:
    """Versions of policies, newest first."""
    with session.begin():
        return tenants.list_policies(session, tenant=tenant, before=before, limit=limit)


def list_calibrations(session: Session) -> list[Calibration]:
    """The calibrations of the models that have judged: they are the operator's and no secret."""
    with session.begin():
        return [Calibration.model_validate(stored.payload) for stored in results.list_calibrations(session)]


def simulate(session: Session, policy_id: UUID, *, tenant: str, request: SimulationRequest) -> Simulation:
    """Tries a policy on past jobs; nothing changes. Raises NotFoundError."""
    with session.begin():
        policy = _existing(tenants.find_policy(session, policy_id, tenant=tenant))
        applied: dict[str, AppliedPolicy] = {}
        actions, before, then, flips = _actions_of(policy), Counter[Verdict](), Counter[Verdict](), 0
        examples: list[Flip] = []
        for past in results.iterate_verdicts(session, tenant=tenant, **dict(request)):
            sha256 = past.calibration_sha256
            if sha256 not in applied:
                stored = results.get_calibration(session, sha256)
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


def give_result(session: Session, job: Job, result: Result) -> None:
    """Gives a job the result of another one, or a new one without a job, judged by the job's own policy."""
    stored = results.get_calibration(session, result.calibration_sha256)
    policy = tenants.find_policy(session, job.policy_id, tenant=job.tenant) if job.policy_id else None
    judged = judge(result.payload, Calibration.model_validate(stored.payload), policy)
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
