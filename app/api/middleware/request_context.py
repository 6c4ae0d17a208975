"""Middleware that assigns request ids, logs requests, and answers 500 to unexpected errors."""

import re
import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from app.api.error_handlers import problem_response
from app.api.paths import TUS_VERSION, UPLOAD_URLS
from app.core.errors import InternalError
from app.core.logging import make_logger

_SAFE_ID = re.compile(r"[\w.:-]{1,100}")
_QUIET = {"/livez", "/readyz"}


class RequestContextMiddleware:
    """Uses the client's ``X-Request-Id`` if it is harmless, else a new id, and returns it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._log = make_logger(part="api")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _SAFE_ID.fullmatch(given) else f"req_{uuid7().hex}"
        status = 0
        start = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                if scope["path"].startswith(UPLOAD_URLS.rstrip("/")):
                    headers["Tus-Resumable"] = headers["Tus-Version"] = TUS_VERSION  # errors, too
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_id)
            except Exception:
                self._log.exception("request_failed", path=_without_secret(scope["path"]))
                if status:
                    raise  # the response has begun: only a broken connection can tell the client
                await _internal(scope["path"])(scope, receive, send_with_id)
            finally:
                if scope["path"] not in _QUIET:
                    self._log.info(
                        "request",
                        method=scope["method"],
                        path=_without_secret(scope["path"]),
                        status=status,
                        seconds=round(time.perf_counter() - start, 3),
                    )


def _without_secret(path: str) -> str:
    return f"{UPLOAD_URLS}..." if path.startswith(UPLOAD_URLS) else path


def _internal(path: str) -> JSONResponse:
    error = InternalError("An unexpected error occurred. Find the request id in the server's log.")
    return problem_response(error, path=path)
