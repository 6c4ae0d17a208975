"""Routes of policies."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from app.api.dependencies import Admin, PageQuery, Reader, SessionDep, SimulationBody
from app.api.openapi import COMMON_ERRORS, problems
from app.api.pagination import cut_page, decode_uuid
from app.api.path_ids import PolicyId
from app.api.presenters.policies import present_policy
from app.db.tables.policies import Policy
from app.schemas import policies as schemas
from app.services import policies, simulations

router = APIRouter(prefix="/v1/policies", tags=["policies"], responses=COMMON_ERRORS)


@router.post("", status_code=201, summary="Create a policy version")
def create_policy(session: SessionDep, admin: Admin, body: schemas.PolicyRequest) -> schemas.Policy:
    """Create a policy, or the next version of the policy with this name. It applies to later jobs.

    Existing verdicts stay; `POST /v1/jobs/{id}:reanalyze` decides them again.
    """
    return _present_one(session, policies.create_policy(session, tenant=admin.tenant, request=body))


@router.get("", summary="List policies")
def list_policies(session: SessionDep, reader: Reader, query: Annotated[PageQuery, Query()]) -> schemas.PolicyPage:
    """List all versions of all policies, newest first."""
    before = decode_uuid(query.cursor)
    rows = policies.list_policies(session, tenant=reader.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda policy: policy.id, limit=query.limit)
    warnings = policies.warn_about_policies(session, page, tenant=reader.tenant)
    items = [present_policy(row, found) for row, found in zip(page, warnings, strict=True)]
    return schemas.PolicyPage(items=items, next_cursor=cursor)


@router.get("/{policy_id}", summary="Get a policy version", responses=problems(404))
def get_policy(session: SessionDep, reader: Reader, policy_id: PolicyId) -> schemas.Policy:
    """Get one version of a policy."""
    return _present_one(session, policies.get_policy(session, policy_id, tenant=reader.tenant))


@router.post("/{policy_id}:simulate", summary="Simulate a policy", responses=problems(404))
def simulate_policy(
    session: SessionDep, reader: Reader, policy_id: PolicyId, body: SimulationBody
) -> schemas.Simulation:
    """Count the verdicts and actions of past jobs that the policy would change. Nothing is stored."""
    return simulations.simulate_policy(session, policy_id, tenant=reader.tenant, request=body)


def _present_one(session: Session, policy: Policy) -> schemas.Policy:
    (warnings,) = policies.warn_about_policies(session, [policy], tenant=policy.tenant)
    return present_policy(policy, warnings)
