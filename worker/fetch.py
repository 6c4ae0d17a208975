"""Gets a clip from the URL that a client named: over a guarded connection, within a size and a time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import httpcore

from app.core.enums import FailureCode, Phase
from app.infra.clip_storage import Upload
from app.infra.egress import EgressPolicy, EgressRefusedError, send_request
from worker.detector.types import ClipError

_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "Unmask/1"}
OnProgress = Callable[[Phase, int, int | None], None]


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What a fetch may do."""

    egress: EgressPolicy
    """Where connections may go."""
    max_bytes: int
    """Most that is taken."""
    timeout: timedelta
    """Time for all of it."""
    check_room: Callable[[int], None]
    """Raises StorageFullError where so many bytes would eat into the disk's reserve."""


def fetch(url: str, upload: Upload, on_progress: OnProgress, limits: FetchLimits) -> None:
    """Writes what a URL gives into an upload; redirects are not followed.

    Args:
        url: Of the clip.
        upload: Takes it.
        on_progress: Told of each piece in bytes; what it raises ends the fetch.
        limits: Where to, how much, how long.

    Raises:
        ClipError: It did not work.
        StorageFullError: There is no room for it.
    """
    try:
        with send_request(limits.egress, "GET", url, headers=_HEADERS, timeout=limits.timeout) as answer:
            if answer.status != 200:
                raise ClipError(FailureCode.FETCH_FAILED, _refusal(answer.status))
            expected_bytes = _content_length(answer)
            if expected_bytes is not None and expected_bytes > limits.max_bytes:
                raise _too_large(limits.max_bytes)
            limits.check_room(limits.max_bytes if expected_bytes is None else expected_bytes)
            for chunk in answer.iter_stream():
                if upload.size_bytes + len(chunk) > limits.max_bytes:
                    raise _too_large(limits.max_bytes)
                upload.write(chunk)
                on_progress(Phase.FETCHING, upload.size_bytes, expected_bytes)
    except EgressRefusedError as error:
        raise ClipError(FailureCode.FETCH_BLOCKED, str(error)) from error
    except httpcore.TimeoutException as error:
        limit = f"{limits.timeout.total_seconds():g} s"
        raise ClipError(FailureCode.FETCH_TIMEOUT, f"The clip did not arrive within {limit}.") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise ClipError(FailureCode.FETCH_FAILED, "The server of the URL cannot be reached, or broke off.") from error


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"The URL leads elsewhere ({status}). Give the URL of the clip itself."
    return f"The server of the URL answered {status} instead of 200 with the clip."


def _content_length(answer: httpcore.Response) -> int | None:
    found = next((value for name, value in answer.headers if name.lower() == b"content-length"), b"")
    return int(found) if found.isdigit() else None


def _too_large(max_bytes: int) -> ClipError:
    return ClipError(FailureCode.FETCH_TOO_LARGE, f"A clip may have {max_bytes} bytes. Give a shorter or smaller one.")
