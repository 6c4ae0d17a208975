"""Refuses JSON bodies that are too large before they are in memory; clips are streamed and have limits of their own."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.error_handlers import problem_response
from app.api.ingest.body import is_json
from app.api.middleware.authentication import UPLOAD_URLS
from app.core.errors import RequestTooLargeError


class BodyLimitMiddleware:
    """Answers 413 to a body that is announced too large, and stops reading one that turns out to be."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI interface."""
        if scope["type"] != "http" or _is_clip(HTTPConnection(scope)):
            await self._app(scope, receive, send)
            return
        too_large = RequestTooLargeError(f"A JSON body may have {self._max_bytes} bytes. Send less at a time.")
        announced = HTTPConnection(scope).headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._max_bytes:
            response = problem_response(too_large, path=scope["path"])
            response.headers["Connection"] = "close"  # the rest of the body is not wanted
            await response(scope, receive, send)
            return
        received_bytes = 0

        async def receive_some() -> Message:
            nonlocal received_bytes
            message = await receive()
            received_bytes += len(message.get("body", b""))
            if received_bytes > self._max_bytes:
                raise too_large
            return message

        await self._app(scope, receive_some, send)


def _is_clip(connection: HTTPConnection) -> bool:
    """Whether the body is a clip, or a piece of one."""
    path = connection.url.path
    return path.startswith(UPLOAD_URLS) or (path == "/v1/jobs" and not is_json(connection))
