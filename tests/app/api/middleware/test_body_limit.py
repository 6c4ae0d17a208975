"""Limit of JSON bodies, with and without ``Content-Length``, in routes that stream their body and others."""

from typing import Any

import pytest

from app.core.settings import Settings
from tests.support.api import MP4, Sessions, make_client, problem


@pytest.fixture
def small_settings(settings: Settings) -> Settings:
    """Return settings with a limit of 1000 bytes."""
    return settings.model_copy(update={"json_max_bytes": 1000})


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("path", ["/v1/batches", "/v1/jobs", f"/v1/jobs/job_{0:032}/feedback"])
def test_too_large_json_is_refused(
    small_settings: Settings, sessions: Sessions, path: str, *, is_chunked: bool
) -> None:
    assert sessions
    content: Any = iter([b" " * 600, b" " * 600]) if is_chunked else b" " * 1200
    with make_client(small_settings) as api:
        response = api.post(path, content=content, headers={"Content-Type": "application/json"})
    assert ("content-length" in response.request.headers) != is_chunked
    problem(response, 413, "request_too_large")


def test_clip_over_the_limit_of_json_is_accepted(small_settings: Settings, sessions: Sessions) -> None:
    assert sessions
    with make_client(small_settings) as api:
        headers = {"Content-Type": "application/octet-stream"}
        assert api.post("/v1/jobs", content=MP4 + bytes(2000), headers=headers).status_code == 202
