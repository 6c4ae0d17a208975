"""``unmask listen``: a receiver of webhooks on this machine that verifies and prints them."""

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from app.client.webhooks import WebhookError, verify_webhook

_BODY_MAX_BYTES = 2**20
"""Largest body that is read; events are far smaller."""
_SHOWN = ("id", "external_id", "status", "verdict", "probability", "recommended_action")
"""Fields of an event's data that are printed, if they are there."""


class ListenError(Exception):
    """The receiver cannot be started."""


def make_listener(secret: str, *, port: int, on_line: Callable[[str], None]) -> ThreadingHTTPServer:
    """Return a server on 127.0.0.1 that answers 204 to a verified webhook, else 401.

    Args:
        secret: Secret of the endpoint, ``whsec_...``.
        port: Port; 0 chooses a free one.
        on_line: Callback for one line per request.

    Raises:
        ListenError: The secret is not one, or the port is in use.
    """
    try:
        Webhook(secret)
    except (EmptyWebhookSecretError, ValueError) as error:
        raise ListenError("The secret is not that of a webhook endpoint. Copy it again: whsec_...") from error

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = self.headers.get("content-length", "")
            body = self.rfile.read(min(int(length), _BODY_MAX_BYTES)) if length.isdecimal() else b""
            try:
                message = verify_webhook(secret, dict(self.headers.items()), body)
            except WebhookError as error:
                on_line(f"refused: {error}")
                self.send_response(401)
            else:
                on_line(f"{message.timestamp:%H:%M:%S} {message.type} {_describe(message.data)} ({message.id})")
                self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    try:
        return ThreadingHTTPServer(("127.0.0.1", port), Handler)
    except OSError as error:
        raise ListenError(f"Port {port} cannot be used: {error.strerror}. Choose another --port.") from error


def _describe(data: dict[str, Any]) -> str:
    return " ".join(f"{name}={data[name]}" for name in _SHOWN if data.get(name) is not None)
