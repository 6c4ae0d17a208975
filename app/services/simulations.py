"""Use cases of simulations: the verdicts of past jobs by another policy or calibration. Nothing is stored."""

from collections import Counter
from collections.abc import Iterable
from functools import cache
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.calibration import Thresholds
from app.core.enums import Verdict
from app.db.queries import policies as policy_queries
from app.db.queries import results as result_queries
from app.db.queries.results import PastVerdict
from app.db.tables.policies import Policy
from app.schemas.base import WarningDetail
from app.schemas.calibrations import Calibration
from app.schemas.policies import Flip, Simulation, SimulationRequest
from app.services.calibrations import find_active_calibration, get_own_calibration
from app.services.policies import require_policy
from app.services.verdicts import actions_of, find_thresholds, warn_about_rates

_EXAMPLES_MAX = 100


def simulate_policy(session: Session, policy_id: UUID, *, tenant: str, request: SimulationRequest) -> Simulation:
    """Apply a policy to past jobs and count the verdicts and actions that would change. Raises NotFoundError."""
    with session.begin():
        policy = require_policy(policy_queries.find_policy(session, policy_id, tenant=tenant))

        @cache
        def find_calibration(sha256: str) -> Calibration:
            return find_active_calibration(session, sha256, tenant=tenant).calibration

        past = result_queries.iterate_verdicts(session, tenant=tenant, **dict(request))
        return _simulate((job, find_calibration(job.calibration_sha256), policy) for job in past)


def simulate_calibration(
    session: Session, calibration_id: UUID, *, tenant: str, request: SimulationRequest
) -> Simulation:
    """Apply an own calibration to past jobs of its model, each by its own policy. Raises NotFoundError."""
    with session.begin():
        row = get_own_calibration(session, calibration_id, tenant=tenant)
        own, sha256 = Calibration.model_validate(row.payload), row.model_calibration_sha256

        @cache
        def find_policy(policy_id: UUID | None) -> Policy | None:
            return policy_queries.find_policy(session, policy_id, tenant=tenant) if policy_id else None

        past = result_queries.iterate_verdicts(session, tenant=tenant, calibration_sha256=sha256, **dict(request))
        return _simulate((job, own, find_policy(job.policy_id)) for job in past)


def _simulate(jobs: Iterable[tuple[PastVerdict, Calibration, Policy | None]]) -> Simulation:
    before, then, flips = Counter[Verdict](), Counter[Verdict](), 0
    examples: list[Flip] = []
    warnings: dict[str, WarningDetail] = {}
    thresholds: dict[tuple[int, int, int], Thresholds] = {}
    for past, calibration, policy in jobs:
        key = id(calibration), id(policy), past.people
        if key not in thresholds:
            thresholds[key] = find_thresholds(calibration, policy, people=past.people)
            found = warn_about_rates(calibration, policy, people=past.people)
            warnings |= {warning.detail: warning for warning in found}
        verdict = thresholds[key].decide(past.probability)
        action = actions_of(policy).on(verdict)
        before[past.verdict] += 1
        then[verdict] += 1
        if (past.verdict, past.recommended_action) == (verdict, action):
            continue
        flips += 1
        if flips <= _EXAMPLES_MAX:
            examples.append(
                Flip(
                    job_id=past.job_id,
                    verdict=past.verdict,
                    recommended_action=past.recommended_action,
                    verdict_then=verdict,
                    recommended_action_then=action,
                )
            )
    return Simulation(
        jobs=before.total(),
        flips=flips,
        verdicts=dict(before),
        verdicts_then=dict(then),
        examples=examples,
        warnings=list(warnings.values()),
    )
