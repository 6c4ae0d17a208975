"""Fetching a clip from a URL: progress, size, time, egress policy, disk space."""

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.enums import FailureCode, Phase
from app.core.errors import StorageFullError
from app.infra.clip_storage import ClipStorage
from app.infra.egress import EgressPolicy
from tests.support.clip_server import CLIP, LOOPBACK_POLICY
from worker.detector.types import ClipError
from worker.fetch import FetchLimits, fetch_clip

Progress = list[tuple[Phase, int, int | None]]
Fetch = Callable[..., bytes]


@pytest.fixture
def progress() -> Progress:
    """Return the list that collects the calls of the progress callback."""
    return []


@pytest.fixture
def fetch(clip_server: str, tmp_path: Path, progress: Progress) -> Fetch:
    """Return a function that fetches a path of the server and returns the stored bytes."""

    def run(
        path: str, *, egress: EgressPolicy = LOOPBACK_POLICY, max_bytes: int = len(CLIP), seconds: float = 5
    ) -> bytes:
        limits = FetchLimits(egress, max_bytes, timedelta(seconds=seconds), lambda _: None)
        storage = ClipStorage(tmp_path, reserve_bytes=0)
        with storage.begin_upload(expected_bytes=0) as upload:
            fetch_clip(f"{clip_server}/{path}", upload, lambda *call: progress.append(call), limits)
            storage.store_upload(upload, upload.finish())
            with storage.open_clip(upload.finish()) as file:
                return file.read()

    return run


@pytest.mark.parametrize(("path", "total"), [("clip", len(CLIP)), ("unsized", None)])
def test_fetch_stores_the_whole_clip_and_reports_progress(
    fetch: Fetch, progress: Progress, path: str, total: int | None
) -> None:
    assert fetch(path) == CLIP
    assert progress[-1] == (Phase.FETCHING, len(CLIP), total)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "404"),
        ("moved-without-location", "302"),
        ("moved-to-nonsense", "not a URL"),
        ("moved-in-a-circle", "more than 5 times"),
        ("truncated", "closed the connection"),
    ],
)
def test_response_without_the_clip_raises_fetch_failed(fetch: Fetch, path: str, message: str) -> None:
    with pytest.raises(ClipError, match=message) as caught:
        fetch(path)
    assert caught.value.code is FailureCode.FETCH_FAILED


@pytest.mark.parametrize("path", ["moved", "moved-twice"])
def test_redirects_are_followed(fetch: Fetch, path: str) -> None:
    assert fetch(path) == CLIP


def test_redirect_to_an_address_that_is_not_allowed_raises_fetch_blocked(fetch: Fetch) -> None:
    with pytest.raises(ClipError, match="UNMASK_EGRESS_ALLOW") as caught:
        fetch("moved-inside")
    assert caught.value.code is FailureCode.FETCH_BLOCKED


@pytest.mark.parametrize("path", ["clip", "unsized"])
def test_clip_above_the_size_limit_raises_fetch_too_large(fetch: Fetch, path: str) -> None:
    with pytest.raises(ClipError) as caught:
        fetch(path, max_bytes=len(CLIP) - 1)
    assert caught.value.code is FailureCode.FETCH_TOO_LARGE


def test_slow_server_raises_fetch_timeout(fetch: Fetch) -> None:
    start = time.monotonic()
    with pytest.raises(ClipError) as caught:
        fetch("slow", seconds=0.5)
    assert caught.value.code is FailureCode.FETCH_TIMEOUT
    assert time.monotonic() - start < 3


def test_private_address_raises_fetch_blocked(fetch: Fetch) -> None:
    with pytest.raises(ClipError) as caught:
        fetch("clip", egress=EgressPolicy())
    assert caught.value.code is FailureCode.FETCH_BLOCKED


def test_unreachable_server_raises_fetch_failed(tmp_path: Path) -> None:
    limits = FetchLimits(LOOPBACK_POLICY, 1000, timedelta(seconds=2), lambda _: None)
    upload = ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0)
    with upload, pytest.raises(ClipError) as caught:
        fetch_clip("http://127.0.0.1:9/clip.mp4", upload, lambda *_: None, limits)
    assert caught.value.code is FailureCode.FETCH_FAILED


def test_exception_of_the_progress_callback_ends_the_fetch(clip_server: str, tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyError

    limits = FetchLimits(LOOPBACK_POLICY, len(CLIP), timedelta(seconds=30), lambda _: None)
    with ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0) as upload, pytest.raises(KeyError):
        fetch_clip(f"{clip_server}/slow", upload, stop, limits)


@pytest.mark.parametrize(("path", "required"), [("clip", len(CLIP)), ("unsized", 999_999)])
def test_full_disk_raises_storage_full_before_the_first_byte(
    clip_server: str, tmp_path: Path, path: str, required: int
) -> None:
    def refuse(expected_bytes: int) -> None:
        raise StorageFullError(str(expected_bytes))

    limits = FetchLimits(LOOPBACK_POLICY, 999_999, timedelta(seconds=5), refuse)
    upload = ClipStorage(tmp_path, reserve_bytes=0).begin_upload(expected_bytes=0)
    with upload, pytest.raises(StorageFullError, match=f"^{required}$"):
        fetch_clip(f"{clip_server}/{path}", upload, lambda *_: None, limits)
    assert upload.size_bytes == 0
