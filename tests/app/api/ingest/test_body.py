"""Bodies of uploads: raw bytes, other content types, slow clients."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.errors import RequestTimeoutError, UnsupportedMediaError
from tests.support.bodies import FILE, HEAD, LIMITS, list_files, make_form, receive_chunks


def test_raw_body_has_its_options_in_a_header(tmp_path: Path) -> None:
    received, clip = receive_chunks(tmp_path, [HEAD, b"more"], "application/octet-stream")
    assert clip == HEAD + b"more"
    assert received.options.external_id == "h"


def test_other_content_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMediaError, match="multipart/form-data"):
        receive_chunks(tmp_path, [HEAD], "application/json")


def test_client_over_the_total_timeout_is_refused(tmp_path: Path) -> None:
    limits = replace(LIMITS, idle_timeout=timedelta(seconds=60), total_timeout=timedelta(0))
    with pytest.raises(RequestTimeoutError):
        receive_chunks(tmp_path, [make_form((FILE, HEAD))[:-20]], stalls=True, limits=limits)


def test_idle_client_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(RequestTimeoutError):
        receive_chunks(tmp_path, [make_form((FILE, HEAD))[:-20]], stalls=True)
    assert list_files(tmp_path) == []
