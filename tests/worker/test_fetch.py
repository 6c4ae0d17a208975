"""A clip from a URL: all of it or a reason, within a size and a time, and never from where nobody may look."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from app.core.enums import FailureCode, Phase
from app.core.errors import StorageFullError
from app.infra.clip_storage import ClipStorage
from app.infra.egress import EgressPolicy
from app.services import attempts
from worker.attempt import _fetch
from worker.detector.types import ClipError
from worker.fetch import FetchLimits, fetch
from worker.heartbeat import AttemptLostError

CLIP = bytes(range(256)) * 400
LOOPBACK = EgressPolicy([ip_network("127.0.0.0/8")])
ServerUrl = str


class Handler(BaseHTTPRequestHandler):
    """Each path answers in its own way."""

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

    def _dripping(self) -> None:
        self._start(200, {"Content-Length": str(len(CLIP))})
        for byte in CLIP:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def _cut(self) -> None:
        self._start(200, {"Content-Length": str(len(CLIP))})
        self.wfile.write(CLIP[:100])

    def _start(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[ServerUrl]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def get(url: ServerUrl, tmp_path: Path) -> Callable[..., bytes]:
    """Fetches a path of the server."""

    def run(path: str, *, egress: EgressPolicy = LOOPBACK, max_bytes: int = len(CLIP), seconds: float = 5) -> bytes:
        limits = FetchLimits(egress, max_bytes, timedelta(seconds=seconds), lambda _: None)
        storage = ClipStorage(tmp_path, reserve_bytes=0)
        with storage.begin_upload(expected_bytes=0) as upload:
            fetch(f"{url}/{path}", upload, lambda *told: progress.append(told), limits)
            storage.keep(upload, upload.finish())
            with storage.open_clip(upload.finish()) as file:
                return file.read()

    progress: list[tuple[Phase, int, int | None]] = []
    run.progress = progress  # type: ignore[attr-defined]
    return run


@pytest.mark.parametrize(("path", "total"), [("clip", len(CLIP)), ("unsized", None)])
def test_a_clip_arrives_whole_and_tells_how_far_it_is(get: Callable[..., bytes], path: str, total: int | None) -> None:
    assert get(path) == CLIP
    assert get.progress[-1] == (Phase.FETCHING, len(CLIP), total)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("path", "code", "said"),
    [
        ("missing", FailureCode.FETCH_FAILED, "404"),
        ("moved", FailureCode.FETCH_FAILED, "302"),
        ("cut", FailureCode.FETCH_FAILED, "broke off"),
    ],
)
def test_what_is_not_the_clip_is_a_failure(get: Callable[..., bytes], path: str, code: FailureCode, said: str) -> None:
    with pytest.raises(ClipError, match=said) as error:
        get(path)
    assert error.value.code is code


@pytest.mark.parametrize("path", ["clip", "unsized"])
def test_a_clip_that_is_too_large_is_not_taken(get: Callable[..., bytes], path: str) -> None:
    with pytest.raises(ClipError) as error:
        get(path, max_bytes=len(CLIP) - 1)
    assert error.value.code is FailureCode.FETCH_TOO_LARGE


def test_a_server_that_drips_is_given_up(get: Callable[..., bytes]) -> None:
    start = time.monotonic()
    with pytest.raises(ClipError) as error:
        get("dripping", seconds=0.5)
    assert error.value.code is FailureCode.FETCH_TIMEOUT
    assert time.monotonic() - start < 3


def test_a_private_address_is_not_asked(get: Callable[..., bytes]) -> None:
    with pytest.raises(ClipError) as error:
        get("clip", egress=EgressPolicy())
    assert error.value.code is FailureCode.FETCH_BLOCKED


def test_a_server_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    limits = FetchLimits(LOOPBACK, 1000, timedelta(seconds=2), lambda _: None)
    upload = ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0)
    with upload, pytest.raises(ClipError) as error:
        fetch("http://127.0.0.1:9/clip.mp4", upload, lambda *_: None, limits)
    assert error.value.code is FailureCode.FETCH_FAILED


def test_whoever_stops_listening_stops_the_fetch(url: ServerUrl, tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyError

    limits = FetchLimits(LOOPBACK, len(CLIP), timedelta(seconds=30), lambda _: None)
    with ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0) as upload, pytest.raises(KeyError):
        fetch(f"{url}/dripping", upload, stop, limits)


@pytest.mark.parametrize(("path", "asked"), [("clip", len(CLIP)), ("unsized", 999_999)])
def test_there_must_be_room_before_a_byte_is_written(url: ServerUrl, tmp_path: Path, path: str, asked: int) -> None:
    def refuse(expected_bytes: int) -> None:
        raise StorageFullError(str(expected_bytes))

    limits = FetchLimits(LOOPBACK, 999_999, timedelta(seconds=5), refuse)
    upload = ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0)
    with upload, pytest.raises(StorageFullError, match=f"^{asked}$"):
        fetch(f"{url}/{path}", upload, lambda *_: None, limits)
    assert upload.size_bytes == 0


def test_a_clip_that_could_not_be_noted_is_left_to_the_next_attempt(
    url: ServerUrl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_away(*_: object) -> None:
        raise OperationalError("", {}, Exception("away"))

    monkeypatch.setattr(attempts, "keep_fetched", be_away)
    limits = FetchLimits(LOOPBACK, len(CLIP), timedelta(seconds=5), lambda _: None)
    resources: Any = SimpleNamespace(
        storage=ClipStorage(tmp_path, reserve_bytes=0), fetch_limits=limits, sessions=nullcontext
    )
    attempt: Any = SimpleNamespace(clip_url=f"{url}/clip")
    heartbeat: Any = SimpleNamespace(report=lambda *_: None)
    with pytest.raises(AttemptLostError):
        _fetch(resources, attempt, heartbeat)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
