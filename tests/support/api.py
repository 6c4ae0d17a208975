"""Helpers of API tests: clients, requests, and checks of responses."""

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session, sessionmaker

from app.core.settings import Settings, require_settings
from app.db.tables.webhooks import WebhookEvent
from app.infra.clip_storage import ClipStorage
from app.main import create_app
from app.services import attempts
from tests.support.factories import make_attempt_result
from tests.support.jobs import claim_job

MP4 = b"\x00\x00\x00\x18ftypisom" + bytes(100)
SHA256 = hashlib.sha256(MP4).hexdigest()
ENDPOINTS = "/v1/webhook-endpoints"
MODEL_FILES = {"manifest.json": b"{}", "model.safetensors": b"weights", "model.onnx": b"graph"}
"""Files of an archive with the right names. No worker can run them."""
FEW_CLIPS = {"suspicious_false_positive_rate": 0.999, "manipulated_false_positive_rate": 0.999}
"""Rates that four clips can show."""
Sessions = sessionmaker[Session]
Response = Any
"""Response of ``TestClient``: of httpx2 if it is installed, else of httpx."""
MakeKey = Callable[..., dict[str, str]]
"""Creates an API key and returns its header."""


def make_client(settings: Settings) -> TestClient:
    """Return a client with the operator's key. The API runs in the client's ``with`` block."""
    (api_key,) = require_settings(settings, "api_key")
    return TestClient(create_app(settings), headers={"Authorization": f"Bearer {api_key}"})


def post_clip(
    api: TestClient, content: bytes = MP4, *, headers: dict[str, str] | None = None, **options: Any
) -> Response:
    """Send a clip as a form and return the response."""
    files: Any = {"file": ("a.mp4", content), "options": (None, json.dumps(options), "application/json")}
    return api.post("/v1/jobs", files=files, headers=headers)


def submit(
    api: TestClient, content: bytes = MP4, *, headers: dict[str, str] | None = None, **options: Any
) -> dict[str, Any]:
    """Submit a clip and return its queued job."""
    response = post_clip(api, content, headers=headers, **options)
    assert response.status_code == 202, response.text
    job: dict[str, Any] = response.json()
    return job


def submit_source(
    api: TestClient, source: dict[str, Any], headers: dict[str, str] | None = None, **options: Any
) -> Response:
    """Submit a clip by its source and return the response."""
    return api.post("/v1/jobs", json={"source": source, "options": options}, headers=headers)


def finish(sessions: Sessions, frames: int = 0, probability: float | None = 0.27, **result: Any) -> None:
    """End the next job with a result, as a worker does."""
    attempt = claim_job(sessions)
    with sessions() as session:
        attempts.succeed(session, attempt, make_attempt_result(frames=frames, probability=probability, **result))


def finish_clips(
    api: TestClient, sessions: Sessions, probabilities: Sequence[float | None], **options: Any
) -> list[dict[str, Any]]:
    """Submit different clips, end each job with its probability, and return the jobs."""
    jobs = []
    for number, probability in enumerate(probabilities):
        jobs.append(submit(api, MP4 + bytes([number // 250, number % 250]), **options))
        finish(sessions, probability=probability)
    return jobs


def create_calibration(api: TestClient, **request: Any) -> dict[str, Any]:
    """Create a calibration from stored results and return it."""
    response = api.post("/v1/calibrations", json=request)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


def problem(response: Response, status: int, code: str) -> dict[str, Any]:
    """Check that a response is a problem document with this code, and return the document."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (body["code"], body["status"], body["type"]) == (code, status, f"urn:unmask:problem:{code}")
    assert body["request_id"] == response.headers["x-request-id"]
    assert len(body["detail"]) > 15
    return body


def make_zip(files: dict[str, bytes]) -> bytes:
    """Return a compressed zip of files."""
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def has_clip(storage: ClipStorage, sha256: str) -> bool:
    """Return True if the storage has a clip."""
    try:
        storage.open_clip(sha256).close()
    except FileNotFoundError:
        return False
    return True


def create_policy(api: TestClient, **policy: Any) -> dict[str, Any]:
    """Create a version of a policy and return it."""
    response = api.post("/v1/policies", json=policy)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


def submit_and_finish(
    api: TestClient, sessions: Sessions, probability: float | None = 0.3, **options: Any
) -> dict[str, Any]:
    """Submit a clip, end its job with this probability, and return the job."""
    job = submit(api, **options)
    finish(sessions, frames=1, probability=probability)
    found: dict[str, Any] = api.get(job["links"]["self"]).json()
    return found


def read_audit_log(api: TestClient) -> list[dict[str, Any]]:
    """Return all audit records, newest first."""
    items: list[dict[str, Any]] = api.get("/v1/audit-events", params={"limit": 1000}).json()["items"]
    return items


def register_endpoint(api: TestClient, url: str, **properties: Any) -> dict[str, Any]:
    """Create a webhook endpoint and return it with its secret."""
    response = api.post(ENDPOINTS, json={"url": url, **properties})
    assert response.status_code == 201, response.text
    endpoint: dict[str, Any] = response.json()
    assert endpoint["secret"].startswith("whsec_")
    return endpoint


def begin_upload(api: TestClient, **changes: Any) -> dict[str, Any]:
    """Create a resumable upload of ``MP4`` and return it. ``changes`` override fields of the request."""
    response = api.post("/v1/uploads", json={"name": "a.mp4", "bytes": len(MP4)} | changes)
    assert response.status_code == 201, response.text
    begun: dict[str, Any] = response.json()
    return begun


class ChunkSender:
    """Client of a one-time upload URL. Like a browser, it has no API key."""

    def __init__(self, api: TestClient, begun: dict[str, Any]) -> None:
        self._api = api
        self._url = begun["upload_url"]

    def send_chunk(self, offset: int, chunk: bytes, **headers: str) -> Response:
        """Send a chunk and return the response."""
        given = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0", "Authorization": ""}
        return self._api.patch(self._url, content=chunk, headers=given | {"Upload-Offset": str(offset)} | headers)

    def read_offset(self) -> int:
        """Return the number of bytes that have arrived."""
        answer = self._api.head(self._url, headers={"Authorization": ""})
        assert answer.headers["tus-resumable"] == "1.0.0"
        return int(answer.headers["upload-offset"])


def read_body(event: WebhookEvent) -> dict[str, Any]:
    """Return the body of a stored webhook event."""
    assert event.body is not None
    body: dict[str, Any] = json.loads(event.body)
    return body
