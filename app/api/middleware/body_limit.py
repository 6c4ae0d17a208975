"""Middleware that refuses large bodies before they are in memory. Streaming endpoints limit their body themselves."""

from collections.abc import Sequence

from fastapi.routing import APIRoute
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import problem_response
from app.api.ingest.body import make_request_too_large_error
from app.api.ingest.limits import is_streaming


class BodyLimitMiddleware:
    """Answers 413 to a body that is declared too large, and stops reading a body that exceeds the limit.

    Args:
        app: Next application.
        max_bytes: Maximum size of a body.
        routes: Routes of the application; those of endpoints marked with ``streams_body`` are exempt.
    """

    def __init__(self, app: ASGIApp, *, max_bytes: int, routes: Sequence[APIRoute]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._streaming = [route for route in routes if is_streaming(route.endpoint)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or self._is_exempt(scope):
            await self._app(scope, receive, send)
            return
        too_large = make_request_too_large_error(self._max_bytes)
        declared = HTTPConnection(scope).headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            response = problem_response(too_large, path=scope["path"])
            response.headers["Connection"] = "close"  # the rest of the body is not read
            await response(scope, receive, send)
            return
        received_bytes = 0

        async def receive_limited() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self._max_bytes:
                raise too_large
            return message

        await self._app(scope, receive_limited, send)

    def _is_exempt(self, scope: Scope) -> bool:
        return any(
            scope["method"] in (route.methods or ()) and route.path_regex.match(scope["path"])
            for route in self._streaming
        )
