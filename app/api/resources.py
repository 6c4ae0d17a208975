"""Resources of the API process: everything that lives as long as it does."""

from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker

from app.api.job_events import JobEvents
from app.api.middleware.authentication import ApiKeyAuthenticator
from app.api.middleware.rate_limits import RateLimiter
from app.core.settings import Settings
from app.infra.clip_storage import ClipStorage
from app.infra.egress import EgressPolicy
from app.infra.job_queue import JobNotifier


@dataclass(frozen=True, slots=True)
class Resources:
    """Resources that endpoints and middleware share."""

    settings: Settings
    sessions: sessionmaker[Session]
    storage: ClipStorage
    notifier: JobNotifier
    job_events: JobEvents
    authenticator: ApiKeyAuthenticator
    rate_limiter: RateLimiter
    egress: EgressPolicy
    schema_version: str | None
    """Newest migration of this version of the code."""
