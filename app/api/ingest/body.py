"""Receives a clip: multipart or raw, streamed to the storage, capped, and judged by its first bytes."""

import asyncio
import time
from collections.abc import AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from app.api.ingest.limits import UploadLimits
from app.api.ingest.multipart import OPTIONS_HEADER, ClipForm, Sink, _MultipartSink, _parse, _RawSink
from app.core.errors import ClipTooLargeError, RequestTimeoutError, UnsupportedMediaError
from app.infra.clip_storage import Upload
from app.infra.file_signatures import SNIFF_BYTES, require_video_signature
from app.schemas.submissions import JobRequest

_FORM_OVERHEAD_BYTES = 16 * 2**10
"""What boundaries and part headers may add to the clip and the options."""


def declared_bytes(request: Request, limits: UploadLimits) -> int:
    """The length that the client declares, 0 where it declares none. Raises ClipTooLargeError before the body."""
    length = request.headers.get("content-length", "")
    declared = int(length) if length.isdecimal() else 0
    _check_length(declared, limits)
    return declared


async def receive_clip(request: Request, upload: Upload, limits: UploadLimits) -> ClipForm:
    """Streams the clip of a request into an upload.

    Raises:
        InvalidRequestError: The form or the options are malformed, or there is no clip.
        ClipTooLargeError: The clip is larger than the limit; told as soon as it is.
        UnsupportedMediaError: The first bytes are not a video's.
        RequestTimeoutError: The client went silent.
        StorageFullError: The disk is full.
    """
    sink = _make_sink(request, limits)
    head = b""
    received_bytes = 0
    async for chunk in read_body(request, limits):
        received_bytes += len(chunk)
        _check_length(received_bytes, limits)
        clip_bytes = sink.feed(chunk)
        if upload.size_bytes + len(clip_bytes) > limits.clip_max_bytes:
            raise _too_large(limits)
        if len(head) < SNIFF_BYTES and clip_bytes:
            head += clip_bytes[: SNIFF_BYTES - len(head)]
            if len(head) == SNIFF_BYTES:
                require_video_signature(head)
        if clip_bytes:
            await run_in_threadpool(upload.write, clip_bytes)
    form = sink.finish()
    require_video_signature(head)
    return form


def is_json(connection: HTTPConnection) -> bool:
    """Whether the body names a clip instead of being one."""
    return parse_options_header(connection.headers.get("content-type", ""))[0] == b"application/json"


async def receive_source(request: Request, limits: UploadLimits) -> JobRequest:
    """Reads a body that names its clip. Raises InvalidRequestError, RequestTimeoutError."""
    body = b"".join([chunk async for chunk in read_body(request, limits)])
    return _parse(JobRequest, body, prefix="")


def _check_length(body_bytes: int, limits: UploadLimits) -> None:
    if body_bytes > limits.clip_max_bytes + limits.options_max_bytes + _FORM_OVERHEAD_BYTES:
        raise _too_large(limits)


def _too_large(limits: UploadLimits) -> ClipTooLargeError:
    return ClipTooLargeError(f"A clip may have {limits.clip_max_bytes} bytes. Send a shorter or smaller one.")


async def read_body(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """The pieces of a body as they come. Raises RequestTimeoutError."""
    stream = request.stream()
    deadline = time.monotonic() + limits.total_timeout.total_seconds()
    while True:
        patience = min(limits.idle_timeout.total_seconds(), deadline - time.monotonic())
        try:
            yield await asyncio.wait_for(anext(stream), timeout=max(patience, 0))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeoutError("The clip comes too slowly. Send it again over a better line.") from error
        except ClientDisconnect as error:
            raise RequestTimeoutError("The connection was cut during the upload.") from error


def _make_sink(request: Request, limits: UploadLimits) -> Sink:
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data" and parameters.get(b"boundary"):
        return _MultipartSink(parameters[b"boundary"], limits)
    if content_type == b"application/octet-stream":
        return _RawSink(request.headers.get(OPTIONS_HEADER, "{}"))
    raise UnsupportedMediaError(
        "Send the clip as multipart/form-data (parts 'file' and 'options') or as application/octet-stream, "
        "or name its source as application/json."
    )
