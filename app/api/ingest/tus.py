"""Takes a piece of an upload: streamed to the end of what is there, by one request at a time."""

from contextlib import ExitStack
from functools import partial

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from app.api.dependencies import actor_of
from app.api.ingest.body import declared_bytes, read_body
from app.api.ingest.limits import limits_of
from app.api.resources import Resources
from app.core.errors import UnsupportedMediaError
from app.db.tables.uploads import ClipUpload
from app.services import uploads

CHUNK_MEDIA_TYPE = "application/offset+octet-stream"
"""The media type of a piece in the tus protocol."""


async def append_chunk(request: Request, resources: Resources, secret: str, *, offset: int) -> ClipUpload:
    """Appends the body of a request to an upload, and files the clip where it was the last piece.

    What arrived before a line broke is kept.

    Raises:
        NotFoundError: No upload has this URL, or it is too old.
        UnsupportedMediaError: The body is not announced as a piece, or the clip is no video.
        OffsetMismatchError, ClipTooLargeError: The piece begins or ends where it should not.
        ChecksumMismatchError: The clip is not the one that was announced.
        RequestTimeoutError, StorageFullError: The line or the disk gave out.
    """
    if request.headers.get("content-type") != CHUNK_MEDIA_TYPE:
        raise UnsupportedMediaError(f"Send the piece as {CHUNK_MEDIA_TYPE}.")
    upload: ClipUpload = await run_in_threadpool(resources.in_session, uploads.find_by_url, secret)
    limits = limits_of(resources.settings)
    uploads.check_chunk(upload, offset + declared_bytes(request, limits))
    with ExitStack() as stack:
        where = uploads.open_for_append(resources.storage, upload, offset=offset)
        end = await run_in_threadpool(stack.enter_context, where)
        try:
            async for chunk in read_body(request, limits):
                uploads.check_chunk(upload, end.offset + len(chunk))
                await run_in_threadpool(end.write, chunk)
        finally:
            await run_in_threadpool(stack.close)  # it waits for the disk
    complete = partial(resources.in_session, uploads.complete, resources.storage, upload, actor=actor_of(None))
    completed: ClipUpload = await run_in_threadpool(complete)
    return completed
