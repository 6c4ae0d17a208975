"""Routes of liveness and readiness, for load balancers and orchestrators."""

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse
from sqlalchemy.exc import SQLAlchemyError

from app.api.dependencies import ResourcesDep
from app.api.resources import Resources
from app.db.engine import find_schema_version
from app.schemas.problems import Health

router = APIRouter(tags=["health"])


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    """Lead a person with a browser to the documentation."""
    return RedirectResponse("/docs")


@router.get("/livez", summary="Get liveness")
async def livez() -> Health:
    """Return 200 if the event loop runs."""
    return Health(status="ok")


@router.get("/readyz", summary="Get readiness", responses={503: {"model": Health}})
def readyz(resources: ResourcesDep, response: Response) -> Health:
    """Return 200 if database and storage work. Without Redis the status is `degraded`: jobs are accepted and wait."""
    required = {"database": _has_database(resources), "storage": resources.storage.is_writable()}
    checks = required | {"queue": resources.notifier.is_reachable()}
    if not all(required.values()):
        response.status_code = 503
    status = "unavailable" if not all(required.values()) else "ok" if all(checks.values()) else "degraded"
    return Health(status=status, checks={name: "ok" if ok else "failing" for name, ok in checks.items()})


def _has_database(resources: Resources) -> bool:
    try:
        with resources.sessions() as session, session.begin():
            return find_schema_version(session) == resources.schema_version
    except SQLAlchemyError:
        return False
