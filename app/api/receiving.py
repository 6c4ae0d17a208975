"""Receives a clip: multipart or raw, streamed to the storage, capped, and judged by its first bytes."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from pydantic import BaseModel, ValidationError
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, HTTPConnection, Request

from app.api.error_handlers import field_errors
from app.containers import SNIFF_BYTES, check_head
from app.errors import (
    ClipTooLargeError,
    InvalidRequestError,
    RequestTimeoutError,
    UnsupportedMediaError,
)
from app.settings import Settings
from app.storage import Upload
from app.submission_schemas import JobOptions, JobRequest

OPTIONS_HEADER = "Unmask-Options"
_NAME_MAX = 255
_FORM_OVERHEAD_BYTES = 16 * 2**10
"""What boundaries and part headers may add to the clip and the options."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class ClipForm:
    """What came with an upload."""

    clip_name: str | None = None
    options: JobOptions = field(default_factory=JobOptions)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Caps of one upload."""

    clip_max_bytes: int
    options_max_bytes: int
    idle_timeout: timedelta
    total_timeout: timedelta


def limits_of(settings: Settings) -> UploadLimits:
    """The caps that the operator set."""
    return UploadLimits(
        clip_max_bytes=settings.clip_max_bytes,
        options_max_bytes=settings.options_max_bytes,
        idle_timeout=settings.upload_idle_timeout,
        total_timeout=settings.upload_timeout,
    )


class _Sink(Protocol):
    def feed(self, chunk: bytes) -> bytes: ...

    def finish(self) -> ClipForm: ...


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
                check_head(head)
        if clip_bytes:
            await run_in_threadpool(upload.write, clip_bytes)
    form = sink.finish()
    check_head(head)
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


def _make_sink(request: Request, limits: UploadLimits) -> _Sink:
    content_type, parameters = parse_options_header(request.headers.get("content-type", ""))
    if content_type == b"multipart/form-data" and parameters.get(b"boundary"):
        return _MultipartSink(parameters[b"boundary"], limits)
    if content_type == b"application/octet-stream":
        return _RawSink(request.headers.get(OPTIONS_HEADER, "{}"))
    raise UnsupportedMediaError(
        "Send the clip as multipart/form-data (parts 'file' and 'options') or as application/octet-stream, "
        "or name its source as application/json."
    )


def _parse(model: type[Model], text: str | bytes, *, prefix: str) -> Model:
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InvalidRequestError(
            "Some fields are not valid; 'errors' names them.",
            errors=field_errors(error.errors(), prefix=prefix),
        ) from error


class _RawSink:
    """The body is the clip; its options stand in a header."""

    def __init__(self, options: str) -> None:
        self._form = ClipForm(options=_parse(JobOptions, options, prefix="/options"))

    def feed(self, chunk: bytes) -> bytes:
        return chunk

    def finish(self) -> ClipForm:
        return self._form


class _MultipartSink:
    """The body is a form (RFC 7578): exactly one part ``file``, at most one part ``options``."""

    def __init__(self, boundary: bytes, limits: UploadLimits) -> None:
        self._limits = limits
        self._clip_name: str | None = None
        self._clip = bytearray()
        self._options = bytearray()
        self._seen: set[str] = set()
        self._part = ""
        self._header_name = b""
        self._header_value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_complete = False
        callbacks: dict[str, Any] = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> bytes:
        """Takes a piece of the body; returns the bytes of the clip in it."""
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequestError(f"The multipart body is malformed: {error}.") from error
        clip_bytes = bytes(self._clip)
        self._clip.clear()
        return clip_bytes

    def finish(self) -> ClipForm:
        if not self._is_complete:
            raise InvalidRequestError("The multipart body ends too early. Send the clip again.")
        if "file" not in self._seen:
            raise InvalidRequestError("The form has no part named 'file'. Put the clip there.")
        options = _parse(JobOptions, bytes(self._options), prefix="/options") if self._options else JobOptions()
        return ClipForm(clip_name=self._clip_name, options=options)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end].lower()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        _, parameters = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._part = parameters.get(b"name", b"").decode(errors="replace")
        if self._part not in {"file", "options"}:
            raise InvalidRequestError(
                f"The form has an unknown part {self._part[:40]!r}; it may have 'file', 'options'."
            )
        if self._part in self._seen:
            raise InvalidRequestError(f"The form has two parts {self._part!r}. Send one clip a job.")
        self._seen.add(self._part)
        if self._part == "file" and (name := parameters.get(b"filename")):
            # Kept for people to read; no path is ever made of it.
            self._clip_name = unquote(name.decode(errors="replace")).replace("\x00", "")[:_NAME_MAX] or None

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "file":
            self._clip += data[start:end]
            return
        self._options += data[start:end]
        if len(self._options) > self._limits.options_max_bytes:
            raise InvalidRequestError(f"The options may have {self._limits.options_max_bytes} bytes.")

    def _on_end(self) -> None:
        self._is_complete = True
