"""The API key is checked here, before a byte of the body is read: a dependency would run after the upload."""

import hmac

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.error_handlers import problem_response
from app.errors import UnauthorizedError

_PUBLIC = ("/livez", "/readyz", "/docs", "/openapi.json", "/static-offline-docs/")
"""Health, and the reference with its scripts; whatever else there will be needs the key."""


class ApiKeyMiddleware:
    """Answers 401 to requests without a valid key (``Authorization: Bearer`` or ``X-API-Key``)."""

    def __init__(self, app: ASGIApp, *, api_key: str) -> None:
        self._app = app
        self._api_key = api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or _is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        presented = _find_key(connection)
        if presented is not None and hmac.compare_digest(presented.encode(), self._api_key):
            await self._app(scope, receive, send)
            return
        error = UnauthorizedError(
            "This API key is not known. Check UNMASK_API_KEY."
            if presented
            else "Send your API key in the header 'Authorization: Bearer umk_...'."
        )
        response = problem_response(error, path=scope["path"])
        response.headers["WWW-Authenticate"] = "Bearer"
        response.headers["Connection"] = "close"  # the rest of the upload is not wanted
        await response(scope, receive, send)


def _is_public(path: str) -> bool:
    return any(path == public or (public.endswith("/") and path.startswith(public)) for public in _PUBLIC)


def _find_key(connection: HTTPConnection) -> str | None:
    scheme, _, credentials = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials:
        return credentials.strip()
    return connection.headers.get("x-api-key")
