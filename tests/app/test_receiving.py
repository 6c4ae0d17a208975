"""First bytes, and forms however they are cut into chunks."""

import json
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from app.api.ingest.body import receive_clip
from app.api.ingest.limits import UploadLimits
from app.api.ingest.multipart import ClipForm
from app.core.errors import (
    ClipTooLargeError,
    InvalidRequestError,
    RequestTimeoutError,
    UnmaskError,
    UnsupportedMediaError,
)
from app.infra.clip_storage import ClipStorage
from app.infra.file_signatures import is_video

HEAD = b"\x00\x00\x00\x18ftypisom"
LIMITS = UploadLimits(
    clip_max_bytes=1000,
    options_max_bytes=100,
    idle_timeout=timedelta(seconds=0.2),
    total_timeout=timedelta(seconds=5),
)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEAD, True),
        (b"\x00\x00\x00\x14ftypqt  ", True),
        (b"\x00\x00\x00\x08wide\x00\x00", True),
        (b"\x1a\x45\xdf\xa3\x01", True),
        (b"RIFF\x00\x00\x00\x00AVI LIST", True),
        (b"G" + bytes(187) + b"G" + bytes(187), True),
        (bytes(4) + b"G" + bytes(191) + b"G", True),
        (b"RIFF\x00\x00\x00\x00WAVE", False),
        (b"\x00\x00\x00\x1cftypavif", False),
        (b"\x89PNG\r\n\x1a\n" + bytes(400), False),
        (b"GIF89a" + bytes(400), False),
        (b"#EXTM3U\n", False),
        (b"", False),
        (b"\x80\x04\x95pickle", False),
    ],
)
def test_the_first_bytes_tell_a_video(head: bytes, expected: bool) -> None:
    assert is_video(head) is expected


def form(*parts: tuple[str, bytes], boundary: bytes = b"b0") -> bytes:
    body = b""
    for disposition, content in parts:
        body += b"--" + boundary + b"\r\nContent-Disposition: form-data; " + disposition.encode() + b"\r\n\r\n"
        body += content + b"\r\n"
    return body + b"--" + boundary + b"--\r\n"


FILE = 'name="file"; filename="a.mp4"'
OPTIONS = 'name="options"'


def receive(
    folder: Path,
    chunks: list[bytes],
    content_type: str = "multipart/form-data; boundary=b0",
    stall: bool = False,
    limits: UploadLimits = LIMITS,
) -> tuple[ClipForm, bytes]:
    """What the service makes of a body that comes in these chunks."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    if not stall:
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


@settings(max_examples=60)
@given(content=st.binary(max_size=300), cuts=st.lists(st.integers(0, 700), max_size=12), options_first=st.booleans())
def test_a_form_means_the_same_however_it_is_cut(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int], options_first: bool
) -> None:
    parts = [(FILE, HEAD + content), (OPTIONS, json.dumps({"external_id": "x"}).encode())]
    body = form(*(reversed(parts) if options_first else parts))
    if b"\r\n--b0" in content:
        return  # not a body that a client would send
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(edges)]
    received, clip = receive(tmp_path_factory.mktemp("clips"), chunks)
    assert clip == HEAD + content
    assert (received.clip_name, received.options.external_id) == ("a.mp4", "x")


def test_a_raw_body_has_its_options_in_a_header(tmp_path: Path) -> None:
    received, clip = receive(tmp_path, [HEAD, b"more"], "application/octet-stream")
    assert clip == HEAD + b"more"
    assert received.options.external_id == "h"


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\x00b.mp4", "-y", "x" * 4000, "file:///etc/passwd"])
def test_a_hostile_name_is_only_text(tmp_path: Path, name: str) -> None:
    received, _ = receive(tmp_path, [form((f'name="file"; filename="{name}"', HEAD))])
    assert received.clip_name is None or (len(received.clip_name) <= 255 and "\x00" not in received.clip_name)


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        (form((OPTIONS, b"{}")), InvalidRequestError, "no part named 'file'"),
        (form((FILE, HEAD), (FILE, HEAD)), InvalidRequestError, "two parts"),
        (form((FILE, HEAD), ('name="evil"', b"")), InvalidRequestError, "unknown part"),
        (form((FILE, HEAD))[:-6], InvalidRequestError, "ends too early"),
        (b"garbage" * 20, InvalidRequestError, "malformed"),
        (form((FILE, HEAD), (OPTIONS, b"not json")), InvalidRequestError, "fields"),
        (form((FILE, HEAD), (OPTIONS, b" " * 101)), InvalidRequestError, "100 bytes"),
        (form((FILE, b"")), UnsupportedMediaError, "no bytes"),
        (form((FILE, b"%PDF-1.7")), UnsupportedMediaError, "not a video"),
        (form((FILE, HEAD + bytes(1000))), ClipTooLargeError, "1000 bytes"),
        (form((FILE, HEAD)) + bytes(20_000), ClipTooLargeError, "1000 bytes"),
    ],
)
def test_a_bad_form_says_what_is_wrong(tmp_path: Path, body: bytes, error: type[UnmaskError], said: str) -> None:
    with pytest.raises(error, match=said):
        receive(tmp_path, [body])
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_wrong_option_is_pointed_at(tmp_path: Path) -> None:
    body = form((FILE, HEAD), (OPTIONS, b'{"metadata": {"a": 1}, "colour": "red"}'))
    with pytest.raises(InvalidRequestError) as caught:
        receive(tmp_path, [body])
    assert {field.pointer for field in caught.value.errors} == {"/options/metadata/a", "/options/colour"}


def test_another_content_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match="multipart/form-data"):
        receive(tmp_path, [HEAD], "application/json")


def test_a_client_that_drips_is_let_go(tmp_path: Path) -> None:
    hurried = replace(LIMITS, idle_timeout=timedelta(seconds=60), total_timeout=timedelta(0))
    with pytest.raises(RequestTimeoutError):
        receive(tmp_path, [form((FILE, HEAD))[:-20]], stall=True, limits=hurried)


def test_a_client_that_goes_silent_is_let_go(tmp_path: Path) -> None:
    with pytest.raises(RequestTimeoutError):
        receive(tmp_path, [form((FILE, HEAD))[:-20]], stall=True)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
