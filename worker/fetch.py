"""Download of a clip from a client's URL, restricted by the egress policy, a size and a timeout."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urljoin

import httpcore

from app.core.enums import FailureCode, Phase
from app.core.errors import AnimatedWebpError, UnsupportedMediaError
from app.infra.clip_storage import Upload
from app.infra.egress import EgressPolicy, EgressRefusedError, find_header, send_request
from app.infra.file_signatures import SNIFF_BYTES, require_video_signature
from worker.detector.types import ClipError

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Unmask/1"}
_REDIRECTS = {301, 302, 303, 307, 308}
_REDIRECTS_MAX = 5
"""Object storage and link shorteners need one or two; more is a loop."""
OnProgress = Callable[[Phase, int, int | None], None]


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Limits of one fetch."""

    egress: EgressPolicy
    """Policy that decides which addresses may be connected to."""
    max_bytes: int
    """Maximum size of a clip."""
    timeout: timedelta
    """Timeout of the whole fetch."""
    require_space: Callable[[int], None]
    """Callback that raises StorageFullError if this many bytes would use the reserve of the disk."""


def fetch_clip(url: str, upload: Upload, on_progress: OnProgress, limits: FetchLimits) -> None:
    """Download a clip into an upload. The target of a redirect is checked as the URL itself.

    Args:
        url: URL of the clip.
        upload: Upload that receives the bytes.
        on_progress: Called after each chunk with the bytes received and expected. An exception that it raises ends the
            fetch.
        limits: Allowed addresses, size and time.

    Raises:
        ClipError: The clip cannot be fetched.
        StorageFullError: The disk has no room for the clip.
    """
    deadline = time.monotonic() + limits.timeout.total_seconds()
    try:
        for _ in range(1 + _REDIRECTS_MAX):
            left = timedelta(seconds=max(deadline - time.monotonic(), 0.001))
            with send_request(limits.egress, "GET", url, headers=_HEADERS, timeout=left) as response:
                target = _find_redirect(response, url)
                if target is None:
                    _receive_clip(response, upload, on_progress, limits)
                    return
            url = target
    except EgressRefusedError as error:
        raise ClipError(FailureCode.FETCH_BLOCKED, str(error)) from error
    except httpcore.TimeoutException as error:
        limit = f"{limits.timeout.total_seconds():g} s"
        raise ClipError(FailureCode.FETCH_TIMEOUT, f"The clip did not arrive within {limit}. Try again.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        message = "The server of the URL cannot be reached, or closed the connection. Check the URL."
        raise ClipError(FailureCode.FETCH_FAILED, message) from error
    message = f"The URL redirects more than {_REDIRECTS_MAX} times. Give the URL of the clip itself."
    raise ClipError(FailureCode.FETCH_FAILED, message)


def _find_redirect(response: httpcore.Response, url: str) -> str | None:
    """Return the URL that a redirect names, else None. Raises ClipError."""
    location = find_header(response, b"location").decode("latin-1")
    if response.status not in _REDIRECTS or not location:
        return None
    try:
        return urljoin(url, location)
    except ValueError as error:
        message = "The URL redirects to something that is not a URL. Give the URL of the clip itself."
        raise ClipError(FailureCode.FETCH_FAILED, message) from error


def _receive_clip(response: httpcore.Response, upload: Upload, on_progress: OnProgress, limits: FetchLimits) -> None:
    if response.status != 200:
        message = f"The server of the URL returned status {response.status} instead of 200. Check the URL."
        raise ClipError(FailureCode.FETCH_FAILED, message)
    expected_bytes = _parse_content_length(response)
    if expected_bytes is not None and expected_bytes > limits.max_bytes:
        raise _make_too_large_error(limits.max_bytes)
    limits.require_space(limits.max_bytes if expected_bytes is None else expected_bytes)
    head = b""
    for chunk in response.iter_stream():
        if len(head) < SNIFF_BYTES:
            head += chunk[: SNIFF_BYTES - len(head)]
            if len(head) == SNIFF_BYTES:
                _check_signature(head, response)
        if upload.size_bytes + len(chunk) > limits.max_bytes:
            raise _make_too_large_error(limits.max_bytes)
        upload.write(chunk)
        on_progress(Phase.FETCHING, upload.size_bytes, expected_bytes)
    _check_signature(head, response)


def _check_signature(head: bytes, response: httpcore.Response) -> None:
    try:
        require_video_signature(head)
    except AnimatedWebpError as error:
        raise ClipError(FailureCode.ANIMATED_WEBP, str(error)) from error
    except UnsupportedMediaError as error:
        kind = find_header(response, b"content-type").decode("ascii", "replace")[:100] or "a file of unknown type"
        message = f"The server of the URL sent {kind}, not a supported video file. Give the URL of the clip itself."
        raise ClipError(FailureCode.NOT_A_VIDEO, message) from error


def _parse_content_length(response: httpcore.Response) -> int | None:
    length = find_header(response, b"content-length")
    return int(length) if length.isdigit() else None


def _make_too_large_error(max_bytes: int) -> ClipError:
    message = f"The clip is larger than {max_bytes} bytes. Give the URL of a smaller clip."
    return ClipError(FailureCode.FETCH_TOO_LARGE, message)
