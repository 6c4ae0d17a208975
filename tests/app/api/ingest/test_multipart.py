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


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="file"; filename="50%25.mp4"', "50%25.mp4"),
        ('name="file"; filename="a%2Fb.mp4"', "a%2Fb.mp4"),
        ('name="file"; filename="a%22b%0D%0A.mp4"', 'a"b\r\n.mp4'),
        ("name=\"file\"; filename*=UTF-8''na%C3%AFve%20file.mp4", "naïve file.mp4"),
        ('name="file"; filename="x.mp4"; filename*=utf-8\'\'%E2%82%AC.mp4', "€.mp4"),
        ('name="file"; filename="x.mp4"; filename*=idna\'\'%41', "x.mp4"),
        ('name="file"; filename="x.mp4"; filename*=unicode_escape\'\'%5Cud800', "x.mp4"),
        ('name="video"; filename="v.mp4"', "v.mp4"),
        ('name="file[]"; filename="v.mp4"', "v.mp4"),
    ],
)
def test_name_of_the_clip_is_read_as_clients_write_it(tmp_path: Path, disposition: str, name: str) -> None:
    received, clip = receive_chunks(tmp_path, [make_form((disposition, HEAD))])
    assert (received.clip_name, clip) == (name, HEAD)


def test_preamble_and_byte_order_mark_are_skipped(tmp_path: Path) -> None:
    body = b"This is a form.\r\n" + make_form((FILE, HEAD), (OPTIONS, b'\xef\xbb\xbf{"external_id": "x"}'))
    received, clip = receive_chunks(tmp_path, [body[:7], body[7:20], body[20:]])
    assert (received.options.external_id, clip) == ("x", HEAD)


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
        (make_form((FILE, HEAD), ('name="original_filename"', b"a")), InvalidRequestError, "unknown part"),
        (make_form((FILE, HEAD))[:-6], InvalidRequestError, "is incomplete"),
        (b"garbage" * 20, InvalidRequestError, "does not have the boundary"),
        (b"garbage" * 1000, InvalidRequestError, "does not have the boundary"),
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
