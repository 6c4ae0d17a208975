"""Liveness and readiness, for load balancers and orchestrators."""

from fastapi import APIRouter, Response
from sqlalchemy.exc import SQLAlchemyError

from app.api.dependencies import ResourcesDep
from app.api.resources import Resources
from app.db.engine import find_schema_version
from app.schemas.problems import Health

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> Health:
    """Says only that the event loop turns."""
    return Health(status="ok")


@router.get("/readyz", summary="Can the process serve requests?", responses={503: {"model": Health}})
def readyz(resources: ResourcesDep, response: Response) -> Health:
    """Database and storage must work. Without Redis jobs are accepted and start later: degraded, still ready."""
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
