"""The route of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api import openapi
from app.api.dependencies import Admin, PageQuery, SessionDep
from app.api.pagination import BIG_INTEGER, cut_page, decode_position
from app.schemas import audit as schemas
from app.services import audit

router = APIRouter(prefix="/v1/audit-events", tags=["audit"], responses=openapi.COMMON_ERRORS)


@router.get("", summary="Read who changed what")
def list_audit_events(session: SessionDep, admin: Admin, query: Annotated[PageQuery, Query()]) -> schemas.AuditPage:
    """All changes in the tenant, newest first: by keys, by the operator, by the service itself."""
    before = decode_position(query.cursor, below=BIG_INTEGER)
    rows = audit.list_events(session, tenant=admin.tenant, before=before, limit=query.limit + 1)
    page, cursor = cut_page(rows, lambda event: event.id, limit=query.limit)
    items = [schemas.AuditEvent.model_validate(row, from_attributes=True) for row in page]
    return schemas.AuditPage(items=items, next_cursor=cursor)
