"""Send a clip in chunks, resuming after interruptions (tus 1.0)."""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import httpx

from app.client.errors import ApiError, UnreachableError
from app.schemas.uploads import ClipUploadWithUrl, UploadUrl

CHUNK_BYTES = 8 * 2**20
"""Of an upload in pieces: what a broken line costs."""
CHUNK_TRIES = 7
"""How often in a row a piece fails before its upload is given up."""
CHUNK_RETRY_SECONDS = 1.0
"""Pause before the first further try, twice as long before each next one: in all more than the half minute after which
the service lets go of a line that went silent."""


@dataclass(frozen=True, slots=True)
class UploadStep:
    """A request whose answer decides what comes next."""

    method: str
    path: str
    arguments: dict[str, Any] = field(default_factory=dict)
    pause_seconds: float = 0.0
    """Before it is sent."""


def send_chunks(file: BinaryIO, begun: ClipUploadWithUrl) -> Generator[UploadStep, httpx.Response, None]:
    """Sends a clip to its upload URL, piece by piece (tus 1.0).

    Takes the answer to each step, or has its error thrown in: a line that broke and a URL that grew too old are mended
    with a new URL and the question how much is there. Raises the error that comes too often, or EOFError: the
    file has become shorter.
    """
    url, offset, failures, is_lost = begun.upload_url, 0, 0, False
    while offset < begun.bytes:
        try:
            if is_lost:
                pause_seconds = CHUNK_RETRY_SECONDS * 2 ** (failures - 1)
                renewed = yield UploadStep("POST", f"/v1/uploads/{begun.id}:renew-url", pause_seconds=pause_seconds)
                url = UploadUrl.model_validate_json(renewed.content).upload_url
                answer = yield UploadStep("HEAD", url)
            else:
                answer = yield UploadStep("PATCH", url, _chunk(file, offset))
                failures = 0
        except (UnreachableError, ApiError) as error:
            failures += 1
            if failures == CHUNK_TRIES or not _may_pass(error):
                raise
            is_lost = True
        else:
            offset, is_lost = int(answer.headers["Upload-Offset"]), False


def _chunk(file: BinaryIO, offset: int) -> dict[str, Any]:
    file.seek(offset)
    content = file.read(CHUNK_BYTES)
    if not content:
        raise EOFError(f"The file ends at byte {offset}: it has become shorter since its upload began.")
    kind = "application/offset+octet-stream"
    return {
        "content": content,
        "headers": {"Content-Type": kind, "Tus-Resumable": "1.0.0", "Upload-Offset": str(offset)},
    }


def _may_pass(error: Exception) -> bool:
    return not isinstance(error, ApiError) or error.problem.retryable or error.problem.code == "not_found"
