"""Forms of uploads: parsed alike in any chunks, refused with a reason."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import ClipTooLargeError, InvalidRequestError, UnmaskError, UnsupportedMediaError
from tests.support.bodies import FILE, HEAD, OPTIONS, list_files, make_form, receive_chunks


@settings(max_examples=60)
@given(content=st.binary(max_size=300), cuts=st.lists(st.integers(0, 700), max_size=12), options_first=st.booleans())
def test_form_in_any_chunks_has_the_same_content(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, cuts: list[int], options_first: bool
) -> None:
    parts = [(FILE, HEAD + content), (OPTIONS, json.dumps({"external_id": "x"}).encode())]
    body = make_form(*(reversed(parts) if options_first else parts))
    if b"\r\n--b0" in content:
        return  # not a body that a client would send
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    chunks = [body[start:end] for start, end in pairwise(edges)]
    received, clip = receive_chunks(tmp_path_factory.mktemp("clips"), chunks)
    assert clip == HEAD + content
    assert (received.clip_name, received.options.external_id) == ("a.mp4", "x")


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\x00b.mp4", "-y", "x" * 4000, "file:///etc/passwd"])
def test_hostile_clip_name_is_stored_as_text(tmp_path: Path, name: str) -> None:
    received, _ = receive_chunks(tmp_path, [make_form((f'name="file"; filename="{name}"', HEAD))])
    assert received.clip_name is None or (len(received.clip_name) <= 255 and "\x00" not in received.clip_name)


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (make_form((OPTIONS, b"{}")), InvalidRequestError, "no part named 'file'"),
        (make_form((FILE, HEAD), (FILE, HEAD)), InvalidRequestError, "two parts"),
        (make_form((FILE, HEAD), ('name="evil"', b"")), InvalidRequestError, "unknown part"),
        (make_form((FILE, HEAD))[:-6], InvalidRequestError, "is incomplete"),
        (b"garbage" * 20, InvalidRequestError, "malformed"),
        (make_form((FILE, HEAD), (OPTIONS, b"not json")), InvalidRequestError, "fields"),
        (make_form((FILE, HEAD), (OPTIONS, b" " * 101)), InvalidRequestError, "100 bytes"),
        (make_form((FILE, b"")), UnsupportedMediaError, "The clip is empty"),
        (make_form((FILE, b"%PDF-1.7")), UnsupportedMediaError, "not a supported video"),
        (make_form((FILE, HEAD + bytes(1000))), ClipTooLargeError, "1000 bytes"),
        (make_form((FILE, HEAD)) + bytes(20_000), ClipTooLargeError, "1000 bytes"),
    ],
)
def test_invalid_form_is_refused_with_a_reason(
    tmp_path: Path, body: bytes, error: type[UnmaskError], message: str
) -> None:
    with pytest.raises(error, match=message):
        receive_chunks(tmp_path, [body])
    assert list_files(tmp_path) == []


def test_invalid_option_is_named(tmp_path: Path) -> None:
    body = make_form((FILE, HEAD), (OPTIONS, b'{"metadata": {"a": 1}, "colour": "red"}'))
    with pytest.raises(InvalidRequestError) as caught:
        receive_chunks(tmp_path, [body])
    assert {field.pointer for field in caught.value.errors} == {"/options/metadata/a", "/options/colour"}
