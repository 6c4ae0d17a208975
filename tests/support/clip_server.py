"""HTTP server on this machine that serves a clip correctly and in several faulty ways."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network

from app.infra.egress import EgressPolicy

CLIP = b"\x00\x00\x00\x18ftypisom" + bytes(range(256)) * 400
LOOPBACK_POLICY = EgressPolicy([ip_network("127.0.0.0/8")])
"""Policy that allows connections to the server."""


class _Handler(BaseHTTPRequestHandler):
    """Handler with one method per path."""

    def do_GET(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, f"_{self.path.strip('/').replace('-', '_')}")()

    def _clip(self) -> None:
        self._start(200, {"Content-Length": str(len(CLIP))})
        self.wfile.write(CLIP)

    def _unsized(self) -> None:
        self._start(200, {})
        self.wfile.write(CLIP)

    def _missing(self) -> None:
        self._start(404, {"Content-Length": "0"})

    def _moved(self) -> None:
        self._start(302, {"Location": "/clip", "Content-Length": "0"})

    def _moved_twice(self) -> None:
        self._start(307, {"Location": f"http://{self.headers['Host']}/moved", "Content-Length": "0"})

    def _moved_in_a_circle(self) -> None:
        self._start(301, {"Location": "/moved-in-a-circle", "Content-Length": "0"})

    def _moved_inside(self) -> None:
        self._start(302, {"Location": "http://10.0.0.1/clip", "Content-Length": "0"})

    def _moved_to_nonsense(self) -> None:
        self._start(302, {"Location": "https://[", "Content-Length": "0"})

    def _moved_without_location(self) -> None:
        self._start(302, {"Content-Length": "0"})

    def _slow(self) -> None:
        self._start(200, {"Content-Length": str(len(CLIP))})
        for byte in CLIP:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def _truncated(self) -> None:
        self._start(200, {"Content-Length": str(len(CLIP))})
        self.wfile.write(CLIP[:100])

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_clip() -> Iterator[str]:
    """Run the server and yield its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
