"""Requests that tests of the API send, and a finished attempt without a worker."""

import hashlib
import json
from datetime import timedelta
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from app.services import attempts
from tests.support.factories import make_found

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
SHA256 = hashlib.sha256(MP4).hexdigest()
ENDPOINTS = "/v1/webhook-endpoints"
Sessions = sessionmaker[Session]


def submit(api: TestClient, content: bytes = MP4, **options: Any) -> dict[str, Any]:
    files: Any = {"file": ("a.mp4", content), "options": (None, json.dumps(options), "application/json")}
    response = api.post("/v1/jobs", files=files)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def finish(sessions: Sessions, frames: int = 0, probability: float | None = 0.27) -> None:
    """What a worker would do with the next job."""
    with sessions() as session:
        attempt = attempts.claim_job(session, worker="w", lease=timedelta(minutes=1))
        assert attempt is not None
        attempts.succeed(session, attempt, make_found(frames=frames, probability=probability))


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["code"], body["status"], body["type"]) == (code, status, f"urn:unmask:problem:{code}")
    assert body["request_id"] == response.headers["x-request-id"]
    assert len(body["detail"]) > 15
    return body


def submit_source(
    api: TestClient, source: dict[str, Any], headers: dict[str, str] | None = None, **options: Any
) -> Any:
    return api.post("/v1/jobs", json={"source": source, "options": options}, headers=headers)


def register_endpoint(api: TestClient, url: str, **properties: Any) -> dict[str, Any]:
    response = api.post(ENDPOINTS, json={"url": url, **properties})
    assert response.status_code == 201, response.text
    endpoint: dict[str, Any] = response.json()
    assert endpoint["secret"].startswith("whsec_")
    return endpoint


class ChunkSender:
    """Sends an upload in pieces as a browser does: without a key."""

    def __init__(self, api: TestClient, begun: dict[str, Any]) -> None:
        self._api = api
        self._url = begun["upload_url"]

    def send(self, offset: int, piece: bytes, **headers: str) -> Any:
        given = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0", "Authorization": ""}
        return self._api.patch(self._url, content=piece, headers=given | {"Upload-Offset": str(offset)} | headers)

    def offset(self) -> int:
        answer = self._api.head(self._url, headers={"Authorization": ""})
        assert answer.headers["tus-resumable"] == "1.0.0"
        return int(answer.headers["upload-offset"])


def begin_upload(api: TestClient, **changes: Any) -> dict[str, Any]:
    response = api.post("/v1/uploads", json={"name": "a.mp4", "bytes": len(MP4)} | changes)
    assert response.status_code == 201, response.text
    begun: dict[str, Any] = response.json()
    return begun
