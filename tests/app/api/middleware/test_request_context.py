"""Request ids, log lines of requests, and answers to unexpected errors."""

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.core.settings import Settings
from tests.conftest import API_KEY
from tests.support.api import MP4, ChunkSender, begin_upload, make_client, problem


def test_harmless_request_id_is_kept_and_other_is_replaced(api: TestClient) -> None:
    assert api.get("/livez", headers={"X-Request-Id": "trace-1"}).headers["x-request-id"] == "trace-1"
    assert api.get("/livez", headers={"X-Request-Id": "a b\t{}"}).headers["x-request-id"].startswith("req_")


@pytest.mark.usefixtures("sessions")
def test_unexpected_error_is_logged_once_with_its_request_id(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    def raise_error(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("app.services.jobs.list_jobs", raise_error)
    with make_client(settings) as api:
        body = problem(api.get("/v1/jobs"), 500, "internal")
    log = capsys.readouterr().err
    assert body["request_id"] in log
    assert "RuntimeError: a defect" in log
    assert API_KEY not in log  # nor any other variable of the frames
    assert log.count("Traceback") == 1


def test_secret_of_upload_url_is_not_logged(capsys: pytest.CaptureFixture[str], api: TestClient) -> None:
    begun = begin_upload(api)
    ChunkSender(api, begun).send_chunk(0, MP4)
    logged = json.dumps(capsys.readouterr())
    assert "/v1/direct-uploads/..." in logged
    assert begun["upload_url"].rpartition("/")[2] not in logged
