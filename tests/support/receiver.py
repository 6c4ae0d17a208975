"""Local receiver of webhooks: stores requests and answers as configured."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

LOOPBACK = '["127.0.0.0/8"]'
"""Value of UNMASK_EGRESS_ALLOW that allows local receivers."""
Deliver = Callable[[], None]
"""Delivers all events that are due, and those that become due by it."""


@dataclass
class Receiver:
    """Requests of a receiver in order, and its answers."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    """Statuses of the next answers; afterwards 200."""
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of each answer."""
    delay_seconds: float = 0.0
    """Time before each answer."""
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)
    """Headers and body of each request."""

    @property
    def ids(self) -> list[str]:
        """The ``webhook-id`` of each request."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """Return the events. Raises WebhookVerificationError if a signature is wrong for the secret."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]

    def types(self, secret: str) -> list[str]:
        """Return the types of the events. Raises as ``verified``."""
        return [event["type"] for event in self.verified(secret)]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    state = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            state.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            status = state.statuses.pop(0) if state.statuses else 200
            time.sleep(state.delay_seconds)
            self.send_response(status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}/webhook"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
