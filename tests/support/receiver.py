"""A webhook receiver on this machine: notes what comes and answers as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

LOOPBACK = '["127.0.0.0/8"]'
"""For UNMASK_EGRESS_ALLOW."""


@dataclass
class Receiver:
    """What came, in order, and what is answered: the given statuses first, then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0
    requests: list[tuple[dict[str, str], str]] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """The ``webhook-id`` of each request."""
        return [headers["webhook-id"] for headers, _ in self.requests]

    def verified(self, secret: str) -> list[dict[str, Any]]:
        """The events whose signatures are right, which is asserted by the library of Standard Webhooks."""
        return [Webhook(secret).verify(body, headers) for headers, body in self.requests]

    def types(self, secret: str) -> list[str]:
        """The types of the events."""
        return [event["type"] for event in self.verified(secret)]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens on a free port."""
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
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
