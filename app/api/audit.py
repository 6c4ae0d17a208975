"""The route of the audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from app import audit_schemas as schemas
from app.api import openapi
from app.api.cursors import BIG_INTEGER, decode_position, encode_cursor, split_page
from app.api.dependencies import Admin, PageQuery, SessionDep
from app.services import audit

router = APIRouter(prefix="/v1/audit-events", tags=["audit"], responses=openapi.problems(400, 401, 403, 429, 503))


@router.get("", summary="Read who changed what")
def list_audit_events(session: SessionDep, admin: Admin, query: Annotated[PageQuery, Query()]) -> schemas.AuditPage:
    """All changes in the tenant, newest first: by keys, by the operator, by the service itself."""
    before = decode_position(query.cursor, below=BIG_INTEGER)
    rows = audit.list_events(session, tenant=admin.tenant, before=before, limit=query.limit + 1)
    page, last = split_page(rows, limit=query.limit)
    items = [
        schemas.AuditEvent.model_validate({name: getattr(row, name) for name in schemas.AuditEvent.model_fields})
        for row in page
    ]
    return schemas.AuditPage(items=items, next_cursor=encode_cursor(last.id) if last else None)
