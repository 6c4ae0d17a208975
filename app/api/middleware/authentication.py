"""API keys are checked here, before a byte of the body is read: a dependency would run after the upload."""

import hmac
from dataclasses import dataclass

from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import DATABASE_ERRORS, database_away, problem_response
from app.api.middleware.rate_limits import RateLimiter, RateLimitStatus
from app.core.errors import RateLimitedError, UnauthorizedError, UnmaskError
from app.services import keys
from app.services.keys import OPERATOR, Principal

UPLOAD_URLS = "/v1/direct-uploads/"
"""What follows is a secret."""
_PUBLIC = ("/livez", "/readyz", "/docs", "/openapi.json", "/static-offline-docs/", UPLOAD_URLS)
"""Health, the reference with its scripts, and one-time URLs; whatever else there will be needs the key."""


@dataclass(frozen=True, slots=True)
class ApiKeyAuthenticator:
    """Recognises keys: the operator's, and those of the table."""

    sessions: sessionmaker[Session]
    api_key: str
    pepper: str

    def find_principal(self, presented: str) -> Principal | None:
        """Who sends this key."""
        if hmac.compare_digest(presented.encode(), self.api_key.encode()):
            return OPERATOR
        with self.sessions() as session:
            return keys.authenticate(session, presented, pepper=self.pepper)


class ApiKeyMiddleware:
    """Answers 401 without a valid key (``Authorization: Bearer`` or ``X-API-Key``), 429 to one that asks too often."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or _is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        resources = scope["app"].state.resources
        connection = HTTPConnection(scope)
        try:
            principal, allowance = await run_in_threadpool(_admit, connection, resources.keys, resources.rate_limiter)
        except DATABASE_ERRORS as error:
            await _refuse(database_away(error), scope, receive, send)
            return
        except UnauthorizedError as error:
            await _refuse(error, scope, receive, send, {"WWW-Authenticate": "Bearer"})
            return
        headers = allowance.as_headers() if allowance else {}
        if allowance and allowance.is_used_up:
            detail = f"This key may send {allowance.limit} requests in a while. Slow down, or ask for a higher limit."
            too_many = RateLimitedError(detail, retry_after_seconds=allowance.reset_seconds)
            await _refuse(too_many, scope, receive, send, headers)
            return
        connection.state.principal = principal

        async def send_with_allowance(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        await self._app(scope, receive, send_with_allowance)


def _admit(
    connection: HTTPConnection, authenticator: ApiKeyAuthenticator, limiter: RateLimiter
) -> tuple[Principal, RateLimitStatus | None]:
    """Who asks, and what they may still ask. Raises UnauthorizedError."""
    presented = _find_key(connection)
    if not presented:
        raise UnauthorizedError("Send your API key in the header 'Authorization: Bearer umk_...'.")
    principal = authenticator.find_principal(presented)
    if principal is None:
        raise UnauthorizedError(
            "This API key is not known, has expired or was revoked. Check UNMASK_API_KEY, or ask for a new one."
        )
    return principal, limiter.hit(principal)


async def _refuse(
    error: UnmaskError, scope: Scope, receive: Receive, send: Send, headers: dict[str, str] | None = None
) -> None:
    response = problem_response(error, path=scope["path"])
    response.headers.update(headers or {})
    response.headers["Connection"] = "close"  # the rest of the upload is not wanted
    await response(scope, receive, send)


def _is_public(path: str) -> bool:
    return any(path == public or (public.endswith("/") and path.startswith(public)) for public in _PUBLIC)


def _find_key(connection: HTTPConnection) -> str | None:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return connection.headers.get("x-api-key")
