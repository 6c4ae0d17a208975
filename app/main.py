"""API process: resources, middleware, routes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from sqlalchemy import Engine
from starlette.middleware.cors import CORSMiddleware

from app.api.error_handlers import add_error_handlers
from app.api.job_events import JobEvents
from app.api.middleware.authentication import ApiKeyAuthenticator, ApiKeyMiddleware
from app.api.middleware.body_limit import BodyLimitMiddleware
from app.api.middleware.rate_limits import RateLimiter
from app.api.middleware.request_context import RequestContextMiddleware
from app.api.middleware.request_line import RequestLineMiddleware
from app.api.openapi import make_openapi
from app.api.resources import Resources
from app.api.routes import (
    audit,
    batches,
    calibrations,
    health,
    jobs,
    keys,
    models,
    policies,
    quality,
    uploads,
    webhooks,
    workers,
)
from app.core.logging import configure_logging
from app.core.settings import Settings, require_settings
from app.db.engine import make_engine, make_sessions
from app.db.migrations import newest_version
from app.infra.clip_storage import make_storage
from app.infra.egress import EgressPolicy
from app.infra.job_queue import JobNotifier
from app.maintenance.retention import Retention
from app.maintenance.sweeper import Sweeper

_DESCRIPTION = """
Detects face manipulation in videos.

Submit a clip with `POST /v1/jobs`, then read the job until its `status` is final. `status` is the state of the work,
`verdict` the finding. A clip that cannot be evaluated has the verdict `NOT_EVALUATED` and reasons.
Errors are problem documents (RFC 9457) with a stable `code`.
"""


_ROUTERS = (
    jobs.router,
    batches.router,
    uploads.router,
    uploads.tus_router,
    policies.router,
    calibrations.router,
    webhooks.endpoints_router,
    webhooks.events_router,
    models.router,
    models.imports_router,
    workers.router,
    workers.queue_router,
    quality.router,
    keys.router,
    audit.router,
    health.router,
)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the ASGI application. Settings default to the environment. Raises MissingSettingError."""
    settings = settings or Settings()
    database_url, *_ = require_settings(settings, "database_url", "redis_url", "storage_url", "api_key")
    configure_logging(log_format=settings.log_format, level=settings.log_level)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine = make_engine(database_url)
        resources = _make_resources(settings, engine)
        sweeper = Sweeper(
            resources.sessions,
            resources.notifier,
            interval=settings.sweep_interval,
            max_attempts=settings.max_attempts,
            tasks=[Retention(resources.storage, settings)],
        )
        parts = (resources.notifier, resources.job_events, sweeper)
        for part in parts:
            part.start()
        app.state.resources = resources
        yield
        for part in reversed(parts):
            part.stop()
        engine.dispose()

    # Serves the scripts of /docs itself: it works without internet and sends no requests to a CDN.
    app = FastAPIOffline(title="Unmask", version="1", description=_DESCRIPTION, redoc_url=None, lifespan=lifespan)
    for router in _ROUTERS:
        app.include_router(router)
    app.openapi = lambda: make_openapi(app)  # type: ignore[method-assign]
    routes = [route for router in _ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    add_error_handlers(app, routes)
    _add_middleware(app, settings, routes)
    return app


def _make_resources(settings: Settings, engine: Engine) -> Resources:
    redis_url, storage_url, api_key = require_settings(settings, "redis_url", "storage_url", "api_key")
    sessions = make_sessions(engine, public_url=settings.public_url)
    return Resources(
        settings=settings,
        sessions=sessions,
        storage=make_storage(storage_url, reserve_bytes=settings.storage_reserve_bytes),
        notifier=JobNotifier(redis_url),
        job_events=JobEvents(engine, sessions, wait_max=settings.wait_max),
        authenticator=ApiKeyAuthenticator(sessions, api_key, settings.pepper(api_key)),
        egress=EgressPolicy(settings.egress_allow),
        rate_limiter=RateLimiter(
            redis_url,
            rate=settings.rate_limit,
            jobs_per_day=settings.jobs_per_day,
            bytes_per_day=settings.bytes_per_day,
        ),
        schema_version=newest_version(),
    )


def _add_middleware(app: FastAPI, settings: Settings, routes: Sequence[APIRoute]) -> None:
    """Add middleware. The last one added handles a request first."""
    app.add_middleware(ApiKeyMiddleware)
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.json_max_bytes, routes=routes)
    app.add_middleware(RequestLineMiddleware)
    app.add_middleware(RequestContextMiddleware)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["HEAD", "PATCH", "POST"],
        allow_headers=["Content-Type", "Tus-Resumable", "Upload-Offset", "X-HTTP-Method-Override"],
        expose_headers=["Tus-Resumable", "Upload-Length", "Upload-Offset"],
    )
