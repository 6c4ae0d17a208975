"""Route of the quality of verdicts."""

from fastapi import APIRouter

from app.api.dependencies import Reader, SessionDep
from app.api.openapi import COMMON_ERRORS
from app.schemas import quality as schemas
from app.schemas.base import Timestamp
from app.services.quality import measure_quality

router = APIRouter(prefix="/v1/quality", tags=["operations"], responses=COMMON_ERRORS)


@router.get("", summary="Measure the quality")
def get_quality(session: SessionDep, reader: Reader, created_after: Timestamp | None = None) -> schemas.QualityList:
    """Compare verdicts with the newest feedback on each job, by model and policy, with exact 95 % intervals."""
    items = measure_quality(session, tenant=reader.tenant, created_after=created_after)
    return schemas.QualityList(items=items)
