"""Middleware that maps methods and paths: HEAD becomes GET, tus clients may override POST, a last slash is ignored."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.paths import UPLOAD_URLS

_OVERRIDE_HEADER = "x-http-method-override"
_OVERRIDES = {"PATCH", "HEAD"}


class RequestLineMiddleware:
    """Changes method and path of a request before the router sees it.

    Each path with GET also has HEAD (RFC 9110, section 9.3.2). Upload URLs have a HEAD of their own, and accept
    ``X-HTTP-Method-Override`` from environments without PATCH (tus 1.0.0). ``/v1/jobs/`` is ``/v1/jobs``.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = {**scope, "path": scope["path"].rstrip("/") or "/"}
        if scope["path"].startswith(UPLOAD_URLS):
            wanted = Headers(scope=scope).get(_OVERRIDE_HEADER, "").upper()
            is_overridden = scope["method"] == "POST" and wanted in _OVERRIDES
            await self._app({**scope, "method": wanted} if is_overridden else scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._answer_head(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer_head(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_answered = False

        async def receive_until_answered() -> Message:
            # A stream of events ends when its client disconnects.
            return {"type": "http.disconnect"} if has_answered else await receive()

        async def send_head(message: Message) -> None:
            nonlocal has_answered
            if message["type"] == "http.response.start":
                await send(message)
            elif not has_answered:
                has_answered = True
                await send({"type": "http.response.body", "body": b""})

        await self._app({**scope, "method": "GET"}, receive_until_answered, send_head)
