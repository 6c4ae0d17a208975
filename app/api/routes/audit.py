"""Route of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.dependencies import Admin, PageQuery, SessionDep
from app.api.openapi import COMMON_ERRORS
from app.api.pagination import BIG_INTEGER, cut_page, decode_position
from app.api.presenters.audit import present_audit_event
from app.schemas import audit as schemas
from app.services import audit

router = APIRouter(prefix="/v1/audit-events", tags=["audit"], responses=COMMON_ERRORS)


@router.get("", summary="List audit events")
def list_audit_events(session: SessionDep, admin: Admin, query: Annotated[PageQuery, Query()]) -> schemas.AuditPage:
    """List all changes in the tenant, newest first: by keys, by the operator, and by maintenance."""
    before = decode_position(query.cursor, below=BIG_INTEGER)
    rows = audit.list_audit_events(session, tenant=admin.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda event: event.id, limit=query.limit)
    return schemas.AuditPage(items=[present_audit_event(row) for row in page], next_cursor=cursor)
