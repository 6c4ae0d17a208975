"""Receive a chunk of a resumable upload (tus 1.0): appended at its offset, one request at a time."""

import base64
from contextlib import ExitStack
from typing import Annotated

from fastapi import Header
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.ingest.body import declared_bytes, read_body
from app.api.ingest.limits import make_limits
from app.api.paths import TUS_VERSION
from app.api.resources import Resources
from app.api.sessions import actor_of, run_in_session
from app.core.errors import FieldError, InvalidRequestError, TusVersionError, UnsupportedMediaError
from app.db.tables.uploads import ClipUpload
from app.schemas.uploads import UploadRequest
from app.services import uploads

CHUNK_MEDIA_TYPE = "application/offset+octet-stream"
"""Media type of a chunk in the tus protocol."""


def check_tus_version(tus_resumable: Annotated[str | None, Header()] = None) -> None:
    """Raise TusVersionError if a request names another version of the protocol than ours."""
    if tus_resumable not in {None, TUS_VERSION}:
        raise TusVersionError(f"This service speaks tus {TUS_VERSION}. Send 'Tus-Resumable: {TUS_VERSION}'.")


def make_upload_request(length: int, metadata: str) -> UploadRequest:
    """Return the upload that ``Upload-Length`` and ``Upload-Metadata`` of tus describe.

    ``metadata`` has pairs of a key and a value in base64, separated by commas. Raises InvalidRequestError.
    """
    pairs = (pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip())
    try:
        values = {key: base64.b64decode(value, validate=True).decode() for key, _, value in pairs}
        return UploadRequest(bytes=length, name=values.get("filename") or None)
    except ValidationError as error:
        detail = f"The name of the clip cannot be used: {error.errors()[0]['msg']}."
    except ValueError as error:
        detail = f"Write each value of Upload-Metadata in base64 of UTF-8 ({error})."
    raise InvalidRequestError(detail, errors=[FieldError("/header/upload-metadata", detail)])


async def append_chunk(request: Request, resources: Resources, secret: str, *, offset: int) -> ClipUpload:
    """Append the body of a request to an upload, and store the clip if it was the last chunk.

    If the connection breaks, the bytes that arrived are kept.

    Raises:
        NotFoundError: No upload has this URL, or the URL has expired.
        UnsupportedMediaError: The content type is not that of a chunk, or the clip is no video.
        OffsetMismatchError, ClipTooLargeError: The chunk begins or ends at the wrong byte.
        ChecksumMismatchError: The clip is not the announced one.
        RequestTimeoutError, StorageFullError: The client stopped sending, or the disk is full.
    """
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type.decode("latin-1") != CHUNK_MEDIA_TYPE:
        raise UnsupportedMediaError(f"Send the chunk as {CHUNK_MEDIA_TYPE}.")
    upload = await run_in_session(resources.sessions, lambda session: uploads.get_upload_by_url(session, secret))
    limits = make_limits(resources.settings)
    uploads.check_chunk(upload, offset + declared_bytes(request, limits))
    with ExitStack() as stack:
        opened = uploads.open_for_append(resources.storage, upload, offset=offset)
        writer = await run_in_threadpool(stack.enter_context, opened)
        try:
            async for chunk in read_body(request, limits):
                uploads.check_chunk(upload, writer.offset + len(chunk))
                await run_in_threadpool(writer.write, chunk)
        finally:
            await run_in_threadpool(stack.close)  # waits for the disk
    return await run_in_session(
        resources.sessions,
        lambda session: uploads.complete_upload(session, resources.storage, upload),
        actor=actor_of(None),
    )
