"""Middleware that authenticates API keys before the body is read. A dependency would run after the upload."""

import hmac
from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import DATABASE_ERRORS, make_database_error, problem_response
from app.api.middleware.rate_limits import RateLimiter, RateLimitStatus
from app.api.paths import UPLOAD_URLS
from app.core.errors import RateLimitedError, UnauthorizedError, UnmaskError
from app.services import keys
from app.services.keys import OPERATOR, Principal

_PUBLIC = ("/livez", "/readyz", "/docs", "/openapi.json", "/static-offline-docs/", UPLOAD_URLS)
"""Paths without a key, beside ``/``: health, the reference with its scripts, upload URLs. All others need a key."""


@dataclass(frozen=True, slots=True)
class ApiKeyAuthenticator:
    """Authenticates the operator's key and the keys of the database."""

    sessions: sessionmaker[Session]
    api_key: str
    pepper: str

    def find_principal(self, presented: str) -> Principal | None:
        """Return the principal of a key, or None."""
        if hmac.compare_digest(presented.encode(), self.api_key.encode()):
            return OPERATOR
        with self.sessions() as session:
            return keys.authenticate(session, presented, pepper=self.pepper)


class ApiKeyMiddleware:
    """Answers 401 without a valid key (``Authorization: Bearer`` or ``X-API-Key``), 429 over the rate limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or _is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        resources = scope["app"].state.resources
        connection = HTTPConnection(scope)
        try:
            principal, status = await run_in_threadpool(
                _authenticate, connection, resources.authenticator, resources.rate_limiter
            )
        except DATABASE_ERRORS as error:
            await _refuse(make_database_error(error), scope, receive, send)
            return
        except UnauthorizedError as error:
            await _refuse(error, scope, receive, send, {"WWW-Authenticate": "Bearer"})
            return
        headers = status.as_headers() if status else {}
        if status and status.is_exceeded:
            rate = status.rate.replace("/", " requests per ")
            detail = f"Rate limit exceeded: {rate}. Slow down, or ask for a higher limit."
            too_many = RateLimitedError(detail, retry_after_seconds=status.reset_seconds)
            await _refuse(too_many, scope, receive, send, headers)
            return
        connection.state.principal = principal

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _authenticate(
    connection: HTTPConnection, authenticator: ApiKeyAuthenticator, limiter: RateLimiter
) -> tuple[Principal, RateLimitStatus | None]:
    """Authenticate a request and count it. Raises UnauthorizedError."""
    presented = _find_key(connection)
    if not presented:
        raise UnauthorizedError("Send your API key in the header 'Authorization: Bearer umk_...'.")
    principal = authenticator.find_principal(presented)
    if principal is None:
        raise UnauthorizedError(
            "This API key is unknown, expired or revoked. Check UNMASK_API_KEY, or ask for a new key."
        )
    return principal, limiter.hit(principal)


async def _refuse(
    error: UnmaskError, scope: Scope, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    response = problem_response(error, path=scope["path"])
    response.headers.update(headers or {})
    response.headers["Connection"] = "close"  # the rest of the upload is not read
    await response(scope, receive, send)


def _is_public(path: str) -> bool:
    return path == "/" or any(
        path == public or (public.endswith("/") and path.startswith(public)) for public in _PUBLIC
    )


def _find_key(connection: HTTPConnection) -> str | None:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return connection.headers.get("x-api-key")
