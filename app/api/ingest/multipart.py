"""Parse the body of an upload: a form (RFC 7578) or raw bytes."""

import re
from codecs import BOM_UTF8
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

import python_multipart
from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from app.api.error_handlers import field_errors
from app.api.ingest.limits import UploadLimits
from app.core.errors import InvalidRequestError
from app.schemas.submissions import JobOptions

OPTIONS_HEADER = "Unmask-Options"
_NAME_MAX = 255
_PREAMBLE_MAX_BYTES = 4096
_NO_BOUNDARY = "The multipart body does not have the boundary of its Content-Type. Send the form again."
_EXTENDED_NAME = re.compile(r"""filename\*\s*=\s*(utf-8|iso-8859-1)'[\w-]*'([^\s;"]+)""", re.IGNORECASE)
"""Name with a charset and percent-encoding (RFC 8187)."""
_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}
"""Characters that browsers escape in names (WHATWG HTML, multipart/form-data encoding algorithm); no others."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class ClipForm:
    """Name and options that came with an upload."""

    clip_name: str | None = None
    options: JobOptions = field(default_factory=JobOptions)


class BodyParser(Protocol):
    """Parses a body chunk by chunk."""

    def feed(self, chunk: bytes) -> bytes:
        """Parse the next chunk. Returns the bytes of the clip in it."""

    def finish(self) -> ClipForm:
        """Return name and options at the end of the body. Raises InvalidRequestError."""


def parse_model(model: type[Model], text: str | bytes, *, prefix: str) -> Model:
    """Parse JSON; ``prefix`` is the pointer of the value in the request. Raises InvalidRequestError."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InvalidRequestError(
            "Some fields are invalid; 'errors' names them.",
            errors=field_errors(error.errors(), prefix=prefix),
        ) from error


class RawParser:
    """Parser of a body that is the clip; a header has the options."""

    def __init__(self, options: str) -> None:
        self._form = ClipForm(options=parse_model(JobOptions, options, prefix="/options"))

    def feed(self, chunk: bytes) -> bytes:
        """Return the chunk: all of it is the clip."""
        return chunk

    def finish(self) -> ClipForm:
        """Return the options of the header."""
        return self._form


class MultipartParser:
    """Parser of a form (RFC 7578): exactly one part ``file``, at most one part ``options``."""

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
        self._boundary: bytes | None = b"--" + boundary  # until it has been found
        self._preamble = b""
        callbacks: dict[str, Any] = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_end": self._on_end,
        }
        self._parser = python_multipart.MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> bytes:
        """Parse the next chunk. Returns the bytes of the clip in it."""
        if self._boundary is not None:
            chunk = self._skip_preamble(chunk, self._boundary)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidRequestError(f"The multipart body is malformed: {error}.") from error
        clip_bytes = bytes(self._clip)
        self._clip.clear()
        return clip_bytes

    def _skip_preamble(self, chunk: bytes, boundary: bytes) -> bytes:
        """Return the body from the first boundary on. Text before it has no meaning (RFC 2046, section 5.1.1)."""
        body = self._preamble + chunk
        start = body.find(boundary)
        if start >= 0:
            self._boundary = None
            return body[start:]
        if len(body) > _PREAMBLE_MAX_BYTES:
            raise InvalidRequestError(_NO_BOUNDARY)
        self._preamble = body
        return b""

    def finish(self) -> ClipForm:
        """Return name and options. Raises InvalidRequestError."""
        if self._boundary is not None:
            raise InvalidRequestError(_NO_BOUNDARY)
        if not self._is_complete:
            raise InvalidRequestError("The multipart body is incomplete. Send the clip again.")
        if "file" not in self._seen:
            raise InvalidRequestError("The form has no part named 'file'. Send the clip in it.")
        text = bytes(self._options).removeprefix(BOM_UTF8)
        options = parse_model(JobOptions, text, prefix="/options") if text else JobOptions()
        return ClipForm(clip_name=self._clip_name, options=options)

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end].lower()

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header_name] = self._header_value
        self._header_name = self._header_value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, parameters = parse_options_header(disposition)
        self._part = parameters.get(b"name", b"").decode(errors="replace")
        has_name = b"filename" in parameters or _EXTENDED_NAME.search(disposition.decode("latin-1"))
        if has_name and self._part != "options":
            self._part = "file"  # under any name, as forms of others send it: 'video', 'file[]'
        if self._part not in {"file", "options"}:
            raise InvalidRequestError(
                f"The form has an unknown part {self._part[:40]!r}; it may have 'file', 'options'."
            )
        if self._part in self._seen:
            raise InvalidRequestError(f"The form has two parts {self._part!r}. Send one clip per job.")
        self._seen.add(self._part)
        if self._part == "file":
            self._clip_name = _read_name(disposition)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._part == "file":
            self._clip += data[start:end]
            return
        self._options += data[start:end]
        if len(self._options) > self._limits.options_max_bytes:
            raise InvalidRequestError(f"The options may have {self._limits.options_max_bytes} bytes.")

    def _on_end(self) -> None:
        self._is_complete = True


def _read_name(disposition: bytes) -> str | None:
    """Return the name of the file in a Content-Disposition. It is for people to read, never used as a path."""
    _, parameters = parse_options_header(disposition)
    name = parameters.get(b"filename", b"").decode(errors="replace")
    for escaped, character in _ESCAPES.items():
        name = name.replace(escaped, character)
    if extended := _EXTENDED_NAME.search(disposition.decode("latin-1")):
        charset, value = extended.groups()
        name = unquote(value, encoding=charset, errors="replace")
    return name.replace("\x00", "")[:_NAME_MAX] or None
