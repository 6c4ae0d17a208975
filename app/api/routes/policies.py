"""The routes of policies and calibrations: signatures; the work is in services."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api import openapi
from app.api.dependencies import Admin, PageQuery, Reader, SessionDep
from app.api.pagination import cut_page, decode_uuid
from app.api.path_ids import PolicyId
from app.api.presenters.policies import _view
from app.schemas import policies as schemas
from app.services import policies

router = APIRouter(prefix="/v1/policies", tags=["policies"], responses=openapi.COMMON_ERRORS)
calibrations = APIRouter(prefix="/v1/calibrations", tags=["policies"], responses=openapi.COMMON_ERRORS)


@router.post("", status_code=201, summary="Create a policy, or its next version")
def create_policy(session: SessionDep, admin: Admin, body: schemas.PolicyRequest) -> schemas.Policy:
    """Jobs that name it from now on get this version. Verdicts that were given stay; `:reanalyze` renews them."""
    return _view(policies.create_policy(session, tenant=admin.tenant, request=body))


@router.get("", summary="List policies")
def list_policies(session: SessionDep, reader: Reader, query: Annotated[PageQuery, Query()]) -> schemas.PolicyPage:
    """All versions, newest first."""
    before = decode_uuid(query.cursor)
    rows = policies.list_policies(session, tenant=reader.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda policy: policy.id, limit=query.limit)
    return schemas.PolicyPage(items=[_view(row) for row in page], next_cursor=cursor)


@router.get("/{policy_id}", summary="Read a policy", responses=openapi.problems(404))
def get_policy(session: SessionDep, reader: Reader, policy_id: PolicyId) -> schemas.Policy:
    """One version of it."""
    return _view(policies.get_policy(session, policy_id, tenant=reader.tenant))


@router.post("/{policy_id}:simulate", summary="Try a policy on past jobs", responses=openapi.problems(404))
def simulate_policy(
    session: SessionDep, reader: Reader, policy_id: PolicyId, body: schemas.SimulationRequest
) -> schemas.Simulation:
    """Says how many verdicts and actions would be others. Nothing changes."""
    return policies.simulate(session, policy_id, tenant=reader.tenant, request=body)


@calibrations.get("", summary="Read what thresholds cost")
def list_calibrations(session: SessionDep, _reader: Reader) -> schemas.CalibrationList:
    """For each model that has judged: the false-positive rates that policies may ask for, and what is found then."""
    return schemas.CalibrationList(items=policies.list_calibrations(session))
