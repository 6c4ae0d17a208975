"""Receiver of webhooks on this machine."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from app.cli.listen import ListenError, make_listener

SECRET = "whsec_" + "A" * 32


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def url(lines: list[str]) -> Iterator[str]:
    """Run a listener and yield its URL."""
    with make_listener(SECRET, port=0, on_line=lines.append) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/unmask"
        server.shutdown()


def post(url: str, secret: str) -> int:
    now = datetime.now(UTC)
    data = {"id": "job_1", "status": "succeeded", "verdict": "MANIPULATED", "probability": 0.97, "external_id": None}
    body = json.dumps({"type": "job.succeeded", "timestamp": now.isoformat(), "data": data})
    signature = Webhook(secret).sign("msg_1", now, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    return httpx.post(url, content=body, headers=headers).status_code


def test_verified_webhook_is_printed_with_its_verdict(url: str, lines: list[str]) -> None:
    assert post(url, SECRET) == 204
    assert "job.succeeded id=job_1 status=succeeded verdict=MANIPULATED probability=0.97 (msg_1)" in lines[0]


def test_webhook_of_another_secret_or_without_a_body_is_refused(url: str, lines: list[str]) -> None:
    assert post(url, "whsec_" + "B" * 32) == 401
    assert httpx.post(url).status_code == 401
    assert all(line.startswith("refused") for line in lines)
    assert len(lines) == 2


def test_wrong_secret_and_used_port_are_told_at_the_start(url: str) -> None:
    with pytest.raises(ListenError, match="whsec_"):
        make_listener("whsec_!", port=0, on_line=print)
    with pytest.raises(ListenError, match="--port"):
        make_listener(SECRET, port=httpx.URL(url).port or 0, on_line=print)
