"""Resumable upload of a clip in chunks (tus 1.0)."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx

from app.client.errors import ApiError, UnreachableError
from app.schemas.uploads import ClipUploadWithUrl, UploadUrl

CHUNK_BYTES = 8 * 2**20
"""Size of a chunk: the most that a lost connection causes to be sent again."""
CHUNK_TRIES_MAX = 7
"""Number of consecutive failures after which the upload fails."""
CHUNK_RETRY_SECONDS = 1.0
"""Pause before the first retry; it doubles with each further one.

The sum exceeds the 30 seconds after which the service closes an idle connection and unlocks its upload."""


@dataclass(frozen=True, slots=True)
class UploadStep:
    """One request of an upload; its response determines the next one."""

    method: str
    path: str
    arguments: dict[str, Any] = field(default_factory=dict)
    pause_seconds: float = 0.0
    """Time to wait before the request."""


def send_chunks(file: BinaryIO, begun: ClipUploadWithUrl) -> Generator[UploadStep, httpx.Response, None]:
    """Yield the requests that send a clip to its upload URL in chunks (tus 1.0).

    The caller sends the response of each request into the generator, or throws its error into it. After a lost
    connection or an expired URL, the generator requests a new URL and the current offset.

    Args:
        file: The clip.
        begun: The upload, as the API returned it.

    Raises:
        UnreachableError, ApiError: The request failed too often, or with an error that a retry cannot resolve.
        EOFError: The file has become shorter.
    """
    url, offset, failures, is_interrupted = begun.upload_url, 0, 0, False
    while offset < begun.bytes:
        try:
            if is_interrupted:
                pause_seconds = CHUNK_RETRY_SECONDS * 2 ** (failures - 1)
                renewed = yield UploadStep("POST", f"/v1/uploads/{begun.id}:renew-url", pause_seconds=pause_seconds)
                url = UploadUrl.model_validate_json(renewed.content).upload_url
                response = yield UploadStep("HEAD", url)
            else:
                response = yield UploadStep("PATCH", url, _read_chunk(file, offset))
                failures = 0
        except (UnreachableError, ApiError) as error:
            failures += 1
            if failures == CHUNK_TRIES_MAX or not _is_retryable(error):
                raise
            is_interrupted = True
        else:
            offset, is_interrupted = int(response.headers["Upload-Offset"]), False


def _read_chunk(file: BinaryIO, offset: int) -> dict[str, Any]:
    file.seek(offset)
    content = file.read(CHUNK_BYTES)
    if not content:
        raise EOFError(
            f"The file ends at byte {offset}: it has become shorter since the upload began. Upload it again."
        )
    content_type = "application/offset+octet-stream"
    return {
        "content": content,
        "headers": {"Content-Type": content_type, "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)},
    }


def _is_retryable(error: Exception) -> bool:
    return not isinstance(error, ApiError) or error.problem.retryable or error.problem.code == "not_found"
