"""Bodies of uploads, given to the service in chunks."""

from datetime import timedelta
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.types import Message

from app.api.ingest.body import receive_clip
from app.api.ingest.limits import UploadLimits
from app.api.ingest.multipart import ClipForm
from app.infra.clip_storage import ClipStorage

HEAD = b"\x00\x00\x00\x18ftypisom"
"""First bytes of an MP4 file."""
FILE = 'name="file"; filename="a.mp4"'
OPTIONS = 'name="options"'
LIMITS = UploadLimits(
    clip_max_bytes=1000,
    options_max_bytes=100,
    json_max_bytes=1000,
    idle_timeout=timedelta(seconds=0.2),
    total_timeout=timedelta(seconds=5),
)


def make_form(*parts: tuple[str, bytes], boundary: bytes = b"b0") -> bytes:
    """Make a form of parts, each a disposition and its content."""
    body = b""
    for disposition, content in parts:
        body += b"--" + boundary + b"\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n"
        body += content + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


def receive_chunks(
    folder: Path,
    chunks: list[bytes],
    content_type: str = "multipart/form-data; boundary=b0",
    *,
    stalls: bool = False,
    limits: UploadLimits = LIMITS,
) -> tuple[ClipForm, bytes]:
    """Receive a body that arrives in chunks.

    Args:
        folder: Folder of the storage.
        chunks: The body.
        content_type: Its type; the default is a form with the boundary of ``make_form``.
        stalls: True if the client sends no more after the chunks, and keeps the connection open.
        limits: Limits of the upload.

    Returns:
        Name and options of the clip, and its bytes.
    """
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if not stalls:
        messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def next_message() -> Message:
        if not messages:
            await anyio.sleep_forever()
        return messages.pop(0)

    headers = [(b"content-type", content_type.encode()), (b"unmask-options", b'{"external_id": "h"}')]
    request = Request({"type": "http", "method": "POST", "headers": headers}, next_message)
    storage = ClipStorage(folder, reserve_bytes=0)
    with storage.begin_upload(expected_bytes=0) as upload:
        received = anyio.run(receive_clip, request, upload, limits)
        upload.finish()
        return received, upload._path.read_bytes()


def list_files(folder: Path) -> list[Path]:
    """Return all files in a folder and below."""
    return [path for path in folder.rglob("*") if path.is_file()]
