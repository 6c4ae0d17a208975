"""Read the body of an upload: streamed to the storage, limited, and checked by its first bytes."""

import asyncio
import time
from collections.abc import AsyncIterator

from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.api.ingest.limits import UploadLimits
from app.api.ingest.multipart import OPTIONS_HEADER, BodyParser, ClipForm, MultipartParser, RawParser, parse_model
from app.core.errors import ClipTooLargeError, RequestTimeoutError, RequestTooLargeError, UnsupportedMediaError
from app.infra.clip_storage import Upload
from app.infra.file_signatures import SNIFF_BYTES, require_video_signature
from app.schemas.submissions import JobRequest

_FORM_OVERHEAD_BYTES = 16 * 2**10
"""Allowance for the boundaries and part headers of a form."""


def declared_bytes(request: Request, limits: UploadLimits) -> int:
    """Return the declared length of a clip, 0 if there is none. Raises ClipTooLargeError before the body is read."""
    declared = _content_length(request)
    _check_length(declared, limits)
    return declared


async def receive_clip(request: Request, upload: Upload, limits: UploadLimits) -> ClipForm:
    """Stream the clip of a request into an upload.

    Raises:
        InvalidRequestError: The form or the options are malformed, or there is no clip.
        ClipTooLargeError: The clip exceeds the limit; raised as soon as it does.
        UnsupportedMediaError: The first bytes are not those of a video.
        RequestTimeoutError: The client stopped sending.
        StorageFullError: The disk is full.
    """
    parser = _make_parser(request, limits)
    head = b""
    received_bytes = 0
    async for chunk in read_body(request, limits):
        received_bytes += len(chunk)
        _check_length(received_bytes, limits)
        clip_bytes = parser.feed(chunk)
        if upload.size_bytes + len(clip_bytes) > limits.clip_max_bytes:
            raise ClipTooLargeError.of_limit(limits.clip_max_bytes)
        if len(head) < SNIFF_BYTES and clip_bytes:
            head += clip_bytes[: SNIFF_BYTES - len(head)]
            if len(head) == SNIFF_BYTES:
                require_video_signature(head)
        if clip_bytes:
            await run_in_threadpool(upload.write, clip_bytes)
    form = parser.finish()
    require_video_signature(head)
    return form


def is_json(request: Request) -> bool:
    """Return True if the body names a clip instead of being one."""
    return parse_options_header(request.headers.get("content-type", ""))[0] == b"application/json"


async def receive_source(request: Request, limits: UploadLimits) -> JobRequest:
    """Read a JSON body that names the source of its clip.

    Raises InvalidRequestError, RequestTimeoutError, RequestTooLargeError.
    """
    body = bytearray()
    _check_json_length(_content_length(request), limits.json_max_bytes)
    async for chunk in read_body(request, limits):
        body += chunk
        _check_json_length(len(body), limits.json_max_bytes)
    return parse_model(JobRequest, bytes(body), prefix="")


async def read_body(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """Yield the chunks of a body as they arrive. Raises RequestTimeoutError, UnsupportedMediaError."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMediaError(f"The body has Content-Encoding {encoding[:40]!r}. Send it without compression.")
    stream = request.stream()
    deadline = time.monotonic() + limits.total_timeout.total_seconds()
    while True:
        timeout_seconds = min(limits.idle_timeout.total_seconds(), deadline - time.monotonic())
        try:
            yield await asyncio.wait_for(anext(stream), timeout=max(timeout_seconds, 0))
        except StopAsyncIteration:
            return
        except TimeoutError as error:
            raise RequestTimeoutError("The body arrived too slowly. Send it again over a faster connection.") from error
        except ClientDisconnect as error:
            raise RequestTimeoutError("The connection was closed during the upload. Send it again.") from error


def make_request_too_large_error(max_bytes: int) -> RequestTooLargeError:
    """Return the error for a JSON body over the limit."""
    return RequestTooLargeError(f"A JSON body may have at most {max_bytes} bytes. Send less per request.")


def _content_length(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isdecimal() else 0


def _check_length(body_bytes: int, limits: UploadLimits) -> None:
    if body_bytes > limits.clip_max_bytes + limits.options_max_bytes + _FORM_OVERHEAD_BYTES:
        raise ClipTooLargeError.of_limit(limits.clip_max_bytes)


def _check_json_length(body_bytes: int, max_bytes: int) -> None:
    if body_bytes > max_bytes:
        raise make_request_too_large_error(max_bytes)


def _make_parser(request: Request, limits: UploadLimits) -> BodyParser:
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data":
        if not parameters.get(b"boundary"):
            raise UnsupportedMediaError(
                "The Content-Type multipart/form-data has no boundary. Leave this header to your HTTP client."
            )
        return MultipartParser(parameters[b"boundary"], limits)
    if content_type == b"application/octet-stream" or content_type.startswith(b"video/"):
        return RawParser(request.headers.get(OPTIONS_HEADER, "{}"))
    raise UnsupportedMediaError(
        "Send the clip as multipart/form-data (parts 'file' and 'options'), as application/octet-stream or as a video "
        "type such as video/mp4, or name its source as application/json."
    )
